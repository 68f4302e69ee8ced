"""Write a value so that a later run knows it again: the same text for the same value, in every process."""

from collections.abc import Iterable
from dataclasses import Field
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from aiodag.codec.classes import attribute_names
from aiodag.codec.packages import ForeignPackage
from aiodag.codec.refusals import RefusedType
from aiodag.codec.writer import ValueWriter, plain_text, sorted_keys, tagged_form, write_value
from aiodag.errors import NoFingerprint
from aiodag.names import import_name, key_name, leads_back, public_name
from aiodag.secret import Secret

SMALL = frozenset({int, str, bool, type(None), bytes, float})

# An integer has as many digits as the process allows, and every process allows 640 (`sys.int_info`). A longer text
# might be another one elsewhere, and is not used.
LENGTH = 640

# Classes of `pathlib` that Python 3.13 has in a private module.
MOVED_IN_313 = {
    f"pathlib:{name}"
    for name in (
        "Path",
        "PosixPath",
        "PurePath",
        "PurePosixPath",
        "PureWindowsPath",
        "WindowsPath",
        "UnsupportedOperation",
    )
}


def fingerprint(value: object, task: str = "", form: "type[Canonical] | None" = None) -> str:
    """Return a text by which a value is known again in a later run.

    Two values have the same one if they are of the same type, all the way down, and hold the same. What a body could
    tell apart differs, also where `==` does not see it: 1 and True and 1.0, 0.0 and -0.0, Decimal("1.0") and
    Decimal("1.00"), one moment in two time zones. nan is itself. The order of a dict or set does not count; fields of a
    dataclass with `compare=False` neither. Takes what `encode` takes, and classes, functions and methods
    that are found by their names. Raises `NoFingerprint`, with the name of the `task`, for anything else. `form` is one
    of earlier versions, for keys that they have made.

    >>> fingerprint({"b": 1, "a": {3, 2}}) == fingerprint({"a": {2, 3}, "b": 1})
    True
    >>> fingerprint((1, "a")), fingerprint(len)
    ("(1, 'a')", '{"$":"named","v":"builtins:len"}')
    """
    try:
        if type(value) is tuple and SMALL.issuperset(map(type, value)):
            short = ascii(value)  # not repr(), which knows more letters in each version of Python
            if len(short) <= LENGTH:
                return short
    except ValueError:
        pass  # an integer with more digits than the process allows
    text = plain_text(value, sorted_keys)
    if text is not None:
        return text
    return write_value((form or Canonical)(), value, sorted_keys, partial(NoFingerprint, task))


class Canonical(ValueWriter):
    """Writes values without what does not count: the order of dicts and sets."""

    LACK = "is known by nothing that lasts beyond this process"

    def unordered_pairs(self, value: dict[Any, Any]) -> list[list[Any]]:
        """Return keys and values, sorted by their texts."""
        return sorted(self.pairs(value), key=sorted_keys)

    def members_form(self, value: Iterable[Any]) -> list[Any]:
        """Return the members of a set, sorted by their texts."""
        return sorted(self.sequence(value), key=sorted_keys)

    def counted_fields(self, known: "dict[str, Field[Any]]") -> Iterable[str]:
        """Return the names of the fields that the class itself compares."""
        return [name for name, field in known.items() if field.compare]

    def other(self, value: object, kind: type) -> Any:
        """Return the form of something with a name, such as a class or a function, or of what `encode` takes."""
        if leads_back(value):
            return tagged_form("named", self.known_name(value))
        if kind is MethodType:
            return self.method(value)
        if isinstance(value, FunctionType | type):
            raise RefusedType(kind, f"cannot be found again by its name {value.__qualname__}")
        return super().other(value, kind)

    def secret(self, value: Secret) -> Any:
        """Return what a secret is known by."""
        return value.known_as

    def counted_attributes(self, kind: object) -> Iterable[str]:
        """Return the names of the attributes that a class of attrs compares."""
        return attribute_names(kind, compared=True)

    def foreign(self, value: object, kind: type, package: ForeignPackage) -> Any:
        """Return the form of another package's value. For a model that is what it holds, since its JSON has sets in any order."""
        if package.fields is None or package.model is None or not isinstance(value, package.model):
            return super().foreign(value, kind, package)
        return tagged_form(package.tag, [self.name(kind), self.values(package.fields(value).items(), ".")])

    def name(self, kind: type) -> str:
        """Return the name of the class of a value, the same on every Python."""
        super().name(kind)
        return self.known_name(kind)

    def known_name(self, thing: object) -> str:
        """Return the name of a class or a function, the same on every Python."""
        return key_name(public_name(thing))

    def method(self, value: Any) -> Any:
        """Return the form of a bound method: of what it is bound to, and its name."""
        name = value.__name__
        if getattr(value.__self__, name, None) != value:
            raise RefusedType(MethodType, f"cannot be found again by its name {name}")
        return tagged_form("method", [*self.values([("__self__", value.__self__)], ".").values(), name])


class NamedBefore313(Canonical):
    """Writes names as 1.2.0 did on Python 3.11 and 3.12, in whose keys they stand."""

    def known_name(self, thing: object) -> str:
        """Return the name of a class or a function as its module has it."""
        return key_name(import_name(thing)).replace("pathlib._local:", "pathlib:", 1)


class NamedIn313(Canonical):
    """Writes names as 1.2.0 did on Python 3.13."""

    def known_name(self, thing: object) -> str:
        """Return the name of a class or a function as its module has it."""
        name = key_name(import_name(thing))
        return name.replace("pathlib:", "pathlib._local:", 1) if name in MOVED_IN_313 else name
