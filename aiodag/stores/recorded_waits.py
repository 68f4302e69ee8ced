"""Wait for what comes from outside of a run: rows of its store, which settle whoever is there.

Who settles a wait, by delivering a message or since its moment has come, writes the outcome of its node in the same transaction.
So between two moments a row is not ours, although we own the run:

    the body asks ─► registered with the row of the node │ ... somebody settles it ... │ heard: our body goes on
                                                         └───── the row is theirs ─────┘

In between it must not be written here: a row that said "running" would take the outcome back. So a wait that is known from an
earlier execution is never written at all, and one that was heard is not written again. Only where a wait ends otherwise, as by
a cancel, its row is ours once more: that is written together with the word that nobody waits any more, and the store gives back
what it has taken for us meanwhile.
"""

from asyncio import Future, TimerHandle
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any

from aiodag._core.context import bodies_around
from aiodag.abc import NOTHING
from aiodag.codec.text import decode_error
from aiodag.mail import MESSAGE, WaitSeen
from aiodag.records import WAS_PARKED, Batch, Known
from aiodag.states import State
from aiodag.stores.due_moments import DueMoments
from aiodag.stores.outcomes import decode_value, payload_value
from aiodag.stores.row import ATTEMPT, CODEC, KEY, NUMBER, RECORDED, STARTED, STATE, TURN, Row
from aiodag.stores.waking import SETTLING

if TYPE_CHECKING:
    from aiodag._core.engine import Engine
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.mail import Outgoing, SettledWait, Wait


class OpenWait:
    """A wait of a body that has asked for it in this execution."""

    __slots__ = ("due_at", "future", "node", "registered", "settled", "timer")

    def __init__(self, node: "Node[Any]", future: "Future[Any]") -> None:
        self.node = node
        self.due_at: float | None = None
        self.future = future
        self.registered = False  # whether the store knows of it
        self.settled: SettledWait | None = None
        self.timer: TimerHandle | None = None

    def close(self) -> None:
        """Have no timer of the loop look for it any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class RecordedWaits(DueMoments):
    """The waits of one run. `Recorder` writes them."""

    _engine: "Engine"

    def __init__(self, run: "Run", store: "Runs") -> None:
        super().__init__(run, store)
        self._waits: dict[int, OpenWait] = {}  # by the numbers of their nodes
        self.registered: Callable[[], object] | None = None
        self._asked = 0  # batches after which the store is still to be asked what is settled
        self._registering: list[int] = []  # with the batch that is being written
        self._sending: dict[int, Outgoing] = {}  # what bodies send, by the numbers of their nodes, until they succeed

    # What bodies ask

    def wait(self, node: "Node[Any]", wait: "Wait") -> "Future[Any]":
        """Have the store settle a node; return the future of what comes: plain JSON of a message, the answer of a run.

        It raises what the wait has failed with, such as `TimeoutError`.
        """
        self._refuse_to_go_on()
        number, since = node.row[NUMBER], self._now()
        due_at = since + wait.seconds if wait.seconds is not None else wait.due_at
        entry = self._waits.get(number)
        if entry is None:
            entry = self._waits[number] = OpenWait(node, self.run.loop.create_future())
            if due_at is not None:
                entry.due_at = self._first_moment(number, due_at)
                self._set_timer(entry)
        entry.registered = False  # nor where it waits already: the store has forgotten the losers of a group
        self._register((number, wait.kind, wait.topic, wait.key, since, entry.due_at, wait.group))
        self._note_limits(bodies_around(node))
        return entry.future

    def reject(self, node: "Node[Any]", reason: str) -> None:
        """Refuse what has come for a node: it becomes a dead letter, and the store looks for another message."""
        number = node.row[NUMBER]
        entry = self._waits.pop(number, None)
        if entry is not None and entry.due_at is not None:
            self._seen[number] = WaitSeen(settled=False, seconds_left=entry.due_at - self._learned_at)
        self._batch.rejects.append((number, reason))
        self._wake(waited=True)

    def waits_for_world(self) -> bool:
        """Return True if anything is waited for from outside."""
        return bool(self._waits)

    def may_park(self) -> bool:
        """Return True if the store knows all that a run which only waits needs to go on; else have that written."""
        if self._frontier is not None or self._unmet:
            self._look_around()  # what is held comes first
            return False
        if self._note_limits(self.run.live):
            return False
        self._batch.attempts += parked_attempts(self.run.live, self._now())
        return True

    def is_waiting(self, node: "Node[Any]") -> bool:
        """Return True if the store knows that a node waits, and nothing has come yet."""
        entry = self._waits.get(node.row[NUMBER])
        return entry is not None and entry.registered and not entry.future.done()

    def send(self, node: "Node[Any]", outgoing: "Outgoing") -> None:
        """Have a message leave with the success of a node."""
        self._refuse_to_go_on()
        self._sending[node.row[NUMBER]] = outgoing

    def _send_with(self, row: Row) -> None:
        """Have what a node sends go into the batch that has its success."""
        outgoing = self._sending.pop(row[NUMBER], None)
        if outgoing is not None:
            self._batch.outbox.append(outgoing)

    def _first_moment(self, number: int, due_at: float) -> float:
        """Return the moment of a wait: the first one that was recorded stands."""
        seen = self._seen.get(number)
        return due_at if seen is None or seen.seconds_left is None else self._now() + self._left(seen.seconds_left)

    def _set_timer(self, entry: OpenWait) -> None:
        # In an empty context: that of the body would keep what the body has set.
        left = max((entry.due_at or 0.0) - self._now(), 0.0)
        entry.timer = Context().run(self.run.loop.call_later, left, self._fall_due, entry)

    def _fall_due(self, entry: OpenWait) -> None:
        """Have the store settle a wait whose moment has come."""
        entry.timer = None
        if not entry.future.done() and not self._deaf and not self._broken:
            self._batch.due.append(entry.node.row[NUMBER])
            self._wake(waited=True)

    # What the store tells

    def _note_batch(self, batch: Batch) -> None:
        """Take note of what is registered with a batch, and have the next one register what could not go with it."""
        if not batch.has_any(SETTLING):
            self._registering = []
        else:
            self._registering = [each[0] for each in (*batch.rows("waits"), *batch.rows("rejects"))]
            # On a virtual clock: the keeper asks what is settled when that is written, which takes real time as well.
            self._engine.real_time.begin()
            self._asked += 1
        if self._deferred:
            self._batch.waits += self._deferred
            self._deferred = []

    def _hear_registered(self) -> None:
        """Take note that the store knows of the waits of the last batch."""
        for number in self._registering:
            entry = self._waits.get(number)
            if entry is not None:
                entry.registered = True
                if entry.due_at is not None and entry.timer is None:  # it fell due while the store did not know of it
                    self._set_timer(entry)
        self._registering = []
        if self.registered is not None:
            self.registered()

    def hear_waits(self, settled: "Sequence[SettledWait]") -> None:
        """Let bodies go on whose waits were settled."""
        for each in settled:
            entry = self._waits.get(each.number)
            if entry is None or not entry.registered or entry.future.done() or self._deaf:
                # Cancelled meanwhile; or rejected; or of an earlier execution, and its body has not come to it yet.
                continue
            entry.settled = each
            entry.close()
            entry.node.row[CODEC] = RECORDED
            try:
                entry.future.set_result(value_of_settled(entry.node.task, each))
            except BaseException as error:  # noqa: BLE001 - whatever it failed with, or why it cannot be read
                entry.future.set_exception(error)

    def _close_waits(self) -> None:
        """Have no timers any more."""
        for entry in self._waits.values():
            entry.close()
        if self._frontier is not None:
            self._frontier.close()
        while self._asked:
            self.hear_answer()

    def hear_answer(self) -> None:
        """Hear that the store was asked what is settled, after a batch with waits."""
        if self._asked:
            self._asked -= 1
            self._engine.real_time.end()

    # How the nodes of waits end

    def _end_wait(self, node: "Node[Any]", state: State) -> bool:
        """Note that the node of a wait has settled; return True if it did as the store has it, which is not written again."""
        row = node.row
        number = row[NUMBER]
        entry = self._waits.pop(number, None)
        known = self._seen.pop(number, None) is not None
        if entry is None and (row[STATE].final or not known):
            return row[CODEC] is RECORDED
        self._unmet.discard(number)
        self._deferred = [each for each in self._deferred if each[0] != number]
        if entry is not None:
            entry.close()
            if entry.settled is not None and entry.settled.state is state:
                row[STATE] = state
                self._batch.heard.append(number)
                self._keep_settled(row, entry.settled)
                self._wake()
                return True
        row[CODEC] = ""
        self._batch.unwaits.append(number)
        return False

    def _wait_ends_unmet(self, node: "Node[Any]", state: State) -> bool:
        """Return True if a wait of an earlier execution ends, such as by a cancel, before its body has come to it."""
        return bool(self._seen and state.final and node.task.waits) and not self._end_wait(node, state)

    def _keep_settled(self, row: Row, settled: "SettledWait") -> None:
        """Keep the outcome for another attempt of an enclosing body."""
        if row[KEY] in self._nested.numbers:
            number, attempt, failed = row[NUMBER], row[ATTEMPT], settled.state is not State.SUCCEEDED
            known = Known(number, settled.state, attempt, settled.codec, settled.value, settled.error, void=failed)
            self._known.hold(row[KEY], known._replace(turn=row[TURN]))
            if failed:
                self._nested.note_failure(number, attempt)

    # What is known of them

    def _is_open(self, known: Known) -> bool:
        """Return True if a node waits since an earlier execution: its row is not ours to write."""
        seen = self._seen.get(known.number)
        return seen is not None and not seen.settled and not known.state.final

    def _goes_on_waiting(self, node: "Node[Any]", known: Known) -> bool:
        """Take over what is known of a wait, or of the time limit of a body; return True if a wait is open."""
        if node.task.waits:
            if known.state is not State.FAILED:
                node.attempt = max(known.attempt - 1, 0)  # it waits on, or anew: that is no other attempt
            return self._is_open(known)
        self._take_up_limit(node, known)
        return False

    def _recall_outcome(self, node: "Node[Any]", known: Known) -> Any:
        """Return what settled the wait of a node while nobody heard of it, or `NOTHING` where that does not fit."""
        number = known.number
        if number not in self._unmet:
            return super()._recall_outcome(node, known)
        self._unmet.discard(number)
        try:
            value = super()._recall_outcome(node, known)
        except (TypeError, ValueError) as error:
            if known.codec != MESSAGE:
                raise
            self._batch.rejects.append((number, str(error)))
            return NOTHING
        self._batch.heard.append(number)
        return value


def value_of_settled(task: Any, settled: "SettledWait") -> Any:
    """Return what a wait was settled with, a message as plain JSON; raise what it failed with."""
    if settled.state is not State.SUCCEEDED:
        raise decode_error(settled.error)
    return (
        payload_value(settled.value) if settled.codec == MESSAGE else decode_value(task, settled.codec, settled.value)
    )


def parked_attempts(nodes: "Iterable[Node[Any]]", at: float) -> list[tuple[Any, ...]]:
    """Return the attempts of bodies that end since their run is parked: nobody could tell them from those of a process that died."""
    return [
        (node.row[NUMBER], node.attempt, State.CANCELLED, node.row[STARTED], at, WAS_PARKED)
        for node in nodes
        if node.row[STATE] is State.RUNNING and not node.task.waits
    ]
