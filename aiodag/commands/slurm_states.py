"""What the states of Slurm's jobs mean for a program: the one table, and the one judgement."""

import os
import re
import time
from collections.abc import Mapping
from enum import Enum
from signal import SIGKILL, SIGTERM
from types import MappingProxyType
from typing import NamedTuple

from aiodag.commands.refusal import NotStarted, describe_refusal
from aiodag.commands.slurm_places import JobStatus
from aiodag.commands.slurm_programs import JobState
from aiodag.programs import ProgramEnd, ProgramLost, ProgramNotStarted, ProgramRequest

KILLED = -SIGKILL
# Codes of what Slurm may have ended, and of a shell around it.
BY_SIGNAL = {-SIGKILL, -SIGTERM, 128 + SIGKILL, 128 + SIGTERM}


class Meaning(Enum):
    """What a state means for a program of which nothing else is known."""

    BEFORE = "it waits for its turn, or is held"
    NOW = "it runs, or is about to begin or to end"
    OVER = "it has ended by itself: its status says how"
    STOPPED = "somebody or a limit has ended it: a failure, with the reason"
    LOST = "the cluster has ended it, and the program is not to blame: to be tried again"


STATES: Mapping[str, Meaning] = MappingProxyType(
    {
        **dict.fromkeys(
            ["PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"], Meaning.BEFORE
        ),
        **dict.fromkeys(
            [
                "CONFIGURING",
                "RUNNING",
                "COMPLETING",
                "SUSPENDED",
                "STOPPED",
                "SIGNALING",
                "STAGE_OUT",
                "RESIZING",
                "POWER_UP_NODE",
                "UPDATE_DB",
            ],
            Meaning.NOW,
        ),
        **dict.fromkeys(["COMPLETED", "FAILED"], Meaning.OVER),
        **dict.fromkeys(["TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "DEADLINE"], Meaning.STOPPED),
        **dict.fromkeys(
            ["NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL", "REVOKED"],
            Meaning.LOST,
        ),
    }
)
STOPPED_WHY: Mapping[str, str] = MappingProxyType(
    {
        "TIMEOUT": "reached the time limit that Slurm had for it; timeout= of the task, time_limit= of the host and the partition set it",
        "OUT_OF_MEMORY": "took more memory than it had asked for; resources={'memory_mb': ...} of the task asks for more",
        "CANCELLED": "was cancelled in Slurm by somebody else",
        "DEADLINE": "could not end before its deadline",
    }
)
LOST_WHY: Mapping[str, str] = MappingProxyType(
    {"NODE_FAIL": "node failure", "PREEMPTED": "preemption", "BOOT_FAIL": "boot failure"}
)
OF_MEMORY = re.compile(r"(?i)oom.?kill|out of memory|exceeded .*memory|memory limit")
GONE = "GONE"  # in place of a state: Slurm knows nothing of the job, which it forgets some time after its end


def meaning_of(state: str) -> Meaning:
    """Return what a state means. A job in a state that is unknown here goes on: it ends in another, or vanishes."""
    return Meaning.OVER if state == GONE else STATES.get(state, Meaning.NOW)


class KnownJob(NamedTuple):
    """What is known of one job. `state` is None until Slurm was asked."""

    job: str
    status: JobStatus
    state: JobState | None = None
    ours: bool = False  # whether we want it to end
    waited: bool = False  # whether Slurm has been asked long enough


def needs_word(known: KnownJob) -> bool:
    """Return True if only Slurm can say why a program has ended: it has, or its job has, got a signal."""
    ended = known.status.ended
    return bool(ended) and not known.ours and (ended[5] == "1" or int(ended[0]) in BY_SIGNAL)


def program_end(status: JobStatus) -> ProgramEnd:
    """Return how a program ended, by its own status; of one without a last line, as if it was killed now."""
    code, seconds, peak, ended_at, left = status.ended[:5] or (KILLED, 0.0, 0, time.time(), 0)
    return ProgramEnd(
        int(code),
        status.started_at or float(ended_at),
        float(ended_at),
        status.pid,
        float(seconds),
        int(peak),
        int(left),
        host=status.node,
    )


def refusal_of(status: JobStatus, request: ProgramRequest) -> ProgramNotStarted:
    """Return why a program could not be started on its node."""
    number, fault, *path = status.refused
    error = OSError(int(number), os.strerror(int(number)))
    if fault in {"request", "output"}:
        return ProgramNotStarted(f"did not start: its job on the node cannot use its directory: {error}")
    refused = NotStarted(error, fault, bytes.fromhex("".join(path)))
    stdin = request.stdin if fault == "stdin" else None
    return ProgramNotStarted(describe_refusal(refused, request.args[0], request.cwd, stdin))


def job_is_over(known: KnownJob) -> bool:
    """Return True if a job has ended as far as Slurm knows, or will not run the program any more."""
    if known.state is None:
        return False
    meaning = meaning_of(known.state.name)
    begun_again = meaning is Meaning.BEFORE and bool(known.status.job)  # requeued; it runs nothing twice
    return meaning in {Meaning.OVER, Meaning.STOPPED, Meaning.LOST} or begun_again


def node_said_so(known: KnownJob) -> bool:
    """Return True if Slurm has the end of a job from its node. A controller that has lost its own state believes other things."""
    return known.state is not None and known.state.name in {"COMPLETED", "FAILED"}


def ends_lost(known: KnownJob) -> bool:
    """Return True if how the program of a job that is over has ended is not known, or does not matter."""
    if known.ours or stopped_remark(known):
        return False
    cut = known.state is not None and meaning_of(known.state.name) in {Meaning.LOST, Meaning.BEFORE}
    return (needs_word(known) and cut) or not known.status.ended


def state_in_remarks(state: JobState, remarks: str) -> JobState:
    """Return a state as Slurm's remarks say it better: some ways to bound memory end a job as FAILED."""
    return state._replace(name="OUT_OF_MEMORY") if state.name == "FAILED" and OF_MEMORY.search(remarks) else state


def lost_job(known: KnownJob, remarks: str) -> ProgramLost:
    """Return that a program has ended, and why nobody knows how."""
    state = known.state or JobState(known.job, GONE)
    why = LOST_WHY.get(state.name)
    if why is None:
        why = "requeued" if meaning_of(state.name) is Meaning.BEFORE else "job ended without a word"
    at = f" on {known.status.node or state.node}" if known.status.node or state.node else ""
    name = "is not known to Slurm any more" if state.name == GONE else f"is {state.name}"
    said = f"; Slurm said: {remarks}" if remarks else ""
    return ProgramLost(f"was lost: its Slurm job {known.job}{at} {name}{said}", reason=why)


def stopped_remark(known: KnownJob) -> str:
    """Return a line for stderr that says why Slurm has ended a program; "" if it did not."""
    if known.ours or known.state is None or meaning_of(known.state.name) is not Meaning.STOPPED:
        return ""
    if known.status.ended and not needs_word(known):  # by itself, a moment earlier
        return ""
    return f"slurm: job {known.job} is {known.state.name}: it {STOPPED_WHY[known.state.name]}\n"


def unbegun_end(known: KnownJob, remarks: str) -> ProgramLost | ProgramNotStarted:
    """Return what became of a job that ended before its program began."""
    state = known.state or JobState(known.job, GONE)
    if meaning_of(state.name) is Meaning.LOST or state.name == GONE:
        return lost_job(known, remarks)
    said = f"; Slurm said: {remarks}" if remarks else ""
    more = f": it {STOPPED_WHY[state.name]}" if state.name in STOPPED_WHY else ""
    return ProgramNotStarted(f"did not start: its job {known.job} ended as {state.name} before it began{more}{said}")
