"""What runs have done, as the rows of a transaction: of one run or of many, each statement for all of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from aiodag.errors import LeaseLost
from aiodag.records import Batch, Write
from aiodag.states import State, next_run_state
from aiodag.stores.sql.children import settle_parents
from aiodag.stores.sql.delivery import write_mail
from aiodag.stores.sql.generations import begin_generations
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows

# What a batch has of each kind, and the statement that writes it; in this order.
TABLES = {
    "edges": "put_edges",
    "attempts": "put_attempts",
    "logs": "put_logs",
    "functions": "put_functions",
    "facts": "put_facts",
    "output": "put_output",
}


class Fenced(NamedTuple):
    """For each of some batches why it must not be written; those that may be; which of their runs have waits, or a parent."""

    errors: list[BaseException | None]
    sound: list[Write]
    waiting: Collection[int]
    children: Collection[int]


def fence_writes(session: Session, writes: Sequence[Write]) -> Fenced:
    """Find out which batches may be written: those of runs that are still their writer's."""
    found: dict[int, tuple[str, int, str | None, bool, bool]] = {}
    for some in cut_rows(sorted(write.claimed.run for write in writes)):
        for run, *row in session.perform_for("owned_runs", some, locking=True):
            found[run] = tuple(row)
    errors: list[BaseException | None] = []
    for write in writes:
        run_id, execution, owner, *_ = found.get(write.claimed.run, (None, 0, None))
        lost = run_id != write.run_id or execution != write.claimed.execution or owner is None
        errors.append(LeaseLost(write.run_id, deleted=run_id != write.run_id) if lost else None)
    sound = [write for write, error in zip(writes, errors, strict=True) if error is None]
    waiting, children = ({run for run, row in found.items() if row[place]} for place in (3, 4))
    return Fenced(errors, sound, waiting, children)


def write_sound(writes: Sequence[Write], session: Session) -> list[BaseException | None]:
    """Write the batches that may be written; return for each why it must not be."""
    fenced = fence_writes(session, writes)
    put_batches(session, fenced.sound, fenced)
    return fenced.errors


def put_batches(session: Session, writes: Sequence[Write], fenced: Fenced) -> None:
    """Write batches of several runs, all of those that were `fenced` or some."""
    having: dict[str, list[Write]] = {}  # most batches have rows of one kind or two
    for write in writes:
        for kind in write.batch.kinds():
            having.setdefault(kind, []).append(write)
    for write in having.get("again", ()):  # before their rows are written over
        put_list(session, "keep_attempts", (write.claimed.run,), write.batch.again)
    nodes = [
        (write.claimed.run, write.claimed.execution, 0, 0, *row)
        for write in having.get("nodes", ())
        for row in write.batch.nodes
    ]
    session.put_rows("put_nodes", nodes)
    session.put_each("void_attempt", rows_with_runs(having, "void"))
    for kind, statement in TABLES.items():
        session.put_rows(statement, rows_with_runs(having, kind))
    session.put_rows("put_cache", [row for write in having.get("cache", ()) for row in write.batch.cache])
    session.put_each("trim_output", rows_with_runs(having, "trimmed"))
    for write in having.get("recalled", ()):
        put_list(session, "mark_recalled", (write.claimed.execution, write.claimed.run), write.batch.recalled)
    ended = [write for write in writes if write.batch.state is not None]
    children = [write for write in ended if write.claimed.run in fenced.children]
    waiting = [write.claimed.run for write in ended if write.claimed.run in fenced.waiting]
    write_mail(session, having, waiting, [write.run_id for write in children])
    begin_generations(session, writes)  # after all that the one which is over has heard: what it has not is given back
    session.put_each("end_run", [end_of(write.claimed.run, write.batch) for write in ended])
    # In the same transaction: nobody sees a run as failed that begins again.
    failed = [write.claimed.run for write in ended if write.batch.state is State.FAILED]
    session.put_each("retry_run", [(next_run_state(State.FAILED, State.QUEUED), run) for run in failed])
    if children:
        settle_parents(session, [write.claimed.run for write in children], session.now())


def rows_with_runs(having: Mapping[str, Sequence[Write]], kind: str) -> list[tuple[Any, ...]]:
    """Return the rows of a kind in all batches that have some, each behind the number of its run."""
    return [(write.claimed.run, *row) for write in having.get(kind, ()) for row in write.batch.rows(kind)]


def end_of(run: int, batch: Batch) -> tuple[Any, ...]:
    """Return what ends a run."""
    state = State.RUNNING if batch.state is None else next_run_state(State.RUNNING, batch.state)
    return state, batch.error, batch.at, run


def put_list(session: Session, name: str, first: tuple[int, ...], numbers: list[int]) -> None:
    """Write what has to do with a list of nodes."""
    for some in cut_rows(numbers):
        session.put_for(name, some, first)
