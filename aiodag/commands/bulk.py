"""Many things asked for at once, done by one call: what is asked for while a call goes on is for the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from copy import copy
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class BulkCalls(Generic[Item, Result]):
    """Calls a function with all that was asked for while its last call went on, or in one turn of the loop."""

    def __init__(self, call: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]], most: int) -> None:
        self._call = call
        self._most = most
        self._asked: list[tuple[Item, asyncio.Future[Result]]] = []
        self._work: asyncio.Task[None] | None = None

    def ask(self, item: Item) -> asyncio.Future[Result]:
        """Have an item among those of the next call; the future has its result."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._asked.append((item, answer))
        if self._work is None:
            self._work = loop.create_task(self._serve(), context=Context())
        return answer

    async def _serve(self) -> None:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # the calls that a fan-out makes in this turn and the next are there now
            while self._asked:
                asked, self._asked = self._asked[: self._most], self._asked[self._most :]
                await self._answer(asked)
        finally:
            self._work = None
            for _, answer in self._asked:  # the loop is being closed
                answer.cancel()

    async def _answer(self, asked: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._call([item for item, _ in asked])
        except BaseException as error:
            for _, answer in asked:
                if isinstance(error, Exception):
                    settle_answer(answer, copy(error))  # one for each: a traceback grows wherever it is raised
                else:
                    answer.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for (_, answer), result in zip(asked, results, strict=True):
                settle_answer(answer, result)


def settle_answer(answer: asyncio.Future[Any], result: object) -> None:
    """Give a result or an error to whoever still waits for it."""
    if answer.done():
        return
    if isinstance(result, BaseException):
        answer.set_exception(result)
    else:
        answer.set_result(result)
