"""Runs in one SQLite file: write-ahead log, one writer, many readers.

A committed write survives the death of the process at any moment. With `synchronous=NORMAL` a power cut may take the last
commits with it, never the file; `sqlite:///runs.db?synchronous=FULL` waits for the disk at every commit.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from aiodag._core.states import State
from aiodag.errors import LeaseLost, RunOwned, StoreError, UnknownRun
from aiodag.stores.records import (
    AttemptRecord,
    Batch,
    Claim,
    Claimed,
    EdgeRecord,
    Known,
    LogRecord,
    NodeRecord,
    Owner,
    RunRecord,
    moment,
)
from aiodag.stores.statements import listed, pieces, put, query, steps

BUSY = 10.0  # seconds to wait for another writer of the file
LEAST_VERSION = (3, 35)
SYNCHRONOUS = ("NORMAL", "FULL", "EXTRA")


class SQLite:
    """A store in one file, made when it is not there.

    Raises `StoreError` for a file that is not SQLite, is of a newer version, cannot be written, or is locked longer
    than 10 seconds.
    """

    def __init__(self, path: str | Path, *, synchronous: str = "NORMAL") -> None:
        self.path = Path(path)
        self.synchronous = synchronous.upper()
        if self.synchronous not in SYNCHRONOUS:
            msg = f"synchronous={synchronous!r}: one of {', '.join(SYNCHRONOUS)}"
            raise StoreError(msg)
        self._lock = threading.Lock()  # one connection, used by the thread of a recorder and by who reads
        self.connection: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return f"sqlite:///{self.path}"

    def __repr__(self) -> str:
        return f"<SQLite {self.path}>"

    # Own a run

    def claim(self, claim: Claim) -> Claimed:
        """Make a run or take over one whose owner has gone. Raises `RunOwned`."""
        with self._writing() as connection:
            found = connection.execute(query("find_run"), {"id": claim.id}).fetchone()
            values = {
                "id": claim.id,
                "name": claim.name,
                "entry": None if claim.entry is None else json.dumps(claim.entry),
                "owner": json.dumps(claim.owner),
                "at": claim.at,
                "until": claim.at + claim.lease,
            }
            if found is None:
                run = connection.execute(query("add_run"), values).lastrowid or 0
                return Claimed(run, 1, {})
            run, execution, name, owner, until = found
            refuse(claim, name, owner, until)
            connection.execute(query("take_run"), {**values, "run": run})
            return Claimed(run, execution + 1, known_of(connection, claim.id))

    def known(self, run_id: str) -> dict[str, Known]:
        """Return what all executions of a run have left, by key, without owning it."""
        with self._reading() as connection:
            return known_of(connection, run_id)

    def renew(self, claimed: Claimed, until: float, run_id: str) -> None:
        """Keep a run. Raises `LeaseLost` when another process has it."""
        with self._writing() as connection:
            self._fence(connection, claimed, until, run_id)

    def wants_cancel(self, claimed: Claimed, run_id: str) -> bool:
        """Tell whether somebody asked to cancel a run. Raises `LeaseLost` when another process has it."""
        with self._reading() as connection:
            found = connection.execute(query("wants_cancel"), (claimed.run,)).fetchone()
        if found is None or found[0] != claimed.execution:
            raise LeaseLost(run_id)
        return bool(found[1])

    def write(self, claimed: Claimed, batch: Batch, until: float, run_id: str) -> None:
        """Write a batch in one transaction. Raises `LeaseLost`, and writes nothing then."""
        run, execution, _ = claimed
        with self._writing() as connection:
            self._fence(connection, claimed, until, run_id)
            for some in pieces(batch.again):
                connection.execute(listed("keep_attempts", len(some)), (run, *some))
            put(connection, "put_nodes", [(run, execution, 0, *row) for row in batch.nodes])
            put(connection, "put_edges", [(run, *row) for row in batch.edges])
            put(connection, "put_attempts", [(run, *row) for row in batch.attempts])
            put(connection, "put_logs", [(run, *row) for row in batch.logs])
            put(connection, "put_cache", batch.cache)
            for some in pieces(batch.recalled):
                connection.execute(listed("mark_recalled", len(some)), (execution, run, *some))
            if batch.state is not None:
                end = {"state": batch.state, "error": batch.error, "at": batch.at, "run": run, "execution": execution}
                connection.execute(query("end_run"), end)

    def _fence(self, connection: sqlite3.Connection, claimed: Claimed, until: float, run_id: str) -> None:
        renewed = connection.execute(
            query("renew"), {"until": until, "run": claimed.run, "execution": claimed.execution}
        ).rowcount
        if not renewed:
            raise LeaseLost(run_id)

    def cached(self, key: str, since: float) -> tuple[str, Any] | None:
        """Return codec and value of a computation that any run has made since a moment."""
        with self._reading() as connection:
            found: tuple[str, Any] | None = connection.execute(query("cached"), (key, since)).fetchone()
        return found

    # Look

    def runs(self, run_id: str | None = None) -> list[RunRecord]:
        """Return the runs, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(query("list_runs"), {"id": run_id}).fetchall()
            counts: dict[int, dict[State, int]] = {}
            for run, state, count in connection.execute(query("counts")):
                counts.setdefault(run, {})[State(state)] = count
        return [run_record(row, counts.get(row[0], {})) for row in rows]

    def run(self, run_id: str) -> RunRecord:
        """Return one run. Raises `UnknownRun`, naming a near miss."""
        found = self.runs(run_id)
        if not found:
            raise UnknownRun(run_id, [each.id for each in self.runs()], str(self))
        return found[0]

    def nodes(self, run_id: str, *, every: bool = False) -> list[NodeRecord]:
        """Return the nodes of the last execution of a run, or of every one, in the order of their first calls."""
        with self._reading() as connection:
            rows = connection.execute(query("nodes"), {"id": run_id, "every": every})
            return [node_record(row) for row in rows]

    def edges(self, run_id: str) -> list[EdgeRecord]:
        """Return the edges of a run."""
        with self._reading() as connection:
            rows = connection.execute(query("edges"), (run_id,))
            return [EdgeRecord(up, down, bool(exogenous), bool(tolerant)) for up, down, exogenous, tolerant in rows]

    def attempts(self, run_id: str) -> list[AttemptRecord]:
        """Return the attempts before the last one of each node, which is in the node's own record."""
        with self._reading() as connection:
            rows = connection.execute(query("attempts"), (run_id,))
            return [
                AttemptRecord(number, attempt, State(state), moment(started), moment(ended), error)
                for number, attempt, state, started, ended, error in rows
            ]

    def logs(self, run_id: str, after: int = 0) -> list[LogRecord]:
        """Return the lines that bodies logged, in order."""
        with self._reading() as connection:
            rows = connection.execute(query("logs"), (run_id, after))
            return [
                LogRecord(at=known_moment(row[0]), number=row[1], level=row[2], logger=row[3], text=row[4])
                for row in rows
            ]

    # Change from outside

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; end a run whose owner has gone. Return whether it was unfinished."""
        record = self.run(run_id)
        if record.owner is None:
            return False
        with self._writing() as connection:
            if record.owner.gone():
                connection.execute(query("end_orphans_nodes"), (time.time(), run_id))
                return connection.execute(query("end_orphan"), (time.time(), run_id)).rowcount > 0
            return connection.execute(query("ask_cancel"), (run_id,)).rowcount > 0

    def delete(self, run_ids: Sequence[str]) -> int:
        """Delete runs and all that belongs to them in one transaction; return how many there were."""
        with self._writing() as connection:
            return sum(connection.execute(query("delete_run"), (run_id,)).rowcount for run_id in run_ids)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None

    # The connection

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._using("write to") as connection:
            # At once: a transaction that begins by reading cannot wait for another writer, it fails.
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # not after a full disk, which rolls back by itself
                    connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        if self.connection is None and not self.path.exists():
            # Looking makes no file: somebody may have mistyped its name.
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as nothing:
                migrate(nothing, self.path)
                yield nothing
            return
        with self._using("read") as connection:
            yield connection

    @contextmanager
    def _using(self, verb: str) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                if self.connection is None:
                    self.connection = self._open()
                yield self.connection
            except sqlite3.Error as error:
                raise self._failed(verb, error) from error

    def _failed(self, verb: str, error: sqlite3.Error) -> StoreError:
        text = str(error)
        hint = next((hint for sign, hint in HINTS.items() if sign in text), "")
        return StoreError(f"cannot {verb} the store {self.path}: {text}{hint}")

    def _open(self) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < LEAST_VERSION:
            msg = f"SQLite {sqlite3.sqlite_version} is too old for a store: 3.35 or newer"
            raise StoreError(msg)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot make the directory of the store {self.path}: {error}"
            raise StoreError(msg) from error
        connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("pragma foreign_keys = on")
            migrate(connection, self.path)
            connection.execute(f"pragma synchronous = {self.synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection


STATES = {str(state): state for state in State}
HINTS = {
    "not a database": ". It is some other file: name another one",
    "locked": f". Another process has held it for {BUSY:.0f} s: wait for it, or end it",
    "readonly": ". Check who may write to the file and to its directory",
    "unable to open": ". Check the path and who may write there",
    "full": ". Make room, then resume the run: what was committed is there",
}


def refuse(claim: Claim, name: str, owner: str | None, until: float | None) -> None:
    """Refuse a claim to a run that is another's."""
    if name != claim.name:
        msg = f"run {claim.id!r} is one of {name!r}, not of {claim.name!r}: use another id"
        raise StoreError(msg)
    if owner is not None and until is not None:
        holder = Owner(*json.loads(owner))
        if until > claim.at and not holder.gone():
            raise RunOwned(claim.id, holder, until - claim.at)


def use_a_log(connection: sqlite3.Connection) -> None:
    """Have a file written ahead, in a log, from now on.

    SQLite does not wait for others here, whatever its timeout: several processes may find a new file at once.
    """
    until = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file to the version of this code, step by step. Raises `StoreError` for a newer one."""
    # One statement sees one moment: another process may be making the file meanwhile.
    there, tables = connection.execute(query("version")).fetchone()
    if there > len(steps()):
        msg = f"the store {path} has version {there}, made by a newer aiodag; this one knows {len(steps())}: update it"
        raise StoreError(msg)
    if there == len(steps()):
        return
    if not there and tables:
        msg = f"{path} is a database of something else: name another file for the store"
        raise StoreError(msg)
    use_a_log(connection)
    connection.execute("begin immediate")
    try:
        there = connection.execute("pragma user_version").fetchone()[0]  # another process may have been quicker
        for version, step in enumerate(steps()[there:], there + 1):
            for statement in step.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"pragma user_version = {version}")
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


# Rows


def known_of(connection: sqlite3.Connection, run_id: str) -> dict[str, Known]:
    """Return the nodes of all executions by their keys."""
    return {
        key: Known(number, STATES[state], attempt, codec, value)
        for key, number, state, attempt, codec, value in connection.execute(query("known"), (run_id,))
    }


def known_moment(seconds: float) -> Any:
    """Return a stored moment that is never missing."""
    return moment(seconds)


def run_record(row: tuple[Any, ...], counts: dict[State, int]) -> RunRecord:
    """Return a run for people."""
    _, run_id, name, state, execution, entry, error, created, started, ended, owner, _ = row
    return RunRecord(
        id=run_id,
        name=name,
        state=State(state),
        execution=execution,
        created_at=known_moment(created),
        started_at=known_moment(started),
        ended_at=moment(ended),
        entry=None if entry is None else json.loads(entry),
        owner=None if owner is None else Owner(*json.loads(owner)),
        error=error,
        counts=counts,
    )


def node_record(row: tuple[Any, ...]) -> NodeRecord:
    """Return a node for people."""
    plain: list[Any] = list(row)
    plain[5] = State(plain[5])
    plain[12:15] = map(moment, plain[12:15])
    plain[15] = bool(plain[15])
    return NodeRecord(*plain)
