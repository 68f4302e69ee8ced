"""Own runs in an SQL database, and write what they do: for many runs of one process at once."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from aiodag.errors import StoreError
from aiodag.records import Claim, Claimed, Known, Owner, Write, refuse_owned
from aiodag.states import State, next_run_state
from aiodag.stores.endings import with_marks
from aiodag.stores.sql.batches import Fenced, fence_writes, put_batches, write_sound
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.generations import read_turn
from aiodag.stores.sql.hand_on import requeue_left
from aiodag.stores.sql.past import Remains, SlicedPast, read_remains
from aiodag.stores.sql.rows import LAST, STATES, known_from_rows, owner_of, owner_text
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.statements import cut_rows

# In place of when the lease of a run ends: when that of its process does. Versions before 1.4 look at nothing else, and must
# not take the run for free.
NEVER = 1e12


class OwnedRuns(Database):
    """The runs of a database, for those who own them."""

    def claim_all(self, claims: Sequence[Claim], *, joining: bool = False) -> list[Claimed | StoreError]:
        """Make runs, or take over those whose owners have gone; return for each what it got, or why not.

        With `joining` they come to others that are written here: then the file must be the one that these are in.
        """
        return self.commit(("claim", id(claims)), partial(self._claim_some, claims), owner=joining)

    def _claim_some(self, claims: Sequence[Claim], session: Session) -> list[Claimed | StoreError]:
        now = session.now()
        made = self._make_runs(session, claims)
        answers = [made.get(claim.id) or self._claim(session, claim, now) for claim in claims]
        # One for each process, the longest.
        leases = {claim.owner: claim.lease for claim in sorted(claims, key=lambda claim: claim.lease)}
        for owner, lease in leases.items():
            session.perform("put_lease", {"owner": owner_text(owner), "until": now + lease})
        session.perform("sweep_leases", (now,))
        return answers

    def _make_runs(self, session: Session, claims: Sequence[Claim]) -> dict[str, Claimed]:
        """Make the runs that are new with few statements; return none where one cannot be made, and another may be."""
        new = {claim.id: claim for claim in claims if claim.definition is None}
        if not 1 < len(new) == len(claims):  # one alone, or two of one id
            return {}
        try:
            with session.savepoint():
                # Two processes that want the same runs must not wait for each other: those that are there are locked in the
                # order of their numbers, as by those who write them, and the others made in the order of their ids.
                for run_id in lock_runs(session, new):
                    del new[run_id]
                rows = [tuple(row_of_claim(new[run_id]).values()) for run_id in sorted(new)]
                made = {run_id: Claimed(run, 1, {}) for run, run_id in session.put_returning("add_runs", rows)}
                if len(made) < len(new):  # on a server others have made some in between
                    lock_runs(session, new)
                return made
        except self.its_own:
            return {}

    def _claim(self, session: Session, claim: Claim, now: float) -> Claimed | StoreError:
        try:
            with session.savepoint():
                return self._claim_one(session, claim, now)
        except StoreError as error:
            return error
        except self.its_own as error:
            return self.failure_of("write to", error)

    def _claim_one(self, session: Session, claim: Claim, now: float) -> Claimed:
        values = row_of_claim(claim)
        found = session.perform("find_run", {"id": claim.id}, locking=True).fetchone()
        made = [] if found else session.put_returning("add_runs", [tuple(values.values())])
        if made:
            claimed = Claimed(made[0][0], 1, {})
        else:
            # Not found, and not made: on a server another process has made it in between, and now it is there.
            found = found or session.perform("find_run", {"id": claim.id}, locking=True).fetchone()
            claimed = self._take_over(session, claim, values, found, now)
        if claim.definition is not None:
            built = {"run": claimed.run, "execution": claimed.execution, "document": claim.definition}
            session.perform("put_definition", built)
        return claimed

    def _take_over(
        self, session: Session, claim: Claim, values: dict[str, Any], found: tuple[Any, ...], now: float
    ) -> Claimed:
        run, execution, name, owner, until, *ended, begun = found
        claim._replace(at=now).refuse(name, None if owner is None else owner_of(owner), until)
        # What is damaged, and has no state that we know, is taken as one that has no owner.
        state = next_run_state(STATES.get(ended[0], State.RUNNING), State.QUEUED, State.RUNNING)
        session.perform("take_run", {**values, "run": run, "state": state})
        marks = partial(with_marks, execution=execution, state=ended[0], error=ended[1])
        (left,) = read_remains(session, [(run, claim.id)], now)
        generation, turn = read_turn(session, run)
        return self.with_remains(
            Claimed(run, execution + 1, {}, begun=begun, generation=generation, turn=turn), left, marks
        )

    def with_remains(
        self, claimed: Claimed, left: Remains, marks: "Callable[[dict[str, Known]], dict[str, Known]]"
    ) -> Claimed:
        """Return a run that was taken with what earlier executions have left; of many nodes, with what reads it in slices."""
        claimed = claimed._replace(functions=left.functions, waits=left.waits)
        if left.known is None:
            return claimed._replace(past=SlicedPast(self.apart(), claimed.run, marks))
        return claimed._replace(known=marks(left.known))

    def known_nodes(self, run_id: str) -> dict[str, Known]:
        """Return what all executions of a run have left, by key, without owning it."""
        with self.reading() as session:
            found = session.perform("find_run", {"id": run_id}).fetchone()
            if found is None:
                return {}
            run, execution, _, _, _, *ended, _ = found
            return with_marks(known_from_rows(session.perform("known", (run, 0, LAST))), execution, *ended)

    def void(self, run_id: str, numbers: Sequence[int]) -> None:
        """Have nodes of a run that nobody owns run again, whatever is recorded of them. Raises `RunOwned`."""
        with self.writing() as session:
            run, _, _, owner, until, *_ = session.perform("find_run", {"id": run_id}, locking=True).fetchone()
            refuse_owned(run_id, None if owner is None else owner_of(owner), until, session.now())
            for some in cut_rows(list(numbers)):
                session.perform_for("void_nodes", some, (run,))

    def renew(self, owner: Owner, lease: float) -> None:
        """Keep the runs of a process for so many seconds, or longer where their lease already does."""
        with self.writing(owner=True) as session:
            session.perform("put_lease", {"owner": owner_text(owner), "until": session.now() + lease})

    def held_runs(self, owner: Owner) -> dict[int, tuple[int, bool]]:
        """Return the runs of a process by number: which execution it has, and whether somebody wants it cancelled."""
        with self.reading(owner=True) as session:
            rows = session.perform("held", (owner_text(owner),))
            return {run: (execution, bool(cancel)) for run, execution, cancel in rows}

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Let go of runs that have not ended. Whoever asks for one is not refused, not even who has asked and waits.

        Those of a queue go back there.
        """
        with self.writing(owner=True) as session:
            session.put_each("release", [(each.run, each.execution) for each in claimed])
            requeue_left(session, [each.run for each in claimed], session.now())

    def write_all(self, writes: Sequence[Write]) -> list[BaseException | None]:
        """Write batches of several runs in one transaction; return for each why it could not be written.

        Raises `StoreError` when nothing could be written at all.
        """
        try:
            return self.commit(("write", id(writes)), partial(write_sound, writes))
        except Exception as error:
            if not isinstance(error.__cause__ or error, self.its_own):
                raise
            if len(writes) == 1 and isinstance(error, StoreError):
                raise
            if len(writes) == 1:
                raise self.failure_of("write to", error) from error
            return self._write_apart(writes)

    def _write_apart(self, writes: Sequence[Write]) -> list[BaseException | None]:
        """Write batches of which one cannot be written: the others are, and it alone is refused."""
        with self.writing(owner=True) as session:
            fenced = fence_writes(session, writes)
            errors = fenced.errors
            for place, write in enumerate(writes):
                if errors[place] is None:
                    errors[place] = self._write_one(session, write, fenced)
        return errors

    def _write_one(self, session: Session, write: Write, fenced: Fenced) -> StoreError | None:
        try:
            with session.savepoint():
                put_batches(session, [write], fenced)
        except self.its_own as error:
            failure = self.failure_of("write to", error)
            failure.__cause__ = error
            return failure
        return None


def lock_runs(session: Session, run_ids: Iterable[str]) -> list[str]:
    """Return which runs are there, and keep others from changing those until the end of the transaction."""
    wanted = list(run_ids)
    return [run_id for (run_id,) in session.perform_for("ids_there", wanted, locking=True)] if wanted else []


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
        "parent_run": claim.parent_run,
        "parent_node": claim.parent_node,
    }
