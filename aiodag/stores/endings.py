"""Which failures ended a run, and which ones somebody has handled.

A body that catches a failure and takes another way must take that way again when its run goes on: so a recorded failure is
recalled like a value. But whoever resumes a run that has failed wants the cause of that to be tried again. So when a run ends,
those failures are marked that ended it: what nobody took, and what the error of the run is, groups, or says to be its cause.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.failure import NOTE
from aiodag.records import Known
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.failure import Failure, Report

Attempt = tuple[int, int]  # the number of a node, and of its attempt


class Endings:
    """The failures of one execution, by what can be found in the error of a run."""

    def __init__(self) -> None:
        self._reports: WeakKeyDictionary[Report, tuple[Attempt, int]] | None = None  # made for the first one
        # By the note that a failure has put on its exception. The exception itself is not held, which would hold the
        # variables of the body; nor its id, which another one may get. A body that fails with what it has awaited fails
        # with the same exception, and the same note.
        self._noted: dict[int, tuple[str, list[Attempt]]] = {}

    def failed(self, report: "Report", attempt: Attempt, turn: int) -> None:
        """Take note of a node that failed."""
        if self._reports is None:
            self._reports = WeakKeyDictionary()
        self._reports[report] = attempt, turn
        note = note_of(report.exception)
        if note is not None:
            self._noted.setdefault(id(note), (note, []))[1].append(attempt)

    def turn(self, report: "Report") -> int:
        """Return when the root of a failure ran."""
        return self._reports[report][1] if self._reports and report in self._reports else 0

    def of(self, error: BaseException | None, failures: "Iterable[Failure]") -> list[Attempt]:
        """Return the attempts that ended a run: with this error, and with failures that nobody has taken."""
        told: tuple[Failure, ...] = getattr(error, "failures", ())
        reports = [each.report for each in (*told, *failures)]
        known: Mapping[Report, tuple[Attempt, int]] = self._reports or {}
        found = [known[each][0] for each in reports if each in known]
        errors = [each.exception for each in reports] + ([] if error is None else [error])
        for each in causes(errors):
            note = note_of(each)
            found += self._noted.get(id(note), ("", []))[1]
        return list(dict.fromkeys(found))


def causes(errors: Iterable[BaseException]) -> Iterator[BaseException]:
    """Give exceptions, what they group, and what they say to be their cause.

    Not what was being handled when they were raised, their `__context__`: a body has handled that.
    """
    stack, seen = list(errors), set[int]()
    while stack:
        error = stack.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            stack += error.exceptions
        if error.__cause__ is not None:
            stack.append(error.__cause__)


def note_of(error: BaseException) -> str | None:
    """Return the note that the first node which failed with an exception has put on it: that very string."""
    notes: Any = getattr(error, "__notes__", None)
    found = [each for each in notes if type(each) is str and each.startswith(NOTE)] if type(notes) is list else []
    return found[0] if found else None


# What earlier versions have written has no marks.


def with_marks(known: Mapping[str, Known], execution: int, state: str, error: str) -> dict[str, Known]:
    """Return what is known with marks where version 1.2 has made none: of a run's last execution, state and error.

    What the last execution did not come to runs again, as it did there. Of a run that has ended, so do failures that its
    error tells of, by their texts.
    """
    if all(each.void is not None for each in known.values()):
        return dict(known)
    ended = set(texts_in(error)) if state != State.RUNNING else set()
    found = dict(known)
    for key, each in known.items():
        if each.void is None:
            void = each.state is State.FAILED and (
                each.execution < execution or not ended.isdisjoint(texts_in(each.error))
            )
            found[key] = each._replace(void=void)
    return found


def texts_in(written: str) -> Iterator[tuple[str, str]]:
    """Give type and text of a recorded exception, of its members and of its cause; nothing of what cannot be read."""
    try:
        stack: list[Any] = [json.loads(written)] if written else []
    except ValueError:
        return
    while stack:
        record = stack.pop()
        if isinstance(record, dict):
            if not record.get("members"):
                yield str(record.get("type")), str(record.get("text"))
            stack += [record.get("cause"), *(record.get("members") or ())]
