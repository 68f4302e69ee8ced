"""Large values in any place that fsspec reaches, such as s3://bucket/values or sftp://host/values."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any

from aiodag.errors import MissingExtra, ValueGone
from aiodag.stores.folder import DIGITS, HEX, Parts

try:
    import fsspec  # type: ignore[import-untyped]  # it ships no types
except ImportError as error:
    raise MissingExtra("a place for values that is not file:///DIRECTORY", "fsspec", "fsspec") from error


MOMENTS = ("created", "mtime", "LastModified", "last_modified", "updated")  # what file systems call it


def check_packages(address: str) -> None:
    """Import what fsspec needs for an address. Raises `ImportError` for a missing package, `ValueError` for none that it knows."""
    for part in address.split("::"):  # one place behind another, such as a cache
        fsspec.get_filesystem_class(part.partition("://")[0])


class FsspecPlace:
    """A directory, bucket or other place of values."""

    def __init__(self, address: str) -> None:
        self.address = address
        found: Any = fsspec.core.url_to_fs(address)
        self.files: Any = found[0]
        self.root = str(found[1]).rstrip("/")

    def file(self, digest: str) -> str:
        """Return the path of a value."""
        return f"{self.root}/{digest[:2]}/{digest[2:]}"

    def keep(self, digest: str, parts: Parts) -> None:
        """Write a value, also if it is there: so its time is new, and a damaged one whole again. Raises `OSError`."""
        path = self.file(digest)
        self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.files.pipe_file(path, b"".join(parts))

    def read(self, digest: str) -> bytearray:
        """Return a value. Raises `ValueGone` if it is missing, damaged, or cannot be read."""
        path = self.file(digest)
        try:
            content = bytearray(self.files.cat_file(path))
        except Exception as error:  # of any client
            raise ValueGone(f"{path} cannot be read: {type(error).__name__}: {error}") from error
        if sha256(content).hexdigest() != digest:
            raise ValueGone(f"{path} is damaged: its content has changed")
        return content

    def check(self, digest: str) -> None:
        """Raise `ValueGone` if a value is missing, damaged, or cannot be read."""
        self.read(digest)

    def digests(self) -> Iterator[str]:
        """Yield the digests of all values that are there."""
        with suppress(FileNotFoundError):
            for path in self.files.find(self.root):
                digest = "".join(str(path).split("/")[-2:])
                if len(digest) == DIGITS and HEX.issuperset(digest):
                    yield digest

    def remove(self, digest: str, before: float) -> bool:
        """Remove a value that was written before a moment, as far as the place knows that; return whether it is gone."""
        path = self.file(digest)
        with suppress(FileNotFoundError):
            written = self._written_at(path)
            if written is not None and written < before:
                self.files.rm_file(path)
                return True
        return False

    def _written_at(self, path: str) -> float | None:
        found = self.files.info(path)
        moment = next((found[name] for name in MOMENTS if found.get(name) is not None), None)
        return moment.timestamp() if isinstance(moment, datetime) else moment

    def sweep(self, before: float) -> None:
        """Do nothing: a place writes the whole or nothing."""
