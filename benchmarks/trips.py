"""How far a reader walks: the modules that a trip enters, and the calls that go from one module of ours to another.

`python -m benchmarks.trips [--list]` prints both for a few trips, and with `--list` what goes where, how often. Each trip is
made once before it is measured, so that what is loaded and prepared once is not part of it; threads are left out.
"""

import asyncio
import io
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import aiodag
from aiodag.cli import main as aiodag_command
from aiodag.cli.answers import say_text
from aiodag.cli.grammar import parse
from aiodag.cli.log import put_line
from aiodag.records import Batch, Claim, Claimed, Owner, Write
from aiodag.service import Service
from aiodag.stores import SQLite

PACKAGE = str(Path(aiodag.__file__).parent) + os.sep
WORKFLOW = '{"tasks": {"say": {"command": ["true"]}}}'


class Trip(NamedTuple):
    """Where a trip went: modules with the calls inside each, and pairs of modules with the calls between them."""

    rooms: Counter[str]
    moves: Counter[tuple[str, str]]

    def __str__(self) -> str:
        return f"{len(self.rooms)} / {self.moves.total()}"


def measured(walk: Callable[[], object]) -> Trip:
    """Return where a call goes in this thread."""
    trip = Trip(Counter(), Counter())

    def note(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or frame.f_code.co_name == "<module>":
            return
        room = room_of(frame)
        if room is not None:
            trip.rooms[room] += 1
            before = room_above(frame)
            if before is not None and before != room:
                trip.moves[before, room] += 1

    sys.setprofile(note)
    try:
        walk()
    finally:
        sys.setprofile(None)
    return trip


def room_of(frame: FrameType) -> str | None:
    """Return the module of ours that a frame runs, if it is one."""
    path = frame.f_code.co_filename
    return path.removeprefix(PACKAGE).removesuffix(".py") if path.startswith(PACKAGE) else None


def room_above(frame: FrameType) -> str | None:
    """Return the module of ours that a call comes from, also through the standard library."""
    above = frame.f_back
    while above is not None:
        room = room_of(above)
        if room is not None:
            return room
        above = above.f_back
    return None


def calls() -> Trip:
    """Measure `process(fetch("a"))`: two calls of tasks, and the wait for the second."""

    @aiodag.task
    async def fetch(name: str) -> str:
        return name

    @aiodag.task
    async def process(text: str) -> str:
        return text

    async def both() -> str:
        return await process(fetch("a"))

    asyncio.run(both())
    return measured(lambda: asyncio.run(both()))


def run_of_file() -> Trip:
    """Measure `aiodag run FILE.json` of one command."""
    with tempfile.TemporaryDirectory() as directory, redirect_stderr(io.StringIO()):
        file = Path(directory) / "say.json"
        file.write_text(WORKFLOW, encoding="utf-8")
        command = ["--store", str(Path(directory) / "runs.db"), "run", str(file)]
        aiodag_command(command)
        return measured(lambda: aiodag_command(command))


def look_of_log(*, lines: int) -> Trip:
    """Measure one look of `aiodag log RUN -f`, which finds and prints some lines."""
    with tempfile.TemporaryDirectory() as directory, redirect_stdout(io.StringIO()):
        store = SQLite(Path(directory) / "runs.db")
        now = time.time()
        (claimed,) = store.claim_all([Claim("monday", "etl", None, Owner.here(), 60.0, now)])
        assert isinstance(claimed, Claimed)
        args, follower = parse(["log", "monday", "-f"]), Service(store).follow("monday")

        def look() -> None:
            for document in follower.look():
                put_line(args, document, say_text)

        for count in (1, lines):
            logged = [(now, None, "INFO", "etl", "a line")] * count
            store.write_all([Write(claimed, "monday", Batch(logs=logged))])
            trip = measured(look)
        store.close()
    return trip


TRIPS: dict[str, Callable[[], Trip]] = {
    'process(fetch("a"))': calls,
    "run FILE.json": run_of_file,
    "one look of log -f": partial(look_of_log, lines=0),
    "one look of log -f that finds a line": partial(look_of_log, lines=1),
}


def main() -> None:
    """Print them."""
    for title, measure in TRIPS.items():
        trip = measure()
        print(f"{title:<40}{trip}")
        if "--list" in sys.argv[1:]:
            for (start, end), count in trip.moves.most_common():
                print(f"    {count:5}  {start} -> {end}")


if __name__ == "__main__":
    main()
