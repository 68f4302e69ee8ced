"""Own runs in an SQL database, and write what they do: for many runs of one process at once."""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aiodag.errors import StoreError
from aiodag.records import Claim, Claimed, Known, Owner, Write, refuse_owned
from aiodag.states import State, next_run_state
from aiodag.stores.endings import with_marks
from aiodag.stores.sql import past
from aiodag.stores.sql.batches import fence_writes, put_batches
from aiodag.stores.sql.file import File
from aiodag.stores.sql.past import SlicedPast
from aiodag.stores.sql.rows import STATES, known_from_rows, owner_of, owner_text
from aiodag.stores.sql.statements import cut_rows, query, repeat_rows, statement_with_list

# What one batch alone is to blame for, and not the file: such as a value that is too large, or of no type that SQLite knows.
ITS_OWN = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    OverflowError,
)
# In place of when the lease of a run ends: when that of its process does. Versions before 1.4 look at nothing else, and must
# not take the run for free.
NEVER = 1e12


class OwnedRuns(File):
    """The runs of a file, for those who own them."""

    def claim_all(self, claims: Sequence[Claim], *, joining: bool = False) -> list[Claimed | StoreError]:
        """Make runs, or take over those whose owners have gone; return for each what it got, or why not.

        With `joining` they come to others that are written here: then the file must be the one that these are in.
        """
        with self.writing(owner=joining) as connection:
            made = self._make_runs(connection, claims)
            answers = [made.get(claim.id) or self._claim(connection, claim) for claim in claims]
            ends = sorted((claim.at + claim.lease, claim.owner) for claim in claims)
            # One for each process, the latest: a claim that has waited long must not shorten the lease of its other runs.
            for owner, until in {owner: until for until, owner in ends}.items():
                connection.execute(query("put_lease"), {"owner": owner_text(owner), "until": until})
            connection.execute(query("sweep_leases"), (time.time(),))
        return answers

    def _make_runs(self, connection: sqlite3.Connection, claims: Sequence[Claim]) -> dict[str, Claimed]:
        """Make the runs that are new with few statements; return none where one cannot be made, and another may be."""
        new = {claim.id: claim for claim in claims if claim.definition is None}
        if not 1 < len(new) == len(claims):  # one alone, or two of one id
            return {}
        connection.execute("savepoint many")
        found: dict[str, Claimed] = {}
        try:
            for some in cut_rows(list(new)):
                for (run_id,) in connection.execute(statement_with_list("ids_there", len(some)), some):
                    del new[run_id]
            for rows in cut_rows([tuple(row_of_claim(claim).values()) for claim in new.values()]):
                values = [value for row in rows for value in row]
                for run, run_id in connection.execute(repeat_rows("add_runs", len(rows), len(rows[0])), values):
                    found[run_id] = Claimed(run, 1, {})
        except ITS_OWN:
            connection.execute("rollback to many")
            found = {}
        connection.execute("release many")
        return found

    def _claim(self, connection: sqlite3.Connection, claim: Claim) -> Claimed | StoreError:
        connection.execute("savepoint one")
        try:
            return self._claim_one(connection, claim)
        except (StoreError, *ITS_OWN) as error:
            connection.execute("rollback to one")
            return error if isinstance(error, StoreError) else self._failure_of("write to", error)
        finally:
            if connection.in_transaction:
                connection.execute("release one")

    def _claim_one(self, connection: sqlite3.Connection, claim: Claim) -> Claimed:
        found = connection.execute(query("find_run"), {"id": claim.id}).fetchone()
        values = row_of_claim(claim)
        if found is None:
            run = connection.execute(repeat_rows("add_runs", 1, len(values)), tuple(values.values())).fetchone()[0]
            claimed = Claimed(run, 1, {})
        else:
            run, execution, name, owner, until, *ended, begun = found
            claim.refuse(name, None if owner is None else owner_of(owner), until)
            # What is damaged, and has no state that we know, is taken as one that has no owner.
            state = next_run_state(STATES.get(ended[0], State.RUNNING), State.QUEUED, State.RUNNING)
            connection.execute(query("take_run"), {**values, "run": run, "state": state})
            known, sliced = self._past(
                connection, run, partial(with_marks, execution=execution, state=ended[0], error=ended[1])
            )
            claimed = Claimed(run, execution + 1, known, begun=begun, past=sliced)
        if claim.definition is not None:
            built = {"run": run, "execution": claimed.execution, "document": claim.definition}
            connection.execute(query("put_definition"), built)
        return claimed

    def _past(
        self, connection: sqlite3.Connection, run: int, marks: "Callable[[dict[str, Known]], dict[str, Known]]"
    ) -> tuple[dict[str, Known], SlicedPast | None]:
        """Return what is known of a run by key; or, of many nodes, what reads it in slices."""
        if connection.execute(query("count_up_to"), (run, past.WHOLE + 1)).fetchone()[0] <= past.WHOLE:
            return marks(known_from_rows(connection, run)), None
        # A file of its own: whoever writes must not wait for who reads, nor the reverse.
        file = File(self.path, synchronous=self.synchronous, backup=False)
        return {}, SlicedPast(file, run, marks)

    def known_nodes(self, run_id: str) -> dict[str, Known]:
        """Return what all executions of a run have left, by key, without owning it."""
        with self.reading() as connection:
            found = connection.execute(query("find_run"), {"id": run_id}).fetchone()
            if found is None:
                return {}
            run, execution, _, _, _, *ended, _ = found
            return with_marks(known_from_rows(connection, run), execution, *ended)

    def void(self, run_id: str, numbers: Sequence[int]) -> None:
        """Have nodes of a run that nobody owns run again, whatever is recorded of them. Raises `RunOwned`."""
        with self.writing() as connection:
            run, _, _, owner, until, *_ = connection.execute(query("find_run"), {"id": run_id}).fetchone()
            refuse_owned(run_id, None if owner is None else owner_of(owner), until, time.time())
            for some in cut_rows(list(numbers)):
                connection.execute(statement_with_list("void_nodes", len(some)), (run, *some))

    def renew(self, owner: Owner, until: float) -> None:
        """Keep the runs of a process until a moment, or longer where their lease already does."""
        with self.writing(owner=True) as connection:
            connection.execute(query("put_lease"), {"owner": owner_text(owner), "until": until})

    def held_runs(self, owner: Owner) -> dict[int, tuple[int, bool]]:
        """Return the runs of a process by number: which execution it has, and whether somebody wants it cancelled."""
        with self.reading(owner=True) as connection:
            rows = connection.execute(query("held"), (owner_text(owner),))
            return {run: (execution, bool(cancel)) for run, execution, cancel in rows}

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Let go of runs that have not ended. Whoever asks for one is not refused, not even who has asked and waits."""
        with self.writing(owner=True) as connection:
            connection.executemany(query("release"), [(each.run, each.execution) for each in claimed])

    def write_all(self, writes: Sequence[Write]) -> list[BaseException | None]:
        """Write batches of several runs in one transaction; return for each why it could not be written.

        Raises `StoreError` when nothing could be written at all.
        """
        try:
            with self.writing(owner=True) as connection:
                errors, sound = fence_writes(connection, writes)
                put_batches(connection, sound)
        except (StoreError, *ITS_OWN) as error:
            if len(writes) == 1 or not isinstance(error.__cause__ or error, ITS_OWN):
                raise
            return self._write_apart(writes)
        return errors

    def _write_apart(self, writes: Sequence[Write]) -> list[BaseException | None]:
        """Write batches of which one cannot be written: the others are, and it alone is refused."""
        errors: list[BaseException | None] = []
        with self.writing(owner=True) as connection:
            for write in writes:
                connection.execute("savepoint one")
                (error,), sound = fence_writes(connection, [write])
                try:
                    put_batches(connection, sound)
                except ITS_OWN as failed:
                    error = self._failure_of("write to", failed)
                    error.__cause__ = failed
                    connection.execute("rollback to one")
                errors.append(error)
                connection.execute("release one")
        return errors


def row_of_claim(claim: Claim) -> dict[str, Any]:
    """Return what a claim writes of its run, in the order in which a new one is made."""
    return {
        "id": claim.id,
        "name": claim.name,
        "state": next_run_state(State.QUEUED, State.RUNNING),
        "entry": None if claim.entry is None else json.dumps(claim.entry),
        "created": claim.at,
        "at": claim.at,
        "owner": owner_text(claim.owner),
        "until": NEVER,
        "tags": json.dumps(dict(claim.tags)) if claim.tags else "{}",
        "execution": 1,
    }
