"""Draw progress and colours on a terminal, with rich: the extra `cli`."""

import sys
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from aiodag.cli.output import clean
from aiodag.cli.progress import Progress
from aiodag.cli.views import state_at
from aiodag.looks import LOOKS
from aiodag.states import State
from aiodag.wording import describe_seconds

if TYPE_CHECKING:
    from aiodag import Run

# A state's word where a record or a tree says it, not inside a label; and the sign of a node in a tree.
WORDS = {
    state: rf"(?<![\w'\"])(?:\d+ )?{state}(?![\w'\"(])|(?<=[─╌○ ]){look.sign}(?= )" for state, look in LOOKS.items()
}
MOST = 8  # tasks that are named while they run


class Screen(Progress):
    """Draws the counts and what runs now at the end of the terminal; all that is said scrolls above."""

    speaks = True

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
        self._console.print(colour_states(text), soft_wrap=True)

    def draw(self) -> Text:
        """Return what is drawn now. Called from a thread of rich, several times in a second."""
        if self.run is None or self.ended:
            return Text()
        lines = [f"{self.run.id}  {describe_seconds(self.elapsed())}  {self.counts_text()}"]
        # Copied at once, since the loop's thread goes on meanwhile.
        tasks = [(name, shown, list(there.values())) for (name, shown), there in list(self.running.items())]
        now = time.monotonic()
        lines += [
            f"  {LOOKS[shown].sign} {name}{f' ×{len(began)}' if len(began) > 1 else ''}  {describe_seconds(now - began[0])}"
            for name, shown, began in tasks[:MOST]
            if began
        ]
        if len(tasks) > MOST:
            lines.append(f"  and {len(tasks) - MOST} other tasks")
        drawn = colour_states("\n".join(lines))
        drawn.no_wrap, drawn.overflow = True, "ellipsis"
        return drawn


def colour_states(text: str) -> Text:
    """Return a text with its states in colours."""
    drawn = Text(clean(text))
    for state, pattern in WORDS.items():
        drawn.highlight_regex(pattern, LOOKS[state].style)
    return drawn


def in_states(text: str) -> Text:
    """Return lines, each that tells a state in the colour of that state, and what a tree draws before it dim."""
    drawn = Text()
    for line in clean(text).split("\n"):
        state, begin = state_at(line)
        if state is None:
            drawn.append_text(colour_states(line)).append("\n")
        else:
            drawn.append(line[:begin], "dim").append(f"{line[begin:]}\n", LOOKS[state].style)
    drawn.right_crop(1)
    return drawn


def print_coloured(text: str) -> None:
    """Print records on the standard output, with their states in colours."""
    Console(highlight=False).print(colour_states(text), soft_wrap=True)


def print_states(text: str) -> None:
    """Print lines on the standard output, each in the colour of the state that it tells."""
    Console(highlight=False).print(in_states(text), soft_wrap=True)


class LiveStates:
    """Draws states at the end of the terminal while a run goes on; what it prints scrolls above, and the end stays."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(Text(), console=self._console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def put(self, text: str) -> None:
        """Print lines above the drawing."""
        self._console.print(colour_states(text), soft_wrap=True)

    def draw(self, text: str) -> None:
        """Draw other states in place of those that are there: as many lines as the terminal has room for."""
        lines = text.split("\n")
        room = max(self._console.height - 2, 2)
        if len(lines) > room:
            lines = fit_lines(lines, room)
        drawn = in_states("\n".join(lines))
        drawn.no_wrap, drawn.overflow = True, "ellipsis"
        self._live.update(drawn, refresh=True)


def fit_lines(lines: list[str], room: int) -> list[str]:
    """Return the first line, those that tell of what runs or failed, and how many are left out."""
    telling = [line for line in lines[1:] if state_at(line)[0] in {State.RUNNING, State.PARKED, State.FAILED}]
    shown = telling[: room - 2]
    return [lines[0], *shown, f"and {len(lines) - 1 - len(shown)} other nodes"]
