"""Values beyond the standard library: numbers of every kind, other packages, and what users register."""

import asyncio
import enum
import json
import math
import os
import subprocess
import sys
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import attrs
import msgspec
import numpy as np
import pydantic
import pytest

from aiodag import NoCodec, NoFingerprint, Run, RunFailed, Undecodable, task
from aiodag.codec import Codecs, register_codec
from aiodag.codec.registered import Types
from aiodag.codec.text import decode, encode, fingerprint
from aiodag.errors import OptionError, StoreError
from aiodag.service import Service
from aiodag.stores import Memory

ROOT = Path(__file__).parent.parent


class Metres(float):
    pass


class Id(int):
    pass


class Port(enum.IntEnum):
    HTTP = 80


class Rated(int):
    def __new__(cls, value, unit=""):
        made = super().__new__(cls, value)
        made.unit = unit
        return made


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self):
        return hash(self.cents)


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    id: int
    at: datetime
    tags: set[str] = set()
    to: "Order | None" = None
    name: str = pydantic.Field("", alias="Name")


class Hidden(pydantic.BaseModel):
    token: str = pydantic.Field("", exclude=True)


class Item(msgspec.Struct, frozen=True):
    id: int
    tags: frozenset[str] = frozenset()
    inner: "Item | None" = None


class Untyped(msgspec.Struct):
    value: object


@attrs.frozen
class Place:
    name: str
    near: "Place | None" = None
    seen: int = attrs.field(default=0, eq=False)

    def __attrs_post_init__(self):
        assert type(self.name) is str, "made without its __init__"


@attrs.define
class Stop:
    at: Place
    rows: list = attrs.field(factory=list)


NUMBERS = [
    np.float64(1.5),
    np.float32(0.1),
    np.float16(2.5),
    np.int64(-(2**63)),
    np.uint64(2**64 - 1),
    np.int8(-1),
    np.bool_(True),
    np.complex128(1 + 2j),
    np.float64("inf"),
    np.longdouble("1.1"),
    np.datetime64("2026-01-02T03:04:05.678", "ms"),
    np.timedelta64(5, "D"),
    Metres(1.5),
    Id(7),
    Id(2**80),
    Port.HTTP,
]
VALUES = [
    *NUMBERS,
    Order(id=1, at=datetime(2026, 1, 2), tags={"a", "b"}, to=Order(id=2, at=datetime(2026, 1, 3)), Name="x", more=[1]),
    Item(1, frozenset({"a", "b"}), Item(2)),
    Place("here", Place("there"), 3),
    Stop(Place("here"), [1, (2,)]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal_and_of_the_same_type(value):
    back = decode(encode([value, {"in": value}]))

    assert back == [value, {"in": value}]
    assert type(back[0]) is type(value)
    if isinstance(value, np.generic):
        assert back[0].dtype == value.dtype


def test_what_does_not_equal_itself_comes_back():
    assert math.isnan(decode(encode(np.float32("nan"))))
    assert np.isnat(decode(encode(np.datetime64("NaT", "s"))))
    assert decode(encode(Place("a", seen=9))).seen == 9


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_known_again_as_an_argument(value):
    assert fingerprint(value) == fingerprint(decode(encode(value)))


def test_numbers_of_different_kinds_are_different_arguments():
    same = [1, True, 1.0, np.int64(1), np.int32(1), np.float64(1), np.bool_(True), Id(1), Metres(1)]

    assert len({fingerprint(value) for value in same}) == len(same)


def test_a_fingerprint_of_a_set_in_a_model_is_the_same_in_every_process():
    source = (
        "from test_codecs import *; print(fingerprint([Order(id=1, at=datetime(2026, 1, 2), tags=set('abcdefgh')), "
        "Item(1, frozenset('abcdefgh'))]))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "123"
    }

    assert len(texts) == 1


def test_attributes_that_a_class_does_not_compare_do_not_count():
    assert fingerprint(Place("a", seen=1)) == fingerprint(Place("a", seen=2))
    assert fingerprint(Place("a")) != fingerprint(Place("b"))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.arange(3), r"is an array: take its \.tolist\(\); or have a task return it"),
        (np.str_("x"), r"is not a number: return its \.item\(\)"),
        (Rated(1, "m"), "is a number with attributes"),
        (Hidden(token="x"), "does not come back equal from its own JSON"),
        (Untyped(Item(1)), "does not come back equal"),
        (Untyped({1, 2}), "does not come back equal"),
    ],
)
def test_what_would_not_come_back_is_refused_with_the_way_out(value, why):
    with pytest.raises(NoCodec, match=why):
        encode([value])


def test_an_array_as_an_argument_is_refused_with_the_way_out():
    with pytest.raises(NoFingerprint, match="tolist"):
        fingerprint(np.arange(3))


@pytest.mark.parametrize(
    "text",
    [
        '{"$":"numpy","v":["object","x"]}',
        '{"$":"numpy","v":["int8",1000]}',
        '{"$":"numpy","v":["nothing",1]}',
        '{"$":"numpy","v":5}',
        '{"$":"number","v":["test_codecs:Id","x"]}',
        '{"$":"number","v":["test_codecs:Money",1]}',
        '{"$":"number","v":["test_codecs:Port",80]}',
        '{"$":"number","v":["builtins:bool",1]}',
        '{"$":"pydantic","v":["test_codecs:Order","{}"]}',
        '{"$":"pydantic","v":["test_codecs:Money","{}"]}',
        '{"$":"pydantic","v":["not_loaded:Order","{}"]}',
        '{"$":"msgspec","v":["test_codecs:Item","{}"]}',
        '{"$":"msgspec","v":["test_codecs:Money","{}"]}',
        '{"$":"attrs","v":["test_codecs:Place",{"name":"x"}]}',
        '{"$":"attrs","v":["test_codecs:Money",{}]}',
        '{"$":"registered","v":["nobody",1]}',
        '{"$":"registered","v":[[],1]}',
        '{"$":"registered","v":1}',
    ],
)
def test_what_is_no_record_is_undecodable(text):
    with pytest.raises(Undecodable):
        decode(text)


def test_reading_imports_no_package():
    """Without numpy a number is the plain one; a model cannot be there without its package."""
    source = (
        'import sys; from aiodag.codec.text import decode, encode; print(decode(\'{"$":"numpy","v":["int8",5]}\')); '
        "encode([1, (2,)]); print([name for name in ('numpy', 'pydantic', 'msgspec', 'attrs') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:2] == ["5", "[]"]


# Runs


def execute(store, task, *args, run_id="r"):
    async def main():
        async with Run("test", store=store, id=run_id):
            node = task(*args)
        return node.result()

    return asyncio.run(main())


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_durable_run_takes_and_gives_such_values(value):
    ran = []

    @task
    async def same(value):
        ran.append(1)
        return value

    store = Memory()
    first = execute(store, same, value)
    again = execute(store, same, decode(encode(value)))

    assert first == again == value
    assert type(again) is type(value)
    assert ran == [1]


# Registered


@pytest.fixture
def money():
    types = Types()
    types.register(Money, lambda value: value.cents, Money, name="money")
    return types


def test_a_registered_type_is_recorded_wherever_it_stands(money):
    text = encode({"price": [Money(5)]}, types=money)

    assert json.loads(text) == {"price": [{"$": "registered", "v": ["money", 5]}]}
    assert decode(text, money) == {"price": [Money(5)]}
    with pytest.raises(Undecodable, match="registered as 'money'"):
        decode(text)


class Coins(Money):
    pass


register_codec(Coins, lambda value: {"cents": value.cents}, lambda parts: Coins(parts["cents"]))


def test_what_is_registered_for_all_counts_as_value_and_argument():
    @task
    async def double(value):
        return Coins(2 * value.cents)

    store = Memory()

    assert execute(store, double, Coins(2)) == execute(store, double, Coins(2)) == Coins(4)
    assert len(store.nodes("r", every=True)) == 1
    assert fingerprint(Coins(2)) != fingerprint(Coins(3))


def test_registering_again_replaces_and_a_name_is_of_one_type(money):
    money.register(Money, lambda value: [value.cents], lambda parts: Money(*parts), name="money")

    assert decode(encode(Money(3), types=money), money) == Money(3)
    with pytest.raises(ValueError, match="another type has it"):
        money.register(slice, str, str, name="money")
    with pytest.raises(ValueError, match="empty"):
        money.register(slice, str, str, name="")
    with pytest.raises(TypeError, match="a type and two functions"):
        money.register(5, str, str)


def test_what_an_encoder_raises_is_told_with_the_task():
    codecs = Codecs()
    codecs.register(slice, lambda value: 1 / 0, slice)

    @task(codec=codecs)
    async def cut():
        return slice(1, 2)

    with pytest.raises(RunFailed) as caught:
        execute(Memory(), cut)
    assert isinstance(caught.value.exceptions[0], NoCodec)


def test_a_task_may_have_types_of_its_own():
    codecs = Codecs()
    codecs.register(slice, lambda value: [value.start, value.stop], lambda parts: slice(*parts))

    @task(codec=codecs)
    async def cut():
        return [slice(1, 2), (3,)]

    store = Memory()

    assert execute(store, cut) == execute(store, cut) == [slice(1, 2), (3,)]
    assert len(store.nodes("r", every=True)) == 1


class Reversed:
    name = "reversed"

    def encode(self, value):
        return value[::-1]

    def decode(self, stored):
        return stored[::-1]


def test_a_task_may_have_a_codec_of_its_own():
    ran = []

    @task(codec=Reversed())
    async def text():
        ran.append(1)
        return "abc"

    store = Memory()
    assert execute(store, text) == execute(store, text) == "abc"
    (node,) = store.nodes("r")

    assert (node.codec, node.value, ran) == ("reversed", "cba", [1])
    with pytest.raises(StoreError, match="reversed"):
        Service(store).value("r", "text")
    with pytest.raises(RunFailed) as caught:
        execute(store, text.with_options(codec="json"))
    assert "the codec 'reversed'" in str(caught.value.exceptions[0])


@pytest.mark.parametrize("given", [Fraction(1, 2), 5])
def test_what_a_codec_does_not_take_fails_the_node(given):
    @task(codec=Reversed())
    async def text():
        return given

    with pytest.raises(RunFailed) as caught:
        execute(Memory(), text)
    assert isinstance(caught.value.exceptions[0], NoCodec)


def test_a_codec_that_gives_no_text_is_told():
    codec = Reversed()
    codec.encode = lambda value: 5

    @task(codec=codec)
    async def text():
        return "abc"

    with pytest.raises(RunFailed) as caught:
        execute(Memory(), text)
    assert "made a int by its codec" in str(caught.value.exceptions[0])


@pytest.mark.parametrize("given", ["yaml", 5, None, object(), Reversed, type("N", (Reversed,), {"name": "pickle"})()])
def test_what_is_no_codec_is_refused(given):
    with pytest.raises(OptionError, match="codec"):
        task(codec=given)
