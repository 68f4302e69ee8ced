"""Know the nodes of a run again, and take back what they did in an earlier execution.

Every node gets its key and its number here, and with them what is recorded of it. What is written, and when, is the matter
of `recorder.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.context import attempt_here, current_node
from aiodag._core.node import Node
from aiodag.abc import NOTHING, Raised
from aiodag.codec.text import decode, decode_error
from aiodag.errors import Skip
from aiodag.mail import MESSAGE
from aiodag.names import home_of
from aiodag.records import FunctionRow, Generation, Known
from aiodag.states import State
from aiodag.stores.caching import cache_keys
from aiodag.stores.enclosures import Enclosed
from aiodag.stores.endings import Endings
from aiodag.stores.keys import Keys
from aiodag.stores.nested import Nested
from aiodag.stores.outcomes import decode_value, payload_value, writable
from aiodag.stores.past import Remembered, WholePast
from aiodag.stores.row import ATTEMPT, CODEC, KEY, NUMBER, RECORDED, STATE, TURN, VALUE, Row

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.abc import Runs
    from aiodag.records import Past
    from aiodag.stores.frontier import Frontier

NOTHING_KNOWN = ()
LATER: Any = object()  # a value that has to be looked for where it is kept
WAITING = State.WAITING  # as a global, as in the engine
OUTCOMES = frozenset({State.SUCCEEDED, State.FAILED, State.SKIPPED})


class Recall(Enclosed):
    """What is known of one run, and which of its nodes need not run."""

    error: BaseException | None

    def __init__(self, run: "Run", store: "Runs") -> None:
        super().__init__(run)
        self.store = store
        self.error = None
        self.listener: Callable[[Node[Any], str, bytes], object] | None = None
        self.begun = 1
        self.unwritten = 0
        self._keys = Keys(home_of(run.entry))
        self._resumed = False  # whether there is anything to take back
        self._tried: Mapping[str, int] = {}  # last attempts by task, where tasks are known by their names
        self._nested = Nested()
        self._local: set[int] = set()  # numbers of nodes that no other run may take a value from
        self._chosen: set[int] = set()  # numbers of successes that somebody wants to run again
        self._endings = Endings()
        self.queue: str | None = None  # that the run was taken from
        self._generation: Generation | None = None  # the last one, of a body that has begun again
        self._frontier: Frontier | None = None  # of a run that is continued, until it is reached
        self._next = 0  # number of the next new node
        self._met = False  # whether anything recorded was taken back
        self.raised = 0  # how many were taken back with what they raised

    def learn(self, past: "Past | WholePast", functions: "Sequence[FunctionRow]") -> None:
        """Take in what earlier executions have left: their nodes, and the functions that they have called."""
        self._known = Remembered(past)
        self._resumed = len(past) > 0
        self._keys.former.know(functions)
        self._turn = past.turn
        self._next = 1 + past.last

    def enter(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]") -> "Node[Any] | None":
        """Give a new node its key and its row; return the node that an earlier attempt of the caller has made instead."""
        parent, past = current_node(), self._known if self._resumed else NOTHING_KNOWN
        inside = parent.row if parent is not None and parent.run is self.run else None
        if parent is None or inside is None:
            key, nested = self._keys.key(node, upstream, "", 0, past), False
        else:
            key = self._keys.key(node, upstream, key_around(inside, self._generation), attempt_here(parent), past)
            nested = bool(parent.task.options.retries) or inside[KEY] in self._nested.numbers
            if nested and key in self._nested.numbers:
                return self._enter_again(node, upstream, key, inside)
        if self._keys.new_functions:
            self._batch.functions += self._keys.new_functions
            self._keys.new_functions = []
        known = self._known.take(key) if self._resumed else None
        if known is None:
            number, codec = self._next, ""
            self._next += 1
        else:
            number, codec = known.number, self._known_again(node, known)
        if self._tried and not codec and self._known.past and not node.task.barrier:
            node.attempt = max(node.attempt, self._tried.get(writable(node.name), 0))
        self._put(node, upstream, key, number, inside, codec)
        if parent is not None and inside is not None and parent.task.encloses:
            self._enclose(number, inside)
        if nested and inside is not None:
            self._nested.add(key, number, inside[NUMBER], node)
        elif self._resumed and not codec:
            self._known.drop(key)
        if known is None:
            self.connect(node, upstream, exogenous=len(node.task.after_deps))
        return None

    def _known_again(self, node: "Node[Any]", known: Known) -> str:
        """Take over what is known of a new node, and return what stands in its row for the codec."""
        node.attempt = known.attempt
        if recallable(node.task, known) or (node.task.encloses and known.state is State.SUCCEEDED and not known.void):
            return RECORDED
        if self._goes_on_waiting(node, known):
            return RECORDED
        node.again, node.earlier = known.state.final, known.attempt
        if known.attempt and node.attempt == known.attempt:
            self._batch.again.append(known.number)
        if known.failures and not known.state.final and not known.void:
            node.failed = known.failures  # cut off between its attempts: those that have failed count
        elif known.void and known.state is State.SUCCEEDED:
            self._chosen.add(known.number)
        return ""

    def _enter_again(
        self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]", key: str, inside: Row
    ) -> "Node[Any] | None":
        """Return the node of a key in another attempt of the body that called it; None where a new one takes its place."""
        live, known, number = self._nested.node(key), self._known.get(key), self._nested.numbers[key]
        codec = ""
        if live is not None and not live.state.final and not node.task.stands_in:
            if not live.cancelling() and not self._takes_another(live, upstream):
                return live
            # It is on its way to an end that is not the one to take. The new one waits for that, or there would be two
            # bodies of a key at once; and says nothing of itself until then, for the row is the other's.
            node.connect([(live, True)])
            codec = RECORDED
        elif known is not None and recallable(node.task, known):
            if (
                live is not None
                and live.state is State.SUCCEEDED
                and not self._has_moved_on_from([up for up, _ in upstream], known.turn)
            ):
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
        before = self._nested.again(row[KEY])
        if known is not None:
            node.attempt = row[ATTEMPT] = known.attempt
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
        node.known_by = key
        node.row = [*start, None, "", "", created, None, None, node.failed, self._turn]
        if node.task.stands_in or (upstream and any(map(self._is_local, upstream))):
            self._local.add(number)
        elif node.task.options.cache:
            node.cache_keys = cache_keys(node, upstream, home_of(self.run.entry))
        if not codec:
            self._note_begin(node.row)
            return
        known = self._known.get(key)
        if known is not None:
            node.row[TURN] = known.turn
        if upstream and any(tolerant for _, tolerant in upstream):
            node.tolerated = tuple([up for up, tolerant in upstream if tolerant])

    def connect(self, node: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]", *, exogenous: int) -> None:
        """Note edges, the first so many of which pass no value."""
        for place, (up, tolerant) in enumerate(upstream):
            if up.run is self.run:
                self._batch.edges.append((node.row[NUMBER], up.row[NUMBER], place < exogenous, tolerant))

    def is_recorded(self, node: "Node[Any]") -> bool:
        """Return True if the outcome of a node that has not begun will be taken back."""
        known = self._known.get(node.known_by) if node.row[CODEC] is RECORDED else None
        return known is not None and recallable(node.task, known)

    def recall(self, node: "Node[Any]") -> Any:
        """Return the recorded value of a node, what it `Raised`, or `NOTHING`. Raises `Undecodable`."""
        row = node.row
        if node.task.encloses:
            self._begin_enclosing(row, max([self._turn_of(up) for up in upstream_of(node)], default=0))
            return NOTHING
        if row[CODEC] is not RECORDED:
            if self._frontier is not None and not node.attempt and is_known(node.task) and not node.task.waits:
                self._frontier.reach()  # it has never begun: a cancel that was held comes before it does
            if node.task.barrier:  # it gives nothing of its own: what waits for it takes what its upstream gives
                row[TURN] = max([self._turn_of(up) for up in upstream_of(node)], default=0)
            return NOTHING
        known = self._known.get(node.known_by)
        if node.task.waits and known is not None and self._is_open(known):
            return NOTHING
        if known is None or not recallable(node.task, known) or self._is_outdated(node, known.turn):
            # What it took is another now, or may be; or it has waited for an earlier one, which ended otherwise.
            self._run_again(node, known)
            return NOTHING
        value = self._recall_outcome(node, known)
        if value is NOTHING:  # no success any more, as its task has been edited
            self._run_again(node, known)
        elif value is not LATER:
            self._note_recalled(node, known, value)
        return NOTHING if value is LATER else value

    def _note_recalled(self, node: "Node[Any]", known: Known, value: object) -> None:
        row = node.row
        row[STATE], row[TURN] = known.state, known.turn
        self._reach(row)
        self._batch.recalled.append(known.number)
        self._met = True
        self.raised += type(value) is Raised
        for up in node.tolerated:
            if up.failure is not None:
                up.failure.report.take()  # as its body has done
        if node.known_by not in self._nested.numbers:
            self._known.drop(node.known_by)  # it may be large
        elif known.state is not State.SUCCEEDED:
            self._keep_outcome(row, void=True)
        self._wake()

    def _keep_outcome(self, row: Row, *, void: bool) -> None:
        """Keep an outcome that another attempt of an enclosing body may ask for, unless that is to be another one."""
        known = Known(row[NUMBER], row[STATE], row[ATTEMPT], row[CODEC], row[VALUE], void=void, turn=row[TURN])
        self._known.hold(row[KEY], known)
        if void:
            self._nested.note_failure(row[NUMBER], row[ATTEMPT])

    def _is_local(self, edge: "tuple[Node[Any], bool]") -> bool:
        """Return True if the outcome of an edge may be another in another run, although its key is the same."""
        up, tolerant = edge
        return tolerant or up.run is not self.run or up.row[NUMBER] in self._local

    def _is_outdated(self, node: "Node[Any]", turn: int) -> bool:
        """Return True if an upstream of what began in a turn has had another outcome since, or may have had."""
        if node.task.firm:
            return False
        if self._is_older(node.row, turn):
            return True
        for up in node.tolerated:
            if up.run is not self.run or up.state is State.CANCELLED or not is_known(up.task):
                return True
        return self._has_moved_on_from(upstream_of(node), turn)

    def _takes_another(self, live: "Node[Any]", upstream: "Sequence[tuple[Node[Any], bool]]") -> bool:
        """Return True if an unfinished node takes something else than what it would take if it was called now."""
        if live.args is None:  # it has begun
            return self._has_moved_on_from([up for up, _ in upstream], live.row[TURN])
        waits_for = set(upstream_of(live))
        return any(up not in waits_for for up, _ in upstream if not up.task.stands_in)

    def _has_moved_on_from(self, upstream: "Sequence[Node[Any]]", turn: int) -> bool:
        # Most nodes have no upstream, and this is asked of each.
        return bool(upstream) and any(self._turn_of(up) > turn for up in upstream)

    def _turn_of(self, up: "Node[Any]") -> int:
        """Return when a node began that gives what it gives; 0 where what needs it is known by its key alone."""
        if up.run is not self.run or not (is_known(up.task) or up.task.barrier):
            return 0
        if up.failure is not None and up.state is State.SKIPPED:
            return self._endings.turn(up.failure.report)
        turn: int = up.row[TURN]
        return turn

    def _recall_outcome(self, node: "Node[Any]", known: Known) -> Any:
        return recalled_wait(node, known) if node.task.waits else recalled_outcome(node.task, known)


def arguments_now(generation: Generation | None, node: "Node[Any]", args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments of a call: of a body that has begun again, those of its last generation."""
    if generation is None or generation.node != node.row[NUMBER]:
        return args, kwargs
    node.generation = generation.number
    return (), decode(generation.arguments)


def key_around(row: Row, generation: Generation | None) -> str:
    """Return what stands for the enclosing node in the keys of what its body calls: another one in each generation."""
    if generation is None or generation.node != row[NUMBER]:
        return str(row[KEY])
    return f"{row[KEY]}+{generation.number}"


def is_known(task: Any) -> bool:
    """Return True if outcomes of a task are taken back: those of what has no arguments to be seen are not."""
    return bool(task.options.journal) and not task.stands_in and not task.barrier


def recallable(task: Any, known: Known) -> bool:
    """Return True if what is known of a node is an outcome that counts.

    A cancellation is none: it came from outside of the body. Neither is what was skipped because of others, nor a success
    without a value: of a task that had `journal=False`. What encloses others is entered, and takes back what is in it.
    """
    if task.encloses:
        return False
    if known.state is State.SUCCEEDED and not known.codec:
        return False
    return known.state in OUTCOMES and not known.void and is_known(task)


def recalled_outcome(task: Any, known: Known) -> Any:
    """Return the value of a recorded success, or what a body has `Raised`. Raises `Undecodable`."""
    if known.state is State.SUCCEEDED:
        return decode_value(task, known.codec, known.value)
    return Raised(Skip(known.error) if known.state is State.SKIPPED else decode_error(known.error))


def recalled_wait(node: "Node[Any]", known: Known) -> Any:
    """Return what a node has waited for as a value of its type, or what it has `Raised`. Raises what does not fit."""
    if known.state is not State.SUCCEEDED or known.codec != MESSAGE:
        return recalled_outcome(node.task, known)
    plain = payload_value(known.value)
    return plain if node.task.fit is None else node.task.fit(node, plain)


def upstream_of(node: "Node[Any]") -> "Sequence[Node[Any]]":
    """Return the upstream nodes of one that has not begun."""
    return node.after or [value for value in node.args if type(value) is Node]
