"""Where in a JSON text something is: its path, and its line.

The parser of the standard library tells no lines, so a text with faults is looked through once more, and only then.
"""

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, Self, TypeAlias

from aiodag.errors import Complaint

Path: TypeAlias = tuple[str | int, ...]
Fault: TypeAlias = tuple[Path, str]

DEEPEST = 100  # levels of lists and objects
SHOWN = 60  # characters of a text in a message
SHOWN_KEY = 100  # characters of a key in a path
MOST = 10_000  # complaints about one document
PARTS = 12  # parts of a path in a message
DECODER = json.JSONDecoder()
TOKEN = re.compile(r'["{}\[\],:]|[^\s"{}\[\],:]+')


class Token(NamedTuple):
    """A key or the beginning of a value in a JSON text, with its path and the offset of its first character."""

    path: list[Any]  # the walk's own: it changes as the walk goes on
    offset: int
    text: str
    is_key: bool


def tokens(text: str) -> Iterator[Token]:
    """Yield keys and values in their order, as far as the text is JSON. Never deeper in calls, however deep the text."""
    path: list[Any] = []  # of each open container the index, or the key, which is None until it is read
    found = TOKEN.search(text)
    try:
        while found is not None:
            mark, start, end = found.group(), found.start(), found.end()
            if mark == '"':
                string, end = DECODER.raw_decode(text, start)
                is_key = bool(path) and path[-1] is None
                if is_key:
                    path[-1] = string
                yield Token(path, start, mark, is_key)
            elif mark == ",":
                path[-1] = path[-1] + 1 if isinstance(path[-1], int) else None
            elif mark in {"}", "]"}:
                path.pop()
            elif mark != ":":
                yield Token(path, start, mark, is_key=False)
                if mark in {"{", "["}:
                    path.append(None if mark == "{" else 0)
            found = TOKEN.search(text, end)
    except (ValueError, IndexError):  # no JSON from here on; the parser has said so already
        return


def lines_of_paths(text: str, wanted: Iterable[Path]) -> dict[Path, int]:
    r"""Return the line of each path: of a member the line of its key.

    >>> lines_of_paths('{"a":\n [1,\n  2]}', [("a", 1), ("a",)])
    {('a',): 1, ('a', 1): 3}
    """
    paths = set(wanted)
    longest = max(map(len, paths), default=-1)
    found: dict[Path, int] = {}
    line, counted = 1, 0
    for token in tokens(text):
        if len(token.path) <= longest and (token.is_key or not token.path or isinstance(token.path[-1], int)):
            path = tuple(token.path)
            if path in paths:
                line, counted = line + text.count("\n", counted, token.offset), token.offset
                found[path] = line
    return found


def faults_in(text: str) -> Iterator[tuple[Path, str, int]]:
    """Yield what the parser lets pass or chokes on: keys given twice, NaN, numbers too large, depth; with offsets."""
    keys: list[set[str]] = []  # of each open container, those that were read
    for token in tokens(text):
        depth = len(token.path)
        if token.is_key:
            key = token.path[-1]
            if key in keys[depth - 1]:
                yield (
                    tuple(token.path),
                    "is given for the second time in one object, and one would be lost",
                    token.offset,
                )
            keys[depth - 1].add(key)
        elif token.text in {"{", "["}:
            if depth == DEEPEST:
                yield tuple(token.path), f"is nested deeper than {DEEPEST} levels", token.offset
                return
            keys[depth:] = [set()]
        elif token.text != '"':
            fault = fault_of(token.text)
            if fault:
                yield tuple(token.path), fault, token.offset


def fault_of(token: str) -> str:
    """Return what is wrong with a number or a word.

    >>> fault_of("1e999"), fault_of("NaN"), fault_of("12.5"), fault_of("true")
    ('is 1e999, a number that nothing here can hold', 'is NaN, which JSON does not have', '', '')
    """
    if token in {"NaN", "Infinity", "-Infinity"}:
        return f"is {token}, which JSON does not have"
    limit = sys.get_int_max_str_digits()
    digits = token.lstrip("-")
    too_long = digits.isdecimal() and 0 < limit < len(digits)
    if too_long or (digits[:1].isdecimal() and not math.isfinite(number_of(token))):
        return f"is {cut(token)}, a number that nothing here can hold"
    return ""


def number_of(token: str) -> float:
    """Return a number as a float; a whole one as 0, since there is no largest."""
    try:
        return 0.0 if token.lstrip("-").isdecimal() else float(token)
    except ValueError:
        return 0.0


def cut(text: str) -> str:
    """Return a text as messages show it."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def json_path_text(path: Path) -> str:
    """Return a path as people write it.

    >>> json_path_text(("tasks", "Pull A", "parents", 0)), json_path_text(("tasks", 3))
    ('$.tasks["Pull A"].parents[0]', '$.tasks[3]')
    """
    shown = "".join(map(part_of, path[:PARTS]))
    return f"${shown}…" if len(path) > PARTS else f"${shown}"


def part_of(part: str | int) -> str:
    """Return one part of a path."""
    if isinstance(part, int):
        return f"[{part}]"
    if len(part) > SHOWN_KEY:
        part = f"{part[:SHOWN_KEY]}…"
    if part.isidentifier() and part.isprintable():
        return f".{part}"
    if part.isascii() and part.isprintable() and '"' not in part and "\\" not in part:  # quickly: of each of a million
        return f'["{part}"]'
    return f"[{json.dumps(part, ensure_ascii=not part.isprintable())}]"


class Places:
    """The places of a document: the name of its source, its text, and the directory that its relative paths start from."""

    def __init__(self, source: str = "", text: str | None = None, directory: str = "") -> None:
        self.source = source
        self.text = text
        self.directory = directory
        self.root: Path = ()  # of the part that paths begin at

    def below(self, *parts: str | int) -> Self:
        """Return the places of a part of the document: paths begin there, and are shown whole."""
        made = copy(self)
        made.root = (*self.root, *parts)
        return made

    def of(self, path: Path, line: int | None = None) -> str:
        """Return a place, such as `etl.json:12 $.tasks.Pull_A`."""
        return f"{self.at(line)} {json_path_text((*self.root, *path))}".lstrip()

    def at(self, line: int | None) -> str:
        """Return a line of the source."""
        if line is None:
            return self.source
        return f"{self.source}:{line}" if self.source else f"line {line}"

    def lines(self, paths: Iterable[Path]) -> Mapping[Path, int]:
        """Return the lines of paths, as far as the text has them."""
        if self.text is None:
            return {}
        found = lines_of_paths(self.text, ((*self.root, *path) for path in paths))
        return {path[len(self.root) :]: line for path, line in found.items()}

    def complaints(self, faults: Sequence[Fault]) -> list[Complaint]:
        """Return faults as complaints with their lines, in the order of the text; of very many the first."""
        lines = self.lines(path for path, _ in faults)
        if self.text is not None:
            last = len(self.text)
            faults = sorted(faults, key=lambda fault: lines.get(fault[0], last))
        found = [Complaint(self.of(path, lines.get(path)), text) for path, text in faults[:MOST]]
        if len(faults) > MOST:
            found.append(Complaint(self.source, f"has {len(faults) - MOST:,} more faults"))
        return found

    def faults_of_text(self) -> list[Complaint]:
        """Return what the parser does not say of a text; of very much the first."""
        text = self.text or ""
        found: list[Complaint] = []
        line, counted = 1, 0
        for path, fault, offset in faults_in(text):
            if len(found) == MOST:
                found.append(Complaint(self.source, f"has more than {MOST:,} faults of this kind"))
                break
            line, counted = line + text.count("\n", counted, offset), offset
            found.append(Complaint(self.of(path, line), fault))
        return found
