"""Read what a client asks for, with all that is wrong with it."""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from aiodag.commands.agent_wire import LABEL_LONGEST
from aiodag.programs import ProgramRequest

GRACE_LONGEST = 10.0**7  # seconds
MOST_RESOURCES = 100  # names
MOST_WRONG = 10  # things that are told of one order


class BadRequest(Exception):
    """What a client sent cannot be read."""


class Order(NamedTuple):
    """A program that a client wants to have run, by what it is known, and a digest of all that was said."""

    label: str
    request: ProgramRequest
    digest: bytes


def read_json(body: bytes) -> Mapping[str, Any]:
    """Return the object that a body is. Raises `BadRequest`."""
    try:
        found = json.loads(body, parse_constant=refuse_non_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise BadRequest("the body is not a JSON object")
    return found


def refuse_non_number(text: str) -> object:
    """Refuse a number that JSON does not have."""
    raise ValueError(f"{text} is not a number of JSON")


def read_order(body: bytes) -> Order:
    """Return the program that a body asks for. Raises `BadRequest` with all that is wrong."""
    found = read_json(body)
    unknown = islice((key for key in found if key not in READERS), MOST_WRONG)
    wrong: list[str] = [f"{key[:80]!r} is not a key here" for key in unknown]
    values: dict[str, Any] = {}
    for key, read in READERS.items():
        try:
            values[key] = read(found.get(key))
        except ValueError as error:
            wrong.append(f"{key!r} must be {error}")
    if wrong:
        raise BadRequest("; ".join(wrong[:MOST_WRONG]))
    label = values.pop("label")
    return Order(label, ProgramRequest(**values, label=label), blake2b(body).digest())


def program_word(value: object) -> str:
    """Return a text that a program can be given."""
    if isinstance(value, str) and "\0" not in value:
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            pass
        else:
            return value
    raise ValueError("text without NUL")


def read_label(value: object) -> str:
    """Return a label."""
    if isinstance(value, str) and 0 < len(value) <= LABEL_LONGEST:
        return program_word(value)
    raise ValueError(f"text of 1 to {LABEL_LONGEST} characters")


def read_args(value: object) -> tuple[str, ...]:
    """Return a program and its arguments."""
    try:
        if isinstance(value, list) and value and value[0]:
            return tuple(map(program_word, value))
    except ValueError:
        pass
    raise ValueError("a list of texts without NUL: a program and its arguments")


def read_env(value: object) -> dict[str, str | None]:
    """Return changes of variables."""
    try:
        if isinstance(value, dict) and all(name and "=" not in name for name in value):
            return {program_word(name): None if each is None else program_word(each) for name, each in value.items()}
    except ValueError:
        pass
    if value is None:
        return {}
    raise ValueError("an object of names without = and of texts or null, both without NUL")


def read_path(value: object) -> Path | None:
    """Return a path on this machine."""
    return None if value is None else Path(program_word(value))


def read_stdin(value: object) -> bytes | Path | None:
    """Return what a program reads."""
    match value:
        case None:
            return None
        case {"path": path, **rest} if not rest:
            return read_path(path)
        case {"base64": str() as text, **rest} if not rest:
            try:
                return b64decode(text, validate=True)
            except ValueError:
                pass
        case _:
            pass
    raise ValueError('null, {"path": TEXT} or {"base64": TEXT}')


def read_grace(value: object) -> float:
    """Return the seconds between two signals."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= GRACE_LONGEST:
        return float(value)
    raise ValueError("a number of seconds")


def is_resource_amount(value: object) -> bool:
    """Return True for an amount of a resource."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**15


def read_amounts(value: object) -> dict[str, float]:
    """Return amounts of resources."""
    if value is None:
        return {}
    if isinstance(value, dict) and len(value) <= MOST_RESOURCES and all(map(is_resource_amount, value.values())):
        return {program_word(name): each for name, each in value.items() if name}
    raise ValueError(f"an object of at most {MOST_RESOURCES} names and amounts above 0")


READERS: Mapping[str, Callable[[object], Any]] = {
    "label": read_label,
    "args": read_args,
    "env": read_env,
    "cwd": read_path,
    "stdin": read_stdin,
    "grace": read_grace,
    "resources": read_amounts,
}
