"""Read recorded values and errors, with the classes of ours that they name.

Apart from what lists runs and nodes: few look at a value, and the codec and the packages of these classes take long to load.
"""

from typing import Any

from aiodag._core.doors import open_door
from aiodag.codec.arrays import NPY, read_array
from aiodag.codec.text import decode, decode_error
from aiodag.errors import StoreError
from aiodag.records import NodeRecord
from aiodag.stores.references import ValueReference, open_reference, reference_of


def read_value(text: str) -> Any:
    """Return the value of a text in JSON. Raises `Undecodable`."""
    load_packages(text)
    return decode(text)


def read_elsewhere(node: NodeRecord) -> Any:
    """Return the value of a node that is kept in a place of its own. Raises `ValueGone`, `Undecodable` and `StoreError`."""
    return open_reference(readable_reference(node), read_content)


def read_sent(node: NodeRecord, content: bytes) -> Any:
    """Return the value of a node that is kept in a place of its own, whose bytes somebody has sent. Raises as `read_elsewhere`."""
    found = readable_reference(node)
    return read_content(found.codec, content.decode() if found.as_text else bytearray(content))


def read_content(codec: str, content: Any) -> Any:
    """Return the value of what a place has kept."""
    return read_array(content) if codec == NPY else read_value(content)


def readable_reference(node: NodeRecord) -> ValueReference:
    """Return the reference of a node, if others than its task may read what it names. Raises `StoreError`."""
    found = reference_of(node.value)
    if found.codec not in {"json", NPY}:
        raise unreadable(node.label, found.codec)
    return found


def read_error(text: str) -> BaseException:
    """Return the exception of a text, or a `RecordedError` in its place."""
    load_packages(text)
    return decode_error(text)


def unreadable(label: str, codec: str) -> StoreError:
    """Return the error for a value that nobody but its task may read."""
    how = "is pickled, and reading it could run anything"
    if codec != "pickle":
        how = f"is in the codec {codec!r}, which only its task knows"
    return StoreError(f"the value of {label!r} {how}: resume the run to have it")


def load_packages(text: str) -> None:
    """Load those of our packages whose classes a text may hold, since classes are looked up only in what is loaded."""
    if ":Finished" in text or ":CommandFailed" in text:
        open_door("commands")
    if "aiodag.workflows" in text:
        open_door("workflows")
