"""One fault of a workflow: what is wrong, and where."""

from typing import NamedTuple


class Complaint(NamedTuple):
    """Say what is wrong in a workflow, and where: `etl.py:12`, or the line and the path in a file.

    >>> print(Complaint("etl.py:12", "'load' waits for itself"))
    etl.py:12: 'load' waits for itself
    """

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text
