"""What a program is given: arguments, variables and stdin, checked, as data and never as syntax."""

import os
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.errors import OptionError
from aiodag.executors.finished import Finished

if TYPE_CHECKING:
    from typing import TypeAlias

    Argument: TypeAlias = str | int | float | PathLike[str] | Finished
    Text: TypeAlias = str | bytes | PathLike[str] | Finished

SHOWN = 60  # characters of a value in a message


def text_of(option: str, value: Any) -> str:
    """Return a value as the text that a program gets. Raises `OptionError`."""
    if isinstance(value, str):
        text = str.__str__(value)  # of an enum its value, not its name
    elif isinstance(value, Finished):
        text = whole(option, value).rstrip("\n")
    elif isinstance(value, PathLike):
        text = os.fsdecode(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        text = int.__repr__(value)
    elif isinstance(value, float):
        text = float.__repr__(value)
    else:
        raise OptionError(option, value, "str, int, float, a path, or what a command returned; make it text first")
    encoded(option, text)
    return text


def encoded(option: str, text: str) -> bytes:
    """Return text as the system has it. Raises `OptionError` for what no program can be given."""
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    if "\0" in text:
        raise OptionError(option, shown, "text without NUL characters, which would end it. Pass it as stdin")
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        raise OptionError(option, shown, "text that can be encoded, and half of a surrogate pair cannot") from None


def whole(option: str, finished: Finished) -> str:
    """Return the stdout of a command, all of it. Raises `OptionError`."""
    if finished.stdout_dropped:
        wanted = (
            f"the whole stdout of a command, and {finished.stdout_dropped:,} bytes of this one were dropped. Give that "
            "command a larger keep=, or have it write to a file"
        )
        raise OptionError(option, finished, wanted)
    return finished.stdout


def checked_env(given: Any) -> dict[str, str | None]:
    """Return variables as text, None for those to be taken away. Raises `OptionError`."""
    if not isinstance(given, Mapping):
        raise OptionError("env", given, "a dict of names and values")
    for name in given:
        if not isinstance(name, str) or not name or "=" in name:
            raise OptionError("env", name, "names that are strings, not empty and without '='")
        encoded("env", name)
    return {str.__str__(name): None if value is None else text_of("env", value) for name, value in given.items()}


def environment(changes: Mapping[str, str | None]) -> dict[bytes, bytes]:
    """Return the variables of this process with some changes, as the system has them."""
    # What is below os.environb: to encode each variable for each command would take a quarter of the time of a start.
    variables = dict(getattr(os.environb, "_data", os.environb))
    for name, value in changes.items():
        if value is None:
            variables.pop(os.fsencode(name), None)
        else:
            variables[os.fsencode(name)] = os.fsencode(value)
    return variables


def content_of(value: Any) -> bytes | Path | None:
    """Return what a program finds in its stdin: bytes, a file, or nothing. Raises `OptionError`."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, PathLike):
        return Path(text_of("stdin", value))
    if not isinstance(value, str | Finished):
        raise OptionError("stdin", value, "str, bytes, a path to read from, or what a command returned")
    text = whole("stdin", value) if isinstance(value, Finished) else value
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise OptionError("stdin", text[:SHOWN], "text that UTF-8 can hold; or pass bytes") from None


def codes_of(given: Any, option: str = "success", example: str = "(0, 3)", *, least: int = 1) -> frozenset[int]:
    """Check exit codes."""
    listed = isinstance(given, Iterable) and not isinstance(given, str)
    codes: frozenset[Any] = frozenset(given) if listed else frozenset()
    if listed and len(codes) >= least and all(type(code) is int and -128 < code < 256 for code in codes):
        return codes
    raise OptionError(option, given, f"exit codes from 0 to 255, such as {example}; -15 is an end by signal 15")


def checked_skips(given: Any, success: frozenset[int]) -> frozenset[int]:
    """Check exit codes that mean a skip. None of them can mean a success, too."""
    codes = codes_of(given, "skip_codes", "(75,)", least=0)
    both = ", ".join(map(str, sorted(codes & success)))
    if both:
        raise OptionError("skip_codes", given, f"other codes than success, which has {both}")
    return codes


def size_of(given: Any) -> int:
    """Check a number of bytes."""
    if type(given) is int and given >= 0:
        return given
    raise OptionError("keep", given, "an int of 0 or more: bytes of each stream")
