"""What a program is given: arguments, variables and stdin, checked, as data and never as syntax."""

import os
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aiodag._core.elsewhere import host_of
from aiodag.abc import Host
from aiodag.commands.finished import Finished
from aiodag.errors import NoSecret, OptionError
from aiodag.masking import MARK
from aiodag.secret import Secret, Veiled

if TYPE_CHECKING:
    from typing import TypeAlias

    Argument: TypeAlias = str | int | float | PathLike[str] | Finished | Secret
    Text: TypeAlias = str | bytes | PathLike[str] | Finished | Secret

TEXTS = frozenset({str})
SHOWN = 60  # characters of a value in a message
PRIVATE = frozenset({"env", "stdin"})  # options whose values no message shows


def argument_of(option: str, value: object) -> str | Secret:
    """Return a value as the text that a program gets, or the secret that stands for it. Raises `OptionError`."""
    secret = value.secret if type(value) is Veiled else value
    return secret if type(secret) is Secret else program_text(option, value)


def with_changed_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return an argument or a variable with another text; None stays."""
    if isinstance(value, Secret):
        return value.rename_with(change)
    return value if value is None else change(value)


def program_text(option: str, value: object) -> str:
    """Return a value as the text that a program gets. Raises `OptionError`."""
    if isinstance(value, str):
        text = str.__str__(value)  # of an enum its value, not its name
    elif isinstance(value, Finished):
        text = whole_stdout(option, value).rstrip("\n")
    elif isinstance(value, PathLike):
        text = os.fsdecode(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        text = int.__repr__(value)
    elif isinstance(value, float):
        text = float.__repr__(value)
    else:
        instead = "give its items one by one" if isinstance(value, list | tuple) else "make it text first"
        wanted = f"str, int, float, a path, or what a command returned, and not {type(value).__name__}; {instead}"
        raise OptionError(option, shown_value(option, value), wanted)
    encode_text(option, text)
    return text


def encode_text(option: str, text: str) -> bytes:
    """Return text as the system has it. Raises `OptionError` for what no program can be given."""
    if "\0" in text:
        raise OptionError(
            option, shown_value(option, text), "text without NUL characters, which would end it. Pass it as stdin"
        )
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        raise OptionError(
            option, shown_value(option, text), "text that can be encoded, and half of a surrogate pair cannot"
        ) from None


def shown_value(option: str, value: object) -> Any:
    """Return what a message shows of a value."""
    if option in PRIVATE:
        return MARK
    return f"{value[:SHOWN]}…" if isinstance(value, str) and len(value) > SHOWN else value


def whole_stdout(option: str, finished: Finished) -> str:
    """Return the stdout of a command, all of it. Raises `OptionError`."""
    if finished.stdout_dropped:
        wanted = (
            f"the whole stdout of a command, and {finished.stdout_dropped:,} bytes of this one were dropped. Give that "
            "command a larger keep=, or have it write to a file"
        )
        raise OptionError(option, finished, wanted)
    if finished.masked:
        wanted = f"a stdout without secrets, and {MARK} stands in this one for a secret. Pass the Secret itself"
        raise OptionError(option, finished, wanted)
    return finished.stdout


def checked_env(given: object) -> dict[str, str | Secret | None]:
    """Return variables as text, None for those to be taken away. Raises `OptionError`."""
    if not isinstance(given, Mapping):
        raise OptionError("env", MARK, "a dict of names and values")
    for name in given:
        if not isinstance(name, str) or not name or "=" in name:
            raise OptionError("env", name, "names that are strings, not empty and without '='")
        encode_text("env", name)
    return {str.__str__(name): None if value is None else argument_of("env", value) for name, value in given.items()}


def content_of(value: object) -> bytes | Path | Secret | None:
    """Return what a program finds in its stdin: bytes, a file, a secret, or nothing. Raises `OptionError`."""
    if value is None or isinstance(value, bytes):
        return value
    if type(value) is Veiled or type(value) is Secret:
        return value.secret if isinstance(value, Veiled) else value
    if isinstance(value, PathLike):
        return Path(program_text("stdin", value))
    if not isinstance(value, str | Finished):
        wanted = f"str, bytes, a path to read from, or what a command returned, and not {type(value).__name__}"
        raise OptionError("stdin", MARK, wanted)
    text = whole_stdout("stdin", value) if isinstance(value, Finished) else value
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise OptionError("stdin", MARK, "text that UTF-8 can hold; or pass bytes") from None


def exit_codes(given: Any, option: str = "success", example: str = "(0, 3)", *, least: int = 1) -> frozenset[int]:
    """Check exit codes."""
    listed = isinstance(given, Iterable) and not isinstance(given, str)
    codes: frozenset[Any] = frozenset(given) if listed else frozenset()
    if listed and len(codes) >= least and all(type(code) is int and -128 < code < 256 for code in codes):
        return codes
    raise OptionError(option, given, f"exit codes from 0 to 255, such as {example}; -15 is an end by signal 15")


def checked_skips(given: object, success: frozenset[int]) -> frozenset[int]:
    """Check exit codes that mean a skip. None of them can mean a success, too."""
    codes = exit_codes(given, "skip_codes", "(75,)", least=0)
    both = ", ".join(map(str, sorted(codes & success)))
    if both:
        raise OptionError("skip_codes", given, f"other codes than success, which has {both}")
    return codes


def stream_size(given: object) -> int:
    """Check a number of bytes."""
    if type(given) is int and given >= 0:
        return given
    raise OptionError("keep", given, "an int of 0 or more: bytes of each stream")


def checked_line(given: "list[Any]") -> tuple[str | Secret, ...]:
    """Return a program and its arguments as text. Raises `OptionError`."""
    if TEXTS.issuperset(map(type, given)) and given[0]:  # quickly: most are such
        text = "".join(given)
        if text.isascii() and "\0" not in text:
            return tuple(given)
    program, *args = given
    first = program_text("program", program)
    if not first:
        raise OptionError("program", program, "the name or the path of a program")
    return (first, *[argument_of("argument", each) for each in args])


def named_host(given: object) -> Host | str | None:
    """Check where a program runs: a host, or a name that the run of a call will have; None is what that says."""
    if given is None:
        return None
    if isinstance(given, str) and given and given.isprintable():
        return given
    return cast("Host", host_of(given))


class Given(NamedTuple):
    """What one attempt of a command is given, with secrets that have not been read."""

    line: tuple[str | Secret, ...]
    variables: Mapping[str, str | Secret | None]
    stdin: bytes | Path | Secret | None

    async def read(self) -> tuple[tuple[str, ...], dict[str, str | None], bytes | Path | None]:
        """Return the same with the text of each secret in its place. Raises `NoSecret`."""
        texts = {each: await each for each in {*self.line, *self.variables.values()} if isinstance(each, Secret)}
        for secret, text in texts.items():
            if "\0" in text:
                raise NoSecret(
                    secret.name, "has a NUL character, which would end an argument or variable. Pass it as stdin"
                )
        line = [texts[each] if isinstance(each, Secret) else each for each in self.line]
        variables = {name: texts[each] if isinstance(each, Secret) else each for name, each in self.variables.items()}
        stdin = self.stdin
        return (
            tuple(line),
            variables,
            (await stdin).encode("utf-8", "surrogateescape") if isinstance(stdin, Secret) else stdin,
        )
