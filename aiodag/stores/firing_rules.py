"""What holds for the schedules of every store: what becomes of due moments, and how their records are written.

a moment is due ──► nothing overlaps ──► submitted
                ├─► skip ──► skipped
                └─► queue ──┬─ nothing waits ──► waiting
                            └─ one waits ──► skipped; or it is the next one, where no moment may be lost
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from aiodag.errors import NotFound, StoreError
from aiodag.firings import BackfillStep, Firing, Release
from aiodag.records import moment_for_people
from aiodag.submissions import Submission

PASSED_OVER = frozenset({"missed", "skipped", "refused"})
GOING_ON = frozenset({"active", "ended"})  # states of a schedule in which what waits is submitted
UNENDED = frozenset({"active", "paused"})  # those in which a moment is the first on which nothing is decided


class Note(NamedTuple):
    """What is to be noted of a moment, or of several in a row: `submission` is the run of one that is submitted, or waits."""

    at: float
    until: float
    number: int
    state: str
    reason: str = ""
    submission: Submission | None = None


class FiringDecision(NamedTuple):
    """What becomes of a release: the notes in the order of their moments, and the next moment, which may be held.

    `state` is what the schedule is then, "" for as it was: it has not ended while a moment is held.
    """

    notes: Sequence[Note]
    next_at: float | None
    is_held: bool
    state: str = ""
    reason: str = ""


def decide_release(
    release: Release, overlap: str, unfinished: str | None, waiting: float | None, draining: Collection[str]
) -> FiringDecision:
    """Decide what becomes of the moments of a release.

    `unfinished` is the id of a run of the schedule that has not ended, `waiting` the moment that waits for that, and
    `draining` are the queues that take nothing.
    """
    free = release.kind == "manual" or overlap == "allow"
    notes: list[Note] = []
    for at, submission in release.planned:
        if submission.queue in draining:
            notes.append(Note(at, at, 1, "refused", f"queue {submission.queue!r} is draining"))
        elif free or (unfinished is None and waiting is None):
            notes.append(Note(at, at, 1, "submitted", "", submission))
            unfinished = submission.id
        elif overlap == "skip":
            notes.append(Note(at, at, 1, "skipped", f"run {unfinished} had not ended"))
        elif waiting is None:
            notes.append(Note(at, at, 1, "waiting", f"until run {unfinished} has ended", submission))
            waiting = at
        elif release.holds:
            return FiringDecision(notes_in_order(release, notes, at), at, is_held=True)
        else:
            notes.append(Note(at, at, 1, "skipped", f"{told_moment(waiting)} waited already"))
    noted = notes_in_order(release, notes)
    return FiringDecision(noted, release.next_at, is_held=False, state=release.state, reason=release.reason)


def notes_of_step(step: BackfillStep, draining: Collection[str]) -> list[Note]:
    """Return what becomes of the moments of a backfill, of which none overlaps."""
    release = Release("", 0, 0, planned=step.planned, passed=step.passed, kind="manual")
    return list(decide_release(release, "allow", None, None, draining).notes)


def notes_in_order(release: Release, notes: Sequence[Note], before: float | None = None) -> list[Note]:
    """Return notes with what was passed over, in the order of their moments, and several in a row as one."""
    passed = [Note(*each) for each in release.passed if before is None or each.at < before]
    if not passed and len(notes) < 2:
        return list(notes)
    merged: list[Note] = []
    for note in sorted([*passed, *notes], key=lambda note: note.at):
        if merged and merges(merged[-1].state, merged[-1].reason, note):
            merged[-1] = merged[-1]._replace(until=note.until, number=merged[-1].number + note.number)
        else:
            merged.append(note)
    return merged


def merges(state: str, reason: str, note: Note) -> bool:
    """Return True if a note only goes on with the one before it.

    >>> merges("missed", "late", Note(1.0, 2.0, 2, "missed", "late")), merges("submitted", "", Note(1.0, 1.0, 1, "submitted"))
    (True, False)
    """
    return note.state in PASSED_OVER and (state, reason) == (note.state, note.reason)


def firing_of(schedule: str, kind: str, note: Note, noted_at: datetime) -> Firing:
    """Return a note for people."""
    return Firing(
        schedule=schedule,
        at=moment_for_people(note.at),
        kind=kind,
        state=note.state,
        reason=note.reason,
        run_id=note.submission.id if note.submission is not None and note.state == "submitted" else None,
        until=moment_for_people(note.until) if note.number > 1 else None,
        count=note.number,
        noted_at=noted_at,
    )


def told_moment(seconds: float) -> str:
    """Return a moment as it is told.

    >>> told_moment(1767225600.0)
    '2026-01-01T00:00:00+00:00'
    """
    return moment_for_people(seconds).isoformat()


# As text


def text_of_submission(submission: Submission) -> str:
    """Return a run that is to be submitted as a store keeps it."""
    return json.dumps(submission._asdict() | {"tags": dict(submission.tags)})


def submission_of_text(text: object) -> Submission:
    """Return what was kept. Raises `ValueError` for what is none."""
    found = mapping_of_text(text)
    try:
        submission = Submission(**found)
    except TypeError as error:
        raise ValueError(str(error)) from None
    wrong = [name for name, kinds in WANTED.items() if not isinstance(getattr(submission, name), kinds)]
    if wrong:
        msg = ", ".join(f"{name}={getattr(submission, name)!r:.40}" for name in wrong)
        raise ValueError(msg)
    return submission


WANTED: Mapping[str, tuple[type, ...]] = {
    "id": (str,),
    "name": (str,),
    "entry": (dict, type(None)),
    "target": (str,),
    "at": (float, int),
    "definition": (str, type(None)),
    "tags": (dict,),
    "queue": (str,),
    "priority": (int,),
    "retries": (int,),
    "max_active": (int, type(None)),
    "code": (str, type(None)),
    "group": (str, type(None)),
}


def mapping_of_text(text: object) -> dict[str, Any]:
    """Return a JSON object. Raises `ValueError` for anything else."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except RecursionError:
        found = None
    if isinstance(found, dict):
        return found
    msg = f"{text!r:.40} is not a JSON object"
    raise ValueError(msg)


# Groups


def replaced_text(group: str, by: str) -> str:
    """Return why a run that waited for its group was cancelled."""
    from aiodag.stores.queue_rules import queue_error  # noqa: PLC0415 - see there

    return queue_error(f"replaced: run {by!r} of the group {group!r} waits in its place")


def schedule_there(name: str, place: object) -> StoreError:
    """Return the error for a second schedule of a name."""
    return StoreError(f"there is a schedule {name!r} in {place} already: give another name, or replace it")


def no_schedule(name: str, place: object) -> NotFound:
    """Return the error for a schedule that is not there."""
    return NotFound(f"there is no schedule {name!r} in {place}: `aiodag schedules` lists those there are")
