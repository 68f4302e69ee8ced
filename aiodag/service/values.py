"""Read recorded values and errors, with the classes of ours that they name.

Apart from what lists runs and nodes: few look at a value, and the codec and the packages of these classes take long to load.
"""

from typing import Any

from aiodag._core.doors import open_door
from aiodag.codec.arrays import NPY, read_array
from aiodag.codec.text import decode, decode_error
from aiodag.errors import StoreError
from aiodag.records import NodeRecord
from aiodag.stores.references import open_reference, reference_of


def read_value(text: str) -> Any:
    """Return the value of a text in JSON. Raises `Undecodable`."""
    load_packages(text)
    return decode(text)


def read_elsewhere(node: NodeRecord) -> Any:
    """Return the value of a node that is kept in a place of its own. Raises `ValueGone`, `Undecodable` and `StoreError`."""
    found = reference_of(node.value)
    if found.codec not in {"json", NPY}:
        raise unreadable(node.label, found.codec)
    return open_reference(found, lambda codec, content: read_array(content) if codec == NPY else read_value(content))


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
