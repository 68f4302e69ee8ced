"""Programs as jobs of Slurm: `command("align", host=Slurm(partition="long"))`.

A call goes through these files. `slurm_places` writes what is to run into a directory that the nodes share, `slurm_submitting`
makes jobs and arrays of it by way of `slurm_programs`, `slurm_job` is what runs on the node, and `slurm_watch` reads what that has
written, and asks Slurm what became of the others: `slurm_states` says what its answers mean.
"""

import asyncio
import logging
import math
import re
import time
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import uuid4
from weakref import WeakKeyDictionary

from aiodag._core.options import check_seconds
from aiodag.commands.bulk import BulkCalls
from aiodag.commands.host_options import check_text
from aiodag.commands.slurm_places import JobPlace, job_name
from aiodag.commands.slurm_programs import SlurmAway, SlurmRefused, ask_slurm, cancel_jobs
from aiodag.commands.slurm_submitting import PATIENCE, JobOrder, Submitter, job_of_name
from aiodag.commands.slurm_watch import JobWatch, watchers_of
from aiodag.errors import OptionError
from aiodag.programs import (
    HostState,
    ProgramEnd,
    ProgramLost,
    ProgramNotFound,
    ProgramNotStarted,
    ProgramRequest,
    ProgramWatch,
)

log = logging.getLogger("aiodag.slurm")

Result = TypeVar("Result")

# The resources that Slurm knows by itself, as a number of what, and the option that asks for it.
KNOWN: Mapping[str, str] = MappingProxyType(
    {"cores": "--cpus-per-task={}", "memory_mb": "--mem={}M", "gpus": "--gpus={}", "tmp_disk_mb": "--tmp={}M"}
)
# What jobs are told apart and read by is set here, and `sbatch` has to say the number of each.
OWN = re.compile(
    r"--(?:array|job-name|output|error|open-mode|requeue|wrap|test-only|quiet|wait|help|usage|version)(?:=.*)?|-[aJoeQWhV].*"
)
ARRAY_LARGEST = 500  # jobs of an array: Slurm takes 1,000 unless MaxArraySize says another number
HOME = "~/.local/state/aiodag/slurm"
LOOKING = 5.0  # seconds
ORDERED = 10.0  # seconds after the grace of a program in which its job ends, if that is well
ENDING = 90.0  # seconds in which Slurm has to end it otherwise
SUBMITTING = 5.0  # seconds in which a cancelled submission may still tell the number of its job


class Slurm:
    """A Slurm cluster, on whose login node, or any other machine with its programs, this process runs.

    `partition`, `account` and `qos` are those of `sbatch`, as are `options`, a list such as `["--constraint=avx2"]`. `time_limit`
    is the seconds that a job may run, for tasks without a `timeout`. The `resources` of a task become options: cores, memory_mb,
    gpus and tmp_disk_mb, and those that `flags` knows, such as `{"licences": "--licenses=matlab:{}"}`.

    `directory` is where what a job runs and writes is kept while it is there: on a file system that the nodes share, below
    the home directory unless given. `python` is a Python 3.9 or newer that each node has. `interval` is the seconds between
    two questions to Slurm, one for all jobs. Up to `array` jobs that ask for the same are submitted as one array.

    Jobs outlive this process: whoever goes on with the run takes them up, and takes their end.

    >>> from aiodag.commands.slurm import Slurm
    >>> hpc = Slurm(partition="debug", flags={"licences": "--licenses=matlab:{}"})
    >>> hpc.refuse({"cores": 4, "licences": 1})
    ''
    >>> hpc.refuse({"tapes": 1})
    "Slurm knows no resource 'tapes', but cores, gpus, licences, memory_mb, tmp_disk_mb; flags={'tapes': '--option={}'} makes it known"
    """

    at_once = None  # programs: the cluster bounds them

    def __init__(
        self,
        *,
        name: str | None = None,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        time_limit: float | timedelta | None = None,
        options: Iterable[str] = (),
        flags: Mapping[str, str] = MappingProxyType({}),
        directory: str | PathLike[str] | None = None,
        python: str = "python3",
        interval: float | timedelta = 5.0,
        array: int = ARRAY_LARGEST,
    ) -> None:
        self.name = name or "slurm"
        for option, text in (
            ("partition", partition),
            ("account", account),
            ("qos", qos),
            ("python", python),
            ("name", name),
        ):
            check_text(option, text)
        self.time_limit = None if time_limit is None else check_seconds("time_limit", time_limit)
        self.flags = checked_flags(flags)
        self.directory = checked_directory(directory)
        self.python = python
        self.interval = check_seconds("interval", interval)
        if not self.interval:
            raise OptionError("interval", interval, "seconds above 0")
        if type(array) is not int or array < 1:
            raise OptionError("array", array, "an int of 1 or more: jobs of an array")
        self.array = array
        self._form: dict[str, Any] = {
            "type": "slurm",
            **{key: value for key, value in (("partition", partition), ("account", account), ("qos", qos)) if value},
            "options": checked_options(options),
        }
        self._submitters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[JobOrder, Submitter]] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<Slurm {self.name}>"

    def form(self) -> dict[str, Any]:
        """Return the host as JSON, as files write it."""
        form = {
            **self._form,
            "time_limit": self.time_limit,
            "flags": self.flags,
            "directory": str(self.directory),
            "python": self.python,
            "interval": self.interval,
            "array": self.array,
        }
        usual = {
            "directory": str(checked_directory(None)),
            "python": "python3",
            "interval": 5.0,
            "array": ARRAY_LARGEST,
        }
        return {key: value for key, value in form.items() if value and value != usual.get(key)}

    def refuse(self, resources: Mapping[str, float], /) -> str:
        """Return why no job can have some resources, or "". What the cluster has is for Slurm to say, when it is asked."""
        known = {**KNOWN, **self.flags}
        unknown = [name for name in resources if name not in known]
        if not unknown:
            return ""
        first, names = unknown[0], ", ".join(sorted(known))
        return f"Slurm knows no resource {first!r}, but {names}; flags={{{first!r}: '--option={{}}'}} makes it known"

    async def look(self) -> HostState:
        """Return whether Slurm answers, and how many cores it has, all and idle."""
        try:
            async with asyncio.timeout(LOOKING):
                partition = [f"--partition={self._form['partition']}"] if "partition" in self._form else []
                said = await ask_slurm("sinfo", "--noheader", "--format=%C", *partition)
            idle, total = (sum(int(line.split("/")[place]) for line in said.split()) for place in (1, 3))
        except (SlurmAway, SlurmRefused, ProgramNotStarted, TimeoutError, ValueError) as error:
            return HostState(reachable=False, why=str(error) or "Slurm does not answer")
        return HostState(reachable=True, resources={"cores": total}, free={"cores": idle})

    async def run(self, request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Run a program as a job until nothing of it is left. Raises `ProgramNotStarted` and `ProgramLost`."""
        refused = self.refuse(request.resources)
        if refused:
            raise ProgramNotStarted(f"did not start: {refused}")
        job = JobWatch(await self._prepare(request), request, watch, self.interval)
        await self._attend(job, self._submitter(request).submit(job.place))

    async def find(self, facts: Mapping[str, Any], request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Take up the job of an earlier owner, and its output from the beginning, until nothing of it is left.

        Raises `ProgramNotFound`, if there is none and never will be, and what `run` raises.
        """
        noted = facts.get("directory")
        place = JobPlace(Path(noted) if isinstance(noted, str) else self.directory / job_name(request.label))
        job = JobWatch(place, request, watch, self.interval)
        job.job = str(facts.get("job") or "")
        try:
            job.job = await find_job(place, job.job, None if isinstance(noted, str) else request, request.grace)
        except asyncio.CancelledError:
            await to_its_end(end_job(job, None))
            raise
        watch.note_start({"job": job.job, "directory": str(place.path)})
        await self._attend(job, None)

    async def _prepare(self, request: ProgramRequest) -> JobPlace:
        """Return a new directory for a program. Raises `ProgramNotStarted`."""
        path = self.directory / job_name(request.label or uuid4().hex)
        made = asyncio.get_running_loop().run_in_executor(None, prepared_place, path, request)
        try:
            await asyncio.wait([made])
            return made.result()
        except asyncio.CancelledError:
            made.add_done_callback(drop_unused)  # the thread goes on
            raise
        except OSError as error:
            msg = f"did not start: Slurm(directory={str(self.directory)!r}) is where its job should find it: {error}"
            raise ProgramNotStarted(msg) from error

    def _submitter(self, request: ProgramRequest) -> Submitter:
        order = JobOrder((*self._own_options(request), *self._form["options"]), self.python, self.array)
        submitters = self._submitters.setdefault(asyncio.get_running_loop(), {})
        if order not in submitters:
            submitters[order] = Submitter(order)
        return submitters[order]

    def _own_options(self, request: ProgramRequest) -> list[str]:
        known = {**KNOWN, **self.flags}
        named = [f"--{key}={self._form[key]}" for key in ("partition", "account", "qos") if key in self._form]
        asked = [known[name].format(shown_amount(name, amount)) for name, amount in sorted(request.resources.items())]
        seconds = self.time_limit if request.time_limit is None else request.time_limit
        limit = [] if seconds is None else [f"--time={max(1, math.ceil(seconds / 60))}"]
        return ["--ntasks=1", *named, *asked, *limit]

    async def _attend(self, job: JobWatch, submitted: "asyncio.Future[str] | None") -> None:
        """Stay with a job to its end. Raises `ProgramLost` and `ProgramNotStarted`."""
        try:
            if submitted is not None:
                await asyncio.wait([submitted])  # a cancel of ours is none of it: it is one of many in its array
                job.job = submitted.result()
                job.watch.note_start({"job": job.job, "directory": str(job.place.path)})
            end = await watchers_of(asyncio.get_running_loop()).follow(job)
        except asyncio.CancelledError:
            ended = await to_its_end(end_job(job, submitted))
            if ended is not None:
                job.watch.note_end(ended)
            job.place.drop()
            raise
        except Exception:
            job.place.drop()
            raise
        job.watch.note_end(end)
        job.place.drop()


async def find_job(place: JobPlace, job: str, request: ProgramRequest | None, grace: float) -> str:
    """Return the number of the job that runs, ran or will run the program of a place. Raises `ProgramNotFound` and `ProgramLost`."""
    prepared = await asyncio.to_thread(place.is_prepared, request)
    if not prepared and job:
        with suppress(SlurmAway, ProgramNotStarted):
            await cancel_jobs([job])
        await place.wait_for_end(grace)
        msg = f"was lost: the directory of its Slurm job {job}, {place.path}, is gone"
        raise ProgramLost(msg, reason="its directory is gone")
    if not prepared:
        raise ProgramNotFound("has no directory of a Slurm job")
    job = job or await asyncio.to_thread(place.taker)
    name, number = await asyncio.to_thread(place.submission)
    if not job and name:
        found = ""
        with suppress(SlurmAway):
            found = await job_of_name(name, time.monotonic() + PATIENCE)
        job = f"{found}_{number}" if found and number else found
    if not job and await asyncio.to_thread(place.claim):
        place.drop()
        raise ProgramNotFound("was never taken by Slurm")
    return job or await asyncio.to_thread(place.taker)


async def end_job(job: JobWatch, submitted: "asyncio.Future[str] | None") -> ProgramEnd | None:
    """End the program of a job, or see to it that it never begins; return how it ended, if it had begun."""
    watchers = watchers_of(asyncio.get_running_loop())
    job.ours = True
    if await asyncio.to_thread(job.place.claim):
        if submitted is not None:
            await asyncio.wait([submitted], timeout=SUBMITTING)
            if submitted.done() and not submitted.cancelled() and submitted.exception() is None:
                job.job = submitted.result()
        await tell_slurm(watchers.cancelling, job)
        return None
    job.job = job.job or await asyncio.to_thread(job.place.taker)
    await tell_slurm(watchers.ordering, job)
    with suppress(ProgramLost, ProgramNotStarted):
        for seconds in (job.request.grace + ORDERED, ENDING):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await watchers.follow(job)
            await tell_slurm(watchers.cancelling, job)  # the script has been killed, or its node is away
        log.error("Slurm has not ended job %s within %.0f s: look after it", job.job, ORDERED + ENDING)
    return None


async def tell_slurm(calls: BulkCalls[str, None], job: JobWatch) -> None:
    """Have a job ended; where Slurm cannot be asked, the job ends itself, since its licence is gone."""
    if not job.job:
        return
    answer = calls.ask(job.job)
    await asyncio.wait([answer])
    try:
        answer.result()
    except (SlurmAway, ProgramNotStarted) as away:
        log.warning("Slurm has not ended job %s: %s. It ends itself within seconds if it runs", job.job, away)
        await asyncio.to_thread(job.place.revoke)


async def to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Do something to its end, although we are cancelled, and cancelled again."""
    task = asyncio.get_running_loop().create_task(work, context=Context())
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()


def prepared_place(path: Path, request: ProgramRequest) -> JobPlace:
    """Make the directory of a job; under another name if somebody has left one of this name. Raises `OSError`."""
    place = JobPlace(path)
    try:
        place.prepare(request)
    except FileExistsError:
        place = JobPlace(path.with_name(f"{path.name}-{uuid4().hex[:8]}"))
        place.prepare(request)
    return place


def drop_unused(made: "asyncio.Future[JobPlace]") -> None:
    """Remove the directory that a cancelled program will not use."""
    if not made.cancelled() and made.exception() is None:
        made.result().drop()


def shown_amount(name: str, amount: float) -> str:
    """Return an amount as Slurm takes it: whole numbers of what it knows."""
    whole = name in KNOWN or float(amount).is_integer()
    return str(max(1, math.ceil(amount))) if whole else repr(float(amount))


# Options


def checked_options(given: Any) -> list[str]:
    """Check options of `sbatch`."""
    listed = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
    options: list[Any] = list(given) if listed else [None]
    if not all(isinstance(each, str) and each.startswith("-") and each.isprintable() for each in options):
        raise OptionError("options", given, 'a list of options of sbatch, each in one piece: ["--constraint=avx2"]')
    own = next((each for each in options if OWN.fullmatch(each)), None)
    if own is not None:
        raise OptionError(
            "options", given, f"other options of sbatch: {own!r} would keep jobs from being found or read"
        )
    return options


def checked_flags(given: Any) -> dict[str, str]:
    """Check the options that ask for resources of the user's own."""
    if isinstance(given, Mapping) and all(
        isinstance(name, str) and isinstance(flag, str) and flag.startswith("-") and is_pattern(flag)
        for name, flag in given.items()
    ):
        return dict(given)
    raise OptionError("flags", given, "a dict of resources and options of sbatch: {'licences': '--licenses=matlab:{}'}")


def is_pattern(flag: str) -> bool:
    """Return True if an option has one place for an amount, or none."""
    return "{" not in flag.replace("{}", "", 1) and "}" not in flag.replace("{}", "", 1)


def checked_directory(given: Any) -> Path:
    """Return the directory that the nodes share; below the home directory unless given."""
    if given is not None and not isinstance(given, str | PathLike):
        raise OptionError("directory", given, "a path")
    path = Path(HOME if given is None else given).expanduser().absolute()
    if any(letter in str(path) for letter in "\\\n\0"):
        raise OptionError(
            "directory", given, "a path without backslashes and line breaks, which mean something to Slurm"
        )
    return path
