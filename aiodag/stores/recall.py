"""Know the nodes of a run again, and take back what they did in an earlier execution.

Every node gets its key and its number here, and with them what is recorded of it. What is written, and when, is the matter
of `recorder.py`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_node
from aiodag._core.node import Node
from aiodag._core.states import State
from aiodag.abc import NOTHING
from aiodag.stores.keys import Keys, digest_of
from aiodag.stores.names import home_of
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
        self._nested: dict[str, int] = {}  # keys of nodes in the bodies of tasks that may be tried again
        self._local: set[int] = set()  # numbers of nodes that no other run may take a value from
        self._rerun: set[int] = set()  # numbers of recorded successes that had to run again
        self._next = 0  # number of the next new node
        self._batch = Batch()

    def enter(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]") -> None:
        """Give a new node its key and its row."""
        parent = current_node()
        inside = parent.row if parent is not None and parent.run is self.run else None
        enclosing, attempt = ("", 0) if parent is None or inside is None else (inside[KEY], parent.attempt)
        key = self._keys.key(node, upstream, enclosing, attempt)
        known = self._known.get(key)
        if known is None:
            number, node.attempt, codec = self._next, 0, ""
            self._next += 1
        else:
            number, node.attempt = known.number, known.attempt
            codec = RECORDED if self._recallable(node, known) else ""
            if known.attempt and not codec:
                self._batch.again.append(number)
        if self._tried and not codec and not node.task.barrier:
            node.attempt = max(node.attempt, self._tried.get(writable(node.name), 0))
        parent_number = None if inside is None else inside[NUMBER]
        created = self.run.clock() + self.offset
        start: Row = [number, key, node, "", "", WAITING, node.attempt, parent_number, codec]
        node.row = [*start, None, "", "", created, None, None]
        if parent is not None and inside is not None and parent.task.options.retries:
            self._nested[key] = number  # another attempt of the parent will call it again
        if node.task.stands_in or (upstream and any(map(self._is_local, upstream))):
            self._local.add(number)
        elif node.task.options.cache:
            node.cache_key = digest_of(node, upstream, "", home_of(self.run.entry))
        if not codec:
            self._begun(node.row)
        if codec and any(tolerant for _, tolerant in upstream):
            node.tolerated = tuple([up for up, tolerant in upstream if tolerant])
        if known is None:
            self.connect(node, upstream, exogenous=len(node.task.after_deps))

    def connect(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]", *, exogenous: int) -> None:
        """Note edges, the first so many of which pass no value."""
        for place, (up, tolerant) in enumerate(upstream):
            if up.run is self.run:
                self._batch.edges.append((node.row[NUMBER], up.row[NUMBER], place < exogenous, tolerant))

    def recall(self, node: "Node[Any]") -> Any:
        """Return the recorded value of a node, or `NOTHING`. Raises `Undecodable`."""
        known = self._known.get(node.key)
        if known is None or not self._recallable(node, known):
            if known is not None and node.task.barrier and self._outdated(node):
                self._rerun.add(known.number)  # what waits for it takes what its upstream gives
            return NOTHING
        if self._outdated(node):
            # What it took is another now, or may be: it runs again, as what failed does.
            node.row[CODEC] = ""
            self._rerun.add(known.number)
            self._batch.again.append(known.number)
            return NOTHING
        value = decoded(node.task, known.codec, known.value)
        if node.key not in self._nested:
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
        task = node.task
        return known.state is State.SUCCEEDED and task.options.journal and not task.stands_in and not task.barrier

    def _outdated(self, node: "Node[Any]") -> bool:
        """Tell whether an upstream of a recorded success has had another outcome since."""
        if node.tolerated and not all(map(was_recalled, node.tolerated)):
            return True
        if not self._rerun:
            return False
        upstream = node.after or [value for value in node.args if type(value) is Node]
        return any(up.run is self.run and up.row[NUMBER] in self._rerun for up in upstream)

    def _begun(self, row: Row) -> None:
        """Take note of the row of a node that is to run."""

    def _wake(self) -> None:
        """Have what has changed written."""


def was_recalled(node: "Node[Any]") -> bool:
    """Tell whether a node gave what it gave in an earlier execution."""
    row: Row = getattr(node, "row", [])
    return bool(row) and row[CODEC] is RECORDED and row[STATE] is State.SUCCEEDED
