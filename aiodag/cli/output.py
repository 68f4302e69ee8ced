"""Write to the terminal, a pipe or a file, whatever these can take."""

import codecs
import json
import os
import sys
from typing import TextIO

from aiodag.masking import masked

# What the drawings use, for an output whose encoding has no such signs.
SIGNS = {
    "├": "|", "└": "`", "│": "|", "─": "-", "╌": ".", "○": "o", "→": "->", "⇢": "->", "⊸": "-o", "┴": "-", "┼": "+",
    "·": ".", "▸": ">", "‖": "=", "█": "#", "✓": "+", "✗": "x", "»": ">>", "⊘": "/", "×": "x", "…": "...", "–": "-",
}  # fmt: skip


class Closed(Exception):
    """Says that nothing more can be written to the standard output, and why; nothing to say if its reader has gone."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


def prepare() -> None:
    """Have both streams write what they can where their encoding lacks a sign."""
    codecs.register_error("aiodag", in_ascii)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="aiodag")


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks: a drawn sign by one that looks like it, all else by its escape."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(SIGNS.get(c) or ascii(c)[1:-1] for c in text), error.end


def clean(text: str) -> str:
    """Escape what is neither visible nor a line end: a recorded text must not steer a terminal; and mask secrets."""
    return "\n".join(line if line.isprintable() else clean_line(line) for line in masked(text).split("\n"))


def clean_line(line: str) -> str:
    """Escape what is not visible in a line: by far the most lines have nothing of it, and runs have many lines."""
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in line)


def write_lines(text: str) -> None:
    """Write lines to the standard output. Raises `Closed`."""
    write(clean(text) + "\n")


def put_json(document: object, *, indent: int | None = 2) -> None:
    """Write one JSON document to the standard output, in ASCII. Raises `Closed`."""
    write(json.dumps(document, indent=indent) + "\n")


def write(text: str) -> None:
    """Write a text as it is, but for secrets. Raises `Closed`."""
    try:
        if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None when the shell closed it
            sys.stdout.write(masked(text))
    except OSError as error:
        raise output_failure(error) from error


def write_bytes(content: bytes) -> None:
    """Write a picture. Raises `Closed`."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
    except OSError as error:
        raise output_failure(error) from error


def flush() -> None:
    """Write what is left in the buffer. Raises `Closed`."""
    try:
        if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None when the shell closed it
            sys.stdout.flush()
    except OSError as error:
        raise output_failure(error) from error


def output_failure(error: OSError) -> Closed:
    """Return what to raise for a write that failed."""
    return Closed("" if isinstance(error, BrokenPipeError) else f"cannot write the output: {error.strerror}")


def discard() -> None:
    """Drop what is still in the buffer: the interpreter would complain about it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def error(text: str) -> None:
    """Print on the standard error why a command cannot go on, or did not succeed."""
    write_remark(f"aiodag: {text}")


def write_remark(text: str) -> None:
    """Write lines to the standard error, where nobody may be listening."""
    try:
        if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None when the shell closed it
            sys.stderr.write(f"{clean(text)}\n")
            sys.stderr.flush()
    except OSError:
        pass


def traceback(error: BaseException) -> None:
    """Write a traceback to the standard error."""
    # Imported here: few ask for it, and help must come at once.
    from traceback import format_exception  # noqa: PLC0415 - see above

    write_remark("".join(format_exception(error)).rstrip())


def is_terminal(stream: TextIO | None) -> bool:
    """Return True if a stream is a terminal that can do more than print lines."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}
