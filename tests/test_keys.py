"""What a node is known by: nothing else has its key, and every Python gives it the same."""

import asyncio
import decimal
import linecache
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from functools import partial, wraps
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

import aiodag
from aiodag import NoFingerprint, Run, current_node, task
from aiodag.errors import NoIdentity, OptionError
from aiodag.stores import Memory
from aiodag.stores.written import text_of_code

RAN = Counter()


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()


@pytest.fixture
def store():
    return Memory()


def execute(store, body, run_id="r"):
    async def main():
        async with Run("test", store=store, id=run_id):
            made = await body()
        return made

    return asyncio.run(main())


def values(store, *calls, run_id="r"):
    """Call each of these in a run of a store, and return the values."""

    async def body():
        return [await node for node in [call() for call in calls]]

    return execute(store, body, run_id)


def key_of(store, call):
    async def body():
        node = call()
        node.cancel()
        return node.key

    return execute(store, body, "key")


@task
async def plain(*args, **kwargs):
    RAN["plain"] += 1
    return [args, kwargs]


# Two things, two keys


def unwrapped(fn):
    async def wrapper(*args):
        return await fn(*args)

    return wrapper


def doubling(fn):
    @wraps(fn)
    async def wrapper(x):
        return 2 * await fn(x)

    return wrapper


def negating(fn):
    @wraps(fn)
    async def wrapper(x):
        return -await fn(x)

    return wrapper


async def one(x):
    return x + 1


async def two(x):
    return x + 2


@task
@unwrapped
async def first_wrapped(x):
    return f"first {x}"


@task
@unwrapped
async def second_wrapped(x):
    return f"second {x}"


def scaled(by):
    @task
    async def scale(x):
        return by * x

    return scale


def calling(fn):
    @task
    async def call(x):
        return await fn(x)

    return call


def either(kind):
    if kind == "add":

        @task
        async def change(x):
            return x + 10

    else:

        @task
        async def change(x):
            return x * 10

    return change


def with_default(by):
    @task
    async def scale(x, *, by=by):
        return by * x

    return scale


def here():
    @task
    async def load(x):
        return f"here {x}"

    return load


def there():
    @task
    async def load(x):
        return f"there {x}"

    return load


@task
async def replaced(x):
    return f"old {x}"


OLD = replaced


@task
async def replaced(x):
    return f"new {x}"


def module_like(name):
    """A function of a module of that name, as one that was imported under it."""

    async def run(x):
        return f"{name} {x}"

    run.__module__, run.__qualname__ = name, "run"
    return run


TWINS = {
    "lambdas": lambda: (task(lambda x: x + 1), task(lambda x: x + 2)),
    "lambdas with defaults": lambda: [task(lambda x, n=n: x * n) for n in (2, 3)],
    "lambdas in a partial": lambda: (task(partial(lambda x: x + 1)), task(partial(lambda x: x + 2))),
    "closures over numbers": lambda: (scaled(2), scaled(3)),
    "closures over text": lambda: (scaled("ab"), scaled("cd")),
    "closures over functions": lambda: (calling(one), calling(two)),
    "closures over lambdas": lambda: (task(doubled := calling(scaled(2))), doubled.with_options(), calling(scaled(3)))[
        1:
    ],
    "inner functions of one name": lambda: (here(), there()),
    "inner functions of one qualified name": lambda: (either("add"), either("multiply")),
    "defaults": lambda: (with_default(2), with_default(3)),
    "a decorator without wraps": lambda: (first_wrapped, second_wrapped),
    "two decorators with wraps": lambda: (task(doubling(one)), task(negating(one))),
    "a decorator with wraps and the function itself": lambda: (task(doubling(one)), task(one)),
    "a definition and the one that replaced it": lambda: (OLD, replaced),
    "partials of functions of one name": lambda: [task(partial(module_like(name))) for name in ("extract", "load")],
    "methods of values": lambda: (task("-".join), task("+".join)),
}


@pytest.mark.parametrize("kind", TWINS)
def test_two_functions_of_one_name_are_never_taken_for_each_other(store, kind):
    """Whatever is called in an execution, and in which order, each gets its own value again."""
    made = TWINS[kind]()
    given = "abc" if kind == "methods of values" else 5
    own = [values(Memory(), lambda each=each: each(given))[0] for each in made]

    assert len(set(map(str, own))) == 2
    assert values(store, lambda: made[0](given)) == own[:1]
    assert values(store, lambda: made[1](given)) == own[1:]
    assert values(store, lambda: made[1](given), lambda: made[0](given)) == own[::-1]
    assert values(store, *[lambda each=each: each(given) for each in TWINS[kind]()]) == own


@pytest.mark.parametrize("kind", sorted(TWINS.keys() - {"methods of values", "partials of functions of one name"}))
def test_two_functions_of_one_name_do_not_share_a_cache(store, kind):
    made = [each.with_options(cache=True) for each in TWINS[kind]()]
    own = [values(Memory(), lambda each=each: each(5))[0] for each in made]

    assert [values(store, lambda each=each: each(5), run_id=str(each))[0] for each in made] == own
    assert [values(store, lambda each=each: each(5), run_id=f"{each} again")[0] for each in made[::-1]] == own[::-1]


def test_what_is_made_anew_is_known_again(store):
    """A factory gives other function objects in each execution, and the same keys."""
    ran = []

    def made(by, log):
        @task
        async def scale(x):
            log.append(x)
            return by * x

        return scale

    for _ in range(2):
        assert values(store, lambda: made(2, ran)(1), lambda: made(3, ran)(1)) == [2, 3]
    assert ran == [1, 1]


def test_what_a_function_changes_in_its_closure_is_no_part_of_its_key(store):
    count = 0
    broken = True

    @task
    async def counted(x):
        nonlocal count
        count += 1
        return x

    @task
    async def sometimes(x):
        if broken:
            raise ValueError
        return current_node().attempt

    async def body():
        counted(1)
        return sometimes(2)

    with pytest.raises(aiodag.RunFailed):
        execute(store, body)
    broken = False

    assert execute(store, body).result() == 2
    assert count == 1


def test_editing_an_inner_function_runs_nothing_again(store):
    """Its code is not looked at, as that of others is not: only a lambda is known by its text."""
    source = "from aiodag import task\n\ndef made():\n    @task\n    async def load(x):\n        return {}\n    return load\n"
    spaces = []
    for result in ("x", "x + 1"):
        module = type(sys)("edited_inner")
        exec(source.format(result), vars(module))
        sys.modules["edited_inner"] = module
        spaces.append(module)
        try:
            assert values(store, lambda: module.made()(1)) == [1]
        finally:
            del sys.modules["edited_inner"]


class Session:
    def __init__(self, host):
        self.host = host


def with_session(session):
    @task
    async def get(url):
        return f"{session.host}/{url}"

    return get


def test_equal_calls_of_functions_that_nothing_tells_apart_are_refused(store):
    one, other = with_session(Session("a")), with_session(Session("b"))

    async def body():
        first = one("index")
        with pytest.raises(NoIdentity, match=r"get cannot be known again.*equal arguments.*name="):
            other("index")
        return await first, await other("about"), await other.with_options(key=lambda url: f"b {url}")("index")

    assert execute(store, body) == ("a/index", "b/about", "b/index")


def adding_to(rows):
    @task
    async def add(number, *, to=rows):
        return [*to, number]

    return add


def test_equal_calls_of_functions_that_differ_in_a_default_that_may_change_are_refused(store):
    one, other = adding_to([1]), adding_to([2])

    async def body():
        first = one(3)
        with pytest.raises(NoIdentity, match=r"add cannot be known again.*equal arguments.*name="):
            other(3)
        return await first, await one(3), await other(4)

    assert execute(store, body) == ([1, 3], [1, 3], [2, 4])


def test_a_name_tells_functions_apart(store):
    tasks = [with_session(Session(host)).with_options(name=f"get {host}") for host in "ab"]

    assert values(store, *[lambda each=each: each("index") for each in tasks]) == ["a/index", "b/index"]
    assert values(store, *[lambda each=each: each("index") for each in tasks[::-1]]) == ["b/index", "a/index"]


def test_one_function_may_be_called_again_with_equal_arguments(store):
    get = with_session(Session("a"))

    assert values(store, lambda: get("index"), lambda: get("index")) == ["a/index"] * 2


def test_a_function_that_is_redefined_within_a_run_is_refused(store, monkeypatch):
    async def body():
        first = await replaced(1)
        module = sys.modules[__name__]
        monkeypatch.setattr(module, "replaced", task(copy_of(replaced.fn)))
        with pytest.raises(NoIdentity, match="another function that this run has called before"):
            module.replaced(1)
        return first

    assert execute(store, body) == "new 1"


def copy_of(fn):
    return type(fn)(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)


@pytest.mark.parametrize("source", ["f = lambda x: x + 1", "async def f(x): return x + 1"])
def test_code_without_a_source_asks_for_a_name(store, source):
    space = {}
    exec(source, space)

    async def body():
        with pytest.raises(NoFingerprint, match=r"no source.*name="):
            task(space["f"])(1)
        return await task(space["f"], name="added")(1)

    assert execute(store, body) == 2


def test_equal_code_of_two_files_has_the_text_of_its_own(tmp_path):
    sources = {"double": 'f = lambda x: "of " + x\n', "single": "f = lambda x: 'of ' + x\n"}
    found = {}
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
        exec(compile(source, tmp_path / f"{name}.py", "exec"), found.setdefault(name, {}))
    exec(sources["single"], found.setdefault("no file", {}))
    codes = [space["f"].__code__ for space in found.values()]

    assert codes[0] == codes[1] == codes[2]
    assert list(map(text_of_code, codes)) == ['x: "of " + x', "x: 'of ' + x", None]


@pytest.mark.parametrize("kept", [True, False])
def test_code_of_exec_is_not_taken_for_the_program_of_the_command_line(store, monkeypatch, kept):
    program = "f = lambda x: x + 10\n"
    space = {}
    exec(program if kept else "f = lambda x: x + 20", space)
    monkeypatch.setitem(linecache.cache, "<string>", (len(program), None, [program], "<string>"))

    async def body():
        return await task(space["f"])(1)

    if kept:
        assert execute(store, body) == 11
    else:
        with pytest.raises(NoFingerprint, match=r"no source.*name="):
            execute(store, body)


def test_a_keyword_that_looks_like_two_is_not_taken_for_them(store):
    calls = [
        lambda: plain(**{"a=1, b": 2}),
        lambda: plain(a=1, b=2),
        lambda: plain(**{"a=1, b=2": 2}),
        lambda: plain(a="1, b=2"),
    ]

    assert len({key_of(Memory(), call) for call in calls}) == len(calls)
    assert values(store, *calls) == values(store, *calls[::-1])[::-1]


def test_a_name_that_looks_like_that_of_another_module_is_not_taken_for_it(store):
    other = task(module_like("mod"))
    named = plain.with_options(name="mod:run")

    assert values(store, lambda: named(1), lambda: other(1)) == [[(1,), {}], "mod 1"]
    assert values(store, lambda: other(1)) == ["mod 1"]
    assert values(store, lambda: named(1)) == [[(1,), {}]]


def test_names_of_nodes_outside_the_run_do_not_run_together(store):
    async def main():
        made = [plain.with_options(name=name)() for name in ("a, 5", "a", "b", "a@b")]
        async with Run("test", store=store):
            keys = {plain(made[0]).key, plain(made[1], 5).key}
            keys |= {plain.after(made[1], made[2])().key, plain.after(made[3])().key}
        return keys

    assert len(asyncio.run(main())) == 4


@pytest.mark.parametrize("option", ["name", "version"])
@pytest.mark.parametrize("text", ["a\0b", "a\nb", "\x7f", "\x1b[31m"])
def test_control_characters_in_names_and_versions_are_refused(option, text):
    with pytest.raises(OptionError, match="control character"):
        task(**{option: text})


# One fingerprint for all Pythons. The digests are those of Python 3.11, and of every other one.


class Size(Enum):
    SMALL = 1


class Right(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Row:
    path: Path
    kind: type


CALLS = [
    lambda: plain(),
    lambda: plain(1, -(2**70), 10**5000, 1.5, -0.0, float("nan"), float("inf"), 1e300, 1e-7, True, None, 2j),
    lambda: plain("text", "'", '"', "both ' and \"", "\0\t\n\x7f\x80\xa0\xad", "\ud800"),
    lambda: plain("Größe", "Привет", "東京", "한국어", "😀"),
    lambda: plain("\U00031350"),
    lambda: plain("\u2ffc"),
    lambda: plain("\U0001fae9", ["\U0001fae9"], {"\U0001fae9": 1}, ("\U0001fae9",)),
    lambda: plain(name="\U00031350", größe=1),
    lambda: plain(
        b"\0\xff",
        bytearray(b"x"),
        [1, [2]],
        (1, "a"),
        {"b": 1, "a": (2,)},
        {1: 2},
        {3, 1, 2},
        frozenset({"x"}),
        range(3),
    ),
    lambda: plain(
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        time(1, 2, fold=1),
        timedelta(days=-1, seconds=1.5),
    ),
    lambda: plain(
        datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1), "X")),
    ),
    lambda: plain(Decimal("1.10"), Decimal("1E+5"), Fraction(1, 3), UUID(int=7), PurePosixPath("a/b"), Path("c")),
    lambda: plain(Size.SMALL, Right.READ | Right.WRITE, HTTPStatus.OK, Row(Path("d"), Path)),
    lambda: plain(Path),
    lambda: plain(PurePosixPath, [Path], {"kind": Path}),
    lambda: plain(open, decimal.localcontext, os.path.islink, os.listdir, re.error),
    lambda: plain(len, Size, Row, one, plain, Path("d").joinpath),
    lambda: plain.with_options(key="\U00031350", version="\U00031350")(),
    lambda: plain.with_options(name="extract: rows")(),
    lambda: plain.with_options(name="rows")(),
    lambda: plain(**{"a=1, b": 2}),
    lambda: scaled("\U00031350")(1),
    lambda: task(lambda x, by="ö": (x, by, "\U00031350"))(1),
    lambda: task(partial(one, 1))(),
]

KEYS = """
0e8d85acd20fb2c946ef51331404ecd7 6112b576ca6284c524aeb33601d0574d 4133feb35d0fcb24513e7bf69e4f94e8
8a2293d816c0a09ff363d325b28aad0a 91b6afcb503cba67a862d3d164ff57d9 6ecf7c7e290a47150ab375166d59e332
221f58b5c2d59fee7baf2b0107540441 d26dacc0085e9e6545413e7661edc126 0474edfaf58c553a3b6536ba3de41181
93329837c12c77f97b1f6ad4a6cef113 e939b707b0e7af52da8d15c87b2e780c 6afd80475479fe3c00d1af5418638046
a853930e962e623d2c33efef1be511ea c8c013ff1a25ab3d21f7140b8cdb7e4e 3d0fb95bee64221a72181df04c233af2
8812623f44ac73e8cea0254f2dd95e6b 43fd76baef1487eb498bb1853b6fc214 f2c46721ce1f6cb215cb4b6e9aad6fcd
2d5f38863e32af4385a441179ea39a60 5a0385cd506cfdb077a68975635ddb42 f24f2f39dc7fee391cdc8382f5f53a00
835cce4b94de23581d05ddc154967451 863f195ea08b5f2c02e4da8cbff17aef f962a7ecba9e3bc43f38f9466fea4779
"""


@pytest.mark.parametrize(("call", "key"), list(zip(CALLS, KEYS.split(), strict=True)))
def test_every_python_gives_a_call_the_same_key(call, key):
    """These are the keys on Python 3.11, and on every later one."""
    assert key_of(Memory(), call) == key


def test_letters_that_every_python_shows_leave_the_key_as_it_was():
    """It is the one that 1.2.0 gave."""
    assert key_of(Memory(), CALLS[3]) == "8a2293d816c0a09ff363d325b28aad0a"


def test_two_functions_of_one_given_name_are_refused_where_only_their_order_would_tell_them_apart():
    """Called in another order, each would take what the other has recorded."""

    @task(name="same")
    async def one(value):
        return 1

    @task(name="same")
    async def two(value):
        return 2

    async def main():
        async with Run("r", store=Memory(), id="r"):
            for called, argument in ((one, "a"), (two, "b"), (one, "c"), (one, "c"), (two, "d"), (two, "d")):
                called(argument)
            with pytest.raises(
                NoIdentity, match=r"same cannot be known again .* two functions that are called with equal"
            ):
                two("a")
            with pytest.raises(NoIdentity):
                one("d")

    asyncio.run(main())
