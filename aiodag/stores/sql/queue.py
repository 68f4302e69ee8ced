"""The queue of a store in SQL: submit runs, take them, and give them back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from aiodag.records import Claim, Claimed, Owner, RunRecord
from aiodag.states import State, next_run_state
from aiodag.stores.endings import with_marks
from aiodag.stores.queue_rules import damaged_text, refuse_draining, refuse_id, refuse_other
from aiodag.stores.sql.again import resubmit_run
from aiodag.stores.sql.freed import begin_freed
from aiodag.stores.sql.generations import checked_turn
from aiodag.stores.sql.groups import Entering, enter_groups
from aiodag.stores.sql.hand_on import HANDING_ON, REQUEUED, fail_queued, fail_refused, hand_on, is_something_due
from aiodag.stores.sql.ownership import NEVER, OwnedRuns
from aiodag.stores.sql.past import Remains, read_remains
from aiodag.stores.sql.rows import RUN, owner_text, sql_run_record
from aiodag.stores.sql.session import Session
from aiodag.stores.sql.submitting import QUEUED, add_submission
from aiodag.submissions import Resubmission, Submission, Taken

TAKEN = next_run_state(State.QUEUED, State.RUNNING)


class QueuedRuns(OwnedRuns):
    """The runs of a database that wait, for those who submit them and those who work on them."""

    def submit(self, submission: Submission) -> str:
        """Record a run as queued, or find the one that was submitted under the same key; return its id."""
        return self.transact(partial(self._submit, submission))

    def _submit(self, submission: Submission, session: Session) -> str:
        now, (there, state) = session.perform_together(
            ("run_of_submission", {"submission": submission.key}), ("state_of_queue", (submission.queue,))
        )
        found = run_of_key(submission, there)
        if found is None:
            if state == [("draining",)]:
                raise refuse_draining(submission.queue, self)
            made = add_submission(session, submission, now)
            # Not made, on a server: another process has submitted it in between.
            found = submission.id if made else self._submitted(session, submission)
        if found is None:
            raise refuse_id(submission, self)
        return found

    def submit_again(self, run_id: str) -> bool:
        """Put a run of a queue that has ended there again, to be resumed; return whether it had."""
        return self.transact(partial(submit_run_again, run_id))

    def resubmit(self, again: Resubmission) -> None:
        """Queue a recorded run again, with what it is to go on with."""
        self.transact(partial(resubmit_run, again, self))

    def _submitted(self, session: Session, submission: Submission) -> str | None:
        rows = session.perform("run_of_submission", {"submission": submission.key}).fetchall()
        return run_of_key(submission, rows)

    # Take

    def take_queued(self, owner: Owner, queues: Sequence[str], limit: int, *, lease: float) -> list[Taken]:
        """Take up to `limit` runs for `lease` seconds, after what there is to do for all."""
        return self.commit(("take", owner), partial(self._take, owner, queues, limit, lease))

    def _take(self, owner: Owner, queues: Sequence[str], limit: int, lease: float, session: Session) -> list[Taken]:
        now, (*found, limited, there) = session.perform_together(
            *HANDING_ON, ("has_limited_names", ()), ("queues_there", ())
        )
        if is_something_due(
            found[0], now
        ):  # before any run is locked; what ends here is seen by the next look, at once
            begin_freed(session, now)
        handed_on = hand_on(session, now, found)
        taker = Taker(session, owner, now, lease)
        taker.heed_queues(there)
        if limit > 0 and (limited or handed_on):
            taker.heed_names(limit)
        runs = list(taker.take(queues, limit))
        again = [(record, row) for record, row in runs if row[4]]
        remains = read_remains(session, [(row[0], record.id) for record, row in again], now)
        left = dict(zip([row[0] for _, row in again], remains, strict=True))
        taken = [self._taken(taker, record, row, left.get(row[0])) for record, row in runs]
        if taken:
            session.put_each("put_lease", [{"owner": owner_text(owner), "until": now + lease}])
        return taken

    def _taken(self, taker: "Taker", record: RunRecord, row: tuple[Any, ...], left: Remains | None) -> Taken:
        """Return what a worker gets of a run whose row was sound, with what earlier executions have left."""
        run, execution, state, error = row[0], row[4], row[3], row[6]
        target, code, cancel, begun = row[COLUMNS:]
        claim = Claim(
            record.id, record.name, record.entry, taker.owner, taker.lease, taker.now, record.tags, record.definition
        )
        generation, turn = checked_turn(record.generation, record.turn)
        claimed = Claimed(run, execution + 1, {}, begun=begun, generation=generation, turn=turn)
        if left is not None:
            claimed = self.with_remains(
                claimed, left, partial(with_marks, execution=execution, state=state, error=error)
            )
        return Taken(record, claim, claimed, target, code, cancel=bool(cancel))

    # Give back

    def give_back(self, claimed: Sequence[Claimed], *, refusal: str = "") -> None:
        """Put runs back into their queues; with a reason, note that this worker cannot run their targets."""
        with self.writing(owner=True) as session:
            pairs = [(each.run, each.execution) for each in claimed]
            refused: dict[tuple[str, str], None] = {}
            for run, execution in pairs if refusal else ():
                for queue, target in session.perform("target_given_back", (run, execution)):
                    refused[queue, target] = None
                session.perform("put_refusal", (refusal, run, execution))
            session.put_each("give_back", [(REQUEUED, *pair) for pair in pairs])
            if refused:
                fail_refused(session, session.now(), refused)


class Taker:
    """Takes runs in one transaction, for one worker."""

    def __init__(self, session: Session, owner: Owner, now: float, lease: float) -> None:
        self.session = session
        self.owner = owner
        self.now = now
        self.lease = lease
        self.rooms: dict[str, int] = {}  # of names that have a limit: how many more may go on
        self.rates: set[str] = set()  # queues of which one at a time begins
        self.over: set[str] = set()  # queues of which nothing more is taken now

    def heed_queues(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take nothing of a queue that is paused, and one at a time where there is a rate."""
        for name, state, rate, per in rows:
            if state == "paused":
                self.over.add(name)
            if is_above_zero(rate) and is_above_zero(per):
                self.rates.add(name)

    def heed_names(self, limit: int) -> None:
        """Count how many more runs of the names that have a limit may go on, and let nobody else count until the end."""
        # The second statement, when it is its turn, counts what others had committed before they let the first one go on.
        _, (names, counts) = self.session.perform_together(("limited_names", ()), ("active_of_names", ()))
        active = dict(counts)
        for name, most in names:
            # What is no number limits nothing: somebody has written it by hand.
            self.rooms[name] = most - active[name] if type(most) is int else limit

    def take(self, queues: Sequence[str], limit: int) -> Iterator[tuple[RunRecord, tuple[Any, ...]]]:
        """Give the records and rows of runs that are this worker's from now on, the first ones first."""
        left = limit
        while left > 0:
            # Each round takes or fails a run, or leaves out a name or a queue from then on.
            rows = self._rows([queue for queue in dict.fromkeys(queues) if queue not in self.over], left)
            if not rows:
                return
            chosen = self._choose(rows)
            self.session.put_each("take_queued_run", [self._owned(row[0]) for _, row in chosen])
            self.session.put_each(
                "drop_timers_of_run", [(row[0],) for _, row in chosen]
            )  # what has begun expires no more
            yield from chosen
            if len(rows) < left:
                return  # these were all: what was not chosen now is not chosen in another round
            left -= len(chosen)

    def _owned(self, run: int) -> tuple[Any, ...]:
        return TAKEN, self.now, owner_text(self.owner), NEVER, run

    def _rows(self, queues: Sequence[str], limit: int) -> list[tuple[Any, ...]]:
        """Return the rows of the next runs of some queues."""
        # Of the names that have a limit, only those whose room was counted: others may be submitted at this moment.
        with_room = [name for name, room in self.rooms.items() if room > 0]
        names = {f"name{place}": name for place, name in enumerate(with_room)}
        condition = f" or name in ({', '.join(f':{each}' for each in names)})" if names else ""
        statement = self.session.query("next_in_queue").replace("{with_room}", condition)
        found: list[tuple[Any, ...]] = []
        for queue in queues:
            values = {"queue": queue, "owner": owner_text(self.owner), "limit": limit, **names}
            found += self.session.execute(statement, values)
        # Somebody may have written anything into the priority of a row: then it comes first, and fails.
        found.sort(key=lambda row: (-row[1] if type(row[1]) is int else float("-inf"), row[0]))
        wanted = [run for run, _ in found[:limit]]
        if not wanted:
            return []
        rows = {row[0]: row for row in self.session.perform_for("runs_to_take", wanted)}
        return [rows[run] for run in wanted]

    def _choose(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[RunRecord, tuple[Any, ...]]]:
        """Return those that may begin now; fail those that cannot be read."""
        chosen: list[tuple[RunRecord, tuple[Any, ...]]] = []
        for row in rows:
            record = sql_run_record(row[:COLUMNS], {})
            damaged = damage_in(record, row[COLUMNS:])
            name, queue = row[2], row[12]
            if damaged:
                fail_queued(self.session, row[0], damaged_text(damaged), self.now)
            elif self.rooms.get(name, 1) > 0 and queue not in self.over and self._turn(queue):
                chosen.append((record, row))
                if name in self.rooms:
                    self.rooms[name] -= 1
        return chosen

    def _turn(self, queue: str) -> bool:
        """Return True if a run of a queue may begin now: at most one at a time, of those whose starts are spaced."""
        if queue not in self.rates:
            return True
        self.over.add(queue)
        return self.session.perform("take_turn", {"name": queue, "now": self.now}).rowcount > 0


def submit_run_again(run_id: str, session: Session) -> bool:
    """Put a run of a queue that has ended there again, or into its group; return whether it had."""
    found = session.perform("submit_again", (QUEUED, run_id)).fetchone()
    if found is not None and found[2] is not None:
        enter_groups(session, [Entering(*found)], session.now())
    return found is not None


ENTRY_KEYS = {"file", "task", "parameters"}
ENTRY_KEYS_ADDED = {"release", "host", "executor"}  # in an entry that has something to say there
COLUMNS = len(RUN) + 1  # of `runs_to_take`, before those that are of the queue alone


def is_above_zero(value: object) -> bool:
    """Return True for a number above 0: what somebody has written by hand may be anything, and then limits nothing."""
    return isinstance(value, int | float) and value > 0


def damage_in(record: RunRecord, own: tuple[Any, ...]) -> str:
    """Return what of a row is not as a submission wrote it, of its record or behind that; empty if all of it is."""
    damaged = [record.damaged]
    target, _, _, begun = own
    damaged += [] if type(target) is str else [f"target={target!r:.40}"]
    damaged += [] if type(begun) is int else [f"begun={begun!r:.40}"]
    if record.entry is None and record.definition is None:
        damaged.append("neither an entry nor a definition")
    if record.entry is not None and set(record.entry) - ENTRY_KEYS_ADDED != ENTRY_KEYS:
        damaged.append(f"entry={record.entry!r:.40}")
    return ", ".join(filter(None, damaged))


def run_of_key(submission: Submission, rows: Sequence[tuple[Any, ...]]) -> str | None:
    """Return the run that has the key of a submission, of what was found. Raises `StoreError` if it is another one."""
    if not rows:
        return None
    run_id, name, entry, target, document = rows[0]
    refuse_other(submission, name, target, entry_in(entry), document)
    return str(run_id)


def entry_in(text: Any) -> Mapping[str, Any] | None:
    """Return a recorded entry; None where there is none, or it cannot be read."""
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, TypeError):
        return None
    return found if isinstance(found, dict) else None
