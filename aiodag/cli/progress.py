"""Follow a run as it happens: count its states, and say so in plain lines.

All of it goes to the standard error; the standard output is for what a command answers.
"""

import asyncio
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiodag.cli import output
from aiodag.cli.printed import ProgramOutput
from aiodag.states import State
from aiodag.wording import describe_seconds, first_line, printable

if TYPE_CHECKING:
    from aiodag import Failure, Move, Run

FIRST, LONGEST = 1.0, 60.0  # seconds between two lines of counts: a tenth of what has passed, within these
RECALLED = frozenset({State.SUCCEEDED, State.FAILED, State.SKIPPED})  # straight from queued: without an attempt


class Progress:
    """Counts, and says nothing: what `--quiet` wants. An observer of one run."""

    speaks = False

    def __init__(self) -> None:
        self.run: Run | None = None
        self.began = self.ended = 0.0
        self.counts: Counter[State] = Counter()
        self.recalled = 0
        # By task, and how it is shown: the numbers of nodes with the moments they began.
        self.running: dict[tuple[str, State], dict[int, float]] = {}
        self.output = ProgramOutput(self.say)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self.leave()

    def leave(self) -> None:
        """Give the terminal back; what is said from here on are lines."""

    # What happens

    def opened(self, run: "Run", where: str) -> None:
        """Take note that this process owns the run."""
        self.run = run
        self.began = time.monotonic()
        self.say(f"run {run.id}: {where}")
        if self.speaks and run.journal is not None:
            run.journal.listener = self.output.write

    def moved(self, move: "Move") -> None:
        """Count a move, and tell of what failed."""
        node, previous, state = move.node, move.previous, move.state
        if node.task.barrier:
            return
        # What only waits for something outside of the run does not run.
        runs = State.PARKED if node.task.waits else State.RUNNING
        if previous is not None:
            self.counts[runs if previous is State.RUNNING else previous] -= 1
        self.counts[runs if state is State.RUNNING else state] += 1
        if state is State.RUNNING:
            self.running.setdefault((node.name, runs), {})[node.number] = time.monotonic()
        elif previous is State.RUNNING:
            self._leave_node((node.name, runs), node.number)
            self.output.end(node)
        elif previous is State.QUEUED and state in RECALLED and not node.driven:  # else its attempt could not begin
            self.recalled += 1
        if state is State.FAILED and node.failure is not None:
            self.say(failure_line(node.failure))
        elif state is State.QUEUED and node.ended_by is not None:
            assert self.run is not None
            name = printable(self.run.ledger.label_of(node))
            self.say(f"{name}: attempt {move.attempt} failed, and is tried again: {one_line(node.ended_by)}")

    def _leave_node(self, shown: tuple[str, State], number: int) -> None:
        there = self.running[shown]
        del there[number]
        if not there:
            del self.running[shown]

    def finish(self) -> None:
        """Take note that the run has ended."""
        self.ended = time.monotonic()
        if self.run is not None:
            self.say(
                f"run {self.run.id} {self.run.state}: {self.counts_text()}, after {describe_seconds(self.elapsed())}"
            )

    # What is seen of it

    def say(self, text: str) -> None:
        """Print a text of one line or a few."""

    def elapsed(self) -> float:
        """Return the seconds since the run was opened."""
        return (self.ended or time.monotonic()) - self.began if self.began else 0.0

    def counts_text(self) -> str:
        """Return how many nodes are in which state."""
        words = {State.PARKED: "waits outside"}
        parts = [f"{self.counts[state]} {words.get(state, state)}" for state in State if self.counts[state]]
        return ", ".join(parts + [f"{self.recalled} of them recalled"] * bool(self.recalled)) or "no nodes yet"


class ProgressLines(Progress):
    """Says in lines: every failure when it happens; counts now and then, ever more rarely in a long run."""

    speaks = True

    def opened(self, run: "Run", where: str) -> None:
        """Print which run this is, and begin to show counts."""
        super().opened(run, where)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(FIRST, self._count)

    def _count(self) -> None:
        if self.ended:
            return
        self.say(f"{self.counts_text()}, after {describe_seconds(self.elapsed())}")
        self._timer = self._loop.call_later(min(max(self.elapsed() / 10, FIRST), LONGEST), self._count)

    def say(self, text: str) -> None:
        """Write lines."""
        output.write_remark(text)


def one_line(error: BaseException) -> str:
    """Name an error in one line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {first_line(text)}" if text else type(error).__name__


def failure_line(failure: "Failure") -> str:
    """Return in one line why a node failed, with the last line that the program of a command wrote."""
    said = str(failure)
    # Not node.exception(): whoever asks for that has taken the failure.
    return first_line(f"{said}\n{str(failure.exception).partition(chr(10))[2]}") if said.endswith(":") else said
