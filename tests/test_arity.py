"""What Python accepts at a call is accepted, and what it refuses is refused there."""

import asyncio
import functools
import inspect
import sys
from unittest import mock

import pytest

from aiodag import current_node, plan, task
from aiodag.testing import run


def supplied(fn):
    """Call a function with one argument more than the caller gives."""

    @functools.wraps(fn)
    async def call(*args, **kwargs):
        return await fn("supplied", *args, **kwargs)

    return call


class Supplied:
    """The same as an object."""

    def __init__(self, fn):
        functools.update_wrapper(self, fn)

    async def __call__(self, *args):
        return await self.__wrapped__("supplied", *args)


def exactly_one(fn):
    """Take one argument, whatever the function below shows."""

    @functools.wraps(fn)
    async def call(x):
        return await fn(x, x)

    return call


def value(call):
    async def main():
        return await call()

    return run(main())


@pytest.mark.parametrize("decorator", [supplied, Supplied])
def test_a_decorator_may_supply_an_argument(decorator):
    @task
    @decorator
    async def load(first, x):
        return first, x

    assert value(lambda: load(1)) == ("supplied", 1)


def test_a_decorator_may_supply_an_argument_of_a_method():
    def with_client(fn):
        @functools.wraps(fn)
        async def call(self, *args):
            return await fn(self, "client", *args)

        return call

    class Shop:
        @task
        @with_client
        async def load(self, client, x):
            return client, x

    assert value(lambda: Shop().load(1)) == ("client", 1)


def test_the_outermost_function_decides_what_is_too_much():
    @task
    @exactly_one
    async def pair(x, y):
        return x, y

    async def main():
        with pytest.raises(TypeError, match=r"pair\(x\) too many") as caught:
            pair(1, 2)
        return caught.traceback[0].name, await pair(1)

    assert run(main()) == ("main", (1, 1))


def test_a_decorator_may_take_a_keyword_that_the_function_does_not_have():
    def timed(fn):
        @functools.wraps(fn)
        async def call(*args, slow=False, **kwargs):
            return slow, await fn(*args, **kwargs)

        return call

    @task
    @timed
    async def fetch(x):
        return x

    assert value(lambda: fetch(1, slow=True)) == (True, 1)


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_patches_supply_arguments(kind):
    if kind == "async":

        @task
        @mock.patch("os.getcwd", return_value="here")
        async def look(x, getcwd):
            return x, getcwd()

    else:

        @task
        @mock.patch("os.getcwd", return_value="here")
        def look(x, getcwd):
            return x, getcwd()

    assert value(lambda: look(1)) == (1, "here")


def test_a_single_dispatch_chooses_functions_of_other_parameters():
    @task
    @functools.singledispatch
    async def show(x):
        return "any"

    @show.register
    async def _(x: int, times=1, *, sign=""):
        return sign + "int" * times

    @show.register
    def _(x: str):
        return "plain"

    assert value(lambda: show(None)) == "any"
    assert value(lambda: show(1, 2, sign="+")) == "+intint"
    assert value(lambda: show("x")) == "plain"


class Printer:
    @task
    @functools.singledispatchmethod
    async def show(self, x):
        return "any"

    @show.register
    async def _(self, x: int, times=1):
        return "int" * times

    @show.register
    def _(self, x: str):
        return "plain"

    @functools.singledispatchmethod
    @task
    async def other(self, x):
        return "any"

    @other.register
    @task
    async def _(self, x: int):
        return "int"

    @task
    async def add(self, x, y):
        return x + y

    add_one = task(functools.partialmethod(add.fn, 1))
    add_two = functools.partialmethod(add, 2)


def test_a_method_may_dispatch_by_the_type_of_its_argument():
    assert value(lambda: Printer().show(None)) == "any"
    assert value(lambda: Printer().show(1, 2)) == "intint"
    assert value(lambda: Printer().show("x")) == "plain"
    assert value(lambda: Printer().other(None)) == "any"
    assert value(lambda: Printer().other(1)) == "int"


def test_a_partial_method_has_what_is_left_of_its_parameters():
    async def main():
        with pytest.raises(TypeError, match="too many"):
            Printer().add_one(1, 2)
        return await Printer().add_one(5), await Printer().add_two(5)

    assert run(main()) == (6, 7)


def test_a_signature_that_lies_decides_nothing():
    async def fetch(x, y=0):
        return x + y

    fetch.__signature__ = inspect.signature(lambda a, b, c: None)

    assert value(lambda: task(fetch)(1)) == 1
    assert value(lambda: task(fetch)(1, y=2)) == 3


def test_a_cached_function_is_refused_what_it_does_not_take():
    @task
    @functools.cache
    def double(x):
        return 2 * x

    async def main():
        with pytest.raises(TypeError, match="too many"):
            double(1, 2)
        return await double(2)

    assert run(main()) == 4


def test_a_builtin_that_tells_nothing_is_called():
    assert value(lambda: task(max)([1, 3])) == 3
    assert value(lambda: task(dict)(a=1)) == {"a": 1}


def test_defaults_of_a_function_count_where_it_says_nothing_of_them():
    async def fetch(a, b=2, *, c=3):
        return a, b, c

    assert value(lambda: task(fetch)(1)) == (1, 2, 3)
    assert value(lambda: task(fetch)(1, c=0)) == (1, 2, 0)


def test_a_plan_takes_what_a_call_takes():
    @task
    @supplied
    async def load(first, x): ...

    assert len(plan(load, 1)) == 1


# Annotations

DEFERRED = """
from __future__ import annotations
"""

UNREADABLE = """
from typing import TYPE_CHECKING
from aiodag import task
if TYPE_CHECKING:
    from calendar import Day
    import prices

class Shop:
    def __init__(self, day: Day) -> None: ...

    @task
    async def sell(self, day: Day, *, price: prices.Price[Day] | None = None) -> list[Day]:
        return day

@task
async def load(day: Day, *rest: Day | None, by: "Day" = None) -> Day:
    return day

@task
def plain(day: Day) -> Day:
    return day

made = task(Shop)
"""


@pytest.mark.parametrize("prefix", [DEFERRED, ""], ids=["deferred", "lazy"])
def test_annotations_are_not_evaluated(prefix):
    if not prefix and sys.version_info < (3, 14):
        prefix = DEFERRED  # only deferred annotations could exist for checkers alone
    names = {"__name__": "unreadable"}
    exec(prefix + UNREADABLE, names)

    async def main():
        with pytest.raises(TypeError, match=r"load\(day: "):
            names["load"](nobody=1)
        with pytest.raises(TypeError, match="too many"):
            names["plain"](1, 2)
        shop = await names["made"](1)
        calls = [names["load"](1), names["load"](1, 2, by=3), names["plain"](1), shop.sell(1), shop.sell(1, price=2)]
        return [await each for each in calls]

    assert run(main()) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("annotation", ["'Seconds'", "Seconds", "1 / 0"])
def test_annotations_of_a_backoff_function_are_not_evaluated(annotation):
    if annotation != "'Seconds'" and sys.version_info < (3, 14):
        pytest.skip("Python itself evaluates them")
    names = {}
    exec(f"def pause(attempt: {annotation}, error: {annotation}) -> {annotation}: return error.args[0]", names)

    @task(retries=1, backoff=names["pause"])
    async def fetch():
        if current_node().attempt == 1:
            raise OSError(7)
        return asyncio.get_running_loop().time()

    async def main():
        return await fetch()

    assert run(main()) == 7


@pytest.mark.parametrize("prefix", [DEFERRED, ""], ids=["deferred", "lazy"])
def test_annotations_that_raise_are_nobodys_business(prefix):
    if not prefix and sys.version_info < (3, 14):
        prefix = DEFERRED
    names = {"__name__": "unreadable"}
    exec(prefix + "async def fetch(x: 1 / 0, *, y: 1 / 0 = 1) -> 1 / 0: return x", names)
    fetch = task(names["fetch"])

    async def main():
        with pytest.raises(TypeError, match="fetch"):
            fetch(1, z=1)
        return await fetch(1, y=2)

    assert run(main()) == 1
