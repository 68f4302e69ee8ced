"""What Slurm's states mean for a program: the table, and the judgement, without a cluster."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_host_contract import SECONDS, until

from aiodag.commands.slurm_places import JobPlace, JobStatus
from aiodag.commands.slurm_programs import JobState
from aiodag.commands.slurm_states import (
    GONE,
    STATES,
    KnownJob,
    Meaning,
    ends_lost,
    job_is_over,
    lost_job,
    meaning_of,
    needs_word,
    program_end,
    refusal_of,
    state_in_remarks,
    stopped_remark,
    unbegun_end,
)
from aiodag.programs import ProgramLost, ProgramNotStarted, ProgramRequest

BEGUN = JobStatus("7", "node1", 99, 1.0)


def ended(code, *, asked=0):
    return BEGUN._replace(ended=(str(code), "0.5", "1024", "2.0", "0", str(asked)))


def known(state, status=BEGUN, **more):
    return KnownJob("7", status, JobState("7", state, "node1"), **more)


@pytest.mark.parametrize("state", [*STATES, GONE, "A_STATE_OF_NEXT_YEAR"])
def test_every_state_lets_a_program_go_on_or_gives_it_one_end(state):
    job = known(state)

    if not job_is_over(job):
        assert meaning_of(state) in {Meaning.NOW}
    else:
        assert ends_lost(job) != bool(stopped_remark(job))


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REQUEUED", "REQUEUE_HOLD", "PENDING", GONE])
def test_what_the_cluster_has_ended_is_lost(state):
    assert ends_lost(known(state))
    assert isinstance(lost_job(known(state), ""), ProgramLost)


@pytest.mark.parametrize("state", ["TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "DEADLINE"])
@pytest.mark.parametrize("status", [BEGUN, ended(-15), ended(0, asked=1), ended(137)])
def test_what_a_limit_or_somebody_has_ended_is_a_failure_that_says_so(state, status):
    job = known(state, status)

    assert f"job 7 is {state}: it " in stopped_remark(job)
    assert not ends_lost(job)


@pytest.mark.parametrize("code", [0, 3, 126, -11])
@pytest.mark.parametrize("state", [*STATES, GONE])
def test_a_program_that_ended_by_itself_has_ended_so_whatever_slurm_says(state, code):
    job = known(state, ended(code))

    assert (needs_word(job), ends_lost(job), stopped_remark(job)) == (False, False, "")
    assert program_end(job.status).code == code


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED", "PENDING"])
@pytest.mark.parametrize("status", [ended(-15), ended(143), ended(0, asked=1), ended(-9)])
def test_a_program_that_got_a_signal_because_its_node_was_taken_away_is_lost(state, status):
    assert ends_lost(known(state, status))


@pytest.mark.parametrize("state", list(STATES))
def test_what_its_owner_has_ended_is_never_lost_and_needs_nobodys_word(state):
    job = known(state, ended(-15, asked=1), ours=True)

    assert (needs_word(job), ends_lost(job), stopped_remark(job)) == (False, False, "")


def test_a_job_that_ended_before_its_program_began_says_how():
    waiting = JobStatus()
    lost, cancelled, failed = (
        unbegun_end(known(state, waiting), "no") for state in ("NODE_FAIL", "CANCELLED", "FAILED")
    )

    assert isinstance(lost, ProgramLost)
    assert isinstance(cancelled, ProgramNotStarted)
    assert "before it began: it was cancelled in Slurm by somebody else" in str(cancelled)
    assert str(failed) == "did not start: its job 7 ended as FAILED before it began; Slurm said: no"
    assert not job_is_over(known("PENDING", waiting))


def test_an_end_for_want_of_memory_is_seen_in_what_slurm_said():
    failed = JobState("7", "FAILED")

    assert state_in_remarks(failed, "slurmstepd: error: Exceeded job memory limit").name == "OUT_OF_MEMORY"
    assert state_in_remarks(failed, "slurmstepd: error: Detected 1 oom-kill event(s)").name == "OUT_OF_MEMORY"
    assert state_in_remarks(failed, "slurmstepd: error: execve(): no") == failed


def test_a_directory_that_the_node_cannot_use_is_not_the_programs_fault():
    refused = BEGUN._replace(refused=("2", "request"))

    assert "its job on the node cannot use its directory" in str(refusal_of(refused, ProgramRequest(("true",))))


NODE = """
import sys
from aiodag.commands import slurm_job, warden
slurm_job.find_program, slurm_job.GAP = warden.find_program, 300.0
slurm_job.run_in_job(sys.argv[1:])
"""


async def test_a_program_whose_end_comes_before_the_signal_to_its_job_was_asked_to_end(tmp_path):
    """As when Slurm signals what a shell waits for, and its job a moment later: the shell may have ended well by then."""
    place = JobPlace(tmp_path / "job")
    place.prepare(ProgramRequest(("true",)))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "SLURM_JOB_ID": "7"}
    with subprocess.Popen([sys.executable, "-c", NODE, place.path], env=env) as job:
        await until(lambda: (pid := place.status().pid) and not Path(f"/proc/{pid}").exists())
        job.terminate()

        assert await asyncio.to_thread(job.wait, SECONDS) == 0
    assert place.status().ended[5] == "1"


async def test_a_job_that_hears_at_once_of_its_end_and_of_that_of_its_program_was_asked_to_end(tmp_path):
    place = JobPlace(tmp_path / "job")
    gate = tmp_path / "gate"
    place.prepare(ProgramRequest(("sh", "-c", 'until test -e "$0"; do sleep 0.02; done', str(gate))))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "SLURM_JOB_ID": "7"}
    with subprocess.Popen([sys.executable, "-c", NODE.replace("300.0", "0.0"), place.path], env=env) as job:
        await until(lambda: place.status().pid)
        job.send_signal(signal.SIGSTOP)
        gate.touch()
        state = Path(f"/proc/{place.status().pid}/stat")
        await until(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z")
        job.terminate()
        job.send_signal(signal.SIGCONT)

        assert await asyncio.to_thread(job.wait, SECONDS) == 0
    assert place.status().ended[5] == "1"
