"""Runs in this process, for tests and for trying things out: gone with it."""

import os
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from aiodag.errors import LeaseLost, StoreError
from aiodag.happenings import Happening
from aiodag.records import (
    KEEP,
    LARGEST,
    ROW_COLUMNS,
    Claim,
    Claimed,
    Known,
    Owner,
    WorkflowRecord,
    Write,
    checked_keep,
    live_owner,
    refuse_owned,
    registered_already,
)
from aiodag.stores.kept import (
    WITHOUT_VALUE,
    KeptRun,
    keep_attempt,
    keep_output,
    known_from_kept,
)
from aiodag.stores.kept_access import KeptAccess
from aiodag.stores.kept_backfills import KeptBackfills
from aiodag.stores.kept_copies import KeptCopies
from aiodag.stores.kept_measures import KeptMeasures
from aiodag.stores.watch import note_happening

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.sharing import Settle, Share
    from aiodag.stores.recorder import Recorder


class Memory(KeptCopies, KeptBackfills, KeptAccess, KeptMeasures):
    """A store in this process, gone with it: for tests.

    `keep` is how many bytes it keeps of each stream of an attempt. `store="memory:name"` is one that all runs of the
    process share under that name.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> for execution in (1, 2):
    ...     async with Run("etl", store=store, id="monday"):
    ...         node = task(print)("once")
    once
    """

    _named: ClassVar[dict[str, "Memory"]] = {}

    largest = LARGEST

    def __init__(self, *, keep: int = KEEP) -> None:
        super().__init__()
        self.keep = checked_keep(keep)
        self.closed = False  # it never is
        self._pools: dict[str, dict[tuple[Owner, int], Share]] = {}
        self._starts: dict[str, float] = {}

    @classmethod
    def named(cls, name: str) -> "Memory":
        """Return the store of a name, the same one each time."""
        return cls._named.setdefault(name, cls())

    def __str__(self) -> str:
        return "memory:"

    @property
    def place(self) -> Hashable:
        """What no other store has equal."""
        return self

    def journal(self, run: "Run", *, ours: bool) -> "Recorder":
        """Return what writes a run to this store, and closes it in the end where it is `ours` to close."""
        from aiodag.stores.recorder import Recorder  # noqa: PLC0415 - who only looks writes no run

        return Recorder(run, self, ours=ours)

    # Own a run

    def claim_all(self, claims: Sequence[Claim], *, joining: bool = False) -> list[Claimed | StoreError]:
        """Make runs, or take over those whose owners have gone; return for each what it got, or why not."""
        del joining  # nothing takes the place of a store in memory
        answers: list[Claimed | StoreError] = []
        for claim in claims:
            try:
                answers.append(self._claim(claim))
            except StoreError as error:
                answers.append(error)
        return answers

    def _claim(self, claim: Claim) -> Claimed:
        with self._lock:
            kept = self.kept.get(claim.id)
            if kept is None:
                kept = self.kept[claim.id] = KeptRun(next(self._numbers), claim, claim.at, claim.at)
                kept.parent_run, kept.parent_node = claim.parent_run, claim.parent_node
                known: dict[str, Known] = {}
            else:
                kept.claim_again(claim)
                known = {row["key"]: known_from_kept(row) for row in kept.nodes.values()}
            kept.own(claim)
            self._leases[claim.owner] = max(claim.at + claim.lease, self._leases.get(claim.owner, 0.0))
            claimed = Claimed(
                kept.number, kept.execution, known, begun=kept.begun, generation=kept.generation, turn=kept.turn
            )
            return self._with_waits(claimed, claim.id)

    def known_nodes(self, run_id: str) -> dict[str, Known]:
        """Return what all executions of a run have left, by key, without owning it."""
        with self._lock:
            kept = self.kept.get(run_id)
            return {} if kept is None else {row["key"]: known_from_kept(row) for row in kept.nodes.values()}

    def void(self, run_id: str, numbers: Sequence[int]) -> None:
        """Have nodes of a run that nobody owns run again, whatever is recorded of them. Raises `RunOwned`."""
        with self._lock:
            kept = self.kept[run_id]
            refuse_owned(run_id, kept.owner, kept.leased_until, time.time())
            for number in numbers:
                kept.nodes[number]["void"] = True

    def renew(self, owner: Owner, lease: float) -> None:
        """Keep the runs of a process for so many seconds."""
        until = time.time() + lease
        with self._lock:
            self._leases[owner] = until
            for kept in self.kept.values():
                if kept.owner == owner:
                    kept.leased_until = until

    def held_runs(self, owner: Owner) -> dict[int, tuple[int, bool]]:
        """Return the runs of a process by number: which execution it has, and whether somebody wants it cancelled."""
        with self._lock:
            return {kept.number: (kept.execution, kept.cancel) for kept in self.kept.values() if kept.owner == owner}

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Let go of runs that have not ended: their leases end now."""
        with self._lock:
            executions = {each.run: each.execution for each in claimed}
            for kept in self.kept.values():
                if kept.owner is not None and executions.get(kept.number) == kept.execution:
                    kept.leased_until = time.time()
                    self.requeue_left(kept, time.time())

    def write_all(self, writes: Sequence[Write]) -> list[BaseException | None]:
        """Write batches of several runs; return for each why it could not be written."""
        errors: list[BaseException | None] = []
        for write in writes:
            try:
                self._write(write)
            except LeaseLost as error:
                errors.append(error)
            else:
                errors.append(None)
        note_happening(self.place, what_happens(writes))
        self._note_mail()
        return errors

    def _write(self, write: Write) -> None:
        batch = write.batch
        with self._lock:
            kept = self._fence(write.claimed, write.run_id)
            for number in batch.again:
                keep_attempt(kept, kept.nodes[number])
            for values in batch.nodes:
                row = dict(zip(ROW_COLUMNS, values, strict=True))
                kept.nodes[row["number"]] = {**row, "execution": kept.execution, "recalled": False, "void": False}
            for number, attempt in batch.void:
                if kept.nodes[number]["attempt"] <= attempt and kept.nodes[number]["state"] in WITHOUT_VALUE:
                    kept.nodes[number]["void"] = True
            kept.edges.update(dict.fromkeys(batch.edges))
            kept.attempts.update({(row[0], row[1]): row for row in batch.attempts})
            kept.logs += batch.logs
            for number in batch.recalled:
                kept.nodes[number].update(execution=kept.execution, recalled=True)
            kept.functions.update(dict.fromkeys(batch.functions))
            self._cache.update({row[0]: row for row in batch.cache})
            kept.facts.update({(number, attempt): facts for number, attempt, facts in batch.facts})
            keep_output(kept, batch)
            self._write_mail(kept, batch)
            if batch.generation is not None:  # what that which is over has not heard of is given back
                self._mail.drop(self._mail.waits_of(kept, kept.begin_generation(batch.generation)), time.time())
            if batch.state is not None:
                kept.end_or_retry(batch, batch.state)
                self._drop_waits(kept)

    def _fence(self, claimed: Claimed, run_id: str) -> KeptRun:
        kept = self.kept.get(run_id)
        deleted = kept is None or kept.number != claimed.run
        if kept is None or deleted or kept.execution != claimed.execution or kept.owner is None:
            raise LeaseLost(run_id, deleted=deleted)
        return kept

    # What runs share

    def share(self, owner: Owner, part: int, settles: "Mapping[str, Settle]") -> None:
        """Settle pools by their names. Whoever has something of one is of this process, and alive."""
        with self._lock:
            for name in sorted(settles):
                shares = self._pools.setdefault(name, {})
                share = settles[name]([each for key, each in shares.items() if key != (owner, part)], time.time())
                shares.pop((owner, part), None)
                if share is not None:
                    shares[owner, part] = share

    def next_start(self, name: str, interval: float) -> float:
        """Reserve the next start of those that are `interval` seconds apart; return when it is, by `time.monotonic`."""
        with self._lock:
            now = time.time()
            at = max(self._starts.get(name, now), now)
            self._starts[name] = at + interval
            return time.monotonic() + at - now

    # Workflows by name

    def register(self, record: WorkflowRecord, *, replace: bool = False) -> None:
        """Keep a workflow under its name. Raises `StoreError` if there is one, unless it is to be replaced."""
        with self._lock:
            if record.name in self._workflows and not replace:
                raise registered_already(record.name, self)
            self._workflows[record.name] = record

    def unregister(self, name: str) -> bool:
        """Forget a workflow, not its runs; return whether there was one."""
        with self._lock:
            return self._workflows.pop(name, None) is not None

    # Change from outside

    def cancel(self, run_id: str) -> bool:
        """Ask the owner of a run to cancel it; return whether it was unfinished."""
        self.run(run_id)
        with self._changing(Happening.CANCEL, Happening.ENDED, Happening.QUEUED):
            asked = self.kept[run_id].ask_to_cancel(time.time())
            self._drop_ended()
        self._note_mail()
        return asked

    def delete(self, run_ids: Sequence[str], *, unless_owned: bool = False, if_ended: bool = False) -> int:
        """Delete runs and all that belongs to them; return how many."""
        with self._lock:
            found = [run_id for run_id in dict.fromkeys(run_ids) if run_id in self.kept]
            gone = [run_id for run_id in found if not (unless_owned and self._is_owned(run_id))]
            gone = [run_id for run_id in gone if not if_ended or self.kept[run_id].state.final]
            for run_id in gone:
                del self.kept[run_id]
            self._drop_ended()
        self._note_mail()
        return len(gone)

    def _is_owned(self, run_id: str) -> bool:
        kept = self.kept[run_id]
        return live_owner(kept.owner, kept.leased_until, time.time()) is not None

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Refuse: what is in memory has no file to copy. Raises `StoreError`."""
        msg = f"cannot copy the store {self} to {path}: it is in the memory of one process; use a store in a file"
        raise StoreError(msg)

    def listener(self) -> None:
        """Return None: nobody else commits to this store."""

    def migrate(self) -> tuple[int, int]:
        """Do nothing: what is in memory has one version."""
        return 1, 1

    def close(self) -> None:
        """Let go of nothing: another run of this process may come back to it."""


def what_happens(writes: Sequence[Write]) -> set[Happening]:
    """Return what of some batches others may wait for."""
    found: set[Happening] = set()
    for write in writes:
        if write.batch.state is not None:
            found |= {Happening.ENDED, Happening.QUEUED}  # again, if it has retries
        if write.batch.rows("logs") or write.batch.rows("output"):
            found.add(Happening.LINES)
    return found
