"""What a message carries is plain JSON, and becomes what whoever receives it asks for."""

import enum
import json
from base64 import b64encode
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import PayloadRefused, SecretInValue
from aiodag.codec import register_codec
from aiodag.messages.fitting import CannotFit, Misfit, fitter_of
from aiodag.messages.payloads import DEEPEST, MESSAGE_LARGEST, payload_text, read_payload

T = TypeVar("T")
Cents = NewType("Cents", int)


class Colour(enum.Enum):
    RED = "red"
    FIVE = 5


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Options(TypedDict):
    name: str
    limit: NotRequired[int]


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: Literal["EUR", "USD"] = "EUR"


@dataclass
class Tree:
    value: int
    below: "list[Tree]" = field(default_factory=list)


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Ever(Generic[T]):
    value: T
    within: "Ever[list[T]] | None" = None


@dataclass
class Crate(Generic[T]):
    first: Box[T | None]
    boxes: list[Box[list[T]]]


@attrs.define
class Parcel:
    weight: int
    _label: str = ""


class Model(pydantic.BaseModel):
    amount: int
    at: datetime | None = None


class Struct(msgspec.Struct):
    amount: int
    names: list[str] = []


@dataclass
class Order:
    id: UUID
    money: Money
    at: datetime
    day: date
    hour: time
    patience: timedelta
    ratio: Fraction
    path: Path
    raw: bytes
    colour: Colour
    level: Level
    rights: Rights
    point: Point
    options: Options
    tree: Tree
    box: Box[Point]
    counts: dict[int, list[float]]
    by_colour: dict[Colour, bool]
    pair: tuple[int, str]
    numbers: tuple[int, ...]
    tags: frozenset[str]
    ids: set[UUID]
    queue: deque[int]
    cents: Cents
    note: str | None
    either: int | str | None
    anything: Any
    annotated: Annotated[int, "of pieces"]


ints = st.integers(-(2**60), 2**60)
floats = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
offsets = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-720, 720))
points = st.builds(Point, ints, floats)
trees = st.recursive(
    st.builds(Tree, ints), lambda below: st.builds(Tree, ints, st.lists(below, max_size=2)), max_leaves=4
)
anything = st.recursive(
    st.none() | st.booleans() | ints | floats | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
orders = st.builds(
    Order,
    id=st.uuids(),
    money=st.builds(Money, st.decimals(allow_nan=False, allow_infinity=False), st.sampled_from(["EUR", "USD"])),
    at=st.datetimes(timezones=st.just(UTC) | offsets),
    day=st.dates(),
    hour=st.times(),
    patience=st.integers(-(10**12), 10**12).map(lambda micros: timedelta(microseconds=micros)),
    ratio=st.fractions(),
    path=st.just(Path("/srv/a b")),
    raw=st.binary(max_size=5),
    colour=st.sampled_from(Colour),
    level=st.sampled_from(Level),
    rights=st.sampled_from([Rights.READ, Rights.WRITE, Rights.READ | Rights.WRITE]),
    point=points,
    options=st.fixed_dictionaries({"name": text}, optional={"limit": ints}),
    tree=trees,
    box=st.builds(Box, points),
    counts=st.dictionaries(ints, st.lists(floats, max_size=2), max_size=3),
    by_colour=st.dictionaries(st.sampled_from(Colour), st.booleans()),
    pair=st.tuples(ints, text),
    numbers=st.lists(ints, max_size=3).map(tuple),
    tags=st.frozensets(text, max_size=3),
    ids=st.sets(st.uuids(), max_size=3),
    queue=st.lists(ints, max_size=3).map(deque),
    cents=ints,
    note=st.none() | text,
    either=st.none() | ints | text,
    anything=anything,
    annotated=ints,
)


def arrived(value, kind):
    """Return a value as whoever receives it gets it."""
    return fitter_of(kind)(read_payload(payload_text(value)), "payload")


@settings(max_examples=60, derandomize=True)
@given(orders)
def test_what_is_sent_arrives_equal_and_of_the_same_types(order):
    back = arrived(order, Order)

    assert back == order
    assert list(map(type, vars(back).values())) == list(map(type, vars(order).values()))


@settings(max_examples=60, derandomize=True)
@given(orders)
def test_a_payload_is_json_in_ascii_without_a_word_of_python(order):
    sent = payload_text(order)

    assert sent.isascii()
    plain = json.loads(sent)
    assert (plain["id"], plain["raw"]) == (str(order.id), b64encode(order.raw).decode())
    assert plain["money"] == {"amount": str(order.money.amount), "currency": order.money.currency}
    assert json.loads(payload_text(arrived(order, Order))) == json.loads(sent)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Model(amount=5, at=datetime(2030, 1, 1, tzinfo=UTC)), Model),
        (Struct(5, ["a"]), Struct),
        (Parcel(3, "x"), Parcel),
        ([Model(amount=1)], list[Model]),
        (Box(Box(1)), Box[Box[int]]),
        (Crate(Box(None), [Box([1])]), Crate[int]),
        (OrderedDict(b=1, a=2), OrderedDict[str, int]),
        ({"a": 1}, Mapping[str, int]),
        ([1], Sequence[int]),
        ((), tuple[()]),
        (PurePosixPath("a"), PurePosixPath),
        ({True: 1}, dict[bool, int]),
        (None, None),
    ],
)
def test_types_of_other_packages_and_rarer_ones_arrive_equal(value, kind):
    assert arrived(value, kind) == value


def test_a_type_that_is_registered_arrives_by_its_own_form():
    class Celsius:
        def __init__(self, degrees):
            self.degrees = degrees

    register_codec(Celsius, lambda value: [value.degrees], lambda parts: Celsius(*parts), name="test_fitting:Celsius")

    assert payload_text(Celsius(20)) == "[20]"
    assert arrived(Celsius(20), Celsius).degrees == 20


@pytest.mark.parametrize(
    ("plain", "kind", "says"),
    [
        ({"amount": "x"}, Model, 'payload: {"amount":"x"} is not a Model: '),
        ({"amount": "x"}, Struct, 'payload: {"amount":"x"} is not a Struct: Expected `int`'),
        ({"value": "x"}, Tree, "payload.value: 'x' is not an int"),
        ({"value": 1, "below": [{"value": 1}, {"value": None}]}, Tree, "payload.below[1].value: null is not an int"),
        ({}, Tree, "payload.value: it is missing"),
        (5, Tree, "payload: 5 is not a Tree"),
        ({"amount": 1, "currency": "GBP"}, Money, "payload.currency: 'GBP' is not one of 'EUR', 'USD'"),
        ({"amount": "x"}, Money, "payload.amount: 'x' is not a Decimal"),
        ({"content": "x"}, Box[int], "payload.content: 'x' is not an int"),
        (
            {"first": {"content": 1}, "boxes": [{"content": ["x"]}]},
            Crate[int],
            "payload.boxes[0].content[0]: 'x' is not",
        ),
        ({"limit": 1}, Options, "payload.name: it is missing"),
        ([1, 2, 3], Point, "payload: [1,2,3] is not a Point"),
        ({"x": 1, "y": "2"}, Point, "payload.y: '2' is not a float"),
        (True, int, "payload: true is not an int"),
        (1, bool, "payload: 1 is not a bool"),
        ("1", int, "payload: '1' is not an int"),
        (1.0, int, "payload: 1.0 is not an int"),
        (1, str, "payload: 1 is not a str"),
        (10**400, float, "is not a float"),
        ("green", Colour, "payload: 'green' is not a Colour: 'red', 5"),
        (True, Level, "payload: true is not a Level: 1, 2"),
        (8, Rights, "payload: 8 is not a Rights"),
        ("x", int | None, "payload: 'x' is not an int"),
        ("x", int | bool, "payload: 'x' is not int or bool"),
        ("2030", datetime | date, "payload: '2030' is not datetime or date"),
        ("x" * 99, int, f"payload: 'xxx{'x' * 36}... is not an int"),
        ({"a": 1}, dict[int, int], "the key 'a' of payload: 'a' is not an int"),
        ({"1": "b"}, dict[int, int], "payload.1: 'b' is not an int"),
        ([1], tuple[int, str], "payload: it has 1 items, and not 2"),
        ([[1]], set[Any], "payload: unhashable type: 'list'"),
        ({}, list[int], "payload: {} is not a list"),
        ([], dict[str, int], "payload: [] is not an object"),
        ("%%", bytes, "payload: '%%' is not bytes in base64"),
        ({"[" * 100_000: 1}, dict[int, int], "the key '[["),
        ("1e100000000", Fraction, "payload: '1e100000000' is not a Fraction"),
    ],
)
def test_what_does_not_fit_says_where_and_what_would(plain, kind, says):
    with pytest.raises(Misfit) as raised:
        fitter_of(kind)(plain, "payload")

    assert says in str(raised.value)


def test_what_programs_have_added_since_is_left_out():
    assert fitter_of(Tree)({"value": 1, "colour": "red"}, "payload") == Tree(1)
    assert fitter_of(Options)({"name": "a", "colour": "red"}, "payload") == {"name": "a"}


def test_a_class_may_refuse_what_it_is_given():
    @dataclass
    class Positive:
        amount: int

        def __post_init__(self):
            if self.amount < 0:
                msg = "it is below 0"
                raise ValueError(msg)

    with pytest.raises(Misfit, match="Positive does not take it: it is below 0"):
        fitter_of(Positive)({"amount": -1}, "payload")


@pytest.mark.parametrize("why", [AssertionError("never"), KeyError("EUR"), RuntimeError()])
def test_whatever_a_class_refuses_with_is_a_reason(why):
    @dataclass
    class Picky:
        amount: int

        def __post_init__(self):
            raise why

    with pytest.raises(Misfit, match=f"Picky does not take it: {str(why) or 'RuntimeError'}"):
        fitter_of(Picky)({"amount": 1}, "payload")


def test_null_and_numbers_of_a_union_stay_what_they_are():
    fit = fitter_of(float | int | bool | str | None)

    assert [type(fit(each, "")) for each in (1, 1.5, True, "1", None)] == [int, float, bool, str, type(None)]


@pytest.mark.parametrize("kind", [print, Callable[[], int], type, int | type, list[print], Box[type], [int], Ever[int]])
def test_a_type_that_json_cannot_become_is_refused_before_anything_comes(kind):
    with pytest.raises(CannotFit):
        fitter_of(kind)


def test_annotations_that_cannot_be_read_are_refused_before_anything_comes():
    @dataclass
    class Lost:
        other: "Nowhere"  # noqa: F821 - that is the point

    with pytest.raises(CannotFit, match=r"the annotations of .*Lost cannot be read: name 'Nowhere' is not defined"):
        fitter_of(Lost)


# Bounds


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ("", "it is not JSON"),
        ('{"a"', "it is not JSON"),
        ('"abc', "it is not JSON"),
        ("NaN", "it has NaN"),
        ("[Infinity]", "it has Infinity"),
        ("-1e999", "it has -1e999, which is larger than any float"),
        ('"\\ud800"', "half of a surrogate pair"),
        ('{"\\ud800": 1}', "half of a surrogate pair"),
        ("\ud800", "it is not text in UTF-8"),
        (b"\xff", "it is not text in UTF-8"),
        ("1" * 5000, "it is not JSON: Exceeds the limit"),
        ("[" * (DEEPEST + 1), "nested more than 100 deep"),
        ('{"a":' * 100_000, "nested more than 100 deep"),
        ('"' + "\\" * 500_001, "it is not JSON"),
        ("1" * (MESSAGE_LARGEST + 1), "it takes 1,048,577 bytes"),
        ('"' + "é" * (MESSAGE_LARGEST // 2) + '"', "it takes 1,048,578 bytes"),
        (b"x" * 100_000_000, "it takes 100,000,000 bytes"),
    ],
)
def test_a_payload_of_anybody_is_refused_with_the_reason(payload, says):
    with pytest.raises(PayloadRefused) as raised:
        read_payload(payload)

    assert says in str(raised.value)
    assert len(str(raised.value)) < 300


@given(anything)
@settings(max_examples=40, derandomize=True)
def test_plain_json_is_read_as_python_reads_it(value):
    assert read_payload(json.dumps(value)) == value
    assert read_payload(json.dumps(value, ensure_ascii=False).encode()) == value


def test_brackets_in_texts_are_not_counted():
    assert read_payload(json.dumps("[" * 1000)) == "[" * 1000
    assert read_payload(json.dumps(['"[\\' * 200] * 200))


def test_what_is_as_deep_as_it_may_be_is_sent_and_read():
    value = []
    for _ in range(DEEPEST - 1):
        value = [value]

    assert read_payload(payload_text(value)) == value
    with pytest.raises(PayloadRefused, match="nested more than 100 deep"):
        payload_text([value])


def test_a_container_in_itself_is_refused():
    value = []
    value.append(value)

    with pytest.raises(PayloadRefused, match="nested more than 100 deep"):
        payload_text({"a": value})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "payload is of type object, for which JSON has no form"),
        ({"a": [1, {2j}]}, "payload.a[1][...] is of type complex"),
        ([float("inf")], "payload[0] is inf"),
        ({1: "a", "1": "b"}, "payload has two keys that are '1' in JSON"),
        ("x" * MESSAGE_LARGEST, "it takes 1,048,578 bytes"),
        (["\ud800"], "half of a surrogate pair"),
        ({"a": 10**5000}, "it cannot become JSON: Exceeds the limit"),
    ],
)
def test_a_value_that_no_message_can_carry_is_refused_with_its_place(value, says):
    with pytest.raises(PayloadRefused) as raised:
        payload_text(value)

    assert says in str(raised.value)


def test_a_secret_is_in_no_message(monkeypatch, secrets_forgotten):
    from aiodag import Secret

    monkeypatch.setenv("TOKEN", "sesame-open-now")
    secret = Secret("TOKEN")

    with pytest.raises(PayloadRefused, match="is a Secret"):
        payload_text({"token": secret})
    with pytest.raises(SecretInValue):
        payload_text({"token": secret.read()})
