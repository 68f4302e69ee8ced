"""Statements that list: which runs, in which order, and how many; which nodes of a run."""

import json
import re
from collections.abc import Iterable
from typing import Any

from aiodag.records import RunFilter
from aiodag.states import State
from aiodag.stores.sql.rows import LAST
from aiodag.stores.sql.session import Session

StatementValues = dict[str, Any]
# The columns of a run by which it is ordered: when it was made, and its number.
LITERAL = re.compile("[!%_]")  # what `like` would take for something else
MARKED = r"!\g<0>"
NEWEST_FIRST = " order by 8 desc, 1 desc limit :limit"


def runs_listed(
    session: Session, wanted: RunFilter, limit: int | None, before: tuple[float, int] | None
) -> tuple[str, StatementValues]:
    """Return the statement that lists runs, newest first, and its values.

    Each condition walks an index in the order of the answer, so a short answer is read, and not every run:

        tags         (name, value, created_at)      state    (state, created_at)
        name         (name, created_at)             nothing  (created_at)

    A text has no index: the walk reads runs until enough have it, all of them where too few do.

    `since` is about the last execution, and the order about the first. No run began before it was made, so those made since
    are found by the order itself; the others were begun again, or have waited, and an index of their own has them.
    """
    values: StatementValues = {"limit": LAST if limit is None else limit, "since": wanted.since}
    values |= {"name": wanted.name, "state": wanted.state, "queue": wanted.queue}
    values |= {"parent_run": wanted.parent_run, "schedule": wanted.schedule, "until": wanted.until}
    values |= {} if wanted.text is None else {"text": part_pattern(wanted.text)}
    values |= {} if wanted.text is None else {"quoted": part_pattern(json.dumps(wanted.text)[1:-1])}
    values |= {"at": before[0], "run": before[1]} if before is not None else {}
    for place, (name, value) in enumerate(wanted.tags.items()):
        values |= {f"name{place}": name, f"value{place}": value}
    if wanted.since is None:
        return runs_walked(session, wanted, before, []) + NEWEST_FIRST, values
    begun = runs_walked(session, wanted, before, ["{made_at} >= :since", "(started_at >= :since or execution = 0)"])
    again = runs_begun_again(session, wanted, before)
    return f"{begun} union all {again}{NEWEST_FIRST}", values


def runs_walked(session: Session, wanted: RunFilter, before: object, conditions: list[str]) -> str:
    """Return the part of a list that walks the index of a condition."""
    conditions = [*conditions, *(f"runs.{column} = :{column}" for column in columns_asked(wanted))]
    conditions += ["{made_at} < :until"] if wanted.until is not None else []
    conditions += [session.query("has_text")] if wanted.text is not None else []
    conditions += ["({made_at}, run) < (:at, :run)"] if before is not None else []
    if not wanted.tags:
        return list_statement(session, "runs", "runs.created_at", conditions)
    conditions += [
        "tagged.name = :name0",
        "tagged.value = :value0",
        *(has_tag(session, place) for place in range(1, len(wanted.tags))),
    ]
    return list_statement(session, session.query("runs_with_tag"), "tagged.created_at", conditions)


def runs_begun_again(session: Session, wanted: RunFilter, before: object) -> str:
    """Return the part of a list that has the runs made before a moment, and begun again since.

    The index of runs that were begun again, or waited before they began, is by far the shortest. A plus before a column, or an
    empty text behind it, keeps a database from its index, and a limit keeps it from walking all runs in the order of the whole answer.
    """
    conditions = ["+runs.created_at < :since", "started_at >= :since", "(execution > 1 or queue is not null)"]
    conditions += [f"(runs.{column} || '') = :{column}" for column in columns_asked(wanted)]
    conditions += ["+runs.created_at < :until"] if wanted.until is not None else []
    conditions += [session.query("has_text")] if wanted.text is not None else []
    conditions += ["(+runs.created_at, +run) < (:at, :run)"] if before is not None else []
    statement = list_statement(
        session,
        "runs",
        "runs.created_at",
        [*conditions, *(has_tag(session, place) for place in range(len(wanted.tags)))],
    )
    return session.query("apart").replace("{statement}", statement)


def part_pattern(text: str) -> str:
    """Return the pattern of `like` for what has a text as a part of it."""
    return f"%{LITERAL.sub(MARKED, text)}%"


def columns_asked(wanted: RunFilter) -> list[str]:
    """Return the columns of a run that are to have a value."""
    return [
        column for column in ("name", "state", "queue", "parent_run", "schedule") if getattr(wanted, column) is not None
    ]


def has_tag(session: Session, place: int) -> str:
    """Return the condition that a run has one of the tags."""
    return session.query("has_tag").replace("{place}", str(place))


def list_statement(session: Session, source: str, made_at: str, conditions: list[str]) -> str:
    """Return the statement that lists runs of a source."""
    statement = (
        session.query("list_runs")
        .replace("{source}", source)
        .replace("{condition}", " and ".join(conditions) or "true")
    )
    return statement.replace("{made_at}", made_at)


def of_some(
    session: Session, name: str, numbers: Iterable[int] | None, condition: str = ""
) -> tuple[str, StatementValues]:
    """Return a statement about some nodes of a run, or about all, and its values."""
    if numbers is None:
        return session.query(name).replace("{some}", condition), {}
    some = session.query(name).replace("{some}", f" {session.query('is_numbered')}{condition}")
    return some, {"numbers": as_list(numbers)}


def in_state(session: Session, state: State | None) -> str:
    """Return the condition of nodes in a state."""
    if state is State.FAILED:
        return f" {session.query('is_failed')}"  # by an index of their own: they are few, and it is they who are looked for
    return "" if state is None else f" and nodes.state = '{state}'"


def as_list(numbers: Iterable[int]) -> str:
    """Return numbers as a statement takes them."""
    return json.dumps(sorted(set(numbers)))
