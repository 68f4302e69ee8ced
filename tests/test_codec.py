"""Values, errors and arguments as text, and back: equal, of the same type, and without running anything."""

import asyncio
import enum
import functools
import io
import json
import os
import pickle
import random
import subprocess
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodag import task
from aiodag.codec import text
from aiodag.codec.text import (
    NoCodec,
    NoFingerprint,
    RecordedError,
    Undecodable,
    decode,
    decode_error,
    decode_pickle,
    encode,
    encode_error,
    encode_pickle,
    fingerprint,
)
from aiodag.codec.writer import json_writer
from aiodag.errors import AiodagError, NoLoop, RunFailed

ROOT = Path(__file__).parent.parent
HERE = __name__
calm = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


# Classes, as users write them.


class Colour(enum.Enum):
    RED = "red"
    BLUE = ("b", 3)
    CRIMSON = RED


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    RUN = enum.auto()
    ALL = READ | WRITE | RUN


class Bits(enum.IntFlag):
    ONE = 1


class Point(NamedTuple):
    x: object
    y: object = 0


Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - the other way to make one


@dataclass
class Order:
    number: object
    price: object = None
    total: object = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class Key:
    name: object
    version: object = 1


@dataclass
class Watched:
    """Notes what runs."""

    x: int = 0
    ran = []

    def __init__(self, x):
        self.ran.append("__init__")
        self.x = x

    def __post_init__(self):
        self.ran.append("__post_init__")


@dataclass
class Basket:
    prices: list

    def __post_init__(self):
        self.sum = sum(self.prices)

    @functools.cached_property
    def lock(self):
        return object()


@dataclass
class Document:
    text: str
    read_by: object = field(default=None, compare=False)


class Outer:
    @dataclass
    class Inner:
        x: int

    def method(self):
        """Be a function in a class."""

    @classmethod
    def made(cls):
        """Be bound to a class."""

    @staticmethod
    def still():
        """Be bound to nothing."""


@dataclass
class Rows(dict):
    name: str


class MyText(str):
    __slots__ = ()


class MyDict(dict):
    pass


class Moment(datetime):
    pass


@dataclass
class Odd:
    """Its hash fails, as those of classes that were made in another way do."""

    x: int

    def __hash__(self):
        raise RuntimeError("no hash")


def top_level():
    """Be a function with a name."""


# What values are, without the code under test.


def shape(value):
    """Return a text that two values share if they are of the same type, all the way down, and hold the same."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, enum.Enum):
        return f"{name}:{value!r}"
    if kind in (list, tuple, deque, Point, Pair):
        return f"{name}[{','.join(map(shape, value))}]{getattr(value, 'maxlen', '')}"
    if kind in (set, frozenset):
        return f"{name}{{{','.join(sorted(map(shape, value)))}}}"
    if isinstance(value, dict):
        items = [f"{shape(key)}={shape(each)}" for key, each in value.items()]
        factory = getattr(value, "default_factory", None)
        return f"{name}{{{','.join(items if kind is OrderedDict else sorted(items))}}}{factory}"
    if kind in (Order, Key):
        names = ("number", "price", "total") if kind is Order else ("name", "version")
        return f"{name}({','.join(shape(getattr(value, each)) for each in names)})"
    if kind is Fraction:
        return f"{name}:{value.numerator:x}/{value.denominator:x}"
    if kind in (datetime, time):
        return f"{name}:{value.isoformat()} {value.fold} {value.tzinfo!r}"
    return f"{name}:{value!a}" if kind is not int else f"int:{value:x}"


ZONES = (
    st.none()
    | st.just(UTC)
    | st.timezones()
    | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
)
TEXT = st.text() | st.text(st.characters()) | st.text("$vab", max_size=2)
NUMBERS = st.integers() | st.integers(-(2**200), 2**200) | st.floats() | st.booleans() | st.complex_numbers()
MEMBERS = st.sampled_from([*Colour, *Level, *Word, *Access, Access(0), Access.READ | Access.RUN])
PATHS = st.builds(
    lambda kind, text: kind(text.replace("\0", "")), st.sampled_from([Path, PurePosixPath, PureWindowsPath]), st.text()
)
HASHABLE_ATOMS = (
    st.none()
    | NUMBERS
    | TEXT
    | st.binary()
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times(timezones=ZONES)
    | st.timedeltas()
    | st.decimals().filter(lambda value: not value.is_snan())
    | st.fractions()
    | st.uuids()
    | st.builds(range, st.integers(), st.integers(), st.integers(1, 2**70))
    | PATHS
    | MEMBERS
)
HASHABLE = st.recursive(
    HASHABLE_ATOMS,
    lambda inner: (
        st.tuples(inner, inner)
        | st.frozensets(inner, max_size=3)
        | st.builds(Point, inner, inner)
        | st.builds(Key, inner, inner)
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    HASHABLE | st.binary().map(bytearray) | st.sets(HASHABLE, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3).map(OrderedDict)
        | st.dictionaries(HASHABLE, inner, max_size=3).map(functools.partial(defaultdict, list))
        | st.dictionaries(HASHABLE, st.integers(), max_size=3).map(Counter)
        | st.builds(deque, st.lists(inner, max_size=3), st.none() | st.integers(3, 9))
        | st.builds(Order, inner, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=10,
)

NAMES = st.sampled_from(
    [
        f"{HERE}:Order",
        f"{HERE}:Colour",
        f"{HERE}:Point",
        f"{HERE}:Rows",
        f"{HERE}:Odd",
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "builtins:KeyError",
        "builtins:OSError",
        "builtins:ExceptionGroup",
        "nowhere:Thing",
        ":",
        "",
    ]
)
TAGS = st.sampled_from(
    """str int float bytes bytearray complex range datetime date time timedelta Decimal Fraction UUID PosixPath
    PureWindowsPath WindowsPath tuple set frozenset deque dict OrderedDict Counter defaultdict enum namedtuple dataclass
    pickle eval named""".split()  # noqa: SIM905 - words
)
HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | NAMES
    | TAGS
    | st.just("0xf" * 99)
    | st.just("1e9"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["$", "v"]), inner, max_size=3)
        | st.fixed_dictionaries({"$": TAGS | inner, "v": inner})
        | st.fixed_dictionaries({"$": TAGS, "v": st.tuples(NAMES, inner)})
        | st.fixed_dictionaries(
            {
                "type": NAMES | inner,
                "text": st.text() | inner,
                "traceback": st.text() | inner,
                "notes": st.lists(st.text()) | inner,
                "cause": st.none() | inner,
                "args": inner | inner.map(json.dumps),
                "attributes": inner | inner.map(json.dumps),
                "slots": inner | inner.map(json.dumps),
                "members": st.lists(inner),
            }
        )
    ),
    max_leaves=12,
)


# Round trips.


@calm
@given(VALUES)
def test_a_value_comes_back_equal_and_of_the_same_type(value):
    text = encode(value)
    text.encode()  # every store can take it
    json.loads(text)

    assert shape(decode(text)) == shape(value)


EDGES = [
    [1, True, 1.0, "1", None],
    {"a": [1, {"b": {}}], "": []},
    [float("nan"), float("inf"), float("-inf"), -0.0, 5e-324],
    [2**63 - 1, -(2**63), 2**63, -(2**64), 10**10_000],
    {"$": 1},
    {"$": "tuple", "v": [1]},
    {"a": {"$": "tuple", "v": [1]}},
    ["$", "v", '"$"'],
    {1: 2, "1": 3, (): 4, None: 5},
    "\ud800",
    "\ud800\udc00",
    {"\udfff": "half a pair as a key"},
    "\0 \u2028 \U0010ffff",
    Colour.CRIMSON,
    Access.ALL,
    Access.READ | Access.WRITE,
    Access(0),
    Decimal("1.10"),
    Decimal("-0E+5"),
    Decimal("NaN123"),
    Fraction(10**5000, 7),
    range(0, 10**30, 3),
    complex("nan-infj"),
    deque([1, 2], maxlen=2),
    Counter("abca"),
    OrderedDict([("b", 1), ("a", 2)]),
    defaultdict(None, {1: 2}),
    defaultdict(set, a={1}),
    Path("/tmp/\udcff"),
    PureWindowsPath("C:\\a"),
    Outer.Inner(3),
    {frozenset({Key("a")}): [Point(1, (2,)), Pair(1, 2)]},
    datetime(2024, 10, 27, 2, 30, fold=1),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2024, 3, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),  # this hour does not exist
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-5, minutes=-1, seconds=-2, microseconds=3))),
    time(1, 2, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(microseconds=-1))),
    time(1, fold=1, tzinfo=timezone(timedelta(microseconds=5), "odd")),
    timedelta.min,
]


@pytest.mark.parametrize("value", EDGES, ids=range(len(EDGES)))
def test_these_come_back_as_they_were(value):
    assert shape(decode(encode(value))) == shape(value)


def test_plain_values_are_ordinary_json():
    value = {"id": 7, "tags": ["a", "ü"], "ok": True, "none": None, "x": 1.5}

    assert json.loads(encode(value)) == value


def test_a_python_without_the_json_module_in_c_writes_the_same(monkeypatch):
    values = [[1, "ü", {"b": None, "a": 1.5}], "x", 5]
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    write = json_writer(sort_keys=False)

    assert [write(value) for value in values] == [encode(value) for value in values]


def test_ten_megabytes_of_bytes_come_back():
    value = random.Random(1).randbytes(10_000_000)

    assert decode(encode(value)) == value


def test_a_time_zone_comes_back_with_its_key_and_its_name():
    berlin, named = decode(
        encode(
            [
                datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")),
                datetime(2024, 7, 1, tzinfo=timezone(timedelta(hours=2), "CEST")),
            ]
        )
    )

    assert berlin.tzinfo is ZoneInfo("Europe/Berlin")
    assert (named.tzname(), named.utcoffset()) == ("CEST", timedelta(hours=2))


def test_where_the_rules_of_a_zone_have_changed_the_moment_stays():
    value = decode('{"$": "datetime", "v": ["2024-07-01T12:00:00+05:00", 0, "Europe/Berlin", null]}')

    assert value == datetime(2024, 7, 1, 7, tzinfo=UTC)
    assert value.isoformat() == "2024-07-01T09:00:00+02:00"


def test_a_zone_of_another_library_becomes_its_offset():
    class Summer(tzinfo):
        def utcoffset(self, moment):
            return timedelta(hours=3)

        def tzname(self, moment):
            return "SUM"

        def dst(self, moment):
            return None

    value = datetime(2024, 7, 1, tzinfo=Summer())
    back = decode(encode(value))

    assert (back, back.tzname()) == (value, "SUM")


def test_a_dataclass_is_made_without_its_init():
    value = Watched(5)
    Watched.ran.clear()

    assert decode(encode(value)) == value
    assert Watched.ran == []


def test_a_dataclass_keeps_what_is_no_field_and_forgets_what_can_be_computed_again():
    basket = Basket([1, 2])
    assert basket.lock

    back = decode(encode(basket))

    assert vars(back) == {"prices": [1, 2], "sum": 3}


def test_a_field_that_a_class_has_gained_takes_its_default(monkeypatch):
    text = encode(Order(1))
    monkeypatch.setattr(
        sys.modules[HERE],
        "Order",
        reclassed("Order", [("number", int), ("price", int), ("total", int), ("note", str, "-")]),
    )

    assert decode(text).note == "-"


def reclassed(name, fields):
    return make_dataclass(name, fields, namespace={"__module__": HERE})


@pytest.mark.parametrize(
    "fields", [[("number", int)], [("number", int), ("price", int), ("total", int), ("note", str)]]
)
def test_a_class_that_has_changed_is_named_with_the_way_out(monkeypatch, fields):
    text = encode(Order(1))
    monkeypatch.setattr(sys.modules[HERE], "Order", reclassed("Order", fields))

    with pytest.raises(Undecodable, match=f"{HERE}:Order has changed .* run the task again with another version"):
        decode(text)


def test_a_member_that_an_enum_has_lost_is_named():
    with pytest.raises(Undecodable, match="Colour has changed since it was recorded: it has no member GREEN"):
        decode(f'{{"$": "enum", "v": ["{HERE}:Colour", "GREEN"]}}')


def test_a_type_that_is_not_loaded_is_named_with_its_module():
    with pytest.raises(
        Undecodable, match=r"shop\.orders:Order.*import the module shop\.orders first, or run"
    ) as caught:
        decode('{"$": "dataclass", "v": ["shop.orders:Order", {}]}')

    assert caught.value.type_name == "shop.orders:Order"


# What cannot be written.


class Silent(tzinfo):
    def utcoffset(self, moment):
        return None


def local_class():
    @dataclass
    class Local:
        x: int

    return Local(1)


def holding_itself():
    value = []
    value.append((1, value))
    return value


def nested(depth, wrap):
    value = 1
    for _ in range(depth):
        value = wrap(value)
    return value


class Triple(NamedTuple):
    x: int


class Unnamed(Triple):
    """Can have attributes beside its fields."""


def with_attribute():
    value = Unnamed(1)
    value.note = "kept"
    return value


@pytest.mark.parametrize(
    ("value", "where", "kind"),
    [
        (object(), "", "object"),
        ([1, 2, {"price": object()}], "[2]['price']", "object"),
        ([Order(1), Order(2, price=[1, MyText(2)])], "[1].price[1]", "MyText"),
        ({"a": Point(1, y=[open])}, "['a'].y[0]", "builtin_function_or_method"),
        ({(1, MyText(3)): 4}, ".keys()[0][1]", "MyText"),
        (MyText(3), "", "MyText"),
        (MyDict(), "", "MyDict"),
        (Moment(2024, 1, 1), "", "Moment"),
        (type("MyStr", (str,), {})("x"), "", "MyStr"),
        (int, "", "type"),
        (lambda: 1, "", "function"),
        (defaultdict(lambda: 1), "", "defaultdict"),
        (Rows("x"), "", "Rows"),
        (local_class(), "", "Local"),
        (with_attribute(), "", "Unnamed"),
        (io.StringIO(), "", "StringIO"),
        (ValueError("x"), "", "ValueError"),
    ],
)
def test_a_value_without_codec_is_refused_with_task_type_place_and_both_ways_out(value, where, kind):
    with pytest.raises(NoCodec) as caught:
        encode(value, "load_orders")

    message = str(caught.value)
    assert caught.value.where == where
    assert caught.value.type_name.rpartition(".")[2] == kind
    assert all(
        part in message for part in ("load_orders", where, kind, "Return something made of", '@task(codec="pickle")')
    )
    assert isinstance(caught.value, AiodagError | TypeError)


@dataclass
class Late:
    token: str = field(init=False)


@dataclass
class Marked:
    x: int = 1


def with_odd_attribute():
    value = Marked()
    vars(value)["$"] = 1
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Late(), "has a field without a value"),
        (with_odd_attribute(), "has an attribute whose name is not an identifier"),
        (local_class(), "cannot be found again by its name: define it at the top level"),
        (with_attribute(), "has attributes besides its fields"),
        (defaultdict(lambda: 1), "has a factory other than bool, bytes, dict"),
        (Bits(9), "is a member without a name"),
        (time(1, tzinfo=Silent()), "is a time zone that gives no offset here"),
    ],
)
def test_a_refusal_says_why(value, why):
    with pytest.raises(NoCodec, match=why):
        encode([value])


def test_a_value_that_holds_itself_is_refused():
    with pytest.raises(NoCodec, match=r"value\[0\]\[1\], of type list, holds itself"):
        encode(holding_itself())


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: (value,), lambda value: {"a": value}, Order])
@pytest.mark.parametrize("depth", [101, 5_000, 50_000])
def test_a_value_that_is_nested_too_deep_is_refused(wrap, depth):
    with pytest.raises(NoCodec, match="lies more than 100 levels deep"):
        encode(nested(depth, wrap))


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: (value,), lambda value: {1: value}, Order])
def test_a_hundred_levels_are_fine(wrap):
    value = nested(100, wrap)

    assert decode(encode(value)) == value


def test_no_room_on_the_stack_is_refused_and_not_a_recursion_error():
    def deeper(value):
        try:
            return deeper(value)
        except RecursionError:
            return encode(value)

    with pytest.raises((NoCodec, RecursionError)):
        deeper(nested(90, lambda value: (value,)))


def test_a_value_whose_own_code_fails_is_refused():
    with pytest.raises(NoCodec, match="cannot be read: ZeroDivisionError"):
        encode([datetime(2024, 1, 1, tzinfo=Broken())])


class Broken(tzinfo):
    def utcoffset(self, moment):
        return 1 / 0


# Hostile texts.


@calm
@given(HOSTILE)
def test_any_json_is_a_value_or_undecodable(value):
    text = json.dumps(value)
    try:
        decode(text)
    except Undecodable as error:
        assert "version" in str(error)


@calm
@given(st.text() | st.text('[]{}",:$v0123456789eE-+.nNul \\'))
def test_any_text_is_a_value_or_undecodable(text):
    try:
        decode(text)
    except Undecodable as error:
        assert "version" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "NaN",
        "[Infinity]",
        "1e999",
        "9" * 5000,
        "[" * 200_000,
        '{"$":' * 200_000,
        '{"$": "tuple", "v": "ab"}',
        '{"$": "tuple", "v": [1], "more": 1}',
        '{"$": "tuple"}',
        '{"$": ["tuple"], "v": []}',
        '{"$": "set", "v": [[]]}',
        '{"$": "dict", "v": [[[], 1]]}',
        '{"$": "dict", "v": ["ab"]}',
        '{"$": "bytes", "v": "?"}',
        '{"$": "bytes", "v": {"$": "bytes", "v": ""}}',
        '{"$": "int", "v": "zz"}',
        '{"$": "float", "v": "12"}',
        '{"$": "Decimal", "v": 1.5}',
        '{"$": "Decimal", "v": "1e99999999999999999999"}',
        '{"$": "Fraction", "v": [1, 0]}',
        '{"$": "timedelta", "v": [1e300, 0, 0]}',
        '{"$": "datetime", "v": ["2024-01-01", 0, "../../etc/passwd", null]}',
        '{"$": "datetime", "v": ["2024-01-01", 0, "Nowhere/City", null]}',
        '{"$": "deque", "v": [[], -1]}',
        '{"$": "defaultdict", "v": ["eval", []]}',
        '{"$": "enum", "v": []}',
        '{"$": "enum", "v": [5, "RED"]}',
        f'{{"$": "enum", "v": ["{HERE}:Colour", "__class__"]}}',
        f'{{"$": "enum", "v": ["{HERE}:Colour", "RED", "BLUE"]}}',
        f'{{"$": "enum", "v": ["{HERE}:Order", "x"]}}',
        f'{{"$": "dataclass", "v": ["{HERE}:Colour", {{}}]}}',
        f'{{"$": "dataclass", "v": ["{HERE}:Order", []]}}',
        f'{{"$": "dataclass", "v": ["{HERE}:Order", {{"__class__": 1}}]}}',
        f'{{"$": "dataclass", "v": ["{HERE}:Rows", {{"name": 1}}]}}',
        f'{{"$": "dataclass", "v": ["{HERE}:Key", {{}}, {{"x": 1}}]}}',
        f'{{"$": "namedtuple", "v": ["{HERE}:Point", {{"x": 1}}]}}',
        f'{{"$": "namedtuple", "v": ["{HERE}:Point", [1, 2]]}}',
        f'{{"$": "namedtuple", "v": ["{HERE}:Order", {{}}]}}',
        f'{{"$": "set", "v": [{{"$": "dataclass", "v": ["{HERE}:Odd", {{"x": 1}}]}}]}}',
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_record_is_undecodable(text):
    with pytest.raises(Undecodable):
        decode(text)


@pytest.mark.parametrize("given", [None, b"1", 5, ["1"]])
def test_what_is_no_text_is_undecodable(given):
    with pytest.raises(Undecodable):
        decode(given)


@pytest.mark.parametrize(
    "name",
    ["os:system", "subprocess:Popen", "builtins:eval", "builtins:exec", "subprocess:run", "os:remove", "code:interact"],
)
@pytest.mark.parametrize("tag", ["dataclass", "namedtuple", "enum", "defaultdict", "named", "error"])
def test_a_text_that_names_a_function_runs_nothing(tmp_path, monkeypatch, name, tag):
    ran = []
    module, _, attribute = name.partition(":")
    if module in sys.modules:
        monkeypatch.setattr(sys.modules[module], attribute, lambda *args, **kwargs: ran.append(args))
    command = f"touch {tmp_path}/ran"
    parts = [[name, {"args": command}], [name, command], [name, [command]], [name, {}, {"args": command}], name]
    for part in parts:
        with pytest.raises(Undecodable):
            decode(json.dumps({"$": tag, "v": part}))
    error = {"type": name, "text": "t", "traceback": "", "notes": [], "cause": None, "args": json.dumps([command])}

    assert isinstance(decode_error(json.dumps({**error, "attributes": "{}", "slots": "{}"})), RecordedError)
    assert ran == []
    assert list(tmp_path.iterdir()) == []


def test_reading_imports_nothing(tmp_path, monkeypatch):
    (tmp_path / "never_loaded.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for tag in ("dataclass", "namedtuple", "enum"):
        with pytest.raises(Undecodable, match="import the module never_loaded"):
            decode(json.dumps({"$": tag, "v": ["never_loaded:Thing", {}]}))

    assert "never_loaded" not in sys.modules


def test_reading_asks_no_module_for_what_it_loads_on_demand(monkeypatch):
    class Lazy(types.ModuleType):
        def __getattr__(self, name):
            raise SystemExit(name)

        def __getattribute__(self, name):
            raise SystemExit(name)

    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))

    with pytest.raises(Undecodable):
        decode('{"$": "dataclass", "v": ["lazy:Thing.Inner", {}]}')


def test_pickle_is_out_of_reach_for_those_who_did_not_ask(monkeypatch):
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(text, "Unpickler", None)
    values = [1, Order(1, {2}), Colour.RED, Point(1), [b"\x80\x04."], datetime(2024, 1, 1)]

    assert decode(encode(values)) == values
    assert decode_error(encode_error(ValueError("x"))).args == ("x",)
    with pytest.raises(Undecodable):
        decode('{"$": "pickle", "v": "gASVAAAAAAAAAA=="}')
    with pytest.raises(Undecodable):
        decode_pickle(pickle.dumps(1))


# The main module.

SCRIPT = """
import enum, json, sys
from dataclasses import dataclass
from aiodag.codec.text import decode, encode, encode_error, fingerprint

@dataclass
class Order:
    number: int

class State(enum.Enum):
    NEW = 1

class Declined(Exception):
    pass

def name_of(order):
    return order.number

if __name__ == "__main__":
    texts = [encode([Order(1), State.NEW]), encode_error(Declined("no")), fingerprint([Order(1), Order, name_of])]
    assert decode(texts[0]) == [Order(1), State.NEW]
    if len(sys.argv) > 1:
        assert decode(json.loads(sys.argv[1])) == [Order(1), State.NEW]
    print(json.dumps(texts))
"""


def run_script(*args, cwd):
    done = subprocess.run(
        [sys.executable, *args], cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def etl(tmp_path, monkeypatch):
    """A script that has been run, and then is imported as a module."""
    (tmp_path / "etl_script.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    import etl_script

    yield etl_script
    del sys.modules["etl_script"]


@pytest.mark.parametrize("args", [["etl_script.py"], ["-m", "etl_script"]])
def test_a_script_and_the_module_of_its_name_understand_each_other(etl, tmp_path, args):
    value = [etl.Order(1), etl.State.NEW]

    of_value, of_error, of_argument = run_script(*args, json.dumps(encode(value)), cwd=tmp_path)

    assert decode(of_value) == value
    assert type(decode_error(of_error)) is etl.Declined
    assert of_argument == fingerprint([etl.Order(1), etl.Order, etl.name_of])


WITHOUT_FILE = """
import json
from dataclasses import dataclass
from aiodag.codec.text import decode, encode

@dataclass
class Order:
    x: int = 1

print(json.dumps([encode(Order()), decode(encode(Order())) == Order()]))
"""


def test_where_a_script_is_loaded_twice_its_own_class_comes_first(etl, monkeypatch):
    main = types.ModuleType("__main__")
    main.__file__ = etl.__file__
    main.Order = type("Order", (etl.Order,), {"__module__": "__main__", "__qualname__": "Order"})
    monkeypatch.setitem(sys.modules, "__main__", main)
    value = main.Order(1)

    assert json.loads(encode(value))["v"][0] == "etl_script:Order"
    assert type(decode(encode(value))) is main.Order
    assert decode(encode(etl.State.NEW)) is etl.State.NEW


def test_a_main_module_without_a_file_keeps_its_name(tmp_path):
    assert run_script("-c", WITHOUT_FILE, cwd=tmp_path) == ['{"$":"dataclass","v":["__main__:Order",{"x":1}]}', True]


# Pickle.


def test_pickle_takes_what_the_codec_does_not():
    assert decode_pickle(encode_pickle(MyText(3))) == MyText(3)


def test_what_pickle_does_not_take_is_refused():
    with pytest.raises(NoCodec, match=r"load_orders.*cannot be pickled"):
        encode_pickle(lambda: 1, "load_orders")


@pytest.mark.parametrize("pickled", [b"", b"nonsense", b"cnowhere\nThing\n."])
def test_what_is_no_pickle_is_undecodable(pickled):
    with pytest.raises(Undecodable, match="cannot be unpickled"):
        decode_pickle(pickled)


# Errors.


class PaymentDeclined(Exception):
    inits = []

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.inits.append(code)


class Slotted(Exception):
    __slots__ = ("code", "unset")


class Strict(ValueError):
    def __new__(cls, code, message):
        return super().__new__(cls, code, message)


class Renamed(OSError):
    def __init__(self, name):
        super().__init__(5, "no disk", name)


class Spoken(Exception):
    def __str__(self):
        raise RuntimeError("cannot speak")


class Picky(ExceptionGroup):
    def derive(self, excs):
        return Picky(self.message, excs)


def back(error):
    return decode_error(encode_error(error))


def test_an_error_of_a_user_comes_back_with_its_attributes_and_without_its_init():
    error = PaymentDeclined(402, "card expired")
    error.add_note("order 7")
    PaymentDeclined.inits.clear()

    with pytest.raises(PaymentDeclined, match="card expired") as caught:
        raise back(error)

    assert (caught.value.code, caught.value.args, caught.value.__notes__) == (402, ("card expired",), ["order 7"])
    assert PaymentDeclined.inits == []


def failing(call):
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        KeyError("a"),
        ValueError(1, (2, b"x"), {"k": Decimal(1)}),
        failing(lambda: Path("/nonexistent/file").stat()),
        Renamed("disk0"),
        failing(lambda: b"\xff".decode()),
        failing(lambda: "\ud800".encode()),
        failing(lambda: compile("1 +", "a.py", "exec")),
        failing(lambda: __import__("nowhere_at_all")),
        failing(lambda: None.attribute),
        failing(lambda: undefined_name),  # noqa: F821 - it is what raises
        failing(lambda: json.loads("{")),
        failing(lambda: int("x")),
        subprocess.CalledProcessError(3, ["ls"], output=b"o", stderr=b"e"),
        asyncio.CancelledError("why"),
        TimeoutError(),
        KeyboardInterrupt(),
        SystemExit(3),
        StopIteration(5),
        Strict(4, "x"),
        NoLoop("fetch"),
        ValueError("\ud800"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_with_its_type_text_and_what_it_holds(error):
    again = back(error)

    assert type(again) is type(error)
    assert again.args == error.args
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    for name in ("errno", "filename", "lineno", "name", "start", "reason", "value", "code"):
        assert getattr(again, name, None) == getattr(error, name, None)


def test_slots_come_back():
    error = Slotted("x")
    error.code = 5
    again = back(error)

    assert (again.code, hasattr(again, "unset")) == (5, False)


def test_a_group_comes_back_with_its_members():
    inner = Picky("inner", [PaymentDeclined(1, "a"), ValueError("b")])
    again = back(ExceptionGroup("outer", [inner, OSError(2, "c", "file")]))

    assert (type(again), again.message) == (ExceptionGroup, "outer")
    assert type(again.exceptions[0]) is Picky
    assert again.exceptions[0].exceptions[0].code == 1
    assert again.exceptions[1].filename == "file"


def test_a_group_with_a_member_that_cannot_be_rebuilt_comes_back():
    again = back(ExceptionGroup("outer", [ValueError(object()), KeyError("k")]))

    assert [type(member) for member in again.exceptions] == [RecordedError, KeyError]


def test_a_failed_run_comes_back_without_its_nodes():
    again = back(RunFailed("run 'etl' failed", [ValueError("x")], [object()]))

    assert (type(again), again.failures, again.exceptions[0].args) == (RunFailed, (), ("x",))


@pytest.mark.parametrize("depth", [100, 3000])
def test_a_group_of_groups_comes_back_at_any_depth(depth):
    again = back(nested(depth, lambda inner: ExceptionGroup("g", [inner if inner != 1 else ValueError()])))

    assert isinstance(again, ExceptionGroup | RecordedError)


def test_a_cause_comes_back_as_text():
    error = ValueError("outer")
    error.__cause__ = PaymentDeclined(1, "inner")
    again = back(error)

    assert str(again.__cause__) == f"{HERE}:PaymentDeclined: inner"
    assert again.__cause__.type_name == f"{HERE}:PaymentDeclined"


def test_the_record_of_an_error_tells_type_text_and_traceback():
    record = json.loads(encode_error(failing(lambda: PaymentDeclined(1, "no") and 1 / 0)))

    assert record["type"] == "builtins:ZeroDivisionError"
    assert record["text"] == "division by zero"
    assert "Traceback (most recent call last)" in record["traceback"]
    assert "test_codec.py" in record["traceback"]


def local_error():
    class Local(Exception):
        pass

    return Local("text")


def with_handle():
    error = ValueError("text")
    error.handle = object()
    return error


def with_slot():
    error = Slotted("text")
    error.code = object()
    return error


@pytest.mark.parametrize("make", [local_error, with_handle, with_slot, lambda: KeyError(object())])
def test_what_cannot_be_rebuilt_comes_back_as_a_recorded_error(make):
    error = failing(lambda: (_ for _ in ()).throw(make()))
    again = back(error)

    assert type(again) is RecordedError
    assert again.type_name == f"{type(error).__module__}:{type(error).__qualname__}"
    assert again.text == str(error)
    assert "Traceback" in again.traceback_text
    assert str(again).startswith(f"{again.type_name}: {again.text} (recorded; it cannot be rebuilt: ")


def test_an_error_whose_text_fails_is_recorded():
    assert "RuntimeError in __str__" in json.loads(encode_error(Spoken()))["text"]
    assert type(back(Spoken("x"))) is Spoken


def test_an_error_whose_class_changes_its_mind_comes_back_as_a_recorded_error(monkeypatch):
    text = encode_error(Strict(1, "x"))
    monkeypatch.setattr(Strict, "__new__", lambda cls, only: ValueError.__new__(cls, only))

    assert type(decode_error(text)) is RecordedError

    monkeypatch.setattr(Strict, "__new__", lambda cls, *args: KeyError(*args))

    assert type(decode_error(text)) is RecordedError


def test_an_error_that_python_cannot_print_is_recorded():
    error = SyntaxError("x", ("file", 1, 1, "text"))
    error.text = 5
    again = back(error)

    assert (type(again), again.text) == (SyntaxError, 5)


def test_a_recorded_error_can_be_recorded_and_pickled():
    error = back(local_error())

    for again in (back(error), pickle.loads(pickle.dumps(error))):
        assert (type(again), str(again), vars(again)) == (RecordedError, str(error), vars(error))


@calm
@given(HOSTILE)
def test_any_json_is_an_error(value):
    assert isinstance(decode_error(json.dumps(value)), BaseException)


@pytest.mark.parametrize("text", ["", "nonsense", "[" * 200_000, "[]", "5", None, '{"type": "builtins:ValueError"}'])
def test_what_is_no_record_is_a_recorded_error(text):
    assert type(decode_error(text)) is RecordedError


# Fingerprints.


@calm
@given(VALUES)
def test_a_fingerprint_is_the_same_after_a_round_trip(value):
    assert fingerprint(decode(encode(value))) == fingerprint(value)


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
ALIKE = [
    *[0, False, 0.0, -0.0, 1, True, 1.0, "1", b"1", "", b"", None, "None", (), [], "a'b", 'a"b', 2**64, float(2**64)],
    *[Decimal(1), Decimal("1.0"), Fraction(1), 1 + 0j, float("nan"), "\ud800", "\ud800\udc00", "\U00010000", "\xe9"],
    *[NOON, NOON.astimezone(timezone(timedelta(hours=1))), Level.LOW, Word.YES, "yes", Colour.RED, Point(1, 2), (1, 2)],
    *[Pair(1, 2), Key(1), Order(1), {"$": "int", "v": 1}, {1}, frozenset({1}), {True}, "\ud800"],
]
SIMILAR = st.recursive(
    st.sampled_from(ALIKE),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b", 1, True, "1", None]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(calm, max_examples=600)
@given(SIMILAR, SIMILAR)
def test_two_fingerprints_are_equal_if_and_only_if_the_values_are_of_equal_types_and_contents(one, other):
    assert (fingerprint(one) == fingerprint(other)) is (shape(one) == shape(other))


@calm
@given(st.dictionaries(HASHABLE, VALUES, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_a_dict_does_not_count(value, chance):
    items = list(value.items())
    chance.shuffle(items)

    assert fingerprint(dict(items)) == fingerprint(value)


def test_the_order_of_a_set_does_not_count():
    names = [f"name {number}" for number in range(50)]
    backwards = names[::-1]

    assert fingerprint([set(names)]) == fingerprint([set(backwards)])
    assert run_script("-c", OF_A_SET, cwd=ROOT) == fingerprint({"a": frozenset(names)})


OF_A_SET = """
import json
from aiodag.codec.text import fingerprint
print(json.dumps(fingerprint({"a": frozenset(f"name {number}" for number in range(50))})))
"""


def test_zero_and_minus_zero_differ():
    assert fingerprint(0.0) != fingerprint(-0.0)
    assert fingerprint((0.0,)) != fingerprint((-0.0,))


@pytest.mark.parametrize("digits", [10, 630, 650, 4000, 5000])
def test_a_fingerprint_does_not_depend_on_how_many_digits_the_process_allows(digits):
    value = (10**digits, 1)
    before = fingerprint(value)
    allowed = sys.get_int_max_str_digits()
    try:
        for limit in (640, 0):
            sys.set_int_max_str_digits(limit)

            assert fingerprint(value) == before
    finally:
        sys.set_int_max_str_digits(allowed)


def test_fields_that_a_class_does_not_compare_do_not_count():
    assert fingerprint(Document("a", read_by=open)) == fingerprint(Document("a"))
    assert fingerprint(Document("a")) != fingerprint(Document("b"))


@pytest.mark.parametrize(
    "value",
    [
        Order,
        Outer.Inner,
        len,
        top_level,
        Outer.method,
        Outer.still,
        Outer.made,
        Key(1).__eq__,
        int,
        json.dumps,
        Point(1)._asdict,
    ],
)
def test_what_has_a_name_has_a_fingerprint(value):
    if value == Key(1).__eq__:
        value = types.MethodType(Key.__eq__, Key(1))
    others = [top_level, Order, Outer.Inner, Outer.method, Outer.made, Outer.still, 1, None]

    assert fingerprint(value) == fingerprint(value)
    assert [each for each in others if fingerprint(each) == fingerprint(value)] in ([], [value])


def test_a_task_has_the_fingerprint_of_its_name():
    assert fingerprint([fetch]) == f'[{{"$":"named","v":"{HERE}:fetch"}}]'


@task
async def fetch():
    """Be a task."""


def generator():
    yield 1


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), ""),
        ([1, {"session": object()}], "[1]['session']"),
        ((1, Order(io.StringIO())), "[1].number"),
        (lambda: 1, ""),
        ([functools.partial(top_level)], "[0]"),
        (local_class(), ""),
        (type(local_class()), ""),
        (generator(), ""),
        (Outer().method, ".__self__"),
        ([].append, ""),
        (types.MethodType(lambda key: key, Key(1)), ""),
        (MyText(1), ""),
        (holding_itself(), "[0][1]"),
    ],
)
def test_what_has_no_stable_fingerprint_is_refused_with_its_type_its_place_and_the_way_out(value, where):
    with pytest.raises(NoFingerprint) as caught:
        fingerprint(value, "fetch")

    message = str(caught.value)
    assert caught.value.where == where
    assert all(part in message for part in ("fetch", where, caught.value.type_name, "Pass key= to @task"))


def test_a_deep_argument_is_refused_and_not_a_recursion_error():
    with pytest.raises(NoFingerprint, match="lies more than 100 levels deep"):
        fingerprint(nested(5000, lambda value: [value]))


@pytest.mark.parametrize(
    "error",
    [
        NoCodec("t", int, "[0]"),
        NoFingerprint("t", int, ""),
        Undecodable("x", "a:B"),
        RecordedError("a:B", "x", "tb", why="y"),
    ],
)
def test_these_errors_can_be_pickled(error):
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_field_that_a_release_added_counts_only_where_it_holds_something():
    """What an earlier release recorded has no such field, neither in values nor in keys."""
    from aiodag import GraphNode, State

    plain = GraphNode(1, "fetch", "fetch", State.WAITING)
    waits = plain._replace(waits="message")

    assert [decode(encode(node)) for node in (plain, waits)] == [plain, waits]
    assert "waits" not in encode(plain)
    assert fingerprint(plain) != fingerprint(waits)
