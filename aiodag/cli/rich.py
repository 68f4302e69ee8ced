"""Draw progress and colours on a terminal, with rich: the extra `cli`."""

import sys
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from aiodag._core.states import State
from aiodag.cli.output import clean
from aiodag.cli.progress import Progress, seconds

if TYPE_CHECKING:
    from aiodag._core.run import Run

STYLES = {
    State.WAITING: "dim",
    State.QUEUED: "yellow",
    State.RUNNING: "blue",
    State.SUCCEEDED: "green",
    State.FAILED: "bold red",
    State.SKIPPED: "dim",
    State.CANCELLED: "magenta",
}
# A state's word where a record or a tree says it, not inside a label; and the sign of a node in a tree.
WORDS = {
    state: rf"(?<![\w'\"])(?:\d+ )?{state}(?![\w'\"(])|(?<=[─╌○ ]){sign}(?= )"
    for state, sign in zip(State, "·:▸✓✗»⊘", strict=True)
}
MOST = 8  # tasks that are named while they run


class Screen(Progress):
    """Draws the counts and what runs now at the end of the terminal; all that is said scrolls above."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        # What bodies print goes above the drawing, if it goes to this terminal. The drawing is there before the file of
        # the run is imported, so that a logging handler made in it holds the redirected stream.
        self._live = Live(
            get_renderable=self.draw,
            console=self._console,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def leave(self) -> None:
        """Take the drawing away and give the terminal back."""
        self._live.stop()

    def opened(self, run: "Run", where: str) -> None:
        """Begin to draw."""
        super().opened(run, where)
        self._live.refresh()

    def say(self, text: str) -> None:
        """Write lines above the drawing."""
        self._console.print(coloured(text), soft_wrap=True)

    def draw(self) -> Text:
        """Return what is drawn now. Called from a thread of rich, several times in a second."""
        if self.run is None or self.ended:
            return Text()
        lines = [f"{self.run.id}  {seconds(self.elapsed())}  {self.counted()}"]
        # Copied at once, since the loop's thread goes on meanwhile.
        tasks = [(name, list(there.values())) for name, there in list(self.running.items())]
        now = time.monotonic()
        lines += [
            f"  ▸ {name}{f' ×{len(began)}' if len(began) > 1 else ''}  {seconds(now - began[0])}"
            for name, began in tasks[:MOST]
            if began
        ]
        if len(tasks) > MOST:
            lines.append(f"  and {len(tasks) - MOST} other tasks")
        drawn = coloured("\n".join(lines))
        drawn.no_wrap, drawn.overflow = True, "ellipsis"
        return drawn


def coloured(text: str) -> Text:
    """Return a text with its states in colours."""
    drawn = Text(clean(text))
    for state, pattern in WORDS.items():
        drawn.highlight_regex(pattern, STYLES[state])
    return drawn


def print_coloured(text: str) -> None:
    """Print records on the standard output, with their states in colours."""
    Console(highlight=False).print(coloured(text), soft_wrap=True)
