"""Large values as files in a directory, named by what is in them.

A file is written under another name, and renamed when all of it is on the disk: whoever sees it, sees the whole. Values that
are equal are one file. It may be wanted again while somebody removes it, since no record names it any more:

    remove                              keep
    rename to NAME.going                touch NAME ── it is there: its time is new
    is its time new? ── rename back                └─ it is gone: write it anew
    else unlink
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from aiodag.errors import ValueGone

Parts = Sequence[bytes | memoryview]
HEX = frozenset("0123456789abcdef")
CHUNK = 2**20
DIGITS = 64  # of a SHA-256


class Folder:
    """A directory of values."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.address = f"file://{path}"

    def file(self, digest: str) -> Path:
        """Return the path of a value."""
        return self.path / digest[:2] / digest[2:]

    def keep(self, digest: str, parts: Parts) -> None:
        """Write a value, if it is not there as a whole. Raises `OSError`."""
        path = self.file(digest)
        try:
            os.utime(path)
            if digest_of_file(path) == digest:
                return
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.parent / f".{path.name[:8]}.{os.getpid()}.{os.urandom(6).hex()}"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try:
                for part in parts:
                    write_whole(file, part)
                os.fsync(file)
            finally:
                os.close(file)
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        sync_directory(path.parent)

    def read(self, digest: str) -> bytearray:
        """Return a value, as bytes that may become its memory. Raises `ValueGone` if it is missing, damaged, or cannot be read."""
        path = self.file(digest)
        try:
            with path.open("rb", buffering=0) as file:
                content = bytearray(os.fstat(file.fileno()).st_size)
                read_whole(file.fileno(), content)
        except OSError as error:
            raise ValueGone(f"{path} cannot be read: {error.strerror}") from error
        if sha256(content).hexdigest() != digest:
            raise ValueGone(f"{path} is damaged: its content has changed")
        return content

    def check(self, digest: str) -> None:
        """Raise `ValueGone` if a value is missing, damaged, or cannot be read; without holding all of it in memory."""
        path = self.file(digest)
        try:
            found = digest_of_file(path)
        except OSError as error:
            raise ValueGone(f"{path} cannot be read: {error.strerror}") from error
        if found != digest:
            raise ValueGone(f"{path} is damaged: its content has changed")

    def digests(self) -> Iterator[str]:
        """Yield the digests of all values that are there. Raises `OSError`."""
        for path in self.path.glob("??/*"):
            digest = path.parent.name + path.name
            if len(digest) == DIGITS and HEX.issuperset(digest):
                yield digest

    def remove(self, digest: str, before: float) -> bool:
        """Remove a value that nobody has kept since a moment; return whether it is gone. Raises `OSError`."""
        path = self.file(digest)
        going = path.with_name(f"{path.name}.going")
        try:
            if path.stat().st_mtime >= before:
                return False
            path.rename(going)
            if going.stat().st_mtime >= before:
                going.rename(path)
                return False
            going.unlink()
        except FileNotFoundError:  # somebody else removes it
            return False
        return True

    def sweep(self, before: float) -> None:
        """Remove what is left of writes and removals that were cut off before a moment."""
        for path in self.path.glob("??/*"):
            if path.name.startswith(".") or path.name.endswith(".going"):
                with suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()


def write_whole(file: int, part: bytes | memoryview) -> None:
    """Write all of some bytes, however often that has to be asked for."""
    left = memoryview(part).cast("B")
    while left:
        left = left[os.write(file, left[: 64 * CHUNK]) :]


def read_whole(file: int, content: bytearray) -> None:
    """Fill bytes from a file, however often that has to be asked for."""
    left = memoryview(content)
    while left and (count := os.readv(file, [left[: 64 * CHUNK]])):
        left = left[count:]


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def sync_directory(path: Path) -> None:
    """Have a name in a directory stay there through a loss of power, where the system can say that."""
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
