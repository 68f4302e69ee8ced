"""Start workers as processes of their own, and wait for what they do."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

FLOW = str(Path(__file__).with_name("worker_flow.py"))
PATIENCE = 180.0  # seconds, for what takes a moment where the machine is not busy


class Workers:
    """Processes of workers of one store, and what they say."""

    def __init__(self, address, folder):
        self.address = address
        self.folder = folder
        self.started = []

    def start(self, *options):
        log = self.folder / f"worker{len(self.started)}.log"
        with log.open("wb") as file:
            command = [sys.executable, "-m", "aiodag", "--store", self.address, "worker", *options]
            process = subprocess.Popen(command, stdout=file, stderr=file)
        process.log = log
        self.started.append(process)
        return process

    def living(self):
        return [each for each in self.started if each.poll() is None]

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()


def lines_of(file):
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


async def until(true, what):
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(true):
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


async def begun(effects, count=1):
    """Wait until so many bodies have said that they begin."""
    await until(lambda: sum(line[1] == "begins" for line in lines_of(effects)) >= count, "it begins")
