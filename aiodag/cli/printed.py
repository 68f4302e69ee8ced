"""Show what programs write while their run goes on: a line each, after the name of the node."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiodag.wording import printable

if TYPE_CHECKING:
    from aiodag import Node

LONGEST = 2**14  # bytes of a line; a longer one is shown in pieces
MOST = 2**20  # bytes of one stream of an attempt that are shown: what a store keeps of it by default
Source = tuple[int, int, str]  # a node's number, an attempt, a stream


class ProgramOutput:
    """The output of the programs of one run, on its way to whoever watches."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rests: dict[Source, bytes] = {}  # lines whose end has not come
        self._shown: dict[Source, int] = {}  # bytes

    def write(self, node: "Node[Any]", stream: str, chunk: bytes) -> None:
        """Show the lines that a chunk completes. Called on the loop, so what is shown of one stream is bounded."""
        source = node.number, node.attempt, stream
        shown = self._shown.get(source, 0)
        if shown > MOST:
            return
        self._shown[source] = shown + len(chunk)
        *lines, rest = (self._rests.pop(source, b"") + chunk[: MOST - shown]).split(b"\n")
        if len(rest) > LONGEST:
            lines, rest = [*lines, rest], b""
        for line in lines:
            self._line(node, line)
        if shown + len(chunk) > MOST:
            self._say(f"{printable(node.name)} | … more than {MOST:,} bytes of {stream}: `aiodag log` has the end")
        elif rest:
            self._rests[source] = rest

    def end(self, node: "Node[Any]") -> None:
        """Show what an attempt wrote without ending the line."""
        for stream in ("stdout", "stderr"):
            source = node.number, node.attempt, stream
            self._shown.pop(source, None)
            rest = self._rests.pop(source, b"")
            if rest:
                self._line(node, rest)

    def _line(self, node: "Node[Any]", line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r").replace("\t", "    ")
        self._say(f"{printable(node.name)} | {printable(text)}")
