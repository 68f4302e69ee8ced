"""Turn a value into what JSON can say.

Where a value is not plain JSON it becomes `{"$": tag, "v": parts}`: a dict that has a key "$" itself is one of those.
Types are compared exactly, so that no subclass comes back as the type it extends.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import Field
from enum import Enum
from functools import partial
from json import JSONEncoder, encoder
from math import isfinite
from reprlib import repr as short_repr
from typing import Any

from aiodag.codec import classes
from aiodag.codec.foreign import package_of
from aiodag.codec.kinds import KINDS
from aiodag.codec.packages import ForeignPackage
from aiodag.codec.refusals import RefusedType
from aiodag.codec.registered import REGISTERED, Types
from aiodag.errors import NoCodec
from aiodag.names import import_name, leads_back
from aiodag.secret import Secret
from aiodag.wording import is_utf8

# Fixed, and far below what the readers of JSON and the stack of any caller allow: what can be written here can be read there.
LEVELS = 100
WIDE = 2**63  # integers that need more than 64 bits are written in hexadecimal, which has no limit of digits
PLAIN = frozenset({str, float, bool, type(None)})
KEYS = frozenset({str})
FACTORIES = {kind.__name__: kind for kind in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)}


def json_writer(*, sort_keys: bool) -> Callable[[Any], str]:
    """Return a function that writes plain values as JSON; it raises ValueError for nan and inf."""
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        plain = JSONEncoder(
            ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), sort_keys=sort_keys
        )
        return plain.encode
    # Made once: JSONEncoder.encode makes one for each call, which takes longer than to write a small value.
    chunks = make(None, None, encoder.encode_basestring, None, ":", ",", sort_keys, False, False)
    return lambda value: "".join(chunks(value, 0))


in_order = json_writer(sort_keys=False)
sorted_keys = json_writer(sort_keys=True)


def plain_text(value: object, form: Callable[[Any], str]) -> str | None:
    """Return the text of a value that JSON has as it is, or None: the short way, for nearly all values."""
    try:
        if is_plain_json(value):
            text = form(value)
            if text.isascii() or is_utf8(text):
                return text
    except (ValueError, RecursionError):
        return None  # nan or inf; or no room on the stack, and the writer says so
    return None


def is_plain_json(value: Any, levels: int = LEVELS) -> bool:
    """Return True if JSON has all of `value` as it is, but for nan, inf and broken strings, which are found later."""
    kind = type(value)
    if kind in PLAIN:
        return True
    if kind is int:
        return bool(-WIDE <= value < WIDE)
    if (kind is not dict and kind is not list) or not levels:
        return False
    if kind is dict:
        if "$" in value or not KEYS.issuperset(map(type, value)):
            return False
        value = value.values()
    # A loop of its own for what most containers hold: a call for each item would take twice as long.
    for item in value:
        kind = type(item)
        if kind not in PLAIN and not (-WIDE <= item < WIDE if kind is int else is_plain_json(item, levels - 1)):
            return False
    return True


def tagged_form(tag: str, parts: object) -> dict[str, Any]:
    """Return the form of what is not plain JSON."""
    return {"$": tag, "v": parts}


class ValueWriter:
    """Turns one value into a tree of lists, dicts and plain values.

    `path` is the place in the value where the writer is: where it stopped, after an exception.
    """

    LACK = "has no codec"

    def __init__(self, types: Types = REGISTERED) -> None:
        self.types = types
        self.path: list[Any] = []
        self.inside: set[int] = set()

    def tree(self, value: Any) -> Any:
        """Return the form of a value. Raises `RefusedType`."""
        kind = type(value)
        if kind is str:
            return value if is_utf8(value) else tagged_form("str", value.encode("utf-8", "surrogatepass").hex())
        if kind is int:
            return value if -WIDE <= value < WIDE else tagged_form("int", hex(value))
        if kind is float:
            return value if isfinite(value) else tagged_form("float", repr(value))
        if kind in PLAIN:
            return value
        simple = KINDS.get(kind)
        if simple is not None:
            return tagged_form(simple.tag, self.tree(simple.parts(value)))
        return self.nested_form(value, kind)

    def nested_form(self, value: object, kind: type) -> Any:
        """Return the form of what holds other values."""
        if id(value) in self.inside:
            raise RefusedType(kind, "holds itself")
        if len(self.inside) == LEVELS:
            raise RefusedType(kind, f"lies more than {LEVELS} levels deep: flatten it")
        self.inside.add(id(value))
        write = CONTAINERS.get(kind)
        tree = self.other(value, kind) if write is None else write(self, value)
        self.inside.remove(id(value))
        return tree

    def sequence(self, values: Iterable[Any]) -> list[Any]:
        """Return the forms of values in a row."""
        trees: list[Any] = []
        self.path.append(0)
        for place, value in enumerate(values):
            self.path[-1] = place
            trees.append(self.tree(value))
        self.path.pop()
        return trees

    def values(self, items: Iterable[tuple[Any, Any]], mark: str) -> dict[Any, Any]:
        """Return the forms of values under their keys; `mark` tells keys ("[") from attributes (".") in the path."""
        trees: dict[Any, Any] = {}
        self.path.append(None)
        for key, value in items:
            self.path[-1] = (mark, key)
            trees[key] = self.tree(value)
        self.path.pop()
        return trees

    def pairs(self, value: dict[Any, Any]) -> list[list[Any]]:
        """Return the forms of keys and values, in their order."""
        self.path.append(".keys()")
        keys = self.sequence(value)
        self.path.pop()
        return [list(pair) for pair in zip(keys, self.values(value.items(), "[").values(), strict=True)]

    def unordered_pairs(self, value: dict[Any, Any]) -> list[list[Any]]:
        """Return the forms of keys and values whose order does not count."""
        return self.pairs(value)

    def members_form(self, value: Iterable[Any]) -> list[Any]:
        """Return the forms of the members of a set."""
        return self.sequence(value)

    def mapping(self, value: dict[Any, Any]) -> dict[str, Any]:
        """Return the form of a dict: an object of JSON, if it can be one."""
        if KEYS.issuperset(map(type, value)) and "$" not in value and all(map(is_utf8, value)):
            return self.values(value.items(), "[")
        return tagged_form("dict", self.unordered_pairs(value))

    def other(self, value: Any, kind: type) -> Any:
        """Return the form of an instance of a class that a user has written. Raises `RefusedType`."""
        registered = self.types.of(kind)
        if registered is not None:
            return tagged_form("registered", [registered.name, self.tree(registered.encode(value))])
        if issubclass(kind, Enum):
            return tagged_form("enum", [self.name(kind), *classes.member_names(value)])
        if classes.is_named_tuple(kind):
            return tagged_form("namedtuple", [self.name(kind), self.values(classes.tuple_items(value, kind), ".")])
        if classes.is_dataclass(kind):
            return tagged_form("dataclass", [self.name(kind), *self.attributes(value, kind)])
        if kind is Secret:
            return tagged_form("Secret", self.secret(value))
        if classes.is_attrs(kind):
            names = self.counted_attributes(kind)
            return tagged_form("attrs", [self.name(kind), self.values(classes.field_values(value, kind, names), ".")])
        package = package_of(kind)
        if package is not None:
            return self.foreign(value, kind, package)
        if issubclass(kind, int | float):
            return tagged_form("number", [self.name(kind), self.tree(classes.plain_number(value, kind))])
        raise RefusedType(kind, self.LACK)

    def counted_attributes(self, kind: object) -> Iterable[str]:
        """Return the names of the attributes that count in an attrs class."""
        return classes.attribute_names(kind)

    def foreign(self, value: object, kind: type, package: ForeignPackage) -> Any:
        """Return the form of a value of another package: what its own JSON says."""
        tag, parts = package.form(value, kind)
        if tag == "numpy":
            return tagged_form(tag, [parts[0], self.tree(parts[1])])
        return tagged_form(tag, [self.name(kind), parts])

    def secret(self, value: Secret) -> Any:
        """Return the form of a secret: what it is known by, and never its text."""
        if value.get is not None:
            raise RefusedType(Secret, "has a function to get it, which cannot be recorded")
        return value.name if value.file is None else [value.name, value.file]

    def name(self, kind: type) -> str:
        """Return the name by which a class is found again."""
        if not leads_back(kind):
            raise RefusedType(kind, "cannot be found again by its name: define it at the top level of a module")
        return import_name(kind)

    def attributes(self, value: object, kind: type) -> list[dict[str, Any]]:
        """Return the forms of the fields of a dataclass, and of further attributes where there are any."""
        known = classes.known_fields(kind)
        trees = [self.values(classes.field_values(value, kind, self.counted_fields(known)), ".")]
        further = classes.further_attributes(value, kind, known)
        return [*trees, self.values(further.items(), ".")] if further else trees

    def counted_fields(self, known: "dict[str, Field[Any]]") -> Iterable[str]:
        """Return the names of the fields that count."""
        return known

    def where(self) -> str:
        """Return the place in the value where the writer stopped, as Python would write it."""
        text = "".join(map(step_text, self.path))
        return text if len(text) <= 200 else f"{text[:60]} ... {text[-60:]}"


def step_text(step: Any) -> str:
    """Write one step of a path."""
    if type(step) is str:
        return step
    if type(step) is int:
        return f"[{step}]"
    mark, key = step
    return f".{key}" if mark == "." else f"[{short_repr(key)}]"


def factory_name(factory: Any) -> str | None:
    """Return the name of what makes the missing values of a defaultdict."""
    if factory is not None and FACTORIES.get(getattr(factory, "__name__", "")) is not factory:
        raise RefusedType(defaultdict, f"has a factory other than {', '.join(FACTORIES)}")
    return None if factory is None else str(factory.__name__)


CONTAINERS: dict[type, Callable[[ValueWriter, Any], Any]] = {
    list: lambda writer, value: writer.sequence(value),
    dict: lambda writer, value: writer.mapping(value),
    tuple: lambda writer, value: tagged_form("tuple", writer.sequence(value)),
    set: lambda writer, value: tagged_form("set", writer.members_form(value)),
    frozenset: lambda writer, value: tagged_form("frozenset", writer.members_form(value)),
    deque: lambda writer, value: tagged_form("deque", [writer.sequence(value), value.maxlen]),
    OrderedDict: lambda writer, value: tagged_form("OrderedDict", writer.pairs(value)),
    Counter: lambda writer, value: tagged_form("Counter", writer.unordered_pairs(value)),
    defaultdict: lambda writer, value: tagged_form(
        "defaultdict", [factory_name(value.default_factory), writer.unordered_pairs(value)]
    ),
}


def write_value(
    writer: ValueWriter, value: object, form: Callable[[Any], str], refusal: Callable[[type, str, str], Exception]
) -> str:
    """Return the text of a value; `refusal` makes the error, of the type at fault, where it is, and why."""
    try:
        return form(writer.tree(value))
    except RefusedType as refused:
        raise refusal(refused.kind, writer.where(), str(refused)) from None
    except RecursionError:
        raise refusal(type(value), "", "is nested deeper than the stack here has room for") from None
    except Exception as error:
        raise refusal(type(value), "", f"cannot be read: {type(error).__name__}: {error}") from error


def encode(value: object, task: str = "", types: Types = REGISTERED) -> str:
    """Return a value as the text of a record, which `decode` reads.

    Takes None, bool, int, float, complex, str, bytes, list, tuple, set, dict, range, datetime, date, time, timedelta,
    Decimal, Fraction, UUID, paths, deque, OrderedDict, Counter, defaultdict, members of an Enum, dataclasses and named
    tuples, up to 100 levels deep. Classes must be found by their names, at the top level of a module or of
    a class. One object that is held twice becomes two. A time zone that is neither `timezone` nor `ZoneInfo` becomes
    its offset. Also takes numbers of numpy and of classes that extend `int` and `float`, instances of classes of attrs,
    models of pydantic and structs of msgspec, and the `types` that somebody has registered.

    Raises `NoCodec`, with the name of the `task`, for anything else: subclasses of these types too, but for numbers, since
    they would come back as the type they extend.

    >>> encode({"id": 7, "sizes": (1, 2)})
    '{"id":7,"sizes":{"$":"tuple","v":[1,2]}}'
    """
    if value is None:  # quickly: what most bodies return
        return "null"
    text = plain_text(value, in_order)
    return write_value(ValueWriter(types), value, in_order, partial(NoCodec, task)) if text is None else text
