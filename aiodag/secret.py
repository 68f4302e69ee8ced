"""Secrets: declared by name, read when an attempt starts, and shown nowhere."""

import asyncio
import os
from collections.abc import Callable, Generator
from os import PathLike
from typing import Any

from aiodag.errors import NoSecret, OptionError
from aiodag.masking import LEAST, TABLE


class Secret:
    """Stands, among the arguments of a task or in a command, for a text that must not be shown.

    `name` is the variable of the environment that has it; or only a name, where `file` is read (without the newlines at its
    end) or `get()` called in its place. It is read anew when an attempt starts; the body receives the text. Records,
    labels, keys and definitions have the name and the file alone, and wherever the text itself turns up afterwards, `***`
    is shown. Secrets with a `get` are told apart by their names: two of one name count as one.

    `await secret` and `secret.read()` return the text too. Raises `OptionError` for a name that cannot be one. Reading raises
    `NoSecret` if the secret is missing or has fewer than 6 characters.

    >>> import os
    >>> from aiodag import Secret, task
    >>> os.environ["DB_PASSWORD"] = "correct horse"
    >>> @task
    ... async def login(user, password):
    ...     return len(password)
    >>> await login("anna", Secret("DB_PASSWORD"))
    13
    """

    __slots__ = ("file", "get", "name")

    def __init__(
        self, name: str, *, file: "str | PathLike[str] | None" = None, get: Callable[[], str] | None = None
    ) -> None:
        given: Any = name
        if not isinstance(given, str) or not given.isprintable() or not given or "=" in given:
            raise OptionError("name", given, "the name of a variable, such as Secret('DB_PASSWORD')")
        if file is not None and get is not None:
            raise OptionError("get", get, "nothing where there is a file= to read")
        if get is not None and not callable(get):
            raise OptionError("get", get, "a function without arguments that returns the text")
        self.name = name
        self.file = None if file is None else os.fspath(file)
        self.get = get

    def __repr__(self) -> str:
        return f"Secret({self.name!r})" if self.file is None else f"Secret({self.name!r}, file={self.file!r})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not Secret:
            return NotImplemented
        return (self.name, self.file, self.get) == (other.name, other.file, other.get)

    def __hash__(self) -> int:
        return hash((Secret, self.name))

    def __await__(self) -> Generator[Any, None, str]:
        return self._wait_for_text().__await__()

    async def _wait_for_text(self) -> str:
        # What somebody else's function does may take a while; a variable or a small file does not.
        return self.read() if self.get is None else await asyncio.to_thread(self.read)

    @property
    def known_as(self) -> str:
        """What stands for it in keys: the name, and the file. Tenants may have files of their own for one name."""
        return self.name if self.file is None else f"{self.name}={self.file}"  # a name has no "=" in it

    def rename_with(self, change: Callable[[str], str]) -> "Secret":
        """Return the secret of another name, in another file: of a command whose texts are filled with parameters."""
        return Secret(change(self.name), file=None if self.file is None else change(self.file), get=self.get)

    def read(self) -> str:
        """Return the text as it is now, and mask it from here on. Raises `NoSecret`."""
        text = self._text()
        if len(text) < LEAST:
            raise NoSecret(self.name, f"has fewer than {LEAST} characters, and could not be told from other text")
        if not getattr(self.get, "masks_parts", False):  # else the rest of the text is not masked
            TABLE.add(self.known_as, text)
        return text

    def _text(self) -> str:
        if self.get is not None:
            return self._ask(self.get)
        if self.file is not None:
            return self._in_file(self.file)
        text = os.environ.get(self.name)
        if text is None:
            raise NoSecret(self.name, "is not a variable of the environment. Set it before you start the program")
        return text

    def _ask(self, get: Callable[[], Any]) -> str:
        try:
            text = get()
            if isinstance(text, str):
                text.encode("utf-8", "surrogateescape")
                return text
        except Exception as error:
            raise NoSecret(self.name, f"cannot be read: its get= raised {type(error).__name__}") from error
        raise NoSecret(self.name, f"cannot be read: its get= returned {type(text).__name__}, and it takes a str")

    def _in_file(self, file: str) -> str:
        try:
            with open(file, "rb") as opened:  # noqa: PTH123 - asyncio does not load pathlib
                return opened.read().decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise NoSecret(self.name, f"cannot be read: {file} is not valid UTF-8") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise NoSecret(self.name, f"cannot be read: {file}: {why}") from error


class Veiled:
    """Stands for the text of a secret: among the arguments of a node, until an attempt reads it."""

    __slots__ = ("secret",)

    def __init__(self, secret: Secret) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return repr(self.secret)
