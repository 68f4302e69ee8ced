"""How values are recorded: types of your own, for all tasks or for some.

A type that is registered is recorded wherever it stands in a value, and counts as an argument. A task may have a codec of
its own: any object with a `name`, `encode` and `decode`, such as a `Codecs`.
"""

from typing import Any

from aiodag.codec.reader import decode
from aiodag.codec.registered import REGISTERED, Types
from aiodag.codec.writer import encode

__all__ = ["Codecs", "register_codec"]

register_codec = REGISTERED.register


class Codecs(Types):
    """Types with forms of their own, for the tasks that ask for it: `@task(codec=codecs)`.

    What is registered for all tasks is known here too. Keys are made with what is registered for all tasks alone.

    >>> from aiodag.codec import Codecs
    >>> codecs = Codecs()
    >>> codecs.register(slice, lambda value: [value.start, value.stop], lambda parts: slice(*parts))
    >>> codecs.decode(codecs.encode([slice(1, 2)]))
    [slice(1, 2, None)]
    """

    name = "json"

    def __init__(self) -> None:
        super().__init__(REGISTERED)

    def encode(self, value: object, /) -> str:
        """Return a value as the text of a record. Raises `NoCodec`."""
        return encode(value, types=self)

    def decode(self, stored: Any, /) -> Any:
        """Return the value of a record. Raises `Undecodable`."""
        return decode(stored, self)
