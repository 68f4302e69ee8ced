"""What is waited for, and what arrives in its place."""

import asyncio
import collections
import functools
import gc
import inspect
import types
import typing
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from unittest.mock import Mock

import attrs
import pytest

from aiodag import CycleError, ForeignLoop, Node, Run, State, opaque, settled, task, value_of
from aiodag.testing import VirtualLoop, run


@task
async def echo(*args, **kwargs):
    return args, kwargs


@task
async def same(x):
    return x


@task
async def wait(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


@task
async def bad(seconds=0):
    await asyncio.sleep(seconds)
    raise LookupError("bad")


def now():
    return asyncio.get_running_loop().time()


@contextmanager
def reports():
    """Collect what the loop's exception handler is told."""
    told = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    yield told
    loop.set_exception_handler(None)


class Point(collections.namedtuple("Point", "x y")):  # noqa: PYI024 - the untyped kind is meant
    __slots__ = ()


class Typed(typing.NamedTuple):
    x: object


class Box(list):
    pass


class Pair(tuple):  # noqa: SLOT001 - with attributes
    pass


class Bag(set):
    pass


class Seal(frozenset):
    pass


class Proxy:
    """Says nothing of itself before it is asked for an item."""

    @property
    def __class__(self):
        raise LookupError("not loaded yet")


class EqualTypes(type):
    """A metaclass with __eq__ and no __hash__: its classes cannot be looked up."""

    def __eq__(cls, other):
        return cls is other


class Odd(metaclass=EqualTypes):
    pass


class OddLate(metaclass=EqualTypes):
    def __await__(self):
        yield from asyncio.sleep(1).__await__()
        return "x"


class Counting(type):
    """A metaclass that counts how often somebody asks whether its objects are awaitable."""

    looks = 0

    def __getattr__(cls, name):
        Counting.looks += name == "__await__"
        raise AttributeError(name)


class Counted(metaclass=Counting):
    pass


# Structures


def test_body_sees_exactly_the_plain_structure():
    @task
    async def f(one, two, /, *rest, key, other=7, **more):
        return one, two, rest, key, other, more

    async def main():
        a, b, c, d, e = (wait(at, name) for at, name in enumerate("abcde"))
        return await f(1, [a, {"k": (b, 2)}], *[c, 3], key=d, e=e, f=[e])

    assert run(main()) == (1, ["a", {"k": ("b", 2)}], ("c", 3), "d", 7, {"e": "e", "f": ["e"]})


CONTAINERS = {
    "list": lambda n: ([n, 2], [1, 2]),
    "tuple": lambda n: ((n, 2), (1, 2)),
    "set": lambda n: ({n, 2}, {1, 2}),
    "frozenset": lambda n: (frozenset([n]), frozenset([1])),
    "dict": lambda n: ({"k": n}, {"k": 1}),
    "key of a dict": lambda n: ({n: "v"}, {1: "v"}),
    "all of them": lambda n: ([({"k": [{n}, ()]},), n], [({"k": [{1}, ()]},), 1]),
}


@pytest.mark.parametrize("build", CONTAINERS.values(), ids=CONTAINERS)
def test_nodes_are_found_in_every_kind_of_container(build):
    async def main():
        given, expected = build(same(1))
        ((got,), _), (_, keywords) = await echo(given), await echo(key=given)
        return got, keywords["key"], expected

    got, keyword, expected = run(main())

    assert got == keyword == expected
    assert type(got) is type(expected)


@dataclass
class Order:
    item: object
    count: int = 1
    children: object = None


@dataclass(frozen=True, slots=True)
class Frozen:
    item: object


@attrs.define
class Parcel:
    item: object


@attrs.frozen
class Sealed:
    item: object


class Tagged(dict):
    """A dict that asks for an argument, and has an attribute."""

    def __init__(self, tag):
        super().__init__()
        self.tag = tag


def tagged(value):
    made = Tagged("red")
    made["k"] = value
    return made


def counted(value):
    made = collections.Counter()
    made[value] = 2
    return made


# How each is made of a node, and of its value.
UNUSUAL = {
    "named tuple": lambda x: Point(x, 2),
    "typed named tuple": lambda x: Typed(x),
    "subclass of list": lambda x: Box([x, 2]),
    "subclass of tuple": lambda x: Pair([x, 2]),
    "subclass of set": lambda x: Bag({x, 2}),
    "subclass of frozenset": lambda x: Seal({x, 2}),
    "subclass of dict": tagged,
    "OrderedDict": lambda x: collections.OrderedDict([("b", x), ("a", 2)]),
    "defaultdict": lambda x: collections.defaultdict(list, {"k": x}),
    "Counter": counted,
    "deque": lambda x: collections.deque([x, 2], maxlen=7),
    "mapping proxy": lambda x: types.MappingProxyType({"k": x}),
    "namespace": lambda x: types.SimpleNamespace(k=x, other=2),
    "dataclass": lambda x: Order(x, 2),
    "frozen dataclass with slots": Frozen,
    "class of attrs": Parcel,
    "frozen class of attrs": Sealed,
    "one in another": lambda x: Order([Point({"k": Box([Frozen(x)])}, 2)]),
}


@pytest.mark.parametrize("build", UNUSUAL.values(), ids=UNUSUAL)
def test_nodes_are_found_in_containers_that_are_not_plain(build):
    async def main():
        given = build(same(1))
        (got, beside), keywords = await echo(given, [given], key=given)
        return given, got, beside[0] is got, keywords["key"] is got

    given, got, first, second = run(main())

    assert got == build(1)
    assert type(got) is type(given)
    assert got is not given
    assert first
    assert second


@pytest.mark.parametrize("build", UNUSUAL.values(), ids=UNUSUAL)
def test_containers_that_are_not_plain_arrive_as_the_same_object_without_nodes(build):
    given = build(1)

    async def main():
        (first, (_, second)), keywords = await echo(given, [same(0), given], key=given)
        return first is second is keywords["key"] is given

    assert run(main()) is True


@pytest.mark.parametrize("build", UNUSUAL.values(), ids=UNUSUAL)
def test_containers_that_are_not_plain_are_not_changed_and_looked_at_once(build):
    async def main():
        node = same(1)
        given, untouched = build(node), build(node)
        waits = same(given)
        if hasattr(given, "clear"):
            given.clear()
        elif type(given) is Order:
            given.item = "changed"
        got = await waits
        return got == build(1), hasattr(given, "clear") or type(given) is Order or given == untouched

    assert run(main()) == (True, True)


VIEWS = {
    "values": (lambda x: {"a": x, "b": 2}.values(), [1, 2]),
    "keys": (lambda x: {x: "a", 2: "b"}.keys(), [1, 2]),
    "items": (lambda x: {"a": x, "b": 2}.items(), [("a", 1), ("b", 2)]),
    "values in an order": (lambda x: collections.OrderedDict(a=x, b=2).values(), [1, 2]),
}


@pytest.mark.parametrize(("build", "expected"), VIEWS.values(), ids=VIEWS)
def test_nodes_are_found_in_views_of_dicts(build, expected):
    async def main():
        return await same(build(same(1)))

    got = run(main())

    assert list(got) == expected
    assert type(got).__name__.startswith("dict_")


def test_nodes_are_found_in_a_partial():
    @task
    async def call(function):
        return function(2)

    async def main():
        return await call(functools.partial(pow, same(5))), await call(functools.partial(pow, exp=same(5)))

    assert run(main()) == (25, 32)


def test_settings_and_attributes_of_containers_are_kept():
    async def main():
        (first, second, third), _ = await echo(
            tagged(same(1)), collections.deque([same(1)], maxlen=3), collections.defaultdict(list, a=same(1))
        )
        return first.tag, second.maxlen, third["new"], third

    assert run(main()) == ("red", 3, [], {"a": 1, "new": []})


def test_order_that_was_changed_is_kept():
    async def main():
        given = collections.OrderedDict(a=same(1), b=same(2), c=3)
        given.move_to_end("a")
        return list((await same(given)).items())

    assert run(main()) == [("b", 2), ("c", 3), ("a", 1)]


def test_futures_that_an_object_keeps_for_itself_are_not_waited_for():
    async def main():
        mine = asyncio.get_running_loop().create_future()
        given = Order(mine, children={asyncio.ensure_future(asyncio.sleep(9))})
        got = await same(given)
        at = now()
        mine.cancel()
        return got is given, at

    assert run(main()) == (True, 0)


def test_node_beside_a_future_in_an_object_is_waited_for_alone():
    async def main():
        mine = asyncio.get_running_loop().create_future()
        futures = [mine]
        got = await same(Order(wait(1, "x"), children=futures))
        return got.item, got.children is futures, now()

    assert run(main()) == ("x", True, 1)


def test_settled_and_opaque_work_inside_an_object():
    async def main():
        node = bad(1)
        got = await same(Order(settled(node), children=opaque(node)))
        return got.item is node, got.children is node, now()

    assert run(main()) == (True, True, 1)


class Only(Order):
    """Cannot be copied."""

    def __copy__(self):
        return self


def test_object_that_cannot_be_copied_is_refused_at_the_call():
    async def main():
        node = same(1)
        with pytest.raises(TypeError, match=r"Only.*Await the node first"):
            same(Only(node))
        return await same(opaque(Only(3))), await node

    assert run(main()) == (Only(3), 1)


# A node in place of its value


def unpacked(node):
    first, second = node
    return first, second


USES = {
    "loop": lambda node: [each for each in node],  # noqa: C416 - the loop is meant
    "unpacking": unpacked,
    "list": list,
    "item": lambda node: node["rows"],
    "slice": lambda node: node[1:],
    "in": lambda node: "x" in node,
    "len": len,
    "zip": lambda node: list(zip(node, [1], strict=True)),
    "dict": dict,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("settled_before", [False, True], ids=["waiting", "settled"])
def test_node_used_as_its_value_is_refused_and_told_what_to_do(use, settled_before):
    async def main():
        node = same(["x", "y"])
        if settled_before:
            await node
        with pytest.raises(TypeError, match="Await it first, or pass it to a task"):
            use(node)
        return await node

    assert run(main()) == ["x", "y"]


def test_truth_and_text_of_a_node_are_those_of_an_asyncio_task():
    async def main():
        node = same([])
        seen = bool(node), f"{node}" == repr(node)
        await node
        return *seen, bool(node)

    assert run(main()) == (True, True, True)


def test_coroutines_of_generators_and_await_methods_can_still_yield_from_a_node():
    @types.coroutine
    def generator(node):
        return (yield from node)

    class Late:
        def __init__(self, node):
            self.node = node

        def __await__(self):
            return (yield from self.node)

    async def main():
        return await generator(wait(1, "a")), await Late(wait(1, "b")), await same(Late(wait(1, "c"))), now()

    assert run(main()) == ("a", "b", "c", 3)


RETURNED = {
    "node": lambda node: node,
    "list": lambda node: [1, node],
    "tuple": lambda node: (node, 1),
    "dict": lambda node: {"k": {"deep": [node]}},
    "dataclass": Order,
    "named tuple": lambda node: Point(1, node),
    "values": lambda node: {"k": node}.values(),
}


@pytest.mark.parametrize("build", RETURNED.values(), ids=RETURNED)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "when it has settled"])
def test_body_that_returns_a_node_it_has_called_fails_and_is_told_to_await_it(build, late):
    @task
    async def body():
        node = same(1)
        if late:
            await asyncio.wait([node])
        return build(node)

    async def main():
        node = body()
        with pytest.raises(TypeError, match=r"body returned <Node same .*return await same\("):
            await node
        return node.state

    assert run(main()) is State.FAILED


def test_body_may_return_nodes_that_it_was_given_and_anything_that_is_huge():
    @task
    async def body(node, huge):
        return [node, *huge]

    async def main():
        node = wait(1)
        got = await body(opaque(node), range(100_000))
        await node
        return got[0] is node, len(got)

    assert run(main()) == (True, 100_001)


def test_nodes_are_found_at_any_depth():
    async def main():
        given = same("deep")
        for _ in range(100):
            given = [given]
        (got,), _ = await echo(given)
        return got

    got = run(main())
    for _ in range(100):
        (got,) = got

    assert got == "deep"


def test_order_of_a_dict_is_kept():
    async def main():
        return list(await same({"b": wait(2), "a": wait(1), "c": 0}))

    assert run(main()) == ["b", "a", "c"]


def test_one_node_in_many_places_arrives_in_each():
    async def main():
        node = wait(1, object())
        (a, b), keywords = await echo(node, [node, node], key=node)
        return {id(each) for each in (a, *b, keywords["key"])}

    assert len(run(main())) == 1


def test_node_waits_for_its_slowest_upstream():
    async def main():
        await echo(wait(1), [wait(3)], key={"k": wait(2)})
        return now()

    assert run(main()) == 3


def test_upstream_that_has_settled_is_no_wait():
    async def main():
        node = wait(2, "x")
        await node
        return await same(node), await same([node]), now()

    assert run(main()) == ("x", ["x"], 2)


def test_defaults_are_those_of_the_function():
    async def main():
        return await task(lambda a, b=same, /, c=3, *, d=4: (a, b is same, c, d))(same(1), d=same(9))

    assert run(main()) == (1, True, 3, 9)


def test_default_that_is_an_awaitable_is_not_an_edge():
    async def main():
        never = asyncio.get_running_loop().create_future()

        @task
        async def body(x=never):
            return x is never

        return await body()

    assert run(main()) is True


def test_container_in_two_places_is_one_object_in_both():
    async def main():
        row, key = [same(1)], (same(2),)
        (first, second, table), keywords = await echo(row, [row, row], {"k": key, "again": (key, row)}, row=row)
        rows = {id(each) for each in (first, *second, table["again"][1], keywords["row"])}
        return first, second, table, len(rows), table["k"] is table["again"][0]

    assert run(main()) == ([1], [[1], [1]], {"k": (2,), "again": ((2,), [1])}, 1, True)


def test_containers_that_share_all_their_parts_are_looked_at_once():
    async def main():
        given = [same(1)]
        for _ in range(60):
            given = [given, given]
        got = await same(given)
        for _ in range(60):
            assert got[0] is got[1]
            got = got[0]
        return got

    assert run(main()) == [1]


def test_search_takes_time_in_proportion_to_what_is_searched():
    async def main():
        given = same(1)
        for _ in range(300):
            given = [given, Counted()]
        Counting.looks = 0
        node = same(given)
        looks = Counting.looks
        await node
        return looks

    assert run(main()) <= 3 * 300


def test_nodes_deeper_than_python_can_walk_are_refused_at_the_call():
    async def main():
        given = same(1)
        for _ in range(100_000):
            given = [given]
        with pytest.raises(ValueError, match="flatten it"):
            same(given)

    run(main())


def test_what_can_be_searched_can_be_filled():
    async def main():
        refused = False
        for depth in range(100, 2000, 50):
            given = same(1)
            for _ in range(depth):
                given = [given]
            try:
                await same(given)
            except ValueError:
                refused = True
        return refused

    assert run(main()) is True


# Everything else


UNTOUCHED = {
    "object": object(),
    "list": [1, [2]],
    "dict": {"k": [1]},
    "set": {1},
    "tuple": (1, (2,)),
    "empty": [],
    "text": "text",
    "class": int,
    "function": len,
    "generator": (each for each in ()),
    "subclass": Box([1]),
    "task": same,
}


@pytest.mark.parametrize("given", UNTOUCHED.values(), ids=UNTOUCHED)
def test_plain_value_arrives_as_the_same_object(given):
    async def main():
        return await echo(given, [same(0), given], key=given, other=same(1))

    (first, (_, second)), keywords = run(main())

    assert first is second is keywords["key"] is given


# Made in the test: pytest looks at parameters, which not all of these endure.
ODD = {"mock of a future": lambda: Mock(spec=asyncio.Future), "proxy": Proxy, "type without a hash": Odd}


@pytest.mark.parametrize("kind", ODD.values(), ids=ODD)
def test_objects_are_not_asked_what_they_are(kind):
    given = kind()

    async def main():
        (first, (_, second)), keywords = await echo(given, [same(0), given], key=given, other=same(1))
        (raw,), _ = await echo.with_options(raw=True)(given)
        return first is given, second is given, keywords["key"] is given, raw.result() is given

    assert run(main()) == (True,) * 4


def test_awaitable_whose_type_has_no_hash_is_an_edge():
    async def main():
        return await echo(OddLate(), [OddLate()])

    assert run(main()) == (("x", ["x"]), {})


def test_container_without_nodes_beside_a_node_stays_the_same_object():
    plain = [1]

    async def main():
        return await same({"node": same(1), "plain": plain})

    assert run(main())["plain"] is plain


def test_containers_are_looked_at_once_at_the_call():
    async def main():
        inner = {"k": wait(1, "then")}
        given = [inner, 1]
        node = same(given)
        given.append(bad)
        inner["k"] = "changed"
        inner["new"] = 2
        return await node

    assert run(main()) == [{"k": "then"}, 1]


def test_node_added_to_a_container_later_is_not_waited_for():
    async def main():
        given = []
        node = same(given)
        late = wait(5)
        given.append(late)
        got = await node
        at = now()
        await late
        return got is given, at

    assert run(main()) == (True, 0)


def test_given_container_is_not_changed():
    async def main():
        node = wait(1, "x")
        given = [node]
        got = await same(given)
        return got, given[0] is node

    assert run(main()) == (["x"], True)


def test_container_inside_itself_passes_when_it_holds_no_node():
    given = [1]
    given.append(given)
    table = {}
    table["self"] = table

    async def main():
        (first, second), _ = await echo(given, table)
        return first is given, second is table

    assert run(main()) == (True, True)


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_container_inside_itself_with_a_node_is_refused_at_the_call(kind):
    async def main():
        given = [same(1)] if kind == "list" else {"k": same(1)}
        given.append(given) if kind == "list" else given.update(self=given)
        with pytest.raises(ValueError, match="itself"):
            same(given)

    run(main())


# opaque


def test_opaque_node_is_passed_as_it_is_and_not_waited_for():
    async def main():
        node = wait(5)
        got = await same(opaque(node))
        at = now()
        await node
        return got is node, at

    assert run(main()) == (True, 0)


def test_opaque_of_what_is_opaque_passes_the_value():
    async def main():
        return await echo(opaque(opaque(3)), [opaque(opaque(opaque(4))), same(5)])

    assert run(main()) == ((3, [4, 5]), {})


def test_opaque_works_inside_containers_beside_edges():
    async def main():
        node = wait(2, "x")
        (first, second), keywords = await echo([opaque(node), node], {"k": opaque(node)}, key=opaque(node))
        return first[0] is node, first[1], second["k"] is node, keywords["key"] is node

    assert run(main()) == (True, "x", True, True)


def test_opaque_container_is_the_same_object():
    async def main():
        given = [same(1)]
        return await same(opaque(given)) is given

    assert run(main()) is True


def test_opaque_coroutine_is_left_to_the_body():
    @task
    async def body(late):
        return inspect.iscoroutine(late), await late

    async def main():
        return await body(opaque(asyncio.sleep(1, "x")))

    assert run(main()) == (True, "x")


def test_value_of_is_the_node_itself():
    async def main():
        node = same(1)
        return value_of(node) is node, await same(x=value_of(node))

    assert run(main()) == (True, 1)


# Coroutines, futures, other awaitables


def test_coroutine_is_an_edge():
    async def main():
        return await echo(asyncio.sleep(1, "a"), [asyncio.sleep(2, "b")], key=asyncio.sleep(3, "c")), now()

    assert run(main()) == ((("a", ["b"]), {"key": "c"}), 3)


def test_coroutine_of_two_nodes_runs_once():
    ran = []

    async def body():
        ran.append(1)
        await asyncio.sleep(1)
        return "x"

    async def main():
        late = body()
        one, two = same(late), same([late, late])
        return await one, await two, now()

    assert run(main()) == ("x", ["x", "x"], 1)
    assert ran == [1]


def test_coroutine_that_has_ended_is_known_again():
    async def main():
        late = asyncio.sleep(1, "x")
        first = await same(late)
        return first, await same(late)

    assert run(main()) == ("x", "x")


def test_coroutine_that_has_failed_cannot_be_passed_again():
    async def main():
        late = bad.fn()
        with pytest.raises(LookupError):
            await same(late)
        with pytest.raises(RuntimeError, match="already awaited"):
            await same(late)

    run(main())


def test_coroutine_starts_with_the_call():
    async def main():
        node = echo(wait(2), asyncio.sleep(3))
        await node
        return now()

    assert run(main()) == 3


def test_failed_coroutine_skips_what_needs_it():
    async def main():
        node = same(bad.fn(1))
        with pytest.raises(LookupError):
            await node
        return node.state

    assert run(main()) is State.SKIPPED


def test_future_is_an_edge():
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(4, future.set_result, "x")
        return await same([future]), now()

    assert run(main()) == (["x"], 4)


def test_asyncio_task_is_an_edge():
    async def main():
        return await same(asyncio.create_task(asyncio.sleep(2, "x"))), now()

    assert run(main()) == ("x", 2)


def test_done_and_failed_futures_are_edges():
    async def main():
        done, failed = asyncio.get_running_loop().create_future(), asyncio.get_running_loop().create_future()
        done.set_result("x")
        failed.set_exception(LookupError())
        with pytest.raises(LookupError):
            await same(failed)
        return await same(done)

    assert run(main()) == "x"


def test_object_with_await_is_an_edge():
    class Late:
        def __await__(self):
            yield from asyncio.sleep(2).__await__()
            return "x"

    async def main():
        late = Late()
        return await echo(late, late), now()

    assert run(main()) == ((("x", "x"), {}), 2)


@dataclass(frozen=True)
class Query:
    """Equal to any other of the same text, and awaitable."""

    text: str

    def __await__(self):
        RAN.append(self.text)
        yield from asyncio.sleep(1).__await__()
        return self


class Hostile(Query):
    """As above, and not even that can be asked of it."""

    def __hash__(self):
        raise LookupError("no hash")

    def __eq__(self, other):
        raise LookupError("no equality")


RAN = []


@pytest.fixture
def ran():
    RAN.clear()
    return RAN


@pytest.mark.parametrize("kind", [Query, Hostile])
def test_awaitables_that_are_equal_are_still_two(ran, kind):
    async def main():
        first, second = kind("a"), kind("a")
        (got_first, got_second), _ = await echo(first, [second])
        (again,) = got_second
        return got_first is first, again is second, await same(kind("a")), now()

    assert run(main())[:2] == (True, True)
    assert ran == ["a"] * 3


@pytest.mark.parametrize("kind", [Query, Hostile])
def test_awaitable_with_an_equality_of_its_own_is_awaited_once_for_each_call(ran, kind):
    async def main():
        late = kind("a")
        await echo(late, [late, {"k": late}])
        await echo(late)

    run(main())

    assert ran == ["a"] * 2


class Loaded:
    """Something big that can be watched while it goes."""


async def loads():
    return Loaded()


async def fails():
    raise LookupError


def cancelled(future):
    future.cancel()
    return future


LATE = {
    "coroutine with a value": loads,
    "coroutine that fails": fails,
    "asyncio task with a value": lambda: asyncio.ensure_future(loads()),
    "asyncio task that fails": lambda: asyncio.ensure_future(fails()),
    "asyncio task that is cancelled": lambda: cancelled(asyncio.ensure_future(asyncio.sleep(9))),
    "future": lambda: future_in(1, Loaded()),
}


@pytest.mark.parametrize("make", LATE.values(), ids=LATE)
def test_awaitable_that_was_an_edge_is_let_go_when_it_has_settled(make):
    async def use(late):  # its frame is in the traceback of a failure
        await same.after(late)([late])

    async def main():
        late = make()
        known = weakref.ref(late)
        with suppress(LookupError, asyncio.CancelledError):
            await use(late)
        del late
        await asyncio.sleep(1)
        gc.collect()
        return known()

    assert run(main()) is None


def test_future_outlives_a_run_that_was_cancelled():
    async def main():
        future = future_in(5, "x")
        with suppress(LookupError):
            async with Run():
                same(future)
                raise LookupError
        return await same(future), now()

    assert run(main()) == ("x", 5)


# Exogenous edges


DEPS = {
    "node": lambda: wait(2),
    "coroutine": lambda: asyncio.sleep(2),
    "asyncio task": lambda: asyncio.ensure_future(asyncio.sleep(2)),
    "future": lambda: future_in(2),
}


def future_in(seconds, value="not passed"):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(seconds, future.set_result, value)
    return future


@pytest.mark.parametrize("dep", DEPS.values(), ids=DEPS)
@pytest.mark.parametrize("way", [lambda f, dep: task(f, dep), lambda f, dep: f.after(dep)], ids=["task", "after"])
def test_exogenous_edge_is_waited_for_and_not_passed(dep, way):
    async def main():
        return await way(echo, dep())(1, key=2), now()

    assert run(main()) == (((1,), {"key": 2}), 2)


@pytest.mark.parametrize("dep", DEPS.values(), ids=DEPS)
def test_exogenous_edge_holds_for_every_call(dep):
    async def main():
        late = echo.after(dep())
        one, two = late(1), late(2)
        await one
        first = now()
        return await two, first, await late(3), now()

    assert run(main()) == (((2,), {}), 2, ((3,), {}), 2)


def test_both_kinds_of_edges_are_waited_for():
    async def main():
        one, two = same.after(wait(1))(wait(3, "a")), same.after(wait(5))(wait(4, "b"))
        first = await one, now()
        return first, (await two, now())

    assert run(main()) == (("a", 3), ("b", 5))


def test_same_node_may_be_both_kinds_of_edge():
    async def main():
        node = wait(2, "x")
        return await same.after(node, node)(node)

    assert run(main()) == "x"


def test_failed_exogenous_upstream_skips_the_dependent():
    ran = []

    @task
    async def note():
        ran.append(1)

    async def main():
        node = note.after(bad(1), wait(9))()
        with pytest.raises(LookupError, match="bad"):
            await node
        return node.state, now()

    assert run(main()) == (State.SKIPPED, 1)
    assert ran == []


def test_failed_exogenous_coroutine_skips_the_dependent():
    async def main():
        with pytest.raises(LookupError, match="bad"):
            await task(wait, bad.fn(1))(1)
        return now()

    assert run(main()) == 1


# settled


def test_settled_passes_the_failed_node_itself():
    async def main():
        node = bad(1)
        got = await same(settled(node))
        return got is node, got.state, type(got.exception()), now()

    assert run(main()) == (True, State.FAILED, LookupError, 1)


def test_settled_passes_the_node_that_succeeded():
    async def main():
        got = await same([settled(wait(1, "x"))])
        return got[0].state, got[0].result()

    assert run(main()) == (State.SUCCEEDED, "x")


def test_settled_passes_the_cancelled_node():
    async def main():
        node = wait(5)
        after = same(settled(node))
        await asyncio.sleep(1)
        node.cancel()
        return (await after).state, now()

    assert run(main()) == (State.CANCELLED, 1)


def test_settled_of_a_node_that_has_failed_is_no_wait():
    async def main():
        node = bad()
        await asyncio.wait([node])
        return (await same(settled(node))) is node

    assert run(main()) is True


@pytest.mark.parametrize(
    "dep", [lambda: bad.fn(2), lambda: asyncio.ensure_future(bad.fn(2))], ids=["coroutine", "task"]
)
def test_settled_takes_any_awaitable_and_passes_a_node(dep):
    async def main():
        got = await same(settled(dep()))
        return isinstance(got, Node), got.done(), str(got.exception())

    assert run(main()) == (True, True, "bad")


def test_settled_exogenous_edge_lets_the_dependent_run():
    async def main():
        return await task(same, settled(bad(2)))("x"), now()

    assert run(main()) == ("x", 2)


def test_settled_tolerates_one_upstream_and_not_the_others():
    async def main():
        node = echo(settled(bad(1)), bad(2))
        with pytest.raises(LookupError):
            await node
        return node.state, now()

    assert run(main()) == (State.SKIPPED, 2)


def test_settled_refuses_what_cannot_be_awaited():
    with pytest.raises(TypeError, match="not awaitable"):
        settled(3)


# raw


def test_raw_receives_done_futures_for_everything():
    @task(raw=True)
    async def body(failed, plain, *rest, key):
        return [future.done() for future in (failed, plain, *rest, key)], plain.result(), rest[0].result(), key.result()

    async def main():
        return await body(bad(1), 99, wait(2, "x"), key=None)

    assert run(main()) == ([True] * 4, 99, "x", None)


def test_raw_receives_the_failed_upstream():
    @task(raw=True)
    async def body(failed):
        return type(failed.exception())

    async def main():
        return await body(bad(1)), await body(bad.fn(1))

    assert run(main()) == (LookupError, LookupError)


def test_raw_receives_futures_that_can_be_awaited():
    @task(raw=True)
    async def body(plain, late):
        return await plain, await late

    async def main():
        return await body("a", wait(1, "b"))

    assert run(main()) == ("a", "b")


def test_raw_tolerates_a_failed_exogenous_upstream():
    @task(raw=True)
    async def body(plain):
        return plain.result()

    async def main():
        return await body.after(bad(3))(99), now()

    assert run(main()) == (99, 3)


def test_raw_waits_for_every_upstream():
    @task(raw=True)
    async def body(failed, slow):
        return failed.state, slow.state, now()

    async def main():
        return await body(bad(1), wait(4))

    assert run(main()) == (State.FAILED, State.SUCCEEDED, 4)


def test_raw_plain_value_is_the_same_object():
    given = [1]

    async def main():
        return (await task(same, raw=True)(given)).result() is given

    assert run(main()) is True


# Other loops


@pytest.fixture(params=["open", "closed"])
def foreign(request):
    """A node and a future of another loop, which is open or closed."""
    loop = VirtualLoop()

    async def main():
        node = same(1)
        await node
        return node, loop.create_future()

    pair = loop.run_until_complete(main())
    if request.param == "closed":
        loop.close()
    yield pair
    loop.close()


PLACES = {
    "argument": lambda dep: same(dep),
    "keyword": lambda dep: same(x=dep),
    "container": lambda dep: same([{"k": dep}]),
    "after": lambda dep: same.after(dep)(1),
    "settled": lambda dep: same(settled(dep)),
    "raw": lambda dep: same.with_options(raw=True)(dep),
    "map": lambda dep: same.map([dep]),
}


@pytest.mark.parametrize("call", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("which", [0, 1], ids=["node", "future"])
def test_awaitable_of_another_loop_is_refused_at_the_call(foreign, call, which):
    async def main():
        with pytest.raises(ForeignLoop, match="belongs to an event loop that") as caught:
            call(foreign[which])
        return caught.value

    error = run(main())

    assert isinstance(error, RuntimeError)
    assert isinstance(error, ValueError)


def test_opaque_awaitable_of_another_loop_is_passed(foreign):
    async def main():
        return await same(opaque(foreign[0]))

    assert run(main()) is foreign[0]


def test_refused_call_leaves_no_coroutine_and_no_report(foreign):
    async def main():
        late = asyncio.sleep(1)
        with reports() as told:
            with pytest.raises(ForeignLoop):
                echo(late, foreign[1])
            await asyncio.sleep(2)
            state = inspect.getcoroutinestate(late)
            del late
            gc.collect()
        return state, told

    assert run(main()) == (inspect.CORO_CLOSED, [])


def test_refused_call_does_not_hurt_what_others_wait_for(foreign):
    async def main():
        late = asyncio.sleep(1, "x")
        first = same(late)
        with pytest.raises(ForeignLoop):
            echo(late, foreign[1])
        return await first

    assert run(main()) == "x"


def holding_itself():
    given = [same(1)]
    given.append(given)
    return given


@pytest.mark.parametrize("why", ["foreign", "cycle"])
def test_coroutines_of_a_refused_call_never_run(ran, foreign, why):
    async def body():
        ran.append(1)

    async def main():
        wrong = foreign[1] if why == "foreign" else holding_itself()
        late = body()
        async with Run() as scope:
            with pytest.raises((ForeignLoop, CycleError)):
                echo(late, [body(), settled(body())], wrong, key=body())
        return inspect.getcoroutinestate(late), {node.name for node in scope.graph().nodes}

    state, names = run(main())

    assert (ran, state) == ([], inspect.CORO_CLOSED)
    assert names <= {"same"}


def test_future_of_a_refused_call_can_be_passed_again(foreign):
    async def main():
        future = future_in(1, "x")
        with pytest.raises(ForeignLoop):
            echo(future, foreign[1])
        return await same(future)

    assert run(main()) == "x"


@pytest.mark.parametrize("turns", [0, 1], ids=["before its first step", "while it waits"])
@pytest.mark.parametrize("refuse", [lambda late: same(late, late), lambda late: task(late)], ids=["call", "task"])
def test_refused_call_leaves_the_coroutine_of_an_asyncio_task_alone(turns, refuse):
    async def main():
        late = asyncio.sleep(1, "x")
        other = asyncio.ensure_future(late)
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(TypeError):
            refuse(late)
        return await other

    assert run(main()) == "x"


def test_refused_call_leaves_a_coroutine_that_is_running_alone():
    async def main():
        with pytest.raises(TypeError, match="same"):
            same(running, running)
        return "x"

    running = main()

    assert run(running) == "x"
