"""What can be a task, how it is called, and what is refused."""

import asyncio
import functools
import inspect
import itertools
import re
import threading
from contextvars import ContextVar
from unittest.mock import AsyncMock, Mock

import pytest

from aiodag import AiodagError, Node, NoLoop, NotATask, State, Task, UnknownOption, task
from aiodag.testing import run

PLACE = ContextVar("place", default="nowhere")


@task
async def double(x):
    """Twice as much."""
    return 2 * x


@task(name="later", retries=0)
async def wait(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


class Shop:
    """A method of each kind, with the decorators in both orders."""

    tax = 3

    def __init__(self, stock=10):
        self.stock = stock

    @task
    async def method(self, x, *, more=0):
        return self.stock + x + more

    @task
    def plain_method(self, x):
        return self.stock + x, threading.get_ident()

    @task
    @classmethod
    async def class_inside(cls, x):
        return cls.__name__, cls.tax + x

    @classmethod
    @task
    async def class_outside(cls, x):
        return cls.__name__, cls.tax + x

    @task
    @staticmethod
    async def static_inside(x):
        return x + 1

    @staticmethod
    @task
    async def static_outside(x):
        return x + 1

    @task
    @classmethod
    def plain_class(cls, x):
        return cls.__name__, cls.tax + x

    @task
    @staticmethod
    def plain_static(x):
        return x + 1


class Branch(Shop):
    tax = 5


class Adder:
    def __init__(self, base):
        self.base = base

    async def __call__(self, x):
        return self.base + x


class PlainAdder(Adder):
    def __call__(self, x):
        return self.base + x, threading.get_ident()


def value(node_of):
    """Call `node_of` on a virtual loop and return the value of its node."""

    async def main():
        return await node_of()

    return run(main())


# What gives a Task


def test_every_spelling_of_the_decorator_gives_a_task():
    async def fetch():
        return 1

    assert all(isinstance(each, Task) for each in (task(fetch), task()(fetch), task(retries=1)(fetch)))
    assert all(isinstance(each, Task) for each in (task(fetch, retries=1), task(task(fetch)), task(name="f")(fetch)))


def test_every_spelling_runs_the_same_body():
    async def fetch():
        return 1

    made = [task(fetch), task()(fetch), task(retries=1)(fetch), task(fetch, retries=1), task(task(fetch))]

    assert [value(each) for each in made] == [1] * 5


def test_call_gives_a_node_that_runs_by_itself():
    ran = []

    @task
    async def note(x):
        ran.append(x)

    async def main():
        node = note(1)
        assert isinstance(node, Node)
        assert node.state is State.WAITING or node.state is State.QUEUED
        await asyncio.sleep(1)
        return node.state

    assert run(main()) is State.SUCCEEDED
    assert ran == [1]


def test_no_body_runs_before_the_caller_gives_way():
    ran = []

    @task
    async def note(x):
        ran.append(x)

    async def main():
        nodes = [note(x) for x in range(3)]
        before = list(ran)
        await asyncio.wait(nodes)
        return before

    assert run(main()) == []
    assert sorted(ran) == [0, 1, 2]


def test_no_body_runs_before_a_body_that_calls_gives_way():
    ran = []

    @task
    async def inner():
        ran.append("inner")

    @task
    async def outer():
        node = inner()
        ran.append("outer")
        await node

    assert value(outer) is None
    assert ran == ["outer", "inner"]


# Kinds of callables


@pytest.mark.parametrize("make", [Shop, Branch])
def test_method_is_called_through_the_instance(make):
    assert value(lambda: make(10).method(1, more=5)) == 16


def test_method_takes_nodes_as_arguments():
    assert value(lambda: Shop(10).method(double(2), more=double(3))) == 20


def test_method_is_called_through_the_class_with_an_instance():
    assert value(lambda: Shop.method(Shop(10), 1)) == 11


def test_plain_method_runs_in_a_thread():
    result, thread = value(lambda: Shop(10).plain_method(double(1)))

    assert result == 12
    assert thread != threading.get_ident()


@pytest.mark.parametrize("name", ["class_inside", "class_outside", "plain_class"])
@pytest.mark.parametrize("through", [Shop, Shop(), Branch, Branch()], ids=["class", "instance", "heir", "heir's"])
def test_class_method_gets_the_class_it_is_called_through(name, through):
    cls = through if isinstance(through, type) else type(through)

    assert value(lambda: getattr(through, name)(double(1))) == (cls.__name__, cls.tax + 2)


@pytest.mark.parametrize("name", ["static_inside", "static_outside", "plain_static"])
@pytest.mark.parametrize("through", [Shop, Shop()], ids=["class", "instance"])
def test_static_method_gets_only_its_arguments(name, through):
    assert value(lambda: getattr(through, name)(double(1))) == 3


@pytest.mark.parametrize("name", ["method", "class_inside", "class_outside", "static_inside", "static_outside"])
def test_wrong_arguments_of_a_method_are_refused_at_the_call(name):
    async def main():
        with pytest.raises(TypeError):
            getattr(Shop(), name)()
        with pytest.raises(TypeError):
            getattr(Shop(), name)(1, 2, 3)

    run(main())


@pytest.mark.parametrize("name", ["method", "class_inside", "static_inside", "static_outside"])
def test_signature_of_a_method_is_that_of_its_call(name):
    assert next(iter(inspect.signature(getattr(Shop(), name)).parameters)) == "x"


def test_bound_method_can_be_wrapped():
    async def main():
        shop = Shop(10)
        return await task(shop.method, wait(2))(1), asyncio.get_running_loop().time()

    assert run(main()) == (11, 2)


def test_method_of_an_undecorated_class_can_be_wrapped():
    class Quiet:
        async def get(self, x):
            return x

    assert value(lambda: task(Quiet().get)(double(4))) == 8


def test_partial_runs_with_what_it_holds():
    async def add(x, y, *, z):
        return x, y, z

    assert value(lambda: task(functools.partial(add, 1, z=3))(double(1))) == (1, 2, 3)


def test_partial_of_a_partial_runs_with_what_both_hold():
    async def add(x, y, z):
        return x, y, z

    inner = functools.partial(add, 1)

    assert value(lambda: task(functools.partial(inner, 2))(3)) == (1, 2, 3)


def test_partial_of_a_plain_function_runs_in_a_thread():
    def where(x):
        return x, threading.get_ident()

    result, thread = value(task(functools.partial(where, 1)))

    assert result == 1
    assert thread != threading.get_ident()


def test_partial_of_an_object_with_an_async_call_runs_on_the_loop():
    assert value(task(functools.partial(Adder(10), 1))) == 11


def test_object_with_an_async_call_is_a_task():
    assert value(lambda: task(Adder(10))(double(1))) == 12


def test_object_with_a_plain_call_runs_in_a_thread():
    result, thread = value(lambda: task(PlainAdder(10))(double(1)))

    assert result == 12
    assert thread != threading.get_ident()


class Busy:
    """An object whose attributes are named as those of a task and of a partial."""

    def __init__(self):
        self.check = self.call = self.fewest = self.options = True
        self.func = double.fn

    async def __call__(self, x):
        return self.check, x


class PlainBusy(Busy):
    def __call__(self, x):
        return self.check, x, threading.get_ident()


def test_attributes_of_an_object_are_not_those_of_its_task():
    assert value(lambda: task(Busy())(x=double(1))) == (True, 2)
    assert task(Busy()).name == "Busy"


def test_object_with_a_plain_call_runs_in_a_thread_whatever_its_attributes():
    *result, thread = value(lambda: task(PlainBusy())(double(1)))

    assert result == [True, 2]
    assert thread != threading.get_ident()


@pytest.mark.parametrize("kind", [AsyncMock, Mock])
def test_mock_is_a_task(kind):
    mock = kind(return_value="x")

    assert value(lambda: task(mock)(double(1), key=double(2))) == "x"
    mock.assert_called_once_with(2, key=4)


def test_partial_of_a_task_is_that_task_with_arguments_bound():
    @task
    async def add(x, y, *, z):
        return x, y, z

    assert value(lambda: task(functools.partial(add, 1, z=3))(double(1))) == (1, 2, 3)
    assert value(lambda: task(functools.partial(functools.partial(add, 1), z=3))(2)) == (1, 2, 3)
    assert value(lambda: task(functools.partial(Shop(10).method, 1))(more=double(1))) == 13


def test_partial_of_a_task_keeps_its_options_and_what_it_waits_for():
    async def main():
        late = task(functools.partial(wait.after(asyncio.sleep(2)), 1), retries=3)
        return late.name, late.options.retries, await late("x"), asyncio.get_running_loop().time()

    assert run(main()) == ("later", 3, "x", 3)


def test_lambda_and_builtin_are_tasks():
    assert value(lambda: task(lambda x: x + 1)(double(1))) == 3
    assert value(lambda: task(max)(double(1), double(5), 3)) == 10


def test_class_is_a_task_that_makes_an_instance():
    made = value(lambda: task(Shop)(double(4)))

    assert made.stock == 8


# Plain functions


def test_plain_function_does_not_block_the_loop():
    opened = threading.Event()

    @task
    def block():
        return opened.wait(30)

    @task
    async def unblock():
        opened.set()

    async def main():
        node = block()
        await unblock()
        return await node

    assert run(main()) is True


def test_plain_function_sees_the_context_variables_of_the_call():
    @task
    def where():
        return PLACE.get()

    async def main():
        PLACE.set("call")
        node = where()
        PLACE.set("later")
        return await node

    assert run(main()) == "call"


def test_plain_function_that_waits_sees_the_context_variables_of_the_call():
    @task
    def where(_):
        return PLACE.get()

    async def main():
        PLACE.set("call")
        node = where(wait(5))
        PLACE.set("later")
        return await node

    assert run(main()) == "call"


def test_plain_function_does_not_change_the_context_of_its_caller():
    @task
    def move():
        PLACE.set("thread")

    async def main():
        PLACE.set("call")
        await move()
        return PLACE.get()

    assert run(main()) == "call"


def test_plain_function_raises_its_own_exception():
    @task
    def fail():
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        value(fail)


def test_stop_iteration_of_a_plain_function_is_a_runtime_error():
    @task
    def fail():
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        value(fail)


class Silent(type):
    """A metaclass with __eq__ and no __hash__; its objects do not say what they are either."""

    def __eq__(cls, other):
        return cls is other


class Hidden(metaclass=Silent):
    @property
    def __class__(self):
        raise LookupError("not loaded yet")


def test_plain_function_may_return_any_object():
    hidden = Hidden()

    assert value(lambda: task(lambda: hidden)()) is hidden
    assert value(lambda: task(lambda x: x)(hidden)) is hidden


def test_plain_function_may_return_a_generator():
    @task
    def rows():
        return (x for x in "ab")

    assert list(value(rows)) == ["a", "b"]


# Wrapping again


def test_wrapping_again_waits_for_more():
    async def main():
        late = task(task(double, wait(1)), wait(3))
        return await task(late, wait(2))(4), asyncio.get_running_loop().time()

    assert run(main()) == (8, 3)


def test_wrapping_again_keeps_the_options():
    calls = []

    @task(name="flaky", retries=2)
    async def fetch():
        calls.append(1)
        if len(calls) < 3:
            raise OSError
        return len(calls)

    async def main():
        again = task(task(fetch, wait(1)))
        return again.name, await again()

    assert run(main()) == ("flaky", 3)


def test_wrapping_again_changes_the_given_options_alone():
    @task(name="first", retries=1)
    async def fetch():
        return 1

    again = task(fetch, name="second")

    assert (again.name, fetch.name) == ("second", "first")
    assert again.options.retries == 1


def test_wrapping_leaves_the_wrapped_task_alone():
    async def main():
        task(double, wait(5))
        start = asyncio.get_running_loop().time()
        await double(1)
        return asyncio.get_running_loop().time() - start

    assert run(main()) == 0


def test_wrapping_again_reaches_the_same_function():
    assert task(task(double)).fn is double.fn
    assert double.after().fn is double.fn


def test_after_adds_to_what_is_waited_for():
    async def main():
        first = double.after(wait(1))
        both = first.after(wait(3), wait(2))
        one, two = first(1), both(2)
        await one
        between = asyncio.get_running_loop().time()
        return await two, between, asyncio.get_running_loop().time()

    assert run(main()) == (4, 1, 3)


@pytest.mark.parametrize("dep", [1, None, "x", double], ids=["number", "none", "text", "task"])
def test_what_cannot_be_awaited_cannot_be_waited_for(dep):
    with pytest.raises(TypeError, match="wait for"):
        task(double, dep)
    with pytest.raises(TypeError, match="wait for"):
        double.after(dep)


@pytest.mark.parametrize("wrap", [lambda *deps: task(double, *deps), double.after], ids=["task", "after"])
def test_coroutines_beside_what_cannot_be_waited_for_are_closed(wrap):
    late = asyncio.sleep(1)

    with pytest.raises(TypeError, match="wait for"):
        wrap(late, 5)

    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED


def test_with_options_makes_another_task():
    other = double.with_options(name="other", retries=3)

    assert (other.name, double.name) == ("other", "double")
    assert value(lambda: other(2)) == 4


def test_with_options_keeps_what_is_waited_for():
    async def main():
        late = double.after(wait(2)).with_options(name="late")
        return await late(1), asyncio.get_running_loop().time()

    assert run(main()) == (2, 2)


def test_with_options_of_a_method_stays_bound():
    assert value(lambda: Shop(10).method.with_options(name="m")(1)) == 11
    assert value(lambda: Branch.class_inside.with_options(name="m")(1)) == ("Branch", 6)


def test_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(UnknownOption, match="retries"):
        task(retry=2)
    with pytest.raises(TypeError):
        double.with_options(nme="x")


# Name, docstring, signature


def test_name_docstring_and_wrapped_are_kept():
    def plain(x: int, *, y: str = "") -> None:
        """Say so."""

    made = task(plain)

    assert (made.__name__, made.__doc__, made.__module__) == ("plain", "Say so.", __name__)
    assert made.__qualname__ == plain.__qualname__
    assert made.__wrapped__ is plain
    assert made.fn is plain


def test_attributes_of_a_function_are_kept_but_for_those_that_a_task_has():
    async def fetch(x):
        return x

    fetch.version, fetch.check, fetch.name, fetch.map = 3, None, None, None
    made = task(fetch)

    assert (made.version, made.name) == (3, fetch.__qualname__.rpartition("<locals>.")[2])
    assert value(lambda: made(x=1)) == 1
    assert values(lambda: made.map([1])) == [1]


def test_signature_is_kept():
    async def fetch(a, /, b: int = 1, *c, d, **e) -> str: ...

    assert inspect.signature(task(fetch)) == inspect.signature(fetch)


def test_name_is_that_of_the_function_unless_given():
    assert (double.name, wait.name) == ("double", "later")
    assert Shop().method.name == "Shop.method"
    assert task(functools.partial(Shop.method, Shop())).name == "Shop.method"
    assert task(Adder(1)).name == "Adder"


def test_node_has_the_name_and_the_task():
    async def main():
        node = wait(0)
        await node
        return node.name, node.task

    assert run(main()) == ("later", wait)


# What is refused at the call


def scheduled():
    """How many asyncio tasks there are besides the one that asks."""
    return len(asyncio.all_tasks()) - 1


CALLS = {
    "missing": lambda f: f(),
    "too many": lambda f: f(1, 2, 3),
    "unknown keyword": lambda f: f(1, nope=2),
    "twice": lambda f: f(1, x=1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wrong_signature_is_a_type_error_at_the_call(call):
    ran = []

    @task
    async def note(x, y=0):
        ran.append(x)

    async def main():
        with pytest.raises(TypeError, match="note") as caught:
            call(note)
        await asyncio.sleep(1)
        return [entry.name for entry in caught.traceback]

    assert "main" in run(main())
    assert ran == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wrong_signature_schedules_nothing(call):
    async def main():
        with pytest.raises(TypeError):
            call(double)
        before = scheduled()
        await asyncio.sleep(0)
        return before, scheduled()

    assert run(main()) == (0, 0)


def test_missing_keyword_only_argument_is_refused():
    @task
    async def fetch(x, *, key):
        return x, key

    async def main():
        with pytest.raises(TypeError, match="key"):
            fetch(1)
        return await fetch(1, key=double(1))

    assert run(main()) == (1, 2)


def test_positional_only_argument_is_refused_as_a_keyword():
    @task
    async def fetch(x, /):
        return x

    async def main():
        with pytest.raises(TypeError):
            fetch(x=1)

    run(main())


def test_wrong_signature_closes_the_coroutines_among_the_arguments():
    async def main():
        late = asyncio.sleep(1)
        with pytest.raises(TypeError):
            double(1, [late], {"k": late})
        return inspect.getcoroutinestate(late)

    assert run(main()) == inspect.CORO_CLOSED


def test_wrong_signature_of_a_partial_counts_what_it_holds():
    async def main():
        with pytest.raises(TypeError):
            task(functools.partial(double.fn, 1))(2)

    run(main())


def test_without_a_loop_the_call_says_to_use_a_coroutine():
    with pytest.raises(NoLoop, match="inside a coroutine") as caught:
        double(1)

    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value, AiodagError)


def test_without_a_loop_no_coroutine_is_left_behind():
    late = asyncio.sleep(1)

    with pytest.raises(NoLoop):
        double([late])

    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED


def test_in_a_thread_there_is_no_loop():
    @task
    def nested():
        return double(1)

    with pytest.raises(
        NoLoop, match=r"double\(...\) was called .*The body of .*nested, a plain function, runs in a thread"
    ):
        value(nested)


# What cannot be a task


@pytest.mark.parametrize("given", [1, "fetch", [], object()], ids=["number", "text", "list", "object"])
def test_what_cannot_be_called_is_refused(given):
    with pytest.raises(NotATask, match="not callable") as caught:
        task(given)

    assert isinstance(caught.value, TypeError)


def test_coroutine_object_is_refused_and_closed():
    late = asyncio.sleep(1)

    with pytest.raises(NotATask, match="awaitable"):
        task(late)

    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED


async def rows():
    yield 1


def numbers():
    yield 1


class Rows:
    async def each(self):
        yield 1

    async def __call__(self):
        yield 1


GENERATORS = {
    "async": rows,
    "plain": numbers,
    "method": Rows().each,
    "object": Rows(),
    "static": staticmethod(rows),
    "partial": functools.partial(rows),
}


@pytest.mark.parametrize("given", GENERATORS.values(), ids=GENERATORS)
def test_generator_function_is_refused(given):
    with pytest.raises(NotATask, match="generator"):
        task(given)


# map


def values(nodes_of):
    async def main():
        return [await node for node in nodes_of()]

    return run(main())


def test_map_calls_once_for_each_item():
    assert values(lambda: double.map([1, 2, 3])) == [2, 4, 6]


def test_map_takes_several_iterables_in_step_and_constants():
    @task
    async def join(x, y, *, end=""):
        return f"{x}{y}{end}"

    assert values(lambda: join.map("ab", iter([1, 2]), end=double(4))) == ["a18", "b28"]


def test_map_takes_nodes_as_items():
    assert values(lambda: double.map(double.map([1, 2]))) == [4, 8]


def test_map_of_nothing_is_nothing():
    assert values(lambda: double.map([])) == []


def test_map_of_a_method_stays_bound():
    assert values(lambda: Shop(10).method.map([1, 2], more=1)) == [12, 13]


def test_map_waits_for_what_the_task_waits_for():
    async def main():
        nodes = double.after(wait(2)).map([1, 2])
        return [await node for node in nodes], asyncio.get_running_loop().time()

    assert run(main()) == ([2, 4], 2)


def test_map_runs_all_at_once():
    async def main():
        return [await node for node in wait.map([3, 2, 1], "abc")], asyncio.get_running_loop().time()

    assert run(main()) == (["a", "b", "c"], 3)


BAD_MAPS = {
    "nothing": (TypeError, lambda f: f.map()),
    "keywords only": (TypeError, lambda f: f.map(x=[1, 2])),
    "lengths": (ValueError, lambda f: f.map([1, 2], [1])),
    "arguments": (TypeError, lambda f: f.map([1], [2], [3])),
    "keyword": (TypeError, lambda f: f.map([1], nope=1)),
    "number": (TypeError, lambda f: f.map(3)),
    "node": (TypeError, lambda f: f.map(double(1))),
}


@pytest.mark.parametrize(("kind", "call"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_map_refuses_before_anything_is_scheduled(kind, call):
    ran = []

    @task
    async def note(x, y=0):
        ran.append(x)

    async def main():
        with pytest.raises(kind):
            call(note)
        await asyncio.sleep(1)

    run(main())

    assert ran == []


def test_map_of_nothing_to_go_through_says_what_would_work():
    with pytest.raises(TypeError, match=r"by position: double\.map\(\[1, 2\]\)"):
        double.map(x=[1, 2])


CONSTANT = r"same for all calls by keyword: later\.map\(items, option=value\)"
UNEVEN = {
    "shorter": (lambda: ([1, 2], "a"), r"number 2 ended after 1 items, number 1 has more"),
    "longer": (lambda: ([1], "abc"), r"number 1 ended after 1 items, number 2 has more"),
    "nothing": (lambda: ([], "a"), r"number 1 ended after 0 items"),
    "generator": (lambda: ((x for x in (1, 2)), [1, 2, 3]), r"number 1 ended after 2 items"),
    "repeated": (lambda: ([1, 2], itertools.repeat("a")), r"repeat\('a'\), which never ends"),
    "repeated often": (lambda: ([1, 2], itertools.repeat("a", 3)), r"number 1 ended after 2"),
    "counted": (lambda: (itertools.count(),), r"count\(0\), which never ends"),
    "cycled": (lambda: (itertools.cycle("ab"), [1]), r"cycle .*, which never ends"),
}


@pytest.mark.parametrize(("given", "said"), UNEVEN.values(), ids=UNEVEN)
def test_map_says_which_iterable_is_short_or_endless(given, said):
    async def main():
        with pytest.raises(ValueError, match=said) as caught:
            wait.map(*given())
        return caught.value

    error = run(main())
    assert re.search(CONSTANT, str(error))
    assert (error.__cause__, error.__context__) == (None, None)


def test_map_takes_a_value_that_is_repeated_so_often():
    assert values(lambda: wait.map([0, 0], itertools.repeat("a", 2))) == ["a", "a"]


REFUSED_MAPS = {
    "lengths": lambda f, make: f.map([make(), make()], [1]),
    "lengths of generators": lambda f, make: f.map((make() for _ in range(3)), (make() for _ in range(2))),
    "generator that raises": lambda f, make: f.map(make() if x else 1 / 0 for x in (1, 1, 0)),
    "arguments": lambda f, make: f.map([make()], [make()], [make()]),
    "keyword": lambda f, make: f.map([make()], nope=make()),
    "coroutine": lambda f, make: f.map(make()),
    "nothing": lambda f, make: f.map(y=make()),
    "nested": lambda f, make: f.map([[make()]], ({"k": make()} for _ in range(2))),
}


@pytest.mark.parametrize("call", REFUSED_MAPS.values(), ids=REFUSED_MAPS)
@pytest.mark.parametrize("inside", [True, False], ids=["on a loop", "without a loop"])
def test_refused_map_closes_every_coroutine_it_was_given(call, inside):
    made = []

    def make():
        made.append(asyncio.sleep(0))
        return made[-1]

    @task
    async def note(x, y=0):
        made.append("ran")

    async def main():
        refused()

    def refused():
        with pytest.raises((TypeError, ValueError, ZeroDivisionError)):
            call(note, make)

    run(main()) if inside else refused()

    assert {inspect.getcoroutinestate(each) for each in made} == {inspect.CORO_CLOSED}


def test_map_without_a_loop_closes_the_coroutines_of_all_calls():
    made = [asyncio.sleep(0) for _ in range(3)]

    with pytest.raises(NoLoop):
        double.map(made)

    assert {inspect.getcoroutinestate(each) for each in made} == {inspect.CORO_CLOSED}
