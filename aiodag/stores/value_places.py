"""Find the place of large values by its address."""

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aiodag.errors import OptionError
from aiodag.stores.folder import Folder
from aiodag.wording import hide_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiodag.stores.folder import Parts

WANTED = "a directory, file:///DIRECTORY, or another address that fsspec knows, such as s3://BUCKET/values"


class ValuePlace(Protocol):
    """Where large values are kept, each under the digest of its bytes. All of it blocks."""

    address: str

    def keep(self, digest: str, parts: "Parts") -> None:
        """Write a value, if it is not there as a whole. Raises `OSError`."""
        ...

    def read(self, digest: str) -> bytearray:
        """Return a value, as bytes that may become its memory. Raises `ValueGone` if it is missing, damaged, or cannot be read."""
        ...

    def check(self, digest: str) -> None:
        """Raise `ValueGone` if a value is missing, damaged, or cannot be read."""
        ...

    def digests(self) -> "Iterator[str]":
        """Yield the digests of all values that are there. Raises `OSError`."""
        ...

    def remove(self, digest: str, before: float) -> bool:
        """Remove a value that nobody has kept since a moment; return whether it is gone. Raises `OSError`."""
        ...

    def sweep(self, before: float) -> None:
        """Remove what is left of writes and removals that were cut off before a moment."""
        ...


def value_address(given: Any) -> str:
    """Return the whole address of a place for values. Raises `OptionError` for what is none."""
    text = str(given) if isinstance(given, str | Path) else ""
    scheme, separator, rest = text.partition("://")
    if not text or not text.isprintable():
        raise OptionError("values", given, WANTED)
    if not separator:
        return f"file://{os.path.abspath(os.path.expanduser(text))}"  # noqa: PTH100, PTH111 - pathlib raises without a home
    if hide_password(text) != text:
        wanted = f"{WANTED}, without a password: records name the place, so give it as the settings of fsspec (FSSPEC_...) do"
        raise OptionError("values", hide_password(text), wanted)
    if scheme == "file":
        if not rest.startswith("/"):
            raise OptionError("values", given, f"{WANTED}: three slashes before an absolute path")
        return f"file://{Path(rest)}"
    if not scheme.replace("+", "").replace("::", "").isalnum():
        raise OptionError("values", given, WANTED)
    return text


def checked_place(given: Any) -> str:
    """Return the whole address of a place whose packages are installed here. It is not connected to.

    Raises `OptionError`, and `MissingExtra` without fsspec.
    """
    address = value_address(given)
    if not address.startswith("file://"):
        from aiodag.stores.fsspec import check_packages  # noqa: PLC0415 - it needs an extra, and most have a directory

        try:
            check_packages(address)
        except (ValueError, ImportError) as error:
            raise unknown_place(address, error) from error
    return address


@lru_cache(maxsize=64)
def value_place(address: str) -> ValuePlace:
    """Return the place at an address. Raises `OptionError`, and `MissingExtra` without fsspec."""
    if address.startswith("file://"):
        return Folder(Path(address.removeprefix("file://")))
    from aiodag.stores.fsspec import FsspecPlace  # noqa: PLC0415 - it needs an extra, and most have a directory

    try:
        return FsspecPlace(address)
    except (ValueError, ImportError) as error:
        raise unknown_place(address, error) from error


def unknown_place(address: str, why: object) -> OptionError:
    """Return the error of a place that fsspec does not reach here."""
    return OptionError("values", hide_password(address), f"{WANTED} ({why})")
