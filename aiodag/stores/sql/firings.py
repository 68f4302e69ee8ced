"""Release moments of schedules in SQL, for many schedules in one transaction.

Who releases has the rows of the schedules to itself, so that what it finds goes on, or waits, until it has committed. The
index of released moments has the last word. On a server these are locked in this order, each kind at once:

    schedules, by their numbers ──► groups ──► runs that have not ended, of schedules and of groups
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.firings import KEPT_FIRINGS, BackfillStep, Firing, PlannedRun, Release
from aiodag.records import moment_for_people
from aiodag.stores.firing_rules import (
    GOING_ON,
    PASSED_OVER,
    UNENDED,
    Note,
    decide_release,
    firing_of,
    merges,
    notes_of_step,
    text_of_submission,
)
from aiodag.stores.sql.groups import lock_groups
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.submitting import add_submissions

if TYPE_CHECKING:
    from aiodag.submissions import Submission

TRIM = 100  # firings of a schedule that are noted between two times that its oldest are forgotten


class Head(NamedTuple):
    """The row of a schedule that this transaction has to itself."""

    schedule: int
    name: str
    version: int
    overlap: str
    state: str
    noted: int
    held: int


class Noted(NamedTuple):
    """What is to be noted of a schedule."""

    head: Head
    kind: str
    notes: Sequence[Note]
    backfill: int | None = None


# Release


def release_all(releases: Sequence[Release], session: Session) -> list[list[Firing] | None]:
    """Release moments of schedules; None for one that has changed since."""
    found: dict[int, list[Firing]] = {}
    for some in without_repeated_schedules(releases):
        found |= release_some(session, some)
    return [found.get(place) for place in range(len(releases))]


def without_repeated_schedules(releases: Sequence[Release]) -> Iterator[dict[int, Release]]:
    """Cut releases into portions, by their places, in which no schedule stands twice: each is decided behind the one before."""
    portion: dict[int, Release] = {}
    numbers: set[int] = set()
    for place, release in enumerate(releases):
        if release.number in numbers:
            yield portion
            portion, numbers = {}, set()
        portion[place] = release
        numbers.add(release.number)
    yield portion


def release_some(session: Session, releases: dict[int, Release]) -> dict[int, list[Firing]]:
    """Release moments of different schedules; return the firings by the places of those that nobody has changed."""
    heads = lock_heads(session, "lock_schedules", {each.number for each in releases.values()})
    sound = {
        place: each
        for place, each in releases.items()
        if each.number in heads and heads[each.number].version == each.version
    }
    if not sound:
        return {}
    now, (draining_rows,) = session.perform_together(("draining_queues", ()))
    draining = {name for (name,) in draining_rows}
    ours = [heads[each.number] for each in sound.values()]
    lock_groups(session, [run.submission.group for each in sound.values() for run in each.planned])
    unfinished, waiting = (
        unfinished_of(session, [head for head in ours if head.overlap != "allow"]),
        {row[1]: row[2] for row in waiting_of(session, ours)},
    )
    planned = [(each.number, run.at) for each in sound.values() if each.kind != "manual" for run in each.planned]
    released = released_among(session, planned)
    noted: list[Noted] = []
    changes: list[tuple[Any, ...]] = []
    resumed: list[tuple[str]] = []
    for release in sound.values():
        head = heads[release.number]
        new = release
        if released:
            new = release._replace(planned=new_moments(release.planned, head.schedule, released))
        going_on = unfinished.get(head.name)
        decision = decide_release(new, head.overlap, going_on, waiting.get(head.schedule), draining)
        noted.append(Noted(head, release.kind, decision.notes))
        if release.kind != "manual":
            state = decision.state or head.state
            next_at = decision.next_at if state in UNENDED else None
            is_held = int(decision.is_held and next_at is not None)
            count = head.noted + len(decision.notes)
            changes.append((head.schedule, state, decision.reason.replace("\0", "␀"), next_at, is_held, count))
            resumed += [(head.name,)] if state in GOING_ON and head.state not in GOING_ON else []
    session.perform("change_schedules", {"rows": json.dumps(changes), "now": now})
    session.put_each("note_freed", resumed)
    made = put_notes(session, noted, now)
    return dict(zip(sound, made, strict=True))


def lock_heads(session: Session, name: str, which: Collection[Any]) -> dict[int, Head]:
    """Return the rows of schedules, which this transaction has to itself from then on."""
    return {row[0]: Head(*row) for row in session.rows_for(name, sorted(which))}


def unfinished_of(session: Session, heads: Iterable[Head]) -> dict[str, str]:
    """Return by schedule the id of its first run that has not ended, which does not end before this transaction."""
    found: dict[str, str] = {}
    names = sorted(head.name for head in heads)
    for _, name, run_id in session.rows_for("unfinished_of_schedules", names, locking=True):
        found.setdefault(name, run_id)
    return found


def waiting_of(session: Session, heads: Iterable[Head]) -> list[tuple[Any, ...]]:
    """Return the firings that wait for a run to end."""
    return session.rows_for("waiting_of_schedules", sorted(head.schedule for head in heads))


def draining_queues(session: Session) -> set[str]:
    """Return the queues that take nothing new."""
    return {name for (name,) in session.perform("draining_queues")}


def released_among(session: Session, moments: Collection[tuple[int, float]]) -> set[tuple[int, float]]:
    """Return of which moments, each with the number of its schedule, runs were made already."""
    if not moments:
        return set()
    ends = (min(at for _, at in moments), max(at for _, at in moments))
    numbers = sorted({number for number, _ in moments})
    return set(map(tuple, session.rows_for("released_between", numbers, ends)))


def new_moments(
    planned: Iterable[PlannedRun], schedule: int, released: Collection[tuple[int, float]]
) -> list[PlannedRun]:
    """Return the moments of which no run was made."""
    return [each for each in planned if (schedule, each.at) not in released]


# Note


def put_notes(session: Session, noted: Sequence[Noted], now: float) -> list[list[Firing]]:
    """Note what became of moments, and submit their runs; return the firings of each."""
    last, noted_at = last_firings(session, noted), moment_for_people(now)
    rows: list[tuple[Any, ...]] = []
    submitted: dict[tuple[int, float], list[Submission]] = {}
    made: list[list[Firing]] = []
    for each in noted:
        notes: Sequence[Note] = [with_schedule(note, each) for note in each.notes]
        made.append([firing_of(each.head.name, each.kind, note, noted_at) for note in notes])
        if notes and each.head.schedule in last:
            notes = extend_last(session, last[each.head.schedule], each.kind, notes, now)
        rows += [row_of_note(each, note, now) for note in notes]
        for note in notes:
            if note.state == "submitted" and note.submission is not None:
                submitted.setdefault((each.head.schedule, note.at), []).append(note.submission)
    there = {tuple(row) for row in session.put_returning("put_firings", rows)} if rows else set()
    add_submissions(session, [run for moment, runs in submitted.items() if moment in there for run in runs], now)
    trim(session, noted)
    return made


def with_schedule(note: Note, noted: Noted) -> Note:
    """Return a note whose run says what it is of."""
    run = note.submission
    if run is None or (run.schedule, run.backfill) == (noted.head.name, noted.backfill):
        return note
    return note._replace(submission=run._replace(schedule=noted.head.name, backfill=noted.backfill))


def row_of_note(noted: Noted, note: Note, now: float) -> tuple[Any, ...]:
    """Return the row of a note."""
    run = note.submission.id if note.submission is not None and note.state == "submitted" else None
    waits = text_of_submission(note.submission) if note.submission is not None and note.state == "waiting" else None
    moments = (float(note.at), float(note.until), note.number)
    return (noted.head.schedule, *moments, noted.kind, note.state, note.reason, run, waits, now)


def last_firings(session: Session, noted: Iterable[Noted]) -> dict[int, tuple[Any, ...]]:
    """Return the newest firing of schedules of which something was passed over, which may go on with it."""
    numbers = sorted({each.head.schedule for each in noted if each.notes and each.notes[0].state in PASSED_OVER})
    return {row[0]: row for row in session.rows_for("last_firings", numbers)}


def extend_last(
    session: Session, last: tuple[Any, ...], kind: str, notes: Sequence[Note], now: float
) -> Sequence[Note]:
    """Have the newest firing of a schedule go on with the first of some notes, if that is more of the same; return the others."""
    _, firing, before, state, reason = last
    if before != kind or not merges(state, reason, notes[0]):
        return notes
    session.put_each("extend_firing", [(notes[0].until, notes[0].number, now, firing)])
    return notes[1:]


def trim(session: Session, noted: Iterable[Noted]) -> None:
    """Forget the oldest firings of schedules that have many, now and then."""
    counts = [(each.head.schedule, each.head.noted, len(each.notes), each.kind) for each in noted]
    # What a schedule releases by itself was counted as it moved on.
    session.put_each("count_noted", [(had + more, number) for number, had, more, kind in counts if kind != "scheduled"])
    full = [number for number, had, more, _ in counts if had // TRIM < (had + more) // TRIM]
    session.put_each("trim_firings", [(number, number, KEPT_FIRINGS) for number in full])


# Backfills


def advance_all(steps: Sequence[BackfillStep], session: Session) -> list[list[Firing] | None]:
    """Submit runs of backfills; None for one that has changed since."""
    numbers = sorted({step.number for step in steps})
    schedules = {number for (number,) in session.rows_for("schedules_of_backfills", numbers)}
    heads = lock_heads(session, "lock_schedules", schedules)
    lock_groups(session, [run.submission.group for step in steps for run in step.planned])
    backfills = {row[0]: row for row in session.rows_for("lock_backfills", numbers)}
    found: list[list[Firing] | None] = []
    for step in steps:
        row = backfills.get(step.number)
        if row is None or row[2] != step.version or row[1] not in heads:
            found.append(None)
            continue
        (_, schedule, version, submitted, known), now = row, session.now()
        released = released_among(session, [(schedule, each.at) for each in step.planned])
        new = new_moments(step.planned, schedule, released)
        notes = notes_of_step(step._replace(planned=new), draining_queues(session))
        known += len(step.planned) - len(new)
        submitted += sum(note.state == "submitted" for note in notes)
        session.put_each("change_backfill", [(step.cursor, step.state, step.reason, submitted, known, step.number)])
        (made,) = put_notes(session, [Noted(heads[schedule], "backfill", notes, step.number)], now)
        backfills[step.number] = (step.number, schedule, version + 1, submitted, known)
        heads[schedule] = heads[schedule]._replace(noted=heads[schedule].noted + len(notes))
        found.append(made)
    return found
