"""The whole face, as both checkers must see it. Never runs."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, assert_type

from aiodag import Backoff, Limit, Node, Run, Secret, Task, opaque, settled, task, value_of
from aiodag.abc import Middleware
from aiodag.executors.process import ProcessExecutor
from aiodag.executors.thread import ThreadExecutor


@task
async def number(text: str) -> int:
    return int(text)


@task
async def scale(x: int, factor: float = 1.0, *, label: str = "") -> float:
    return x * factor


@task
def plain(x: int) -> str:
    return str(x)


@task(
    name="ev",
    retries=2,
    backoff=Backoff(),
    retry_on=(OSError, TimeoutError),
    timeout=3,
    limit=Limit(3),
    executor="thread",
)
async def options(x: int, y: str) -> bytes:
    return y.encode() * x


@task(executor=ThreadPoolExecutor(2))
def pooled(x: int) -> str:
    return str(x)


@task(executor=ThreadExecutor(2))
def threaded(x: int) -> str:
    return str(x)


@task(executor=ProcessExecutor(2))
def elsewhere(x: int) -> str:
    return str(x)


@task
async def eight(a: int, b: str, c: float, d: bytes, e: bool, f: int, g: str, h: float, *, key: int = 0) -> list[int]:
    return [a]


@task(raw=True)
async def raw(a: "asyncio.Future[int]", b: Node[str]) -> int:
    return await a


async def timed(node: Node[Any], call_next: Callable[[], Awaitable[Any]]) -> Any:
    return await call_next()


class Counted:
    async def __call__(self, node: Node[Any], call_next: Callable[[], Awaitable[Any]], /) -> Any:
        return await call_next()


counted: Middleware = Counted()


@task(middleware=[timed, counted, Counted()])
async def within(x: int) -> int:
    return x


wrapping = Run("etl", middleware=(timed, counted))


class Api:
    @task
    async def get(self, x: int, y: str = "") -> str:
        return y

    @task(retries=1)
    def put(self, x: int) -> int:
        return x

    @task
    @staticmethod
    async def fixed(x: int) -> str:
        return ""

    @staticmethod
    @task
    async def fixed_inside(x: int) -> str:
        return ""

    @task
    @classmethod
    async def made(cls, x: int) -> str:
        return ""

    @classmethod
    @task
    async def made_inside(cls, x: int) -> str:
        return ""


class Awaits:
    async def __call__(self, x: int) -> str:
        return ""


@task
async def report(n: Node[int]) -> str:
    return n.name


async def undecorated(x: int) -> str:
    return ""


@task
async def total(xs: list[int], *rest: int, **named: int) -> int:
    return sum(xs)


def worth(error: Exception) -> bool:
    return isinstance(error, OSError)


def worth_any(error: BaseException) -> bool:
    return isinstance(error, OSError)


async def main() -> None:
    assert_type(await task(partial(scale, 1))(2.0), float)
    task(undecorated, retry_on=worth)
    task(undecorated, retry_on=worth_any)
    n = number("1")
    s = plain(n)
    assert_type(n, Node[int])
    assert_type(s, Node[str])
    assert_type(await n, int)
    one: Task[[int], str] = plain
    two: Task[[str], int] = number
    assert_type(one(n), Node[str])
    assert_type(two(s), Node[int])
    assert_type(scale(n), Node[float])
    assert_type(scale(n, 2.0), Node[float])
    assert_type(scale(n, factor=2.0, label="a"), Node[float])
    assert_type(scale(1, scale(n), label="x"), Node[float])
    assert_type(scale(x=1), Node[float])
    assert_type(scale(x=value_of(n), factor=value_of(scale(n))), Node[float])
    b = options(n, s)
    assert_type(await b, bytes)
    f = scale(n)
    e = task(lambda: True)()
    assert_type(eight(n, s, f, b, e, n, s, f, key=3), Node[list[int]])
    assert_type(eight(1, s, 1.0, b, True, n, "", f), Node[list[int]])
    assert_type(raw(n, s), Node[int])
    api = Api()
    assert_type(api.get(n), Node[str])
    assert_type(api.get(n, s), Node[str])
    assert_type(api.get(1, y="a"), Node[str])
    assert_type(api.put(n), Node[int])
    assert_type(Api.put(api, n), Node[int])
    assert_type(Api.fixed(1), Node[str])
    assert_type(Api.fixed(n), Node[str])
    assert_type(api.fixed(1), Node[str])
    assert_type(api.fixed(n), Node[str])
    assert_type(Api.fixed_inside(1), Node[str])
    assert_type(Api.fixed_inside(n), Node[str])
    assert_type(api.fixed_inside(1), Node[str])
    assert_type(api.fixed_inside(n), Node[str])
    assert_type(Api.made(1), Node[str])
    assert_type(Api.made(n), Node[str])
    assert_type(api.made(1), Node[str])
    assert_type(api.made(n), Node[str])
    assert_type(Api.made_inside(1), Node[str])
    assert_type(Api.made_inside(n), Node[str])
    assert_type(api.made_inside(1), Node[str])
    assert_type(api.made_inside(n), Node[str])
    assert_type(api.get.after(n)(1), Node[str])
    assert_type(task(Awaits())(n), Node[str])
    assert_type(task(api.get)(n), Node[str])
    assert_type(await task(undecorated, n, s)(n), str)
    assert_type(await task(undecorated, n, retries=3)(n), str)
    assert_type(await task(scale, settled(n), timeout=1.0)(n, 1.0), float)
    assert_type(scale.after(n, settled(s)).with_options(retries=2)(n), Node[float])
    assert_type(report(settled(n)), Node[str])
    assert_type(settled(n), Node[int])
    assert_type(value_of(n), int)
    assert_type(number(Secret("NUMBER", file=Path("number"))), Node[int])
    assert_type(value_of(Secret("NUMBER", get=str)), str)
    assert_type(await Secret("NUMBER"), str)
    assert_type(Secret("NUMBER").read(), str)
    assert_type(opaque([1]), list[int])
    assert_type(total([value_of(n), 2]), Node[int])
    assert_type(total([1], 2, 3, a=4), Node[int])
    assert_type(total([1], n, 3, a=4), Node[int])
    assert_type(plain.map([1, 2]), list[Node[str]])
    assert_type(plain.map([n, 2]), list[Node[str]])
    assert_type(scale.map(number.map(["1"]), factor=2.0, label="a"), list[Node[float]])
    assert_type(scale.map([1], [2.0], label=""), list[Node[float]])
    assert_type(options.map([1, n], y="a"), list[Node[bytes]])
    c = undecorated(1)
    assert_type(task(len)(c), Node[int])
    task(partial(undecorated, 1))()
    later: Awaitable[int] = asyncio.get_running_loop().create_future()
    plain(later)
    await asyncio.gather(n, s)
