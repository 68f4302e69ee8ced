"""Where in a YAML text something is: the line and the column of each value, kept while the text is read."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from aiodag.workflows.files.json import Path, Places

Mark: TypeAlias = int  # a line and a column in one number: there are as many as values
Marks: TypeAlias = "Mark | tuple[Mark, dict[str, Any] | list[Any]]"  # of a value, and of what is in it
WIDEST = 2**16  # columns that are told apart


def mark_at(line: int, column: int) -> Mark:
    """Return the mark of a line and a column, both counted from 1."""
    return line * WIDEST + min(column, WIDEST - 1)


def position_of(mark: Mark) -> tuple[int, int]:
    """Return the line and the column of a mark.

    >>> position_of(mark_at(12, 5))
    (12, 5)
    """
    return divmod(mark, WIDEST)


class MarkedPlaces(Places):
    """The places of a document that was read from YAML. The place of a member is that of its key."""

    def __init__(self, source: str, text: str, marks: Marks) -> None:
        super().__init__(source, text, os.path.dirname(source))  # noqa: PTH120 - of a text as it was given
        self._marks = marks

    def position(self, path: Path) -> tuple[int, int]:
        """Return the line and the column of a path; of one that is not there those of the last part that is."""
        marks = self._marks
        for part in (*self.root, *path):
            members: Any = marks[1] if isinstance(marks, tuple) else None
            if isinstance(part, str) != isinstance(members, dict):
                break
            found = members.get(part) if isinstance(members, dict) else element(members, part)
            if found is None:
                break
            marks = found
        return position_of(marks[0] if isinstance(marks, tuple) else marks)

    def of(self, path: Path, line: int | None = None) -> str:
        """Return a place with its line, such as `etl.yaml:12 $.tasks.Pull_A`."""
        return super().of(path, self.position(path)[0] if line is None else line)

    def lines(self, paths: Iterable[Path]) -> Mapping[Path, int]:
        """Return the lines of paths."""
        return {path: self.position(path)[0] for path in paths}


def element(members: list[Any] | None, place: str | int) -> Any:
    """Return an element of a list, or None."""
    return members[place] if members is not None and isinstance(place, int) and 0 <= place < len(members) else None
