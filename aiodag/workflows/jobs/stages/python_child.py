"""The process of a `run` stage: it takes source and data from its stdin, and answers with names on descriptor 3.

It is started by path, and knows nothing of aiodag. Nothing of what it is given is ever part of the source: a value is a
variable, or the text of a constant in the tree that the parser has made.
"""

import json
import linecache
import os
import pickle
import re
import sys
from collections.abc import Mapping
from types import ModuleType, TracebackType
from typing import Any, BinaryIO

FILE = "<stage>"
ANSWER = 3  # the descriptor
LONGEST = 10_000  # characters of a message
MARKS_BELOW_EXPRESSIONS = re.compile(
    r"^(.*\$\{\{.*\n) *[~^]+ *\n", re.MULTILINE
)  # they belong to the names that were parsed


def run_request() -> int:
    """Run the source that stands in stdin. Return the exit code."""
    owner = os.getpid()
    answer = take_answer()
    request: dict[str, Any] = pickle.loads(take_stdin())  # noqa: S301 - of the process that has started this one
    sys.path[:], sys.argv[:] = request["path"], [FILE]
    written = request["written"]  # for people: with expressions, where the source has names
    linecache.cache[FILE] = len(written), None, written.splitlines(keepends=True), FILE
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]  # of a text file
    found: dict[str, Any] | None
    code = 0
    try:
        found = run_source(request)
    except BaseException as error:  # noqa: BLE001 - whatever ends the source
        found, code = describe_error(error)
    if os.getpid() == owner and found is not None:  # not in a fork that has come to the end, too
        answer.write(json.dumps(found).encode())
        answer.close()
    return code


def take_answer() -> BinaryIO:
    """Return the stream for the answer, which no program that the source starts inherits."""
    own = os.dup(ANSWER)
    os.close(ANSWER)
    return os.fdopen(own, "wb")


def take_stdin() -> bytes:
    """Return all of stdin, and leave nothing to read there."""
    with os.fdopen(os.dup(0), "rb") as stdin:
        content = stdin.read()
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return content


def run_source(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the source as a program of its own, and return the names that it has bound."""
    values: dict[str, Any] = pickle.loads(request["values"])  # noqa: S301 - as above; with the path of that process
    before = {name: text_as_json(value) for name, value in values.items()}
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    names = vars(module)
    names.update(values)
    code = compile_source(request["source"], request["texts"])
    try:
        exec(code, names)  # noqa: S102 - what the stage says
    except SystemExit as error:
        if error.code not in {None, 0}:
            raise
    return results(names, before, request["limit"])


def compile_source(source: str, texts: Mapping[str, str]) -> Any:
    """Return the code of a source. In its constants, each name of a value is replaced by that value's text."""
    if not texts:
        return compile(source, FILE, "exec", dont_inherit=True)
    import ast  # noqa: PLC0415 - it takes as long as all the rest

    tree = ast.parse(source, FILE)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            node.value = with_texts(node.value, texts)
    return compile(tree, FILE, "exec", dont_inherit=True)


def with_texts(constant: Any, texts: Mapping[str, str]) -> Any:
    """Return a constant with the text of each value that stands in it. What a text has in it is not looked at again."""
    encoded = isinstance(constant, bytes)
    rest = constant.decode("latin-1") if encoded else constant
    parts: list[Any] = []
    for name, text in texts.items():  # they come in the order of the source
        before, found, after = rest.partition(name)
        if found:
            parts += [before, text]
            rest = after
    if not encoded:
        return "".join([*parts, rest])
    halves = [part.encode("utf-8" if number % 2 else "latin-1") for number, part in enumerate([*parts, rest])]
    return b"".join(halves)


def results(names: Mapping[str, Any], before: Mapping[str, str | None], limit: int) -> dict[str, Any]:
    """Return what the source has bound, as far as JSON can hold it, and the names and types of the rest."""
    found: dict[str, str] = {}
    left: dict[str, str] = {}
    for name, value in list(names.items()):
        if name.startswith("_") or isinstance(value, ModuleType | type) or callable(value):
            continue
        text = text_as_json(value)
        if text is None:
            left[name] = type(value).__qualname__
        elif name not in before or before[name] != text:
            found[name] = text
    size = sum(map(len, found.values()))
    if size > limit:
        largest = max(found, key=lambda name: len(found[name]))
        msg = f"what it has bound takes {size:,} bytes as JSON, most of it {largest!r}, and {limit:,} is the most that is kept. Write it to a file, and keep the path"
        raise ValueError(msg)
    return {"names": {name: json.loads(text) for name, text in found.items()}, "left": left}


def text_as_json(value: object) -> str | None:
    """Return a value as JSON; None for what JSON cannot hold."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return text


def describe_error(error: BaseException) -> tuple[dict[str, Any] | None, int]:
    """Print an exception as Python does, without what is ours. Return what to answer, and the exit code."""
    if isinstance(error, SystemExit):
        code = error.code
        if isinstance(code, int):
            return None, code & 0xFF or 1
        sys.stderr.write(f"{code}\n")
        return None, 1
    import traceback  # noqa: PLC0415 - of failures alone

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    printed = "".join(traceback.format_exception(type(error), error.with_traceback(trace), trace))
    sys.stderr.write(MARKS_BELOW_EXPRESSIONS.sub(r"\1", printed))
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
    )
    return {"error": name, "text": text_of_error(error), "line": line_of(error, trace)}, 1


def text_of_error(error: BaseException) -> str:
    """Return the message of an exception, as any store takes it."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - of a method that the source defines
        return "(its message cannot be had)"
    return text[:LONGEST].encode("utf-8", "backslashreplace").decode()


def line_of(error: BaseException, trace: TracebackType | None) -> int | None:
    """Return the line of the source where an exception comes from."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == FILE else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


if __name__ == "__main__":
    sys.exit(run_request())
