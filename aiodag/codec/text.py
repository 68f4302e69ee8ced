"""Values, errors and arguments as text, and back.

The text is JSON. What is plain JSON is itself; anything else is `{"$": tag, "v": parts}`. Reading it runs no code that it
names. Pickle is used only by those who call it here.
"""

import pickle
from io import BytesIO
from typing import Any

from aiodag.codec.exceptions import decode_error, encode_error
from aiodag.codec.fingerprint import fingerprint
from aiodag.codec.reader import decode
from aiodag.codec.writer import encode
from aiodag.errors import NoCodec, NoFingerprint, RecordedError, Undecodable
from aiodag.names import MOVED_TO

__all__ = [
    "NoCodec",
    "NoFingerprint",
    "RecordedError",
    "Undecodable",
    "decode",
    "decode_error",
    "decode_pickle",
    "encode",
    "encode_error",
    "encode_pickle",
    "fingerprint",
]


def encode_pickle(value: object, task: str = "") -> bytes:
    """Return a value as pickle has it. Raises `NoCodec`, with the name of the `task`.

    >>> decode_pickle(encode_pickle([1, 2]))
    [1, 2]
    """
    try:
        return pickle.dumps(value)
    except Exception as error:
        why = f"cannot be pickled: {type(error).__name__}: {error}"
        raise NoCodec(task, type(value), "", why) from error


class Unpickler(pickle.Unpickler):
    """Finds the classes of aiodag where they are now, whatever version has pickled them."""

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the class or function of that name."""
        module, _, name = MOVED_TO.get(f"{module}:{name}", f"{module}:{name}").partition(":")
        return super().find_class(module, name)


def decode_pickle(pickled: bytes) -> Any:
    """Return the value of `encode_pickle`. This runs what the bytes say: call it only where pickle was asked for.

    Raises `Undecodable`.
    """
    try:
        return Unpickler(BytesIO(pickled)).load()
    except Exception as error:
        msg = f"it cannot be unpickled: {type(error).__name__}: {error}"
        raise Undecodable(msg) from error
