"""Which rows of a run have changed since they were written, and who waits for that."""

from types import CodeType
from typing import TYPE_CHECKING, Any

from aiodag._core.failure import site_of
from aiodag.records import BARRIER
from aiodag.stores.outcomes import writable
from aiodag.stores.row import CODEC, ERROR, LABEL, NAME, NUMBER, SITE, STATE, VALUE, VERSION, Row

if TYPE_CHECKING:
    from asyncio import Future

    from aiodag._core.node import Node
    from aiodag._core.run import Run

    Waiting = Node[Any] | Future[None]

PORTION = 256  # rows of a batch, if no more of them are in a hurry
HURRIED = 8  # batches with successes, of which one has room for what only waits
MOST = 8192  # rows of a batch that are in a hurry: other runs, and the lease, wait for its commit


class Changes:
    """Rows that are to be written, those of what runs or has settled first."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._waiting: dict[int, Row] = {}
        self._urgent: dict[int, Row] = {}
        self._successes: dict[int, Waiting] = {}  # by the number of their row
        self._hurried = 0  # batches with successes since one that had room for what waits
        self._sites: dict[tuple[int, int], tuple[Any, str]] = {}  # with their code: nothing else gets its id

    def __bool__(self) -> bool:
        """Return True if there is anything to write."""
        return bool(self._waiting or self._urgent)

    def is_waited(self) -> bool:
        """Return True if somebody waits for a row to be written."""
        return bool(self._successes)

    def mark(self, row: Row) -> None:
        """Have a row written when there is room."""
        self._waiting[row[NUMBER]] = row

    def hurry(self, row: Row) -> None:
        """Have a row written with the next batch, or the one after if they are very many."""
        number = row[NUMBER]
        self._urgent[number] = row
        self._waiting.pop(number, None)

    def succeed(self, row: Row, waiter: "Waiting") -> None:
        """Have the success of a node that ran written: the node waits for that, or its body does with a future."""
        self._successes[row[NUMBER]] = waiter
        # Not only among the urgent ones: what a cache has given has not run, and its row waits still. It would be written a
        # second time, without the value, which goes with the first.
        self.hurry(row)

    def take(self, *, at_most: int = MOST) -> tuple[list[Row], list["Waiting"]]:
        """Return the rows of the next batch, and the waiters of the successes among them.

        What only waits comes in small portions, mostly with batches for which nobody waits: in a hurry it will have moved on
        before its turn, and a success must not wait for the rows of what has not even begun.
        """
        urgent, waiting = self._urgent, self._waiting
        if len(urgent) <= at_most:
            rows = list(urgent.values())
            self._urgent = {}
            successes = list(self._successes.values())
            self._successes = {}
        else:
            rows = [urgent.pop(number) for number in list(urgent)[:at_most]]
            numbers = [row[NUMBER] for row in rows if row[NUMBER] in self._successes]
            successes = [self._successes.pop(number) for number in numbers]
        self._hurried = (self._hurried + 1) % HURRIED if successes else 0
        room = 0 if self._hurried else PORTION - len(rows)
        while waiting and room > 0:
            rows.append(waiting.popitem()[1])
            room -= 1
        return rows, successes

    def written_out(self, row: Row) -> tuple[Any, ...]:
        """Return a row as the store gets it. What only people read is made here, once, and not at every move."""
        node = row[NAME]
        if type(node) is not str:
            task = node.task
            label, site = self._run.ledger.label_of(node), self._site(node.code, node.instruction)
            texts = [task.name, task.options.version, label, site]
            if not "".join(texts).isascii():
                texts = list(map(writable, texts))
            row[NAME], row[VERSION], row[LABEL], row[SITE] = texts
            if task.barrier:
                row[CODEC] = BARRIER
        if row[ERROR]:
            row[ERROR] = writable(row[ERROR])
        written = tuple(row)
        if row[STATE].final:
            row[VALUE] = None  # the row stays with the node, and the value is there already
        return written

    def _site(self, code: CodeType | str | None, instruction: int) -> str:
        """Return the place of a call; a loop calls many times in one place, and finding its line takes a search."""
        if type(code) is str:  # of a file that is not a program, with as many places as tasks
            return code
        place = id(code), instruction  # the hash of code is that of all that is in it
        known = self._sites.get(place)
        if known is None:
            known = self._sites[place] = code, site_of(code, instruction) if code else ""
        return known[1]
