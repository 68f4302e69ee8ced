"""Watch an ETL run live, then read how it went.

An observer of the `Run` is told of every move. In a terminal it redraws the nodes in place; in a pipe or a file it
prints a line for each move. Then the graph says what happened: as a tree, as a timeline, and the chain of nodes
that decided when the run ended.
"""

import asyncio
import os
import sys

from aiodag import Backoff, Graph, Limit, Move, Run, State, task

SPEED = 3  # times faster than the waits below say
PAUSES = {"a1": 1, "a2": 2, "b1": 4, "b2": 0.5, "c1": 6, "c2": 3.5}
SERVICE = Limit(3)

MARKS = {
    "waiting": "·",
    "queued": ":",
    "running": "▸",
    "succeeded": "✓",
    "failed": "✗",
    "skipped": "»",
    "cancelled": "⊘",
}
COLOURS = {"queued": 33, "running": 36, "succeeded": 32, "failed": 31, "skipped": 35, "cancelled": 35}


class Etl:
    """The tasks of the pipeline, and the call that joins them."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self.refused = {"b2"}

    async def wait(self, seconds: float) -> None:
        """Stand for a service that takes a while."""
        await asyncio.sleep(seconds / self.speed)

    async def fetch(self, some_id: str) -> str:
        """Fail once for b2, so that there is a second attempt to see."""
        await self.wait(PAUSES[some_id])
        if some_id in self.refused:
            self.refused.remove(some_id)
            raise ConnectionError(f"{some_id} was refused")
        return some_id + "x"

    async def concatenate(self, first: str, second: str) -> str:
        await self.wait(1)
        return first + second

    async def strip_numbers(self, text: str) -> str:
        await self.wait(1)
        return "".join(letter for letter in text if not letter.isdigit())

    async def make_room(self) -> None:
        await self.wait(3)

    async def upload(self, *parts: str) -> str:
        await self.wait(1)
        return " ".join(parts)

    def start(self) -> asyncio.Future[str]:
        """Call the tasks: that is the graph. Return its last node."""
        pause = Backoff(first=0.5 / self.speed, jitter=0)
        fetch = task(self.fetch, name="fetch", retries=2, backoff=pause)
        concatenate = task(self.concatenate, name="concatenate", limit=SERVICE)
        strip = task(self.strip_numbers, name="strip_numbers", limit=SERVICE)
        room = task(self.make_room, name="make_room")()

        ca = concatenate(fetch("a1"), fetch("a2"))
        cb = concatenate(fetch("b1"), fetch("b2"))
        cc = concatenate(fetch("c1"), fetch("c2"))
        cab = concatenate(ca, cb)
        # room is only waited for: an exogenous edge
        return task(self.upload, room, name="upload")(strip(ca), strip(cab), strip(cc))


class Lines:
    """Print a line for each move: for pipes, files and logs."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.numbers: dict[int, int] = {}

    def moved(self, move: Move) -> None:
        """Print what moved, unless it only began to wait."""
        number = self.numbers.setdefault(id(move.node), len(self.numbers))
        if self.run is None or move.state in {State.WAITING, State.QUEUED}:
            return
        graph = self.run.graph()
        again = f" (attempt {move.attempt})" if move.attempt > 1 else ""
        print(f"{graph.now:6.2f} s  {graph.nodes[number].label} {move.state}{again}", flush=True)


class Screen:
    """Draw every node in place, again and again."""

    def __init__(self, *, colour: bool) -> None:
        self.run: Run | None = None
        self.colour = colour
        self.height = 0

    def moved(self, _move: Move) -> None:
        """Draw at once what has moved."""
        self.draw()

    def draw(self) -> None:
        """Go back to the first line and draw all lines over."""
        if self.run is None:
            return
        graph = self.run.graph()
        lines = [self.line(graph, place) for place in range(len(graph))]
        back = f"\x1b[{self.height}A" if self.height else ""
        sys.stdout.write(back + "".join(f"\r{line}\x1b[K\n" for line in lines))
        sys.stdout.flush()
        self.height = len(lines)

    def line(self, graph: Graph, place: int) -> str:
        """Say the state of a node, how long it has run, and which attempt this is."""
        node = graph.nodes[place]
        again = f" attempt {node.attempts}" if node.attempts > 1 else ""
        text = f"{MARKS[node.state]} {node.label:<14} {node.state:<9} {node.running(graph.now):5.2f} s{again}"
        code = COLOURS.get(node.state) if self.colour else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text

    async def tick(self) -> None:
        """Keep the seconds moving between moves."""
        while True:
            self.draw()
            await asyncio.sleep(0.05)


async def main() -> None:
    """Run the pipeline; then show it."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    live = Screen(colour="NO_COLOR" not in os.environ) if terminal else Lines()
    async with Run("etl", observers=[live]) as run:
        live.run = run
        uploaded = Etl(SPEED).start()
        if isinstance(live, Screen):
            ticking = asyncio.create_task(live.tick())
            uploaded.add_done_callback(lambda _: ticking.cancel())

    graph = run.graph()
    print(f"\nuploaded: {uploaded.result()}")
    print(f"\n{graph.to_text()}")
    print(f"\n{graph.timeline()}")
    print(f"\ncritical path: {' → '.join(node.label for node in graph.critical_path())}")


if __name__ == "__main__":
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    asyncio.run(main())
