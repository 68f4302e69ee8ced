"""From programs to jobs: those that are asked for while one `sbatch` is at work become one array of the next."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

from aiodag.commands.bulk import BulkCalls
from aiodag.commands.slurm_places import JobPlace, job_script
from aiodag.commands.slurm_programs import SlurmAway, SlurmRefused, jobs_named, submit_job
from aiodag.programs import HostUnreachable, ProgramNotStarted

log = logging.getLogger("aiodag.slurm")

PATIENCE = 300.0  # seconds in which Slurm may be away, before a program counts as not started
PAUSES = (0.5, 1.0, 2.0, 5.0)  # seconds between two tries, and then always the last


class JobOrder(NamedTuple):
    """What jobs have in common that can be in one array."""

    options: tuple[str, ...]
    python: str
    most: int


class Submitter:
    """Submits the jobs of one order, as arrays where there are several."""

    def __init__(self, order: JobOrder) -> None:
        self.order = order
        self._calls: BulkCalls[JobPlace, str] = BulkCalls(self._submit, order.most)

    def submit(self, place: JobPlace) -> asyncio.Future[str]:
        """Submit the job of a place. The future has its number."""
        return self._calls.ask(place)

    async def _submit(self, places: list[JobPlace]) -> list[str]:
        """Submit one job, or one array. Raises `ProgramNotStarted`."""
        try:
            name, remarks = await asyncio.to_thread(link_places, places)
        except OSError as error:
            msg = f"did not start: the directory of its job cannot be written: {error}"
            raise ProgramNotStarted(msg) from error
        several = [f"--array=0-{len(places) - 1}"] if len(places) > 1 else []
        options = [f"--job-name={name}", f"--output={remarks}", f"--error={remarks}", "--open-mode=append", *several]
        script = job_script(self.order.python, [place.path for place in places])
        try:
            job = await submit_once(name, [*options, *self.order.options], script)
        except SlurmRefused as refused:
            msg = f"did not start: Slurm refused its job: {refused}"
            raise ProgramNotStarted(msg) from None
        except SlurmAway as away:
            msg = f"did not start: Slurm has not answered for {PATIENCE:.0f} s: {away}"
            raise HostUnreachable(msg) from None
        return [job] if not several else [f"{job}_{number}" for number in range(len(places))]


async def submit_once(name: str, options: Sequence[str], script: str) -> str:
    """Submit a job of a unique name once, however often that has to be tried. Raises `SlurmRefused` and `SlurmAway`."""
    until = time.monotonic() + PATIENCE
    for pause in pauses():
        try:
            return await submit_job(options, script)
        except SlurmAway as away:
            said = away
        log.warning(
            "Slurm did not say whether it took the job %s: %s. It is looked up before it is submitted again", name, said
        )
        found = await job_of_name(name, until)
        if found:
            return found
        if time.monotonic() + pause > until:
            raise said
        await pause_for(pause)
    raise AssertionError


async def job_of_name(name: str, until: float) -> str:
    """Return the number of the job of a name, "" if Slurm has none. Raises `SlurmAway` when it has not said so in time."""
    for pause in pauses():
        try:
            return next(iter(await jobs_named(name)), "")
        except SlurmAway:
            if time.monotonic() + pause > until:
                raise
        await pause_for(pause)
    raise AssertionError


def pauses() -> Iterator[float]:
    """Return the seconds between tries, without an end."""
    return chain(PAUSES, repeat(PAUSES[-1]))


async def pause_for(seconds: float) -> None:
    """Wait, in a thread: Slurm's time is real, and a virtual clock stands still meanwhile."""
    await asyncio.to_thread(time.sleep, seconds)


def link_places(places: list[JobPlace]) -> tuple[str, str]:
    """Return the name of the job of some places, and where Slurm writes its remarks. In a thread."""
    first = places[0].path
    if len(places) == 1:
        places[0].note_submission(first.name)
        return first.name, pattern_of(first / "remarks")
    digest = blake2b("\n".join(place.path.name for place in places).encode(), digest_size=8).hexdigest()
    name = f"{first.name.rpartition('-')[0]}-and-{len(places) - 1}-more-{digest}"
    links = first.with_name(f"{name}.array")
    for number, place in enumerate(places):
        place.note_submission(f"{name} {number}", links / str(number))
    return name, f"{pattern_of(links)}/%a/remarks"


def pattern_of(path: Path) -> str:
    """Return a path as Slurm's patterns have it."""
    return str(path).replace("%", "%%")
