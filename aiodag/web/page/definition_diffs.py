"""What an edited definition changes, task by task: a diff of a whole one takes the square of its length."""

import json
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from itertools import islice
from typing import Any, NamedTuple

from aiodag.service.changes import Change, definition_changes, tasks_in
from aiodag.wording import count_text

MOST = 200  # tasks whose lines are shown
LINES = 400  # of one task that are compared: the rest is said to be there
LONGEST_LINE = 1000  # characters
HOLDERS = ("tasks", "jobs")


class DiffLine(NamedTuple):
    """A line of a diff: its `sign` is + or - or a space."""

    sign: str
    text: str


class TaskDiff(NamedTuple):
    """What changes in one task, or outside of all tasks: `what` is changed, added or removed."""

    name: str
    what: str
    lines: list[DiffLine]


class DefinitionDiff(NamedTuple):
    """What changes from one definition to another: `rest` says what is not shown of it."""

    parts: list[TaskDiff]
    counts: Mapping[str, int]
    rest: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not self.parts


def definition_diff(before: str, after: str) -> DefinitionDiff:
    """Return what changes from one text of a definition, in JSON, to another.

    >>> old = '{"tasks": {"greet": {"command": ["echo", "hello"]}}}'
    >>> diff = definition_diff(old, old.replace("hello", "bye"))
    >>> [(part.name, part.what, [(line.sign, line.text.strip()) for line in part.lines if line.sign != " "])
    ...  for part in diff.parts]
    [('greet', 'changed', [('-', '"hello"'), ('+', '"bye"')])]
    """
    change = definition_changes([(1, before), (2, after)])[1]
    old, new = tasks_in(before), tasks_in(after)
    names = [(name, what) for what in ("changed", "added", "removed") for name in getattr(change, what)]
    said = diff_lines(without_tasks(before), without_tasks(after))
    parts = [TaskDiff("", "changed", said)] if said else []
    parts += [TaskDiff(name, what, diff_lines(old.get(name), new.get(name))) for name, what in names[:MOST]]
    rest = f"and {count_text(len(names) - MOST, 'more task')}, not shown here" if len(names) > MOST else ""
    return DefinitionDiff(parts, counts_of_change(change), rest)


def counts_of_change(change: Change) -> dict[str, int]:
    """Return how many tasks a definition has changed, added and removed."""
    counts = {"changed": len(change.changed), "added": len(change.added), "removed": len(change.removed)}
    return {what: count for what, count in counts.items() if count}


def without_tasks(text: str) -> object:
    """Return a definition but for its tasks or jobs."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        return text
    if not isinstance(document, dict):
        return document
    return {key: value for key, value in document.items() if key not in HOLDERS}


def pretty_json(value: object) -> list[str]:
    """Return the lines of a value in JSON; none of nothing."""
    return [] if value is None else json.dumps(value, indent=2, ensure_ascii=False).split("\n")


def diff_lines(before: object, after: object) -> list[DiffLine]:
    """Return the lines in which two values differ, with three around them; nothing where none does."""
    old, new = lines_to_compare(before), lines_to_compare(after)
    if old == new:
        return []
    return [*cut_lines(unified_diff(old[:LINES], new[:LINES], lineterm="", n=3), max(len(old), len(new)))]


def lines_to_compare(value: object) -> list[str]:
    """Return the lines of a value in JSON, each up to a bound, without commas at their ends: a key that comes last moves them."""
    return [line.removesuffix(",")[:LONGEST_LINE] for line in pretty_json(value)]


def cut_lines(lines: Iterator[str], longest: int) -> Iterator[DiffLine]:
    """Yield the lines of a diff without its head, and what is left out of a long one."""
    for place, line in enumerate(islice(lines, 2, None)):
        if not line.startswith("@@"):
            yield DiffLine(line[:1], line[1:])
        elif place:
            yield DiffLine("@", "⋯")
    if longest > LINES:
        yield DiffLine("@", f"only the first {LINES} lines are compared")
