"""Runs as a store in memory has them, and as records for people."""

import json
from dataclasses import dataclass, field
from typing import Any

from aiodag.records import (
    BARRIER,
    CUT_OFF,
    NODE_COLUMNS,
    Batch,
    Claim,
    FunctionRow,
    Generation,
    Known,
    LastMove,
    NodeRecord,
    Owner,
    RunFilter,
    RunRecord,
    utc_moment,
)
from aiodag.states import State, next_run_state
from aiodag.stores.generations import nodes_below, text_of_generation
from aiodag.submissions import Submission

Row = dict[str, Any]


@dataclass
class KeptPlace:
    """What a queue knows of a run that was submitted."""

    submission: Submission
    due_at: float | None  # until then it is not taken
    expires_at: float | None
    retries: int
    deaths: int = 0
    successes: int = 0  # when the last owner died
    held: bool = False  # until another run of its group has ended


@dataclass
class KeptRun:
    """One run and all that belongs to it."""

    number: int
    claim: Claim
    created_at: float
    started_at: float
    execution: int = 1
    begun: int = 1
    state: State = State.RUNNING
    ended_at: float | None = None
    owner: Owner | None = None
    leased_until: float = 0.0
    cancel: bool = False
    error: str = ""
    nodes: dict[int, Row] = field(default_factory=dict)
    edges: dict[tuple[Any, ...], None] = field(default_factory=dict)
    attempts: dict[tuple[int, int], tuple[Any, ...]] = field(default_factory=dict)
    functions: dict[FunctionRow, None] = field(default_factory=dict)
    logs: list[tuple[Any, ...]] = field(default_factory=list)
    definitions: list[tuple[int, str]] = field(default_factory=list)
    facts: dict[tuple[int, int], str] = field(default_factory=dict)
    output: dict[int, tuple[Any, ...]] = field(default_factory=dict)  # by part
    parts: int = 0
    queued: "KeptPlace | None" = None  # if it was submitted
    generation: int = 0
    parent_run: str | None = None  # the id of the run that has begun it
    parent_node: int | None = None
    turn: str | None = None  # what this generation began with, but for the first

    def claim_again(self, claim: Claim) -> None:
        """Begin another execution. Raises what a claim raises that is refused."""
        claim.refuse(self.claim.name, self.owner, self.leased_until)
        entry = self.claim.entry if claim.entry is None else claim.entry
        self.claim = claim._replace(entry=entry, tags=claim.tags or self.claim.tags)
        self.execution += 1
        self.begun += self.ended_at is not None
        if self.ended_at is not None and self.queued is not None:
            self.queued.deaths = 0  # somebody means to try it again
        self.state = next_run_state(self.state, State.QUEUED, State.RUNNING)
        self.started_at, self.ended_at = claim.at, None
        self.cancel, self.error = False, ""

    def own(self, claim: Claim) -> None:
        """Give the run to whoever claims it, with the definition that it is built from."""
        self.owner, self.leased_until = claim.owner, claim.at + claim.lease
        self.define(self.execution, claim.definition)

    def define(self, execution: int, text: str | None) -> None:
        """Note the definition that an execution and those after it are built from, if it is another one."""
        if text is None or text == self.definition:
            return
        if self.definitions and self.definitions[-1][0] == execution:  # queued again with it, and never taken
            self.definitions.pop()
        self.definitions.append((execution, text))

    @property
    def schedule(self) -> str | None:
        """The name of the schedule that it is a run of."""
        return None if self.queued is None else self.queued.submission.schedule

    @property
    def definition(self) -> str | None:
        """The text that its last execution is built from."""
        return self.definitions[-1][1] if self.definitions else None

    def ask_to_cancel(self, at: float) -> bool:
        """Ask the owner to cancel the run, or whoever takes it next; end one that never began. Return whether it goes on."""
        if self.state is State.QUEUED and self.execution == 0:
            self.end("", at, State.CANCELLED)
            return True
        self.cancel = self.owner is not None or self.state in {State.QUEUED, State.PARKED}
        self.wake()
        return self.cancel

    def end(self, error: str, at: float, state: State) -> None:
        """Note how the run ended, and free it."""
        self.state = next_run_state(self.state, state)
        self.error, self.ended_at, self.owner = error, at, None
        self.forget_moments()

    def end_or_retry(self, batch: Batch, state: State) -> None:
        """Note how the run ended, or that it begins again after a failure."""
        self.end(batch.error, batch.at, state)
        if state is State.FAILED and self.queued is not None and self.queued.retries > 0:
            self.state = next_run_state(self.state, State.QUEUED)
            self.queued.retries -= 1
            self.begun += 1
            self.ended_at, self.error = None, ""

    def begin_generation(self, generation: Generation) -> list[int]:
        """Forget what a body has called that begins again, and note with what it does; return the numbers of what is forgotten."""
        enclosed = [(row["number"], row["parent"]) for row in self.nodes.values() if row["parent"] is not None]
        called = nodes_below(generation.node, enclosed)
        below = set(called)
        gone = below | {generation.node}
        self.nodes = {number: row for number, row in self.nodes.items() if number not in below}
        self.edges = {edge: None for edge in self.edges if edge[0] not in below}
        self.attempts = {key: row for key, row in self.attempts.items() if key[0] not in gone}
        self.facts = {key: text for key, text in self.facts.items() if key[0] not in gone}
        self.output = {part: row for part, row in self.output.items() if row[0] not in gone}
        self.logs = [row for row in self.logs if row[1] not in gone]
        self.generation, self.turn = generation.number, text_of_generation(generation)
        if self.queued is not None:
            self.queued.deaths = self.queued.successes = 0  # it has got on, though with fewer nodes
        return called

    # In a queue

    def submit_again(self) -> bool:
        """Put a run that has ended into its queue again; return whether it had."""
        if self.queued is None or self.ended_at is None:
            return False
        self.queue_again(self.queued)
        return True

    def queue_again(self, place: KeptPlace) -> None:
        """Put a run that nobody has into a queue: begun once more, if it had ended."""
        self.queued, place.deaths, place.held = place, 0, False
        self.state, self.owner = next_run_state(self.state, State.QUEUED), None
        self.begun += self.ended_at is not None
        self.ended_at, self.error, self.cancel = None, "", False

    def take(self, owner: Owner, at: float, lease: float) -> Claim:
        """Give the run to a worker, and return the claim that it is entered with."""
        self.state = next_run_state(self.state, State.RUNNING)
        self.execution += 1
        self.started_at, self.owner, self.leased_until = at, owner, at + lease
        self.claim = self.claim._replace(owner=owner, at=at, lease=lease)
        self.forget_moments()
        return self.claim

    def forget_moments(self) -> None:
        """Forget when the run was to begin: it has begun, or never will."""
        if self.queued is not None:
            self.queued.due_at = self.queued.expires_at = None

    def requeue(self) -> None:
        """Put the run back: it is nobody's."""
        self.state, self.owner = next_run_state(self.state, State.QUEUED), None

    def park(self) -> None:
        """Let go of the run, which only waits."""
        self.state, self.owner = next_run_state(self.state, State.PARKED), None

    def wake(self) -> bool:
        """Put the run back into its queue, if it was parked; return True if it was."""
        parked = self.state is State.PARKED
        if parked:
            self.state = next_run_state(self.state, State.QUEUED)
        return parked

    def fail(self, error: str, at: float) -> None:
        """Fail the run, which nobody has."""
        for row in self.nodes.values():
            if not row["state"].final:
                cut = CUT_OFF if row["state"] is State.RUNNING else row["error"]
                row.update(state=State.CANCELLED, ended_at=at, error=cut)
        self.end(error, at, State.FAILED)

    @property
    def successes(self) -> int:
        """How many nodes have succeeded, in all executions."""
        return sum(row["state"] is State.SUCCEEDED for row in self.nodes.values())


NOBODY = Owner("", 0, "")  # claims what was submitted and not taken, or was copied
ZERO: Any = utc_moment(0.0)
WITHOUT_VALUE = frozenset({State.FAILED, State.SKIPPED})


def known_from_kept(row: Row) -> Known:
    """Return a node as a later execution knows it."""
    state, ran = row["state"], row["started_at"] is not None
    return Known(
        number=row["number"],
        state=state,
        attempt=row["attempt"],
        codec=row["codec"],
        value=row["value"],
        error=row["error"] if state in WITHOUT_VALUE else "",
        void=row["void"] or (state is State.SKIPPED and not ran),
        failures=row["failures"],
        turn=row["turn"],
        execution=row["execution"],
    )


def last_move_of(row: Row) -> LastMove:
    """Return where a node stands."""
    moments = (row["ended_at"], row["started_at"], row["created_at"])
    return LastMove(row["number"], str(row["state"]), row["attempt"], next(at for at in moments if at is not None))


def attempt_of(row: Row) -> tuple[Any, ...] | None:
    """Return the attempt that is in the row of a node, if there is one: a number may be that of an earlier attempt."""
    if row["codec"] == BARRIER or not row["attempt"] or row["started_at"] is None:
        return None
    return row["number"], row["attempt"], row["state"], row["started_at"], row["ended_at"], row["error"]


def keep_attempt(kept: KeptRun, row: Row) -> None:
    """Keep the last attempt of an earlier execution, before a new one takes the row."""
    found = attempt_of(row)
    if found is not None:
        number, attempt, state, started, ended, error = found
        cut_off = state in {State.QUEUED, State.RUNNING}
        told = CUT_OFF if state is State.RUNNING else error
        kept.attempts.setdefault(
            (number, attempt), (number, attempt, State.CANCELLED if cut_off else state, started, ended, told)
        )


def keep_output(kept: KeptRun, batch: Batch) -> None:
    """Keep what programs wrote, and no longer what their later output has pushed out."""
    for row in batch.output:
        kept.parts += 1
        kept.output[kept.parts] = row
    for number, attempt, stream, first, below in batch.trimmed:
        gone = [
            part
            for part, row in kept.output.items()
            if row[:3] == (number, attempt, stream) and row[3] >= first and row[3] + len(row[5]) <= below
        ]
        for part in gone:
            del kept.output[part]


def age_of(kept: KeptRun) -> tuple[float, int]:
    """Return what runs are ordered by: when they were made, and their numbers."""
    return kept.created_at, kept.number


def is_wanted(kept: KeptRun, wanted: RunFilter) -> bool:
    """Return True if a run is one of those that are asked for."""
    return (
        wanted.name in {None, kept.claim.name}
        and wanted.state in {None, kept.state}
        and wanted.tags.items() <= kept.claim.tags.items()
        and (wanted.since is None or max(kept.started_at, kept.created_at) >= wanted.since)
        and wanted.parent_run in {None, kept.parent_run}
        and wanted.schedule in {None, kept.schedule}
        and (wanted.until is None or kept.created_at < wanted.until)
        and (wanted.text is None or has_text(kept, wanted.text.casefold()))
        and (wanted.queue is None or (kept.queued is not None and kept.queued.submission.queue == wanted.queue))
    )


def has_text(kept: KeptRun, text: str) -> bool:
    """Return True if a text is a part of the id, the name, or a tag of a run."""
    claim = kept.claim
    return any(text in each.casefold() for each in (claim.id, claim.name, *claim.tags, *claim.tags.values()))


def kept_run_record(kept: KeptRun, definition: str | None) -> RunRecord:
    """Return a run for people."""
    counts: dict[State, int] = {}
    for row in kept.nodes.values():
        if row["execution"] == kept.execution and row["codec"] != BARRIER:
            counts[row["state"]] = counts.get(row["state"], 0) + 1
    place = kept.queued
    entry = None if kept.claim.entry is None else json.loads(json.dumps(kept.claim.entry))
    return RunRecord(
        id=kept.claim.id,
        name=kept.claim.name,
        state=kept.state,
        execution=kept.execution,
        created_at=utc_moment(kept.created_at) or ZERO,
        started_at=utc_moment(kept.started_at or None),
        ended_at=utc_moment(kept.ended_at),
        entry=entry,
        owner=kept.owner,
        error=kept.error,
        counts=counts,
        tags=dict(kept.claim.tags),
        definition=definition,
        queue=None if place is None else place.submission.queue,
        priority=0 if place is None else place.submission.priority,
        due_at=None if place is None else utc_moment(place.due_at),
        deaths=0 if place is None else place.deaths,
        parent_run=kept.parent_run,
        generation=kept.generation,
        turn=kept.turn,
        schedule=kept.schedule,
        group=None if place is None else place.submission.group,
        is_held=place is not None and place.held and kept.state is State.QUEUED,
    )


def kept_node_record(row: Row) -> NodeRecord:
    """Return a node for people."""
    plain = {name: row[name] for name in NODE_COLUMNS[:-3]}
    return NodeRecord(
        **plain,
        created_at=utc_moment(row["created_at"]) or ZERO,
        started_at=utc_moment(row["started_at"]),
        ended_at=utc_moment(row["ended_at"]),
        recalled=row["recalled"],
    )
