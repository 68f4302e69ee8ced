"""What a record has of a large value: where its bytes are, and their digest."""

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.codec.arrays import NPY
from aiodag.errors import StoreError, Undecodable, ValueGone
from aiodag.stores.value_places import value_address, value_place
from aiodag.wording import hide_password

if TYPE_CHECKING:
    from aiodag.abc import Runs
    from aiodag.stores.folder import Parts


class ValueReference(NamedTuple):
    """A value in a place of its own: the address of that, the SHA-256 and the size of its bytes, and its codec.

    `as_text` says whether the codec made a text and not bytes.
    """

    place: str
    sha256: str
    size: int
    codec: str
    as_text: bool

    def text(self) -> str:
        """Return what a record has of the value."""
        return json.dumps({"$value": self._asdict()})


def reference_of(text: Any) -> ValueReference:
    """Return the reference that a record has. Raises `Undecodable` for anything else."""
    try:
        plain = json.loads(text)["$value"]
        if (
            all(isinstance(plain[name], str) for name in ("place", "codec"))
            and len(bytes.fromhex(plain["sha256"])) == 32
        ):
            return ValueReference(**plain)
    except (TypeError, ValueError, KeyError, RecursionError):
        pass
    msg = "what a record has of a value that is kept elsewhere is no reference"
    raise Undecodable(msg)


def put_away(address: str, codec: str, content: "str | Parts") -> ValueReference:
    """Write a value to its place; return its reference. Blocks. Raises `OSError`."""
    as_text = isinstance(content, str)
    parts: Parts = [content.encode()] if isinstance(content, str) else content
    digest = sha256()
    for part in parts:
        digest.update(part)
    found = digest.hexdigest()
    try:
        value_place(address).keep(found, parts)
    except OSError as error:
        raise OSError(error.errno, f"a value cannot be written to {address}: {error.strerror or error}") from error
    return ValueReference(address, found, sum(memoryview(part).nbytes for part in parts), codec, as_text)


def open_reference(found: ValueReference, read: Callable[[str, Any], Any]) -> Any:
    """Return what `read` makes of a value's codec and content. Blocks. Raises `ValueGone`, and what `read` raises."""
    content = value_place(checked_address(found)).read(found.sha256)
    if found.as_text:
        return read(found.codec, str(content, "utf-8"))
    return read(found.codec, content if found.codec == NPY else bytes(content))


def check_reference(found: ValueReference) -> None:
    """Raise `ValueGone` if a value is not in its place any more, or has changed there. Blocks."""
    value_place(checked_address(found)).check(found.sha256)


def checked_address(found: ValueReference) -> str:
    """Return the address of a recorded place. Raises `ValueGone` if it is none here."""
    try:
        return value_address(found.place)
    except ValueError as error:
        raise ValueGone(str(error)) from error


def digests_named(store: "Runs") -> set[str]:
    """Return the digests of all values that records of a store name. Records of other kinds name none."""
    named = set()
    for text in store.values_elsewhere():
        with suppress(Undecodable):
            named.add(reference_of(text).sha256)
    return named


def remove_unnamed(store: "Runs", address: str, before: float) -> int:
    """Remove from a place what no record of a store names, and nobody has written since a moment; return how much is gone.

    What is there is looked at before the records are: what is written meanwhile has a new time. Raises `StoreError`.
    """
    place = value_place(address)
    try:
        place.sweep(before)
        there = list(place.digests())
        named = digests_named(store) if there else set()
        return sum(place.remove(digest, before) for digest in there if digest not in named)
    except OSError as error:
        msg = f"values at {hide_password(address)} cannot be removed: {error}"
        raise StoreError(msg) from error
