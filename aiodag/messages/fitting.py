"""Make what plain JSON is to be: the way back of `plain.py`, by the type that whoever receives it asks for.

A type becomes a function, once: `fitter_of(Payment)` reads its annotations, and what it returns is called for each message.
Strict where a guess could be wrong (`"1"` does not become an int, nor `1` a bool), tolerant where programs grow (fields that a class does
not have are left out).
"""

import collections
import json
import types
import typing
from base64 import b64decode
from collections import abc, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from aiodag.codec.classes import is_named_tuple
from aiodag.codec.foreign import package_of
from aiodag.codec.registered import REGISTERED
from aiodag.messages.class_fields import Member, members_of
from aiodag.messages.plain import MODELS, as_plain, json_text

Fitter = Callable[[Any, str], Any]  # of plain JSON and its place in the payload
Bound = Mapping[Any, Any]  # what the parameters of a generic class are

FREE: Bound = types.MappingProxyType({})
SHOWN = 40  # characters of what does not fit
LISTS: dict[Any, Callable[[Any], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    deque: deque,
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Iterable: list,
    abc.Collection: list,
    abc.Set: frozenset,
    abc.MutableSet: set,
}
DICTS: dict[Any, Callable[[Any], Any]] = {
    dict: dict,
    collections.OrderedDict: collections.OrderedDict,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
}


class Misfit(ValueError):
    """What came is not what was asked for: `payload.amount: 'x' is not an int`."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")


class CannotFit(TypeError):
    """A type that nothing can be made of from JSON."""


def describe_plain(plain: object) -> str:
    """Return what came, cut short."""
    text = repr(plain) if isinstance(plain, str) else json_text(plain)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def not_a(plain: object, where: str, wanted: str) -> Misfit:
    """Return the error for what is of another type."""
    return Misfit(where, f"{describe_plain(plain)} is not {wanted}")


# What holds nothing else


def of_type(kind: type, wanted: str) -> Fitter:
    """Return what takes exactly one type of JSON."""

    def exact(plain: Any, where: str) -> Any:
        if type(plain) is kind:
            return plain
        raise not_a(plain, where, wanted)

    return exact


def fit_float(plain: Any, where: str) -> float:
    """Return a number as a float, an int, too: JSON has one kind of number."""
    if type(plain) is float or type(plain) is int:
        try:
            return float(plain)
        except OverflowError:
            pass
    raise not_a(plain, where, "a float")


def made_by(make: Callable[[Any], Any], wanted: str, *takes: type) -> Fitter:
    """Return what makes a value of what is of one of the types that it `takes`."""

    def make_scalar(plain: Any, where: str) -> Any:
        if type(plain) in takes:
            try:
                return make(plain)
            except (ArithmeticError, ValueError):
                pass
        raise not_a(plain, where, wanted)

    return make_scalar


def fit_anything(plain: Any, _where: str) -> Any:
    """Return anything."""
    return plain


def fraction_of(given: str | int) -> Fraction:
    """Return a fraction. Raises `ValueError` for an exponent: of a large one, Python would write out all the zeros."""
    if isinstance(given, str) and "e" in given.lower():
        raise ValueError(given)
    return Fraction(given)


SCALARS: dict[Any, Fitter] = {
    Any: fit_anything,
    object: fit_anything,
    type(None): of_type(type(None), "null"),
    bool: of_type(bool, "a bool"),
    int: of_type(int, "an int"),
    str: of_type(str, "a str"),
    float: fit_float,
    datetime: made_by(datetime.fromisoformat, "a datetime in ISO 8601", str),
    date: made_by(date.fromisoformat, "a date in ISO 8601", str),
    time: made_by(time.fromisoformat, "a time in ISO 8601", str),
    timedelta: made_by(lambda seconds: timedelta(seconds=seconds), "a number of seconds", int, float),
    Decimal: made_by(lambda number: Decimal(str(number)), "a Decimal", str, int, float),
    Fraction: made_by(fraction_of, "a Fraction", str, int),
    UUID: made_by(UUID, "a UUID", str),
    bytes: made_by(lambda text: b64decode(text, validate=True), "bytes in base64", str),
    bytearray: made_by(lambda text: bytearray(b64decode(text, validate=True)), "bytes in base64", str),
    **{
        kind: made_by(kind, "a path", str)
        for kind in (Path, type(Path()), PurePath, PurePosixPath, PureWindowsPath, PosixPath)
    },
}


# Types, and what is made of them


def fitter_of(kind: Any) -> Fitter:
    """Return what makes a value of a type. Raises `CannotFit`."""
    try:
        return Fitting().fitter(kind, FREE)
    except RecursionError:  # of a generic class that holds itself with other parameters
        raise CannotFit(f"{kind!r} holds itself in ever other forms") from None


class Fitting:
    """Makes the fitters of one type and of all that it holds: a class that holds itself has one all the same."""

    def __init__(self) -> None:
        self.made: dict[Any, Fitter] = {}

    def fitter(self, kind: Any, bound: Bound) -> Fitter:
        """Return what makes a value of a type. Raises `CannotFit`."""
        kind = meant(kind, bound)
        origin, args = typing.get_origin(kind) or kind, typing.get_args(kind)
        if not hashable(kind):
            raise CannotFit(f"{kind!r} is not a type that JSON can become")
        if kind in SCALARS:
            return SCALARS[kind]
        if origin is typing.Union or origin is types.UnionType:
            return self.union(args, bound)
        if origin is typing.Literal:
            return one_of(args, f"one of {', '.join(map(repr, args))}")
        if origin in LISTS:
            return self.items(LISTS[origin], args, bound)
        if origin is tuple:
            return self.places(args, bound)
        if origin in DICTS:
            return self.pairs(DICTS[origin], args, bound)
        if not isinstance(origin, type):
            raise CannotFit(f"{kind!r} is not a type that JSON can become")
        return self.instance(origin, args, bound)

    def instance(self, kind: Any, args: tuple[Any, ...], bound: Bound) -> Fitter:
        """Return what makes instances of a class that somebody wrote."""
        if issubclass(kind, Flag):
            return made_by(kind, f"a {kind.__qualname__}", int)
        if issubclass(kind, Enum):
            return one_of(tuple(kind), f"a {kind.__qualname__}: {', '.join(repr(each.value) for each in kind)}")
        registered = REGISTERED.of(kind)
        if registered is not None:
            return taken_by(registered.decode, f"a {kind.__qualname__}")
        package = package_of(kind)
        if package is not None and package.tag in MODELS:
            return taken_by(lambda plain: package.read(kind, json_text(plain)), f"a {kind.__qualname__}")
        members = members_of(kind)
        if members is None:
            raise CannotFit(f"{kind.__qualname__} has no fields by which it could be made from JSON")
        known = kind, tuple(meant(filled(each, bound), bound) for each in args)
        if known not in self.made:
            finished: list[Fitter] = []
            self.made[known] = lambda plain, where: finished[0](plain, where)  # noqa: PLW0108 - it is not there yet
            finished.append(self.fields(kind, members, known[1]))
        return self.made[known]

    def fields(self, kind: Any, members: "Sequence[Member]", args: tuple[Any, ...]) -> Fitter:
        """Return what makes an instance of the fields in an object of JSON."""
        try:
            hints = typing.get_type_hints(kind, include_extras=True)
        except Exception as error:
            raise CannotFit(f"the annotations of {kind.__qualname__} cannot be read: {error}") from error
        parameters = dict(zip(getattr(kind, "__parameters__", ()), args, strict=False))
        made = [(each, self.fitter(hints.get(each.name, Any), parameters)) for each in members]
        return InstanceFitter(kind, made)

    def union(self, kinds: Sequence[Any], bound: Bound) -> Fitter:
        """Return what takes the first type that fits; null, bool and numbers first as what they are."""
        fitters = [(meant(kind, bound), self.fitter(kind, bound)) for kind in kinds]
        wanted = " or ".join(name_of_kind(kind) for kind, _ in fitters)

        def first(plain: Any, where: str) -> Any:
            exact = [fitter for kind, fitter in fitters if kind is type(plain) and kind is not str]
            reasons: list[Misfit] = []
            for fitter in (*exact, *(fitter for _, fitter in fitters)):
                try:
                    return fitter(plain, where)
                except Misfit as error:
                    reasons.append(error)
            inner = [error for (kind, _), error in zip(fitters, reasons, strict=False) if kind is not type(None)]
            if len(inner) == 1 and plain is not None:
                raise inner[0]
            raise not_a(plain, where, wanted)

        return first

    def items(self, make: Callable[[Any], Any], args: tuple[Any, ...], bound: Bound) -> Fitter:
        """Return what makes a list, or something else of the items of one."""
        item = self.fitter(args[0] if args else Any, bound)

        def make_items(plain: Any, where: str) -> Any:
            values = [item(each, f"{where}[{place}]") for place, each in enumerate(checked_items(plain, where))]
            try:
                return make(values)
            except TypeError as error:  # of a set: what is in it has no hash
                raise Misfit(where, str(error)) from None

        return make_items

    def places(self, args: tuple[Any, ...], bound: Bound) -> Fitter:
        """Return what makes a tuple: of any length, or of a type for each place."""
        if not args or args[-1] is ...:
            return self.items(tuple, args, bound)
        fitters = [] if args == ((),) else [self.fitter(each, bound) for each in args]

        def make_tuple(plain: Any, where: str) -> tuple[Any, ...]:
            if len(checked_items(plain, where)) != len(fitters):
                raise Misfit(where, f"it has {len(plain)} items, and not {len(fitters)}")
            return tuple(
                [fit(each, f"{where}[{at}]") for at, (fit, each) in enumerate(zip(fitters, plain, strict=True))]
            )

        return make_tuple

    def pairs(self, make: Callable[[Any], Any], args: tuple[Any, ...], bound: Bound) -> Fitter:
        """Return what makes a dict, whose keys were texts."""
        name, value = (self.fitter(each, bound) for each in args or (Any, Any))

        def make_pairs(plain: Any, where: str) -> Any:
            if type(plain) is not dict:
                raise not_a(plain, where, "an object")
            return make({fit_name(name, key, where): value(each, f"{where}.{key}") for key, each in plain.items()})

        return make_pairs


def meant(kind: Any, bound: Bound) -> Any:
    """Return the type that a name for it, a note on it or a parameter stands for."""
    while True:
        if isinstance(kind, typing.TypeVar):
            kind = bound.get(kind, Any)
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif typing.get_origin(kind) in {typing.Annotated, typing.Required, typing.NotRequired, typing.Final}:
            kind = typing.get_args(kind)[0]
        elif hasattr(kind, "__value__") and type(kind).__name__ == "TypeAliasType":  # `type Money = ...`
            kind = kind.__value__
        else:
            return type(None) if kind is None else kind


def filled(kind: Any, bound: Bound) -> Any:
    """Return a type with what its parameters are put in: those of the class that it is passed to may have the same names."""
    names = getattr(kind, "__parameters__", ()) if typing.get_args(kind) else ()
    return kind[tuple(bound.get(each, Any) for each in names)] if names else kind


def hashable(kind: Any) -> bool:
    """Return True if a type can be looked up."""
    try:
        hash(kind)
    except TypeError:
        return False
    return True


def name_of_kind(kind: Any) -> str:
    """Name a type for people."""
    if kind is type(None):
        return "null"
    return kind.__qualname__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def checked_items(plain: Any, where: str) -> list[Any]:
    """Return a list. Raises `Misfit`."""
    if type(plain) is not list:
        raise not_a(plain, where, "a list")
    return plain


def fit_name(fit: Fitter, name: str, where: str) -> Any:
    """Return the key of a dict, which JSON has as a text: as it is, or as the number that it was."""
    place = f"the key {name!r} of {where}"
    try:
        return fit(name, place)
    except Misfit:
        with suppress(ValueError, RecursionError):  # a key is a text, and may be deeper than any payload
            return fit(json.loads(name), place)
        raise


def one_of(values: Sequence[Any], wanted: str) -> Fitter:
    """Return what takes the JSON of one of some values: `1` is not `True`."""
    known = [(json_text(as_plain(value)), value) for value in values]

    def choose(plain: Any, where: str) -> Any:
        text = json_text(plain)
        for each, value in known:
            if each == text:
                return value
        raise not_a(plain, where, wanted)

    return choose


def taken_by(make: Callable[[Any], Any], wanted: str) -> Fitter:
    """Return what has somebody else's code make a value, which may raise anything."""

    def take(plain: Any, where: str) -> Any:
        try:
            return make(plain)
        except Exception as error:
            why = str(error).strip() or type(error).__name__
            raise Misfit(where, f"{describe_plain(plain)} is not {wanted}: {why}") from error

    return take


class InstanceFitter:
    """Makes instances of one class. Its own code, such as `__post_init__`, may refuse what it is given."""

    def __init__(self, kind: Any, members: Sequence[tuple[Member, Fitter]]) -> None:
        self.kind, self.members = kind, members

    def __call__(self, plain: Any, where: str) -> Any:
        """Return an instance. Raises `Misfit`."""
        if type(plain) is list and is_named_tuple(self.kind) and len(plain) == len(self.members):
            plain = {member.name: each for (member, _), each in zip(self.members, plain, strict=True)}
        if type(plain) is not dict:
            raise not_a(plain, where, f"a {self.kind.__qualname__}")
        given: dict[str, Any] = {}
        for member, fit in self.members:
            if member.name in plain:
                given[member.passed_as] = fit(plain[member.name], f"{where}.{member.name}")
            elif member.required:
                raise Misfit(f"{where}.{member.name}", "it is missing")
        try:
            return self.kind(**given)
        except Exception as error:
            why = str(error).strip() or type(error).__name__
            raise Misfit(where, f"{self.kind.__qualname__} does not take it: {why}") from error
