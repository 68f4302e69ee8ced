"""Slurm's own programs: `sbatch`, `squeue`, `sacct`, `scancel`. Each call has an end."""

import asyncio
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from signal import SIGTERM
from typing import NamedTuple

from aiodag.commands.local import LOCAL
from aiodag.commands.slurm_job import ORDER
from aiodag.programs import ProgramEnd, ProgramLost, ProgramNotStarted, ProgramRequest

PATIENCE = 60.0  # seconds for one of them: it tries again by itself while the controller is away
FIELDS = "%i|%T|%N|%r"
TASTES = ("SQUEUE_", "SCANCEL_", "SACCT_", "SINFO_")  # variables in which people keep filters and formats of their own
# Messages after which nobody knows whether a job was taken, or the same may be taken later.
TEMPORARY = re.compile(
    r"(?i)unable to contact|timed out|timeout|temporarily|connection (refused|failure|reset)|zero bytes|"
    r"communication|try again|protocol authentication|credential|munge|transmit|slurmctld|slurm controller"
)


class SlurmRefused(Exception):
    """Raised when Slurm will not do what it was asked for; the message is its own."""


class SlurmAway(Exception):
    """Raised when Slurm cannot be asked, or has not answered: it may have done what it was asked for, or not."""


class JobState(NamedTuple):
    """What Slurm says of a job. `name` is a state such as RUNNING, `reason` Slurm's own word for why."""

    job: str
    name: str
    node: str = ""
    reason: str = ""


class Heard:
    """What a short program said, and how it ended."""

    def __init__(self) -> None:
        self.streams = {"stdout": bytearray(), "stderr": bytearray()}
        self.end: ProgramEnd | None = None

    def note_start(self, facts: Mapping[str, object], /) -> None:
        """Pass over it."""

    def wrote(self, stream: str, chunk: bytes, /) -> None:
        """Keep all of it."""
        self.streams[stream] += chunk

    def note_end(self, end: ProgramEnd, /) -> None:
        """Keep it."""
        self.end = end

    def text(self, stream: str) -> str:
        """Return what it said."""
        return self.streams[stream].decode("utf-8", "replace").strip()


async def ask_slurm(*args: str, env: Mapping[str, str | None] | None = None, stdin: bytes | None = None) -> str:
    """Return what one of Slurm's programs says. Raises `SlurmRefused`, `SlurmAway` and `ProgramNotStarted`."""
    heard = Heard()
    if env is None:
        env = {"LC_ALL": "C", **{name: None for name in os.environ if name.startswith(TASTES)}}
    try:
        async with asyncio.timeout(PATIENCE):
            await LOCAL.run(ProgramRequest(args, env, stdin=stdin, grace=1.0), heard)
    except TimeoutError:
        msg = f"{args[0]} has not answered within {PATIENCE:.0f} s"
        raise SlurmAway(msg) from None
    except ProgramLost as fault:
        msg = f"{args[0]} {fault}"
        raise SlurmAway(msg) from None
    except ProgramNotStarted as fault:
        msg = f"did not start: the host of type slurm needs Slurm's program {args[0]!r} on this machine, and it {fault}"
        raise ProgramNotStarted(msg) from fault.__cause__
    said = heard.text("stderr")
    code = -SIGTERM if heard.end is None else heard.end.code
    if code == 0:
        return heard.text("stdout")
    msg = said or f"{args[0]} ended with {code}"
    raise SlurmAway(msg) if code < 0 or TEMPORARY.search(said) else SlurmRefused(msg)


async def submit_job(options: Sequence[str], script: str) -> str:
    """Submit a job, and return its number. Raises `SlurmRefused`, `SlurmAway` and `ProgramNotStarted`."""
    # Its variables are those of the job, so none is changed.
    said = await ask_slurm("sbatch", "--parsable", "--no-requeue", *options, env={}, stdin=script.encode())
    number = said.splitlines()[-1].partition(";")[0] if said else ""
    if not number.isdecimal():  # a script of somebody around it has another idea
        raise SlurmAway(f"sbatch said no number of a job, but {said!r:.200}")
    return number


async def job_states(jobs: Iterable[str]) -> dict[str, JobState]:
    """Return what Slurm says of jobs that it has in its memory, those of arrays one by one. Raises `SlurmAway`."""
    numbers = ",".join(dict.fromkeys(job.partition("_")[0] for job in jobs))
    try:
        said = await ask_slurm(
            "squeue", "--noheader", "--array", "--states=all", f"--format={FIELDS}", f"--jobs={numbers}"
        )
    except SlurmRefused as refused:
        if "Invalid job id" in str(refused):  # the only one that was asked for
            return {}
        raise SlurmAway(str(refused)) from None
    return {state.job: state for state in map(read_state, said.splitlines())}


async def jobs_named(name: str) -> list[str]:
    """Return the numbers of the jobs of a name. Raises `SlurmAway`."""
    try:
        said = await ask_slurm("squeue", "--noheader", "--me", "--states=all", "--format=%F", f"--name={name}")
    except SlurmRefused as refused:
        raise SlurmAway(str(refused)) from None
    return list(dict.fromkeys(said.split()))


async def recorded_state(job: str, number: str) -> JobState | None:
    """Return how a job ended that Slurm has no longer in its memory, if somebody records that.

    One of an array has two numbers, such as 12_3 and 15, and not every record knows the first.
    """
    for kind in ((), ("--completion",)):
        with suppress(SlurmRefused, SlurmAway, ProgramNotStarted):  # accounting is disabled, asleep, or not installed
            asked = f"--jobs={job},{number}" if number else f"--jobs={job}"
            said = await ask_slurm("sacct", *kind, "--parsable2", "--noheader", "--format=jobid,state", asked)
            for line in said.splitlines():
                found, _, state = line.partition("|")
                if found in {job, number} and state.split()[:1] not in ([], ["RUNNING"], ["PENDING"]):
                    return JobState(job, state.split()[0].rstrip("+"))  # such as "CANCELLED by 1000"
    return None


async def cancel_jobs(jobs: Sequence[str]) -> list[None]:
    """Have Slurm cancel jobs, those that wait and those that run. Raises `SlurmAway` and `ProgramNotStarted`."""
    with suppress(SlurmRefused):  # they have ended
        await ask_slurm("scancel", *jobs)
    return [None for _ in jobs]


async def order_ends(jobs: Sequence[str]) -> list[None]:
    """Have the scripts of jobs that run end their programs, within their grace. Raises `SlurmAway` and `ProgramNotStarted`."""
    with suppress(SlurmRefused):
        await ask_slurm("scancel", "--batch", f"--signal={ORDER.name.removeprefix('SIG')}", *jobs)
    return [None for _ in jobs]


def read_state(line: str) -> JobState:
    """Return what a line of `squeue` says."""
    job, name, node, reason = line.strip().split("|", 3)
    return JobState(job, name.rstrip("+"), node, reason)
