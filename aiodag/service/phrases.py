"""Say in words what records hold, for the command line and for the page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiodag.records import CUT_OFF, AttemptRecord, RunRecord, WaitRecord
from aiodag.service.changes import Change
from aiodag.service.entry import Entry, describe_entry
from aiodag.service.recorded import UNHELD
from aiodag.states import State
from aiodag.wording import count_text, describe_seconds


def run_state(run: RunRecord) -> str:
    """Return the state of a run, whether it only looks as if it ran, and whether its row is damaged."""
    if run.damaged:
        return "damaged"
    if run.due_at is not None and run.state is State.QUEUED:
        return f"queued, due {run.due_at:%Y-%m-%d %H:%M:%S}Z"
    return f"{run.state}, its process has gone" if run.orphan else str(run.state)


def took_text(run: RunRecord) -> str:
    """Return how long the last execution of a run took; empty for one that has not ended, or never began."""
    if run.ended_at is None or run.started_at is None:
        return ""
    return describe_seconds((run.ended_at - run.started_at).total_seconds())


def moment_text(at: datetime | None) -> str:
    """Return a moment for people, UTC, to the millisecond."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"


def parked_counts(run: RunRecord) -> Mapping[State, int]:
    """Return how many nodes of a run are in which state: in one that is parked, or queued to go on, nothing runs."""
    counts = dict(run.counts)
    if run.state in UNHELD and counts.get(State.RUNNING):
        counts |= {run.state: counts.get(run.state, 0) + counts.pop(State.RUNNING)}
    return counts


def state_counts(counts: Mapping[State, int]) -> str:
    """Return how many nodes are in which state."""
    return ", ".join(f"{counts[state]} {state}" for state in State if counts.get(state))


def attempt_state(each: AttemptRecord) -> str:
    """Return how an attempt ended: nobody has cancelled one whose process ended before it, and one that was lost has not failed."""
    if each.facts.get("lost"):
        return "lost"
    return CUT_OFF.partition(":")[0] if each.error == CUT_OFF else str(each.state)


def wait_text(wait: WaitRecord) -> str:
    """Return in a line what a node waits for, since when and until when."""
    until = f", until {moment_text(wait.due_at)}" if wait.due_at is not None else ""
    come = ", and it has come" if wait.settled else ""
    return f"for {wait_words(wait)} since {moment_text(wait.since)}{until}{come}"


def wait_words(wait: WaitRecord) -> str:
    """Return what a node waits for."""
    if wait.kind == "message":
        return f"{wait.topic} {wait.key}".rstrip()
    return f"run {wait.topic}" if wait.kind == "run" else f"its {wait.kind}"


def entry_text(entry: Mapping[str, Any]) -> str:
    """Return what a run began with."""
    where: dict[str, Any] = {key: value for key in ("host", "executor") if isinstance(value := entry.get(key), str)}
    return describe_entry(Entry(entry.get("file", ""), entry.get("task", ""), entry.get("parameters") or {}, **where))


def change_text(change: Change) -> str:
    """Return which execution brought which definition, with the one before it."""
    lists = (("changed", change.changed), ("added", change.added), ("removed", change.removed))
    parts = [f"{word} {', '.join(names)}" for word, names in lists if names]
    return f"of execution {change.execution}: {'; '.join(parts) or count_text(change.tasks, 'task')}"
