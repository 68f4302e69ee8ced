"""One fault of a workflow: what is wrong, and where."""

from typing import NamedTuple


class Complaint(NamedTuple):
    """One fault of a workflow: what is wrong, and where: `etl.py:12`, or the line and the path in a file.

    >>> from aiodag import Complaint
    >>> print(Complaint("etl.py:12", "'load' waits for itself"))
    etl.py:12: 'load' waits for itself
    """

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text
