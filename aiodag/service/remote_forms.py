"""Put records into lines of JSON, and back, between a server and its client: nothing of them is left out or becomes another type.

The documents of `--json` are for people, and say less. What JSON has no word for is an object `{"$": kind, "v": value}` here.
"""

import base64
import dataclasses
import json
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import Any, cast

from aiodag.errors import StoreError
from aiodag.records import Owner
from aiodag.states import State
from aiodag.submissions import Submission

LINES = "application/vnd.aiodag.records+jsonl"
AT_ONCE = 200  # records that become text together
LINE = json.JSONEncoder(separators=(",", ":"))
PLAIN = frozenset({str, int, bool, type(None)})


class OwnerSeen(Owner):
    """The process that owns a run, as the server sees it: whether it has ended cannot be known here."""

    is_gone = False

    def gone(self) -> bool:
        """Return True if the server knows the process to have ended."""
        return self.is_gone


def owner_seen(host: str, pid: int, began: str, is_gone: bool) -> Owner:
    """Return an owner as a line has it."""
    found = OwnerSeen(host, pid, began)
    found.is_gone = is_gone
    return found


def form_of_value(value: object) -> Any:
    """Return a value of a record as JSON has it.

    >>> form_of_value({"state": State.FAILED, "output": b"x"})
    {'state': {'$': 'state', 'v': 'failed'}, 'output': {'$': 'bytes', 'v': 'eA=='}}
    """
    kind = type(value)
    if kind in PLAIN or (kind is float and math.isfinite(cast("float", value))):
        return value
    if isinstance(value, list):
        return [form_of_value(each) for each in value]
    if isinstance(value, Mapping):
        return form_of_mapping(value)
    for known, (word, write) in WRITERS.items():
        if isinstance(value, known):
            return {"$": word, "v": write(value)}
    msg = f"a {kind.__name__} is no part of a record"
    raise TypeError(msg)


def form_of_mapping(value: Mapping[Any, Any]) -> Any:
    """Return a mapping as JSON has it: as pairs where its keys are not all words of others."""
    if "$" not in value and all(type(key) is str for key in value):
        return {key: form_of_value(each) for key, each in value.items()}
    return {"$": "map", "v": [[form_of_value(key), form_of_value(each)] for key, each in value.items()]}


def form_of_record(record: Any) -> dict[str, Any]:
    """Return a record as JSON has it: the value of each field by its name."""
    return {name: form_of_value(getattr(record, name)) for name in fields_of(cast("Hashable", type(record)))}


@cache
def fields_of(kind: Hashable) -> tuple[str, ...]:
    """Return the names of the fields of a record."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return tuple(each.name for each in dataclasses.fields(kind))
    return tuple(getattr(kind, "_fields", ()))


WRITERS: Mapping[type, tuple[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        datetime: ("at", datetime.isoformat),
        State: ("state", str),
        bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
        float: ("float", str),
        Owner: ("owner", lambda value: [*value, value.gone()]),
        Submission: ("submission", form_of_record),
        tuple: ("tuple", lambda value: [form_of_value(each) for each in value]),
    }
)
READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "at": datetime.fromisoformat,
        "state": State,
        "bytes": lambda form: base64.b64decode(form, validate=True),
        "float": float,
        "owner": lambda form: owner_seen(*form),
        "submission": lambda form: record_of_form(Submission, form),
        "tuple": tuple,
        "map": dict,
    }
)


def value_of_form(form: dict[str, Any]) -> Any:
    """Return the value of an object in a line, whose members are values already."""
    return READERS[form["$"]](form["v"]) if "$" in form else form


def record_of_form(kind: Callable[..., Any], form: Mapping[str, Any]) -> Any:
    """Return a record. Fields that are not known here are those of a later version, and left out."""
    known = fields_of(kind)
    return kind(**{name: form[name] for name in known if name in form})


# Lines


def lines_of_records(records: Iterable[Any]) -> Iterator[bytes]:
    """Yield records, or plain values, as lines of JSON, many at once."""
    left = iter(records)
    while some := list(islice(left, AT_ONCE)):
        forms = (form_of_record(each) if is_record(each) else form_of_value(each) for each in some)
        yield "".join(f"{LINE.encode(each)}\n" for each in forms).encode()


def is_record(value: object) -> bool:
    """Return True for what has fields."""
    return bool(fields_of(cast("Hashable", type(value))))


def records_of_lines(kind: type | None, lines: Iterable[bytes], place: str) -> list[Any]:
    """Return the records of lines, or the plain values. Raises `StoreError` for what a server of this version does not say."""
    try:
        found = [json.loads(line, object_hook=value_of_form) for line in lines]
        return found if kind is None else [record_of_form(kind, each) for each in found]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        msg = f"{place} answered what this version of aiodag cannot read ({type(error).__name__}: {error!s:.200}): install the same version here and there"
        raise StoreError(msg) from error
