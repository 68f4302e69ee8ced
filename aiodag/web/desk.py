"""Ask the service in threads: its plain methods block, and a store that hangs must not stop the loop.

There is a bounded number of threads, and of questions that wait for one. A question that takes too long is given up: its thread
goes on with it, and what it has changed stays changed.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, ParamSpec, TypeVar

from aiodag.service import Service
from aiodag.service.feeds import Feeds
from aiodag.service.intake import Intake
from aiodag.service.narrowing import Narrowing
from aiodag.service.serve_options import ServeOptions
from aiodag.web.fastapi import Depends, Request
from aiodag.web.kept_pictures import Pictures
from aiodag.web.metering import MeteredStore
from aiodag.web.prometheus_client import Meter
from aiodag.web.shelf import GraphShelf
from aiodag.web.turns import Turns

DESK = "aiodag.desk"  # where a request has it

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 16  # questions to the store at once
DRAWERS = 2  # pictures and other long work at once
MOST_WAITING = 1_000  # questions, in each pool
PATIENCE = 15.0  # seconds for an answer of the store
THINKERS = 8  # definitions at once, of which two are read by processes
THINKING_PATIENCE = 75.0  # seconds: a definition may wait for another process, and then for its own
LONG_PATIENCE = 60.0  # seconds for a picture


class DeskBusy(Exception):
    """The service gave no answer in time, or too many questions wait for it."""


class QuestionPool:
    """Some threads, with a bounded queue before them."""

    def __init__(self, name: str, threads: int, patience: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"aiodag-web-{name}")
        self._patience = patience
        self._asked = 0

    async def ask(self, question: Callable[[], T]) -> T:
        """Return what a question is answered with. Raises `DeskBusy`, and what it raises."""
        if self._asked >= MOST_WAITING:
            raise DeskBusy("too many requests wait for the store")
        self._asked += 1
        answer = self._threads.submit(contextvars.copy_context().run, question)
        answer.add_done_callback(self._count_down(asyncio.get_running_loop()))
        limit = asyncio.timeout(self._patience)
        try:
            async with limit:
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeskBusy(f"the store gave no answer within {self._patience:.0f} s") from None

    def _count_down(self, loop: asyncio.AbstractEventLoop) -> Callable[[object], None]:
        def end() -> None:
            self._asked -= 1

        def tell(_: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(end)

        return tell

    def close(self) -> None:
        """Take no more questions; those that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Desk:
    """Where the service is asked: by the routes of one application."""

    def __init__(self, service: Service, options: ServeOptions) -> None:
        self.service = service
        self.options = options
        self.feeds = Feeds(service.store)
        self.streams = 0  # that are open
        self.turns = Turns()
        self.pictures = Pictures()
        self.graphs = GraphShelf(service)
        self.meter = Meter()
        self.metered = MeteredStore(service, self.meter)
        narrowing = Narrowing(tuple(options.environment), options.no_commands, options.only_registered)
        self.intake = Intake(service, narrowing)
        self._short = QuestionPool("ask", THREADS, PATIENCE)
        self._thinking = QuestionPool("think", THINKERS, THINKING_PATIENCE)
        self._long = QuestionPool("draw", DRAWERS, LONG_PATIENCE)

    async def ask(self, question: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Return what a method of the service answers. Raises what it raises, and `DeskBusy`.

        One call for each request is best: put what belongs together into a function, and ask that.
        """
        return await self._short.ask(functools.partial(question, *args, **named))

    async def draw(self, question: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Do what `ask` does for work that may take seconds, so that it takes no place of others."""
        return await self._long.ask(functools.partial(question, *args, **named))

    async def think(self, question: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Do what `ask` does for what the intake takes in: it may wait for a process that reads code."""
        return await self._thinking.ask(functools.partial(question, *args, **named))

    @contextmanager
    def streaming(self) -> Generator[None]:
        """Count a stream that is open, inside."""
        self.streams += 1
        self.meter.streams.set(self.streams)
        try:
            yield
        finally:
            self.streams -= 1
            self.meter.streams.set(self.streams)

    def close(self) -> None:
        """Let the threads go."""
        self._short.close()
        self._long.close()
        self.intake.close()
        self._thinking.close()
        self.feeds.close()


def desk_of(request: Request) -> Desk:
    """Return the desk of the application that a request came to."""
    found: Desk = request.scope[DESK]
    return found


AtDesk = Annotated[Desk, Depends(desk_of)]  # a parameter of a route
