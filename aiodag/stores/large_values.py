"""Write the large values of a run to a place of their own, and record where they are.

What an executor holds is written where it is held: its bytes never come here.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aiodag._core.doors import open_door
from aiodag.abc import NOTHING
from aiodag.codec.arrays import NPY, array_parts, is_array
from aiodag.errors import NoCodec, ValueGone
from aiodag.held_values import HeldValue
from aiodag.records import REFERENCE
from aiodag.stores.outcomes import check_stored_size, decode_value, encode_value, in_codec, open_value
from aiodag.stores.references import ValueReference, check_reference, open_reference, put_away, reference_of
from aiodag.stores.value_places import value_address

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag._core.run import Run
    from aiodag._core.task import Task

log = logging.getLogger("aiodag.stores")
LEAST = 65_536  # bytes of the smallest value that is kept in a place of its own
Encoded = tuple[str, str | bytes]
T = TypeVar("T")


class LargeValues:
    """Where one run keeps its large values, if it has a place for them."""

    def __init__(self, run: "Run", engine: "Engine", largest: int) -> None:
        self._address = run.large[0]  # None: it is for the settings to say, when it is needed
        self.least = LEAST if run.large[1] is None else run.large[1]
        self.largest = largest
        self._engine = engine

    def address(self) -> str:
        """Return the address of the place: the run's, or that of the settings; empty if there is none."""
        if self._address is None:
            given = open_door("settings").settings().values.value
            self._address = "" if given is None else value_address(given)
        return self._address

    async def encode(self, task: "Task[..., Any]", value: object) -> Encoded:
        """Return a value as it is recorded. Raises `NoCodec`, `SecretInValue` and `ValueTooLarge`, and `OSError`."""
        if issubclass(type(value), HeldValue):
            held: Any = value
            return await self._encode_there(task, held)
        if is_array(value) and task.options.codec in {"json", "pickle"} and self.address():
            return reference_encoded(await self._in_thread(partial(put_away, self.address(), NPY, array_parts(value))))
        codec, content = encode_value(task, value, sys.maxsize)
        if len(content) < self.least or not self.address():
            check_stored_size(task.name, content, self.largest)
            return codec, content
        parts = content if isinstance(content, str) else [content]
        return reference_encoded(await self._in_thread(partial(put_away, self.address(), codec, parts)))

    async def _encode_there(self, task: "Task[..., Any]", held: HeldValue) -> Encoded:
        """Have a value that an executor holds written by that; if there is no place, the value comes here."""
        if not self.address() or not isinstance(task.options.codec, str):
            return await self.encode(task, await held.fetch())
        write = partial(encode_where_it_is, self.address(), self.least, task.options.codec, task.name)
        try:
            codec, content = await come_home(await held.apply(write))
        except NoCodec:  # there, where what the main module defines is not found by its name
            return await self.encode(task, await held.fetch())
        check_stored_size(task.name, content, self.largest)
        return codec, content

    async def decode(self, task: "Task[..., Any]", codec: str, text: object) -> Any:
        """Return a recorded value as `decode_value` does, read in a thread if it is kept in a place of its own."""
        if codec != REFERENCE:
            return decode_value(task, codec, text)
        return await self._in_thread(partial(decode_value, task, codec, text))

    async def take_back(self, task: "Task[..., Any]", text: object) -> Any:
        """Return the handle of a recorded value; `NOTHING` if it is not as it was written. Raises `Undecodable`."""
        found = reference_of(text)
        try:
            await self._in_thread(partial(check_reference, found))
        except ValueGone as gone:
            log.warning("%s runs again: %s", task.name, gone)
            return NOTHING
        return KeptElsewhere(found, partial(open_value, task))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        # Cancelled in the middle, the thread writes a value that no record names: it is removed with others of that kind.
        with self._engine.real_time:
            return await asyncio.to_thread(call)


def reference_encoded(found: ValueReference) -> Encoded:
    """Return a reference as it is recorded."""
    return REFERENCE, found.text()


async def come_home(encoded: Any) -> Encoded:
    """Return what is to be recorded: a value that is not kept elsewhere can be as large as what an executor keeps."""
    found: Encoded = await encoded.fetch() if issubclass(type(encoded), HeldValue) else encoded
    return found


def encode_where_it_is(address: str, least: int, codec: str, task: str, value: object) -> Encoded:
    """Return a value as it is recorded, and write it to its place if it is large: called by a worker of an executor."""
    if is_array(value):
        return reference_encoded(put_away(address, NPY, array_parts(value)))
    kind, content = in_codec(codec, task, value)
    if len(content) < least:
        return kind, content
    return reference_encoded(put_away(address, kind, content if isinstance(content, str) else [content]))


class KeptElsewhere(HeldValue):
    """A value that an earlier execution has recorded, in its place until somebody asks for it."""

    def __init__(self, found: ValueReference, read: Callable[[str, Any], Any]) -> None:
        super().__init__(None, found.size)
        self._found = found
        self._read = read

    async def fetch(self) -> Any:
        """Return the value. Raises `ValueGone` and `Undecodable`."""
        return await asyncio.to_thread(self.fetch_now)

    def fetch_now(self) -> Any:
        """Return the value. Blocks."""
        return open_reference(self._found, self._read)
