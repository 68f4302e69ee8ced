"""Work for a while with workers that are killed at random, and look whether anything is lost, or memory grows.

    make soak [SECONDS=600] [STORE=postgresql://...]

Four workers; three of them live in danger, the first is left alone, and its memory is what is looked at. Every second run waits
for a message, mostly parked. All runs must succeed, and no success that was recorded may be there twice. Exit code 1 if not.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from aiodag import State, task
from aiodag.messages import message
from aiodag.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 4
WAITING = 400  # runs in the queue: more are submitted when there are fewer
UNPAID = 100  # runs that are left waiting for their messages
LINGER = "0.1s"  # until a run that waits is parked
PAUSE = 0.5  # seconds
KILL = 5.0  # seconds between two kills, on average
WARM = 0.3  # of the time, after which memory should grow no longer
GROWTH = 16  # MiB that the oldest worker may grow after that


@task
async def step(number: int, before: object) -> int:
    """Stand for some work."""
    return number


@task
async def chain(length: int) -> int:
    """Run a chain of nodes."""
    value = None
    for number in range(length):
        value = await step(number, value)
    return length


@task
async def order(key: str) -> int:
    """Work, wait for a message, and work on."""
    before = await step(0, None)
    await message("PAID", key=key)
    return await step(1, before)


def start_worker(store: str) -> subprocess.Popen[bytes]:
    """Start a worker."""
    command = [sys.executable, "-m", "aiodag", "--quiet", "worker", "--linger", LINGER]
    return subprocess.Popen(command, env={**os.environ, "AIODAG_STORE": store})


def resident(process: subprocess.Popen[bytes]) -> float:
    """Return how much memory a process has, in MiB."""
    text = Path(f"/proc/{process.pid}/status").read_text("ascii")
    (line,) = [each for each in text.splitlines() if each.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


class Soak:
    """Some workers under fire, and what was submitted to them."""

    def __init__(self, store: str, seconds: float) -> None:
        self.store, self.seconds = store, seconds
        self.service = Service(store)
        self.workers = [start_worker(store) for _ in range(WORKERS)]
        self.submitted = self.kills = 0
        self.unpaid: deque[str] = deque()
        self.memory: list[tuple[float, float]] = []
        self.chance = random.Random(1)

    def pass_time(self) -> None:
        """Submit, kill and look, for as long as was asked for."""
        began = time.monotonic()
        kill_at = self.chance.expovariate(1 / KILL)
        while (passed := time.monotonic() - began) < self.seconds:
            self.top_up()
            self.pay(UNPAID)
            if passed > kill_at:
                self.kill_one()
                kill_at = passed + self.chance.expovariate(1 / KILL)
            self.memory.append((passed, resident(self.workers[0])))
            time.sleep(PAUSE)

    def top_up(self) -> None:
        """Have enough runs wait."""
        waiting = sum(queue.waiting for queue in self.service.queues())
        for _ in range(WAITING - waiting):
            if self.submitted % 2:
                self.unpaid.append(f"order-{self.submitted}")
                self.service.submit(f"{__file__}:order", {"key": self.unpaid[-1]})
            else:
                self.service.submit(f"{__file__}:chain", {"length": "5"})
            self.submitted += 1

    def pay(self, left: int) -> None:
        """Deliver messages, each twice, until so many runs are left that wait for theirs."""
        while len(self.unpaid) > left:
            key = self.unpaid.popleft()
            for _ in range(2):
                self.service.deliver("PAID", key, None, id=key)

    def kill_one(self) -> None:
        """Kill one of those that live in danger, and start another in its place."""
        place = self.chance.randrange(1, WORKERS)
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = start_worker(self.store)
        self.kills += 1

    def finish(self) -> None:
        """Wait until everything is worked off, and end the workers."""
        self.pay(0)
        while self.service.waits() or any(queue.waiting or queue.running for queue in self.service.queues()):
            time.sleep(PAUSE)
        for process in self.workers:
            process.terminate()
        for process in self.workers:
            process.wait()

    def faults(self) -> Iterator[str]:
        """Give what is wrong."""
        runs = self.service.runs()
        others = [run.id for run in runs if run.state is not State.SUCCEEDED]
        if others or len(runs) != self.submitted:
            yield f"{len(others)} of {len(runs)} runs have not succeeded, {self.submitted} were submitted: {others[:5]}"
        for run in runs:
            if run.deaths and self.repeats(run.id):
                yield f"run {run.id} has repeated a recorded success"
        warm = [memory for passed, memory in self.memory if passed > WARM * self.seconds]
        if warm and max(warm[len(warm) // 2 :]) - warm[0] > GROWTH:
            yield f"the worker that was left alone has grown from {warm[0]:.1f} to {max(warm):.1f} MiB"

    def repeats(self, run_id: str) -> bool:
        """Return True if a step of a run has succeeded twice."""
        steps = {node.number for node in self.service.nodes(run_id) if node.name == "step"}
        attempts = self.service.store.attempts(run_id, every=True)
        ends = [each.number for each in attempts if each.state is State.SUCCEEDED and each.number in steps]
        return len(ends) != len(set(ends))


def main() -> int:
    """Soak, print what came of it, and return the exit code."""
    seconds = float(os.environ.get("SECONDS_OF_SOAK", "600"))
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(os.environ.get("STORE") or f"sqlite:///{folder}/runs.db", seconds)
        try:
            soak.pass_time()
            soak.finish()
            faults = list(soak.faults())
        finally:
            for process in soak.workers:
                process.kill()
        first, last = soak.memory[len(soak.memory) // 3][1], soak.memory[-1][1]
        print(f"{soak.submitted} runs in {seconds:g} s and what was left after that, {soak.kills} kills")
        print(
            f"memory of the worker that was left alone: {first:.1f} MiB after a third of the time, {last:.1f} MiB in the end"
        )
        soak.service.close()
    print("\n".join(faults) or "nothing was lost or repeated")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
