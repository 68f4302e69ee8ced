"""Read what a large run has left in slices, so that resuming ten million nodes needs no more memory than running them.

Most runs make their nodes in the order in which they made them before, which is that of their numbers: so rows are read
in that order, some hundreds at a time. A node that comes out of order, or was not there before, is looked up by its key:

    keys ──► numbers                in a file, an index of this resume alone, in a temporary table, which SQLite puts on disk
    numbers ─► rows                 the table of nodes, as it was when the run was taken over
                ├─ slice            read, and not asked for yet
                └─ taken            never read again: from then on the run itself writes to that row

An index of all keys in the file would serve as well, and every run would pay for it with each row that it writes. A server has
one: there is no session there that could keep a temporary table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from aiodag.mail import WaitSeen
from aiodag.records import FunctionRow, Known
from aiodag.stores.patience import patiently
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.rows import LAST, functions_from_rows, known_from_rows, seen_waits
from aiodag.stores.sql.session import Session

WHOLE = 4096  # nodes of a run that are still read all at once
SLICE = 512  # rows that are read at once
NEAR = 32  # numbers between two nodes, up to which the second is taken to follow on the first


class LastAttempts(Mapping[str, int]):
    """The number of the last attempt of each task, by its name: read when somebody asks, for there may be ten million."""

    def __init__(self, database: Database, run: int) -> None:
        self._database = database
        self._run = run
        self._asked: dict[
            str, object
        ] = {}  # a task may be called a million times, and each time all its rows would be read

    def __getitem__(self, name: str) -> int:
        if name not in self._asked:
            if len(self._asked) >= WHOLE:
                self._asked.clear()
            with self._database.reading(owner=True) as session:
                self._asked[name] = session.perform("last_attempt", (self._run, name)).fetchone()[0]
        last = self._asked[name]
        if type(last) is not int:
            raise KeyError(name)
        return last

    def __iter__(self) -> Iterator[str]:
        with self._database.reading(owner=True) as session:
            return iter([name for (name,) in session.perform("names_tried", (self._run,))])

    def __len__(self) -> int:
        return len(list(self))

    def __bool__(self) -> bool:
        """Return True: nothing is read for that."""
        return True


class Remains(NamedTuple):
    """What earlier executions of a run have left."""

    known: dict[str, Known] | None  # None where that is too much to be read at once
    functions: list[FunctionRow]
    waits: dict[int, WaitSeen]


def read_remains(session: Session, runs: Sequence[tuple[int, str]], now: float) -> list[Remains]:
    """Return what runs have left, by their numbers and ids: with two messages for all of them."""
    if not runs:
        return []
    _, counts = session.perform_together(*[("count_up_to", (run, WHOLE + 1)) for run, _ in runs])
    few = [run for (run, _), ((count,),) in zip(runs, counts, strict=True) if count <= WHOLE]
    _, found = session.perform_together(
        *[("seen_waits", (run,)) for run, _ in runs],
        *[("functions", (run_id,)) for _, run_id in runs],
        *[("known", (run, 0, LAST)) for run in few],
    )
    known = dict(zip(few, map(known_from_rows, found[2 * len(runs) :]), strict=True))
    return [
        Remains(known.get(run), functions_from_rows(called), seen_waits(waits, now))
        for (run, _), waits, called in zip(runs, found, found[len(runs) : 2 * len(runs)], strict=False)
    ]


class SlicedPast:
    """What is known of a run that is taken over: `marks` completes what an older version has written."""

    def __init__(self, database: Database, run: int, marks: "Callable[[dict[str, Known]], dict[str, Known]]") -> None:
        self._database = database
        self._run = run
        self._marks = marks
        self._left, self.last, self.turn, self.successes = 0, -1, 0, 0
        self.attempts: Mapping[str, int] = LastAttempts(database, run)
        self._slice: dict[str, Known] = {}
        self._next = 0  # the number that the next slice begins with
        self._single = -NEAR  # the number of the last row that was read alone
        self._taken = bytearray()  # of each number, whether it was

    def __len__(self) -> int:
        return self._left

    def __contains__(self, key: object) -> bool:
        return key in self._slice or (self._left > 0 and patiently(partial(self._read, key)))

    def open(self) -> None:
        """Count what is there and make the index: about two seconds for a million nodes."""
        patiently(self._open)

    def _open(self) -> None:
        with self._database.reading(owner=True) as session:
            summary = session.perform("summary_of_known", (self._run,)).fetchone()
            self._left, self.last, self.turn, self.successes = summary
            self._taken = bytearray(self.last + 1)
            session.perform("make_key_index")
            session.perform("fill_key_index", (self._run,))

    def take(self, key: str) -> Known | None:
        """Return what is known of a node, and forget it."""
        if key not in self:
            return None
        known = self._slice.pop(key)
        self._taken[known.number] = True
        self._left -= 1
        return known

    def close(self) -> None:
        """Close what was opened for this, and let go of the index."""
        self._database.close()

    def _read(self, key: object) -> bool:
        """Read the row of a key, with those that follow on it if that is likely; return False if there is none."""
        with self._database.reading(owner=True) as session:
            found = session.perform("number_of_key", {"run": self._run, "key": key}).fetchone()
            if found is None or self._taken[found[0]]:
                return False
            number: int = found[0]
            if not 0 <= number - self._next < SLICE:
                if not 0 < number - self._single <= NEAR:
                    self._single = number
                    self.read_rows(session, number, number + 1)
                    return key in self._slice
                self._next = number
            self.read_rows(session, self._next, self._next + SLICE)
            self._next += SLICE
        return key in self._slice

    def read_rows(self, session: Session, first: int, below: int) -> None:
        """Read rows of the table into the slice."""
        # What nobody has asked for in all that time is read again if it is wanted after all: it may be of tasks that the
        # program no longer has, and there may be as many of them as of all others.
        for key in list(islice(self._slice, max(len(self._slice) - SLICE, 0))):
            del self._slice[key]
        found = known_from_rows(session.perform("known", (self._run, first, min(below, self.last + 1))))
        self._slice.update(self._marks({key: each for key, each in found.items() if not self._taken[each.number]}))
