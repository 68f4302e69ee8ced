"""A real host of few lines: each program runs detached, in a folder of its own that has its label, and is found again there."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from aiodag.errors import LetGo
from aiodag.programs import ProgramEnd, ProgramNotFound

KEEPER = """
import os, signal, subprocess, sys
folder, *args = sys.argv[1:]
with open(f"{folder}/out", "wb") as out:
    program = subprocess.Popen(args, stdout=out, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    with open(f"{folder}/pid.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"{folder}/pid.new", f"{folder}/pid")
    code = program.wait()
with open(f"{folder}/code.new", "w") as file:
    file.write(str(code))
os.rename(f"{folder}/code.new", f"{folder}/code")
"""
PAUSE = 0.02


class Detached:
    """A host whose programs outlive whoever has started them."""

    def __init__(self, folder, name="detached", *, notes=True):
        self.folder, self.name, self.notes = Path(folder), name, notes
        self.found = []  # facts and labels, as they were asked for

    async def run(self, request, watch, /):
        place = self.folder / request.label
        place.mkdir()
        (place / "out").touch()
        keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(place), *request.args],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        keeper.returncode = 0  # nobody of this process waits for it
        await self._follow(place, watch)

    async def find(self, facts, request, watch, /):
        self.found.append((dict(facts), request.label))
        place = Path(facts.get("folder") or self.folder / request.label)
        if not place.exists():
            raise ProgramNotFound(f"there is no {place.name}")
        await self._follow(place, watch)

    async def _follow(self, place, watch):
        while not (place / "pid").exists():
            await asyncio.sleep(PAUSE)  # real time: as below
        pid = int((place / "pid").read_text())
        if self.notes:
            watch.note_start({"folder": str(place), "pid": pid})
        code, told = place / "code", 0
        try:
            while not code.exists():
                await asyncio.sleep(PAUSE)  # real time: it runs in another process
                told = tell(place, watch, told)
        except LetGo:
            raise
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            while not code.exists():
                await asyncio.sleep(PAUSE)  # real time: as above
            watch.note_end(end_of(code))
            raise
        tell(place, watch, told)
        watch.note_end(end_of(code))


def tell(place, watch, told):
    """Tell what the program wrote since the last time."""
    with (place / "out").open("rb") as file:
        file.seek(told)
        chunk = file.read()
    if chunk:
        watch.wrote("stdout", chunk)
    return told + len(chunk)


def end_of(code):
    return ProgramEnd(code=int(code.read_text()), started_at=code.parent.stat().st_ctime, ended_at=time.time())
