"""Read from compiled code where a function is written, next to what, and what of its closure changes afterwards."""

import dis
import inspect
import linecache
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from aiodag.names import walk_path

STORES = frozenset({"STORE_DEREF", "DELETE_DEREF"})
LAMBDA = "<lambda>"


def outermost(fn: FunctionType) -> CodeType | None:
    """Return the code of the function at the top level of a module, or of a class, in which a function is written."""
    root = fn.__code__.co_qualname.partition(".<locals>")[0]
    thing: Any = walk_path(sys.modules.get(fn.__globals__.get("__name__", "")), root)
    for _ in range(8):  # a task, or what a decorator has made of the function
        code = getattr(thing, "__code__", None)
        if isinstance(code, CodeType) and code.co_qualname == root:
            return code
        thing = getattr(thing, "__wrapped__", None) or getattr(thing, "__func__", None)
    return None


def inner_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of every function that is written in another, at any depth."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from inner_codes(each)


@lru_cache(maxsize=1024)
def says_enough(code: CodeType, outer: CodeType | None) -> bool:
    """Return True if the qualified name of a function stands for one piece of code only."""
    if outer is None or LAMBDA in code.co_qualname.rpartition(".")[2]:
        return False
    return sum(each.co_qualname == code.co_qualname for each in inner_codes(outer)) == 1


@lru_cache(maxsize=1024)
def changing(code: CodeType, outer: CodeType | None) -> frozenset[str]:
    """Return the names in the closure of a function that are set after it has been made: they are state, not constants.

    Set by an inner function (`nonlocal`), or further down in the function that owns them.
    """
    if outer is None:
        return frozenset(name for name, _ in stores(code)) & set(code.co_freevars)
    every = [outer, *inner_codes(outer)]
    found = {name for each in every for name, _ in stores(each) if name in each.co_freevars}
    for owner in every:
        made = made_at(owner, code)
        if made is not None:
            found |= {name for name, place in stores(owner) if place > made}
    return frozenset(found & set(code.co_freevars))


def stores(code: CodeType) -> list[tuple[str, int]]:
    """Return the names that code sets in cells, and where."""
    return [(each.argval, each.offset) for each in dis.get_instructions(code) if each.opname in STORES]


def made_at(owner: CodeType, code: CodeType) -> int | None:
    """Return where code makes a function, or the function that makes it."""
    for each in dis.get_instructions(owner):
        made = each.argval
        if isinstance(made, CodeType) and (made is code or code in inner_codes(made)):
            return each.offset
    return None


def text_of_code(code: CodeType) -> str | None:
    """Return the text of a function, with single spaces; of a lambda its parameters and its body. None without a source."""
    return text_in_file(code, code.co_filename)


@lru_cache(maxsize=1024)
def text_in_file(code: CodeType, _file: str) -> str | None:
    """Return the text of a function in its file: code of two files may be equal, and be written in two ways."""
    if not has_file(code):
        return None
    if code.co_name != LAMBDA:
        try:
            return " ".join(inspect.getsource(code).split())
        except (OSError, TypeError, IndexError, SyntaxError):
            return None
    lines = linecache.getlines(code.co_filename)
    places = [place for place in code.co_positions() if None not in place and place[2:] != (0, 0)]
    if not places or len(lines) < code.co_firstlineno:
        return None
    first = min((line, column) for line, _, column, _ in places)
    last = max((line, column) for _, line, _, column in places)
    body = between(lines, first, last)
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return None if body is None else f"{' '.join(parameters)}: {' '.join(body.split())}"


def has_file(code: CodeType) -> bool:
    """Return whether the name of the file that code has is its own.

    What `exec` runs is called `<string>`, and so is the program of `python -c`, whose text Python keeps from 3.13 on.
    """
    if code.co_filename != "<string>":
        return True
    try:
        program = compile("".join(linecache.getlines("<string>")), "<string>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return code in inner_codes(program)


def between(lines: list[str], first: Any, last: Any) -> str | None:
    """Return the text between two places, each a line and a column in bytes of UTF-8. None where there is none."""
    (begin, left), (end, right) = first, last
    picked = [line.encode() for line in lines[begin - 1 : end]]
    if len(picked) != end - begin + 1:
        return None
    picked[-1] = picked[-1][:right]
    picked[0] = picked[0][left:]
    return b"".join(picked).decode("utf-8", "replace")
