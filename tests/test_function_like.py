"""Others take a task for the async function that it is."""

import asyncio
import concurrent.futures
import copy
import dataclasses
import inspect
import multiprocessing
import os
import pickle
import types
from functools import partial
from unittest import mock

import process_bodies
import pydantic
import pytest
import tenacity
from process_bodies import Scale, doubled, halved

from aiodag import NoLoop, task
from aiodag.testing import run


class Shop:
    __slots__ = ("stock",)

    def __init__(self, stock):
        self.stock = stock

    @task
    async def sell(self, x, *, price=1):
        self.stock -= x
        return price * x

    @task
    @classmethod
    async def opened(cls, x):
        return cls(x)

    @task
    @staticmethod
    async def price(x):
        return x


COROUTINE_FUNCTIONS = {
    "async": doubled,
    "plain": halved,
    "method": Shop(1).sell,
    "method of the class": Shop.sell,
    "class method": Shop.opened,
    "static method": Shop.price,
    "partial of a task": partial(doubled, 1),
    "task of a partial": task(partial(max, 1)),
    "task of a builtin": task(max),
    "task of an object": task(mock.AsyncMock()),
    "with options": doubled.with_options(retries=3),
    "with dependencies": doubled.after(),
}


@pytest.mark.parametrize("callable_", COROUTINE_FUNCTIONS.values(), ids=COROUTINE_FUNCTIONS)
def test_a_call_of_a_task_gives_something_to_await_and_inspect_says_so(callable_):
    assert inspect.iscoroutinefunction(callable_)
    assert not inspect.isgeneratorfunction(callable_)
    assert not inspect.isasyncgenfunction(callable_)


def test_a_task_has_the_attributes_of_its_function():
    async def fetch(a, /, b: int = 1, *c, d=2, **e) -> str: ...

    made = task(fetch)

    assert inspect.isfunction(made)
    assert inspect.isroutine(made)
    assert inspect.signature(made, follow_wrapped=False) == inspect.signature(fetch)
    assert (made.__defaults__, made.__kwdefaults__, made.__closure__) == ((1,), {"d": 2}, None)
    assert made.__globals__ is globals()
    assert made.__annotations__ == fetch.__annotations__
    assert inspect.getsource(made) == inspect.getsource(fetch)


def test_a_task_is_still_a_task():
    assert type(doubled) is type(Shop.sell)
    assert isinstance(doubled, type(halved))
    assert not isinstance(doubled.fn, type(halved))
    assert not isinstance(doubled, types.MethodType)


# Other libraries


def test_tenacity_above_a_task_tries_again():
    calls = []

    @tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())
    @task
    async def flaky(x):
        calls.append(x)
        if len(calls) < 3:
            raise OSError
        return "done"

    async def main():
        return await flaky(1)

    assert asyncio.run(main()) == "done"
    assert calls == [1, 1, 1]


def test_tenacity_below_a_task_tries_again():
    calls = []

    @task
    @tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())
    async def flaky(x):
        calls.append(x)
        if len(calls) < 3:
            raise OSError
        return "done"

    async def main():
        return await flaky(1)

    assert asyncio.run(main()) == "done"


class Order(pydantic.BaseModel):
    amount: int

    @task
    async def priced(self, price):
        return self.amount * price

    @task
    def halved(self):
        return self.amount / 2

    @task
    @classmethod
    async def made(cls, amount):
        return cls(amount=amount)


@pydantic.dataclasses.dataclass
class CheckedOrder:
    amount: int

    @task
    async def priced(self, price):
        return self.amount * price


@dataclasses.dataclass(frozen=True, slots=True)
class SlottedOrder:
    amount: int

    @task
    async def priced(self, price):
        return self.amount * price


@pytest.mark.parametrize(
    "order", [Order(amount=3), CheckedOrder(3), SlottedOrder(3)], ids=lambda each: type(each).__name__
)
def test_methods_of_models_and_dataclasses_can_be_tasks(order):
    async def main():
        return await order.priced(2)

    assert run(main()) == 6


def test_tasks_are_no_fields_of_a_model():
    async def main():
        return await Order.made(4), await Order(amount=3).halved()

    assert list(Order.model_fields) == ["amount"]
    assert run(main()) == (Order(amount=4), 1.5)


def test_a_mock_of_a_task_is_awaited():
    with mock.patch.object(process_bodies, "doubled", return_value=5) as mocked:

        async def main():
            return await process_bodies.doubled(1)

        assert run(main()) == 5
        mocked.assert_awaited_once_with(1)


def test_a_patch_above_a_task_lasts_until_its_node_has_settled():
    @mock.patch.object(os, "getpid", return_value=-1)
    @task
    async def look(getpid):
        await asyncio.sleep(1)
        return os.getpid()

    assert run(look()) == -1


# Copied and pickled

BY_NAME = {
    "async": doubled,
    "plain": halved,
    "method of the class": Scale.times,
    "static method": Scale.bare,
}


@pytest.mark.parametrize("given", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_task_is_pickled_by_its_name(given, protocol):
    assert pickle.loads(pickle.dumps(given, protocol)) is given


ALIKE = {
    "method": (Scale(3).later, (2,), 6),
    "class method": (Scale.named, (2,), ("Scale", 2)),
    "partial of a task": (partial(doubled, 2), (), 4),
    "task of a partial of a task": (process_bodies.halved_later, (), 4),
    "with options": (process_bodies.twice_doubled, (3,), 6),
    "method with options": (Scale(3).later.with_options(retries=2, name="later"), (2,), 6),
    "task of a function": (task(process_bodies.squared), (3,), 9),
    "task of a builtin": (task(max, retries=2), (3, 4), 4),
}


@pytest.mark.parametrize(("given", "args", "expected"), ALIKE.values(), ids=ALIKE)
def test_what_is_made_of_a_task_is_pickled_with_its_options(given, args, expected):
    again = pickle.loads(pickle.dumps(given))

    async def main():
        return await again(*args)

    assert run(main()) == expected
    if not isinstance(given, partial):
        assert (again.name, again.options.retries) == (given.name, given.options.retries)


def test_a_task_that_its_name_does_not_lead_to_is_not_pickled():
    @task
    async def inside():
        """Stand where no name leads."""

    replaced = task(process_bodies.halved.fn, name="other")
    with pytest.raises(pickle.PicklingError, match=r"inside: .*<locals>.inside does not lead back to it"):
        pickle.dumps(inside)
    with pytest.raises(pickle.PicklingError, match="lambda"):
        pickle.dumps(task(lambda: None))
    assert pickle.loads(pickle.dumps(replaced)).name == "other"


def test_a_copy_of_a_task_is_the_task():
    assert copy.copy(doubled) is doubled
    assert copy.deepcopy(doubled) is doubled
    assert copy.deepcopy({"f": [halved]}) == {"f": [halved]}


def test_a_deep_copy_of_a_bound_task_has_a_copy_of_what_it_is_bound_to():
    scale = Scale([3])
    copied = copy.deepcopy({"scale": scale, "later": scale.later, "times": scale.times})

    assert copied["later"].fn.__self__ is copied["scale"] is copied["times"].fn.__self__
    assert copied["scale"] is not scale


# In other processes


def test_a_method_runs_in_a_process():
    async def main():
        return await Scale(3).times(2)

    value, pid = asyncio.run(main())
    assert value == 6
    assert pid != os.getpid()


def test_a_partial_of_a_decorated_function_runs_in_a_process():
    async def main():
        return await process_bodies.halved_later.with_options(executor="process")()

    assert asyncio.run(main()) == 4


SENT = {
    "plain": (halved, (3,), 1.5),
    "async": (doubled, (3,), 6),
    "method": (Scale(3).later, (2,), 6),
    "class method": (Scale.named, (2,), ("Scale", 2)),
    "partial": (partial(halved, 3), (), 1.5),
    "with options": (process_bodies.twice_doubled, (3,), 6),
    "async that calls tasks": (process_bodies.doubles_all, ([1, 2],), [2, 4]),
    "plain that calls tasks": (process_bodies.calls_tasks, (3,), (1.5, 6, 6)),
}


@pytest.fixture(scope="module")
def pool():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        yield pool


@pytest.mark.parametrize(("fn", "args", "expected"), SENT.values(), ids=SENT)
def test_a_task_called_in_a_worker_process_runs_its_body(pool, fn, args, expected):
    assert pool.submit(fn, *args).result() == expected


@pytest.mark.parametrize("fn", [halved, partial(halved.fn, 3), Scale(3).times], ids=["task", "partial", "method"])
def test_a_decorated_function_runs_in_a_pool_of_processes_that_was_given(pool, fn):
    args = () if isinstance(fn, partial) else (3,)

    async def main():
        return await task(fn, executor=pool)(*args)

    assert asyncio.run(main()) in (1.5, (9, mock.ANY))


def test_a_task_called_in_a_worker_process_refuses_a_wrong_call(pool):
    with pytest.raises(TypeError, match=r"halved\(x\) too many"):
        pool.submit(halved, 1, 2).result()


def test_a_body_in_a_process_calls_tasks():
    async def main():
        return await task(process_bodies.calls_tasks, executor="process")(3)

    assert asyncio.run(main()) == (1.5, 6, 6)


def test_without_a_loop_a_call_says_so_and_nothing_else():
    with pytest.raises(NoLoop) as caught:
        doubled(1)

    assert caught.value.__context__ is None
