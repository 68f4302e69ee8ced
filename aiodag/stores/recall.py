"""Know the nodes of a run again, and take back what they did in an earlier execution.

Every node gets its key and its number here, and with them what is recorded of it. What is written, and when, is the matter
of `recorder.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.context import attempt_here, current_node
from aiodag._core.node import Node
from aiodag._core.states import State
from aiodag.abc import NOTHING
from aiodag.stores.keys import Keys, digest_of
from aiodag.stores.names import home_of
from aiodag.stores.nested import Nested
from aiodag.stores.outcomes import decoded, writable
from aiodag.stores.places import store_at
from aiodag.stores.records import Batch, Known

if TYPE_CHECKING:
    from aiodag._core.run import Run

RECORDED = "recorded"  # in place of a codec: the row in the store is a success
# Places in the row of a node, which is a list in the order of NODE_COLUMNS.
NUMBER, KEY, NAME, VERSION, LABEL, STATE, ATTEMPT, PARENT, CODEC, VALUE, ERROR, SITE, CREATED, STARTED, ENDED = range(
    15
)
Row = list[Any]
WAITING = State.WAITING


class Recall:
    """What is known of one run, and which of its nodes need not run."""

    def __init__(self, run: "Run", place: Any) -> None:
        self.run = run
        self.store = store_at(place)
        self.error: BaseException | None = None
        self.offset = 0.0  # from the run's clock to the time of day
        self._ours = self.store is not place  # to be closed
        self._keys = Keys(home_of(run.entry))
        self._known: dict[str, Known] = {}
        self._tried: Mapping[str, int] = {}  # last attempts by task, where tasks are known by their names
        self._nested = Nested()
        self._local: set[int] = set()  # numbers of nodes that no other run may take a value from
        self._rerun: set[int] = set()  # numbers of recorded successes that had to run again
        self._next = 0  # number of the next new node
        self._batch = Batch()

    def enter(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]") -> "Node[Any] | None":
        """Give a new node its key and its row; return the node that an earlier attempt of the caller has made instead."""
        parent = current_node()
        inside = parent.row if parent is not None and parent.run is self.run else None
        if parent is None or inside is None:
            key, nested = self._keys.key(node, upstream, "", 0), False
        else:
            key = self._keys.key(node, upstream, inside[KEY], attempt_here(parent))
            nested = bool(parent.task.options.retries) or inside[KEY] in self._nested.numbers
            if nested and key in self._nested.numbers:
                return self._enter_again(node, upstream, key, inside)
        known = self._known.get(key)
        if known is None:
            number, codec = self._next, ""
            self._next += 1
        else:
            number, node.attempt = known.number, known.attempt
            codec = RECORDED if self._recallable(node, known) else ""
            if known.attempt and not codec:
                self._batch.again.append(number)
                if known.state is not State.SUCCEEDED:
                    self._rerun.add(number)  # what took its value took that of an execution before the one that failed
        if self._tried and not codec and not node.task.barrier:
            node.attempt = max(node.attempt, self._tried.get(writable(node.name), 0))
        self._put(node, upstream, key, number, inside, codec)
        if nested and inside is not None:
            self._nested.add(key, number, inside[NUMBER], node)
            if not codec and is_known(node.task):
                self._nested.begun(number)
        if known is None:
            self.connect(node, upstream, exogenous=len(node.task.after_deps))
        return None

    def _enter_again(
        self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]", key: str, inside: Row
    ) -> "Node[Any] | None":
        """Return the node of a key in another attempt of the body that called it; None where a new one takes its place."""
        live, known, number = self._nested.node(key), self._known.get(key), self._nested.numbers[key]
        outdated = self._nested.outdated(number, self._numbers_of(up for up, _ in upstream))
        codec = ""
        if live is not None and not live.state.final and not node.task.stands_in:
            if not outdated and not live.cancelling():
                return live
            # It is on its way to an end that is not the one to take. The new one waits for that, or there would be two
            # bodies of a key at once; and says nothing of itself until then, for the row is the other's.
            node.engine.connect(node, [(live, True)])
            codec = RECORDED
        elif known is not None and self._recallable(node, known):
            if live is not None and live.state is State.SUCCEEDED and not outdated:
                return live
            codec = RECORDED
        self._put(node, upstream, key, number, inside, codec)
        self._nested.add(key, number, inside[NUMBER], node)
        if not codec:
            self._run_again(node, known)
        return None

    def _run_again(self, node: "Node[Any]", known: Known | None) -> None:
        """Have a node run again of which something is known, and keep the attempt that its row has now."""
        row = node.row
        row[CODEC] = ""
        nested = row[KEY] in self._nested.numbers
        before = self._nested.again(row[KEY], row[NUMBER], ordered=is_known(node.task)) if nested else None
        if known is not None:
            node.attempt = row[ATTEMPT] = known.attempt
            if known.state is State.SUCCEEDED or nested:
                self._rerun.add(known.number)
        if before is not None:
            self._batch.attempts.append(before)
        elif known is not None and known.attempt:
            self._batch.again.append(known.number)

    def _put(
        self,
        node: "Node[Any]",
        upstream: "Sequence[tuple[Node[Any], bool]]",
        key: str,
        number: int,
        inside: Row | None,
        codec: str,
    ) -> None:
        """Give a node its row, and what decides whether its outcome may be taken."""
        parent = None if inside is None else inside[NUMBER]
        created = self.run.clock() + self.offset
        start: Row = [number, key, node, "", "", WAITING, node.attempt, parent, codec]
        node.row = [*start, None, "", "", created, None, None]
        if node.task.stands_in or (upstream and any(map(self._is_local, upstream))):
            self._local.add(number)
        elif node.task.options.cache:
            node.cache_key = digest_of(node, upstream, "", home_of(self.run.entry))
        if not codec:
            self._begun(node.row)
        elif any(tolerant for _, tolerant in upstream):
            node.tolerated = tuple([up for up, tolerant in upstream if tolerant])

    def connect(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]", *, exogenous: int) -> None:
        """Note edges, the first so many of which pass no value."""
        for place, (up, tolerant) in enumerate(upstream):
            if up.run is self.run:
                self._batch.edges.append((node.row[NUMBER], up.row[NUMBER], place < exogenous, tolerant))

    def recall(self, node: "Node[Any]") -> Any:
        """Return the recorded value of a node, or `NOTHING`. Raises `Undecodable`."""
        known = self._known.get(node.key)
        outdated = known is not None and self._outdated(node)
        if known is None or outdated or not self._recallable(node, known):
            if node.row[CODEC] is RECORDED:
                # What it took is another now, or may be; or it has waited for an earlier one, which ended otherwise.
                self._run_again(node, known)
            elif known is not None and outdated and node.task.barrier:
                self._rerun.add(known.number)  # what waits for it takes what its upstream gives
            return NOTHING
        value = decoded(node.task, known.codec, known.value)
        if value is NOTHING:  # no success any more, as its task has been edited
            self._run_again(node, known)
            return NOTHING
        if node.key not in self._nested.numbers:
            del self._known[node.key]  # it may be large
        node.row[STATE] = State.SUCCEEDED
        self._batch.recalled.append(known.number)
        self._wake()
        return value

    def _is_local(self, edge: "tuple[Node[Any], bool]") -> bool:
        """Tell whether the outcome of an edge may be another in another run, although its key is the same."""
        up, tolerant = edge
        return tolerant or up.run is not self.run or up.row[NUMBER] in self._local

    def _recallable(self, node: "Node[Any]", known: Known) -> bool:
        return known.state is State.SUCCEEDED and is_known(node.task)

    def _outdated(self, node: "Node[Any]") -> bool:
        """Tell whether an upstream of a recorded success has had another outcome since."""
        number: int = node.row[NUMBER]
        if self._nested.is_of_now(number):
            return self._nested.outdated(number, self._numbers_of(upstream_of(node)))
        if node.tolerated and not all(map(was_recalled, node.tolerated)):
            return True
        return bool(self._rerun) and not self._rerun.isdisjoint(self._numbers_of(upstream_of(node)))

    def _numbers_of(self, upstream: "Iterable[Node[Any]]") -> Iterator[int]:
        return (up.row[NUMBER] for up in upstream if up.run is self.run)

    def _begun(self, row: Row) -> None:
        """Take note of the row of a node that is to run."""

    def _wake(self) -> None:
        """Have what has changed written."""


def is_known(task: Any) -> bool:
    """Tell whether outcomes of a task are taken back: those of what has no arguments to be seen are not."""
    return bool(task.options.journal) and not task.stands_in and not task.barrier


def upstream_of(node: "Node[Any]") -> "Sequence[Node[Any]]":
    """Return the upstream nodes of one that has not begun."""
    return node.after or [value for value in node.args if type(value) is Node]


def was_recalled(node: "Node[Any]") -> bool:
    """Tell whether a node gave what it gave in an earlier execution."""
    row: Row = getattr(node, "row", [])
    return bool(row) and row[CODEC] is RECORDED and row[STATE] is State.SUCCEEDED
