"""The watch over the jobs of one loop: what they write is read from their directories, and Slurm is asked once for all of them.

_look    a thread reads the directories of all jobs, some times a second: output, and the end of most of them
_ask     one `squeue` in each interval: what has become of jobs that Slurm has ended, or that have not begun
"""

import asyncio
import logging
import time
from contextvars import Context
from signal import SIGTERM
from weakref import WeakKeyDictionary

from aiodag.commands.bulk import BulkCalls
from aiodag.commands.slurm_places import CHUNK, STREAMS, JobPlace, JobStatus, ending_time
from aiodag.commands.slurm_programs import JobState, SlurmAway, cancel_jobs, job_states, order_ends, recorded_state
from aiodag.commands.slurm_states import (
    GONE,
    KnownJob,
    ends_lost,
    job_is_over,
    lost_job,
    needs_word,
    node_said_so,
    program_end,
    refusal_of,
    state_in_remarks,
    stopped_remark,
    unbegun_end,
)
from aiodag.programs import ProgramEnd, ProgramLost, ProgramNotStarted, ProgramRequest, ProgramWatch

log = logging.getLogger("aiodag.slurm")

PAUSE = 0.1  # seconds between two looks, if they are quick: a tenth of the time at most goes into them
SOON = 0.3  # seconds between two questions where only Slurm can say why a program has ended
SURE = 2  # answers that say the same, before it is believed: the files of the node may come later than Slurm's word
PATIENCE = 60.0  # seconds for that word; and for the directory of a job, after which it counts as removed
CANCELS = 500  # jobs of one `scancel`
OUTAGE = 60.0  # seconds in which Slurm does not answer, before that is an error in the log


class JobWatch:
    """One job that is watched, and who hears of it."""

    def __init__(self, place: JobPlace, request: ProgramRequest, watch: ProgramWatch, interval: float) -> None:
        self.place = place
        self.request = request
        self.watch = watch
        self.interval = interval
        self.job = ""
        self.status = JobStatus()
        self.said: JobState | None = None  # by Slurm, when it was asked last
        self.ours = False  # whether we want it to end
        self.over_seen = 0  # answers of Slurm in a row that say that it is over
        self.quiet_since = 0.0  # since when its end has been waiting for Slurm's word, or its directory has been away
        self.lost: ProgramLost | None = None  # as far as Slurm knows: its program may still run, without a licence
        self.lost_at = 0.0
        self.judged: asyncio.Future[ProgramEnd] | None = None

    @property
    def known(self) -> KnownJob:
        """What is known of it."""
        waited = self.over_seen >= SURE or bool(self.quiet_since and time.monotonic() > self.quiet_since + PATIENCE)
        return KnownJob(self.job, self.status, self.said, self.ours, waited)

    def follow_runner(self, runner: str) -> None:
        """Watch the job that runs the program: it was submitted twice if that is another. The one that was watched runs nothing."""
        if runner not in {"", self.job}:
            self.job, self.said, self.over_seen = runner, None, 0

    def lose(self, lost: ProgramLost, *, surely_over: bool = False) -> None:
        """Tell that it was lost as soon as nothing of it runs: what Slurm believes to be over may not be."""
        self.lost, self.lost_at = self.lost or lost, self.lost_at or time.monotonic()
        if surely_over or self.status.ended or time.monotonic() >= self.lost_at + ending_time(self.request.grace):
            self.settle(self.lost)

    def settle(self, end: ProgramEnd | Exception) -> None:
        """Tell whoever follows it how it ended."""
        if self.judged is None or self.judged.done():
            return
        if isinstance(end, Exception):
            self.judged.set_exception(end)
        else:
            self.judged.set_result(end)


class Seen:
    """What one look at a directory found."""

    def __init__(self, job: JobWatch) -> None:
        self.job = job
        self.status: JobStatus | None = None
        self.chunks: list[tuple[str, bytes]] = []
        self.claimed = False
        self.taker = ""
        self.remarks = ""

    @property
    def more(self) -> bool:
        """Whether there was more to read than one look reads."""
        return any(len(chunk) == CHUNK for _, chunk in self.chunks)

    def look(self) -> None:
        """Read what is new, in a thread."""
        place = self.job.place
        try:
            if self.job.lost is not None:
                place.revoke()
            self.status = place.status()
            if self.status.job:  # after its status, so that nothing is missed
                self.chunks = [(stream, chunk) for stream in STREAMS if (chunk := place.read(stream))]
            elif self.job.over_seen >= SURE:
                self.claimed = place.claim()
                self.taker = "" if self.claimed else place.taker()
            self.remarks = place.remarks() if self.job.over_seen >= SURE else ""
        except OSError:  # the file system is away, or somebody has removed the directory
            return


class Watchers:
    """Watches all jobs of one loop, while there are any."""

    def __init__(self) -> None:
        self.jobs: set[JobWatch] = set()
        self.cancelling: BulkCalls[str, None] = BulkCalls(cancel_jobs, CANCELS)
        self.ordering: BulkCalls[str, None] = BulkCalls(order_ends, CANCELS)
        self._work: asyncio.Task[None] | None = None
        self._question: asyncio.Task[None] | None = None
        self._ask_at = 0.0
        self._answered_at = 0.0
        self._reported = False

    async def follow(self, job: JobWatch) -> ProgramEnd:
        """Wait until nothing of a job is left. Raises `ProgramLost` and `ProgramNotStarted`."""
        loop = asyncio.get_running_loop()
        job.judged = loop.create_future()
        if not self.jobs:
            self._answered_at = time.monotonic()
            self._ask_at = self._answered_at + job.interval
        self.jobs.add(job)
        if self._work is None:
            # In a context of its own: that of the first job would be held for as long as there are others.
            self._work = loop.create_task(self._look(), context=Context())
        try:
            return await job.judged
        finally:
            self.jobs.discard(job)
            if not self.jobs:
                self._rest()

    def _rest(self) -> None:
        for each in (self._work, self._question):
            if each is not None:
                each.cancel()
        self._work = self._question = None

    async def _look(self) -> None:
        pause = 0.0
        try:
            while self.jobs:
                seen = [Seen(job) for job in self.jobs]
                seconds = await asyncio.to_thread(read_places, seen, pause)
                for each in seen:
                    if each.job in self.jobs:
                        self._take(each)
                pause = 0.0 if any(each.more for each in seen) else max(PAUSE, 9 * seconds)
                self._ask_in_time(asyncio.get_running_loop())
        except Exception as error:
            for job in list(self.jobs):
                job.settle(error)
            raise

    def _take(self, seen: Seen) -> None:
        """Pass on what was read, and judge."""
        job = seen.job
        if seen.status is None:
            job.quiet_since = job.quiet_since or time.monotonic()
            if job.known.waited:
                why = f"was lost: the directory of its Slurm job {job.job}, {job.place.path}, is gone"
                job.settle(ProgramLost(why, reason="its directory is gone"))
            return
        job.status = seen.status
        job.follow_runner(seen.status.job or seen.taker)
        for stream, chunk in seen.chunks:
            job.watch.wrote(stream, chunk)
            job.place.taken[stream] += len(chunk)  # only now: what a cancelled look has read is read again
        if not seen.more:
            self._judge(job, seen)

    def _judge(self, job: JobWatch, seen: Seen) -> None:
        known, status = job.known, job.status
        if job.lost is not None:
            job.lose(job.lost)
        elif status.refused:
            job.settle(refusal_of(status, job.request))
        elif status.ended:
            if needs_word(known) and not known.waited:
                job.quiet_since = job.quiet_since or time.monotonic()
                return
            self._end(job, seen)
        elif not (known.waited and job_is_over(known)):
            job.quiet_since = 0.0
        elif seen.claimed:
            job.settle(unbegun_end(known, seen.remarks))
        else:  # it has begun, and was killed before it could note how it ended, or even that it had begun
            self._end(job, seen)

    def _end(self, job: JobWatch, seen: Seen) -> None:
        if job.said is not None:
            job.said = state_in_remarks(job.said, seen.remarks)
        known, remark = job.known, stopped_remark(job.known)
        if ends_lost(known):
            job.lose(lost_job(known, seen.remarks), surely_over=node_said_so(known))
            return
        end = program_end(known.status)
        if remark:
            said = f"{seen.remarks}\n" if seen.remarks else ""
            job.watch.wrote("stderr", f"{said}{remark}".encode())
            end = end._replace(code=end.code or -SIGTERM)  # it was to end: that it did so nicely is no success
        job.settle(end)

    def _ask_in_time(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask Slurm, if it is time to."""
        urgent = any(needs_word(job.known) or job.over_seen for job in self.jobs)
        at = min(self._ask_at, self._answered_at + SOON) if urgent else self._ask_at
        if self._question is not None and self._question.done():
            self._question.result()  # a fault in here must not be overlooked
            self._question = None
        if self.jobs and time.monotonic() >= at and self._question is None:
            self._question = loop.create_task(self._ask(), context=Context())

    async def _ask(self) -> None:
        """Ask Slurm once for all jobs."""
        asked = {job: job.status for job in self.jobs}  # what was known before is what an answer is held against
        try:
            states = await job_states(job.job for job in asked)
        except (SlurmAway, ProgramNotStarted) as away:
            self._report_outage(away)
        else:
            self._answered_at, self._reported = time.monotonic(), False
            for job, status in asked.items():
                if job in self.jobs:
                    state = states.get(job.job)
                    if state is None and job.over_seen:
                        state = await recorded_state(job.job, job.status.number)
                    self._hear(job, status, state or JobState(job.job, GONE))
        self._ask_at = time.monotonic() + min((job.interval for job in self.jobs), default=0.0)

    def _hear(self, job: JobWatch, before: JobStatus, state: JobState) -> None:
        if state.name == GONE and job.said is not None and job_is_over(job.known) and job.said.name != GONE:
            state = job.said  # it has said how the job ended, and forgotten it since
        job.said = state
        over = job_is_over(KnownJob(job.job, before, state))
        job.over_seen = job.over_seen + 1 if over else 0

    def _report_outage(self, away: Exception) -> None:
        seconds = time.monotonic() - self._answered_at
        if seconds > OUTAGE and not self._reported:
            self._reported = True
            log.error(
                "Slurm has not answered for %.0f s: %s. What %d jobs write and how they end is read all the same",
                seconds,
                away,
                len(self.jobs),
            )


def read_places(seen: list[Seen], pause: float) -> float:
    """Look at the directories of jobs after a pause, in a thread; return how many seconds the looks took."""
    time.sleep(pause)  # here, since this takes real time: a virtual clock stands still meanwhile
    began_at = time.monotonic()
    for each in seen:
        each.look()
    return time.monotonic() - began_at


WATCHERS: WeakKeyDictionary[asyncio.AbstractEventLoop, Watchers] = WeakKeyDictionary()


def watchers_of(loop: asyncio.AbstractEventLoop) -> Watchers:
    """Return what watches the jobs of a loop."""
    watchers = WATCHERS.get(loop)
    if watchers is None:
        watchers = WATCHERS[loop] = Watchers()
    return watchers
