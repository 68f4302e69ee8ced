"""Programs as jobs of Slurm, on a real cluster of one node."""

import asyncio
import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from test_host_contract import SECONDS, ended_badly, processes, until

from aiodag import LetGo, OptionError, Run, Secret
from aiodag.commands import command, shell, slurm_places
from aiodag.commands.forms import host_of_form
from aiodag.commands.slurm import Slurm
from aiodag.commands.slurm_places import JobPlace, JobStatus, job_name
from aiodag.commands.slurm_programs import JobState, job_states, recorded_state
from aiodag.programs import ProgramLost, ProgramNotFound, ProgramNotStarted, ProgramRequest
from aiodag.stores import SQLite

REAL = {name: f"/usr/bin/{name}" for name in ("sbatch", "squeue", "scancel")}


@pytest.fixture
def folder(slurm):
    return slurm.root / "shared" / uuid4().hex


@pytest.fixture
def host(folder):
    return Slurm(directory=folder, interval=0.3)


@pytest.fixture
def wrapped(tmp_path, monkeypatch):
    """Put a script in front of one of Slurm's programs; each of its calls is a line in a file."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def wrap(name, line='exec "$REAL" "$@"'):
        calls = tmp_path / f"{name}.calls"
        calls.touch()
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\nREAL={REAL[name]}\nCALLS={calls}\necho "$*" >> "$CALLS"\n{line}\n')
        script.chmod(0o755)
        return lambda: calls.read_text().splitlines()

    return wrap


class Watch:
    """What a host tells, kept."""

    def __init__(self):
        self.facts, self.streams, self.end = {}, {"stdout": b"", "stderr": b""}, None

    def note_start(self, facts, /):
        self.facts |= facts

    def wrote(self, stream, chunk, /):
        self.streams[stream] += chunk

    def note_end(self, end, /):
        self.end = end


def jobs_of(slurm):
    """The numbers of all jobs that the cluster remembers."""
    return set(slurm.ask("squeue", "--noheader", "--array", "--states=all", "--format=%i").split())


# What is asked for


async def test_resources_and_time_become_options(host, slurm):
    line = 'scontrol show job "$SLURM_JOB_ID" | tr " " "\\n" | grep -E "^(NumCPUs|MinMemoryNode|TimeLimit|Requeue|JobName)="'
    watch = Watch()

    await host.run(
        ProgramRequest(
            ("sh", "-c", line), resources={"cores": 2.5, "memory_mb": 200}, time_limit=90.0, label="monday etl 1"
        ),
        watch,
    )

    told = dict(line.split("=") for line in watch.streams["stdout"].decode().split())
    assert (told["NumCPUs"], told["MinMemoryNode"], told["TimeLimit"], told["Requeue"]) == (
        "3",
        "200M",
        "00:02:00",
        "0",
    )
    assert told["JobName"].startswith("monday-etl-1-")


async def test_what_the_cluster_can_never_have_is_refused_with_slurms_own_words(host):
    with pytest.raises(ProgramNotStarted, match=r"(?s)did not start: Slurm refused its job: .*can not be satisfied"):
        await host.run(ProgramRequest(("true",), resources={"memory_mb": 10**6}), Watch())
    with pytest.raises(ProgramNotStarted, match="did not start: Slurm knows no resource 'tapes'"):
        await host.run(ProgramRequest(("true",), resources={"tapes": 1}), Watch())


def test_an_unknown_resource_is_refused_with_what_would_make_it_known():
    assert Slurm(flags={"tapes": "--gres=tape:{}"}).refuse({"tapes": 1, "cores": 2}) == ""
    assert "no resource 'tapes'" in Slurm().refuse({"tapes": 1})


@pytest.mark.parametrize(
    "given",
    [
        {"partition": ""},
        {"partition": "a\nb"},
        {"options": "--exclusive"},
        {"options": ["exclusive"]},
        {"options": [3]},
        {"options": ["--exclusive", "--array=7"]},
        {"options": ["--requeue"]},
        {"options": ["-Jmine"]},
        {"options": ["--quiet"]},
        {"flags": {"x": "licenses"}},
        {"flags": {"x": "--licenses={}{}"}},
        {"directory": 3},
        {"directory": "a\\b"},
        {"array": 0},
        {"interval": -1},
        {"interval": 0},
        {"time_limit": "1h"},
    ],
)
def test_options_that_cannot_work_are_refused_at_once(given):
    with pytest.raises(OptionError, match=next(iter(given))):
        Slurm(**given)


def test_a_form_makes_the_host_and_the_host_its_form():
    form = {
        "type": "slurm",
        "partition": "debug",
        "options": ["--exclusive"],
        "flags": {"tapes": "--gres=tape:{}"},
        "directory": "/shared/jobs",
        "time_limit": 60.0,
        "array": 7,
    }

    host = host_of_form(form, "hpc")

    assert (host.name, json.loads(json.dumps(host.form()))) == ("hpc", form)
    assert Slurm().form() == {"type": "slurm"}


async def test_a_look_says_what_is_free(host, slurm, monkeypatch):
    assert (await host.look()).resources == {"cores": 64}
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        state = await host.look()
    assert not state.reachable
    assert "'sinfo'" in state.why


async def test_without_slurms_programs_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    failed = await ended_badly(command("true", host=Slurm(directory=tmp_path))())

    assert "the host of type slurm needs Slurm's program 'sbatch' on this machine" in str(failed)


# Many jobs


async def test_equal_jobs_are_one_array_and_all_jobs_one_question_in_each_interval(folder, wrapped, slurm):
    sbatch, squeue, scancel = wrapped("sbatch"), wrapped("squeue"), wrapped("scancel")
    host = Slurm(directory=folder, interval=0.3, options=["--begin=now+1hour"])
    wait, before = command("sleep", host=host), jobs_of(slurm)
    loop = asyncio.get_running_loop()
    began_at = loop.time()

    def asked():
        return [line for line in squeue() if "--jobs=" in line]  # others are this test's

    nodes = [wait(number) for number in range(300)]
    await until(lambda: len(jobs_of(slurm) - before) == 300)
    await until(lambda: len(asked()) >= 3)
    for node in nodes:
        node.cancel()
    await asyncio.wait(nodes)

    assert len(sbatch()) <= 15  # two or three, where the machine has nothing else to do
    assert sum("--array=" in line for line in sbatch()) >= 1
    assert len(asked()) <= 2 + (loop.time() - began_at) / 0.3
    assert len(scancel()) <= 15
    await until(lambda: slurm.ask("squeue", "--noheader", "--array", "--format=%i") == "")
    await until(lambda: not any(folder.iterdir()))


async def test_each_job_of_an_array_gets_its_own_program_and_streams(host, wrapped):
    sbatch = wrapped("sbatch")
    tell = shell('cat; echo "$1"; echo "err $1" >&2; exit "$1"', host=host, success=range(12))

    ended = [await node for node in [tell(number, stdin=f"in {number}\n") for number in range(12)]]

    assert [each.stdout for each in ended] == [f"in {number}\n{number}\n" for number in range(12)]
    assert [(each.code, each.stderr) for each in ended] == [(number, f"err {number}\n") for number in range(12)]
    assert len(sbatch()) <= 6


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30, 100])
async def test_a_cancel_at_any_moment_leaves_no_job_and_no_directory(host, folder, slurm, turns, mark):
    nodes = [command("sh", "-c", "sleep 300; :", mark, host=host)() for _ in range(5)]
    for _ in range(turns):
        await asyncio.sleep(0.003)  # real time: a thread and a process are at work
    for node in nodes:
        node.cancel()
    await asyncio.wait(nodes)

    await until(lambda: not folder.exists() or not any(folder.iterdir()))
    await until(lambda: slurm.ask("squeue", "--noheader", "--format=%i") == "")
    assert processes(mark) == []


async def test_an_owner_that_runs_in_an_array_itself_has_jobs_of_its_own(host, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    monkeypatch.setenv("SLURM_JOB_ID", "4718")

    assert (await command("echo", "mine", host=host)()).stdout == "mine\n"


# Submissions of unknown outcome


async def test_a_submission_whose_answer_was_lost_is_looked_up_and_not_repeated(host, wrapped, slurm):
    before = jobs_of(slurm)
    sbatch = wrapped(
        "sbatch", '"$REAL" "$@" >/dev/null; echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1'
    )

    finished = await command("echo", "once", host=host)()

    assert finished.stdout == "once\n"
    assert len(sbatch()) == 1
    assert len(jobs_of(slurm) - before) == 1


async def test_a_submission_that_says_no_number_is_looked_up_and_not_repeated(host, wrapped, slurm):
    before = jobs_of(slurm)
    sbatch = wrapped("sbatch", '"$REAL" "$@" --quiet')

    assert (await command("echo", "once", host=host)()).stdout == "once\n"
    assert len(sbatch()) == 1
    assert len(jobs_of(slurm) - before) == 1


async def test_a_submission_that_was_not_taken_is_repeated(host, wrapped, slurm):
    lost = "sbatch: error: Unable to contact slurm controller (connect failure)"
    sbatch = wrapped(
        "sbatch", f'[ "$(wc -l < "$CALLS")" -gt 1 ] || {{ echo "{lost}" >&2; exit 1; }}\nexec "$REAL" "$@"'
    )

    assert (await command("echo", "once", host=host)()).stdout == "once\n"
    assert len(sbatch()) == 2


async def test_two_jobs_for_one_program_run_it_once(host, wrapped, slurm):
    """As when the answer to a submission was lost, and so was the answer to the question whether it had been taken."""
    wrapped(
        "sbatch",
        'cat > "$CALLS.script"; "$REAL" "$@" < "$CALLS.script" >/dev/null; exec "$REAL" "$@" < "$CALLS.script"',
    )
    mark = slurm.root / "shared" / "ran"

    # Long enough for Slurm to say more than once that the other job, whose number is known, is over.
    node = shell('echo ran >> "$1"; sleep 2; echo end', mark, host=host)()
    finished = await node
    await until(lambda: slurm.ask("squeue", "--noheader", "--format=%i") == "")

    assert finished.stdout == "end\n"
    assert (mark.read_text(), node.attempt) == ("ran\n", 1)


# What becomes of jobs


async def test_a_job_that_somebody_cancels_fails_and_says_so(host, slurm):
    started = asyncio.Event()
    node = shell("echo begun; sleep 300", host=host, on_output=lambda *_: started.set())()
    await started.wait()

    slurm.ask("scancel", "--me")

    failed = await ended_badly(node)
    assert failed.code in {-15, 143}  # Slurm signals the shell and what it waits for in any order
    assert "CANCELLED: it was cancelled in Slurm by somebody else" in str(failed)
    assert failed.finished.stdout == "begun\n"


async def test_a_signal_for_the_script_of_a_job_reaches_the_program(host, slurm):
    heard = asyncio.Queue()
    line = "trap 'echo saved' USR1; echo begun; while :; do sleep 0.1; done"
    node = shell(line, host=host, lost_retries=0, on_output=lambda _, chunk: heard.put_nowait(chunk))()
    assert await heard.get() == b"begun\n"

    # As `--signal=B:USR1@300` among the options has it sent, so many seconds before the time limit.
    slurm.ask("scancel", "--batch", "--signal=USR1", *slurm.ask("squeue", "--noheader", "--format=%i").split())

    async with asyncio.timeout(SECONDS):
        assert await heard.get() == b"saved\n"
    node.cancel()
    await asyncio.wait([node])


async def test_what_people_like_to_see_of_slurm_hides_no_job(host, slurm, monkeypatch, mark):
    for name, value in {"SQUEUE_PARTITION": "urgent", "SQUEUE_USERS": "nobody", "SCANCEL_STATE": "PENDING"}.items():
        monkeypatch.setenv(name, value)
    watch = Watch()
    running = asyncio.ensure_future(host.run(ProgramRequest(("sh", "-c", "sleep 300; :", mark)), watch))
    await until(lambda: processes(mark))

    assert (await job_states([watch.facts["job"]]))[watch.facts["job"]].name == "RUNNING"
    running.cancel()
    await asyncio.wait([running])
    assert (watch.end.code, processes(mark)) == (-15, [])


async def test_a_job_that_is_cancelled_before_it_began_did_not_start(folder, slurm):
    host = Slurm(directory=folder, interval=0.3, options=["--begin=now+1hour"])
    node = command("true", host=host)()
    await until(lambda: slurm.ask("squeue", "--noheader", "--format=%i"))

    slurm.ask("scancel", "--me")

    assert "before it began: it was cancelled in Slurm by somebody else" in str(await ended_badly(node))


async def test_what_the_node_cannot_run_at_all_says_what_slurm_said(folder, slurm):
    host = Slurm(directory=folder, interval=0.3, python="no-such-python")

    failed = await ended_badly(command("true", host=host)())

    assert "did not start" in str(failed)
    assert "no-such-python: not found" in str(failed)


async def test_a_job_that_is_killed_before_it_notes_anything_is_lost(folder, slurm, tmp_path):
    killed = slurm.root / "shared" / "killed"
    killed.write_text('#!/bin/sh\ncd "$(tail -n 1 | cut -d "\'" -f 2)"; mv free "taken.$SLURM_JOB_ID.0"; kill -9 $$\n')
    killed.chmod(0o755)
    host = Slurm(directory=folder, interval=0.3, python=str(killed))

    with pytest.raises(ProgramLost) as lost:
        await host.run(ProgramRequest(("true",)), Watch())

    assert lost.value.reason == "job ended without a word"


async def test_a_job_whose_node_fails_is_lost(host, slurm, mark):
    watch = Watch()
    running = asyncio.ensure_future(host.run(ProgramRequest(("sh", "-c", "sleep 300; :", mark), label=mark), watch))
    await until(lambda: processes(mark))

    slurm.ask("scontrol", "update", f"NodeName={slurm.host}", "State=DOWN", "Reason=test")

    with pytest.raises(ProgramLost, match="NODE_FAIL") as lost:
        await running
    assert lost.value.reason == "node failure"
    assert processes(mark) == []


# What Slurm believes of a job, and what its node does, are two things: a controller that has lost its state, a node cut off.
BELIEVES = (
    'n=${*##*--jobs=}; while [ ! -e "$CALLS.go" ]; do exec "$REAL" "$@"; done; printf "%s|STATE|vm|None\\n" "${n%%,*}"'
)


@pytest.mark.parametrize("state", ["NODE_FAIL", "PENDING"])
async def test_what_slurm_takes_for_over_is_ended_before_it_is_lost(host, wrapped, mark, tmp_path, state):
    wrapped("squeue", BELIEVES.replace("STATE", state))
    request = ProgramRequest(("sh", "-c", "sleep 300; :", mark), label=mark, grace=0.2)
    running = asyncio.ensure_future(host.run(request, Watch()))
    await until(lambda: processes(mark))

    (tmp_path / "squeue.calls.go").touch()

    with pytest.raises(ProgramLost):
        await running
    assert processes(mark) == []


async def test_a_job_that_slurm_forgets_before_it_began_is_lost(folder, wrapped, mark, tmp_path):
    wrapped("squeue", 'if [ -e "$CALLS.go" ]; then exit 0; fi; exec "$REAL" "$@"')
    host = Slurm(directory=folder, interval=0.3, options=["--begin=now+1hour"])
    watch = Watch()
    running = asyncio.ensure_future(host.run(ProgramRequest(("true",), label=mark), watch))
    await until(lambda: watch.facts)

    (tmp_path / "squeue.calls.go").touch()

    with pytest.raises(ProgramLost, match="not known to Slurm any more"):
        await running


async def test_a_job_that_gives_way_to_a_more_urgent_one_is_lost(folder, slurm, mark):
    host, urgent = (Slurm(directory=folder, interval=0.3, partition=name) for name in ("debug", "urgent"))
    whole = {"cores": 64.0}
    line = ("sh", "-c", "sleep 300; exit $?", mark)
    running = asyncio.ensure_future(host.run(ProgramRequest(line, resources=whole, label=mark), Watch()))
    await until(lambda: processes(mark))

    await urgent.run(ProgramRequest(("true",), resources=whole), Watch())

    with pytest.raises(ProgramLost) as lost:
        await running
    assert lost.value.reason == "preemption"
    assert processes(mark) == []


@pytest.fixture
def mark():
    return f"mark-{uuid4().hex}"


async def test_what_slurm_has_forgotten_is_read_where_it_records_ends(slurm):
    job = slurm.ask("sbatch", "--parsable", "--array=0-1", "--output=/dev/null", "--wrap=exit 3")
    numbers = {}

    def recorded():
        for line in (slurm.root / "completed.txt").read_text().splitlines():
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if words.get("ArrayJobId") == job:
                numbers[words["ArrayTaskId"]] = words["JobId"]
        return len(numbers) == 2

    await until(recorded)

    for task, number in numbers.items():
        assert await recorded_state(f"{job}_{task}", number) == JobState(f"{job}_{task}", "FAILED")
    assert await recorded_state("4711", "") is None


# The controller is away


async def test_the_end_of_a_program_is_seen_while_the_controller_is_away(host, slurm, mark):
    gate = slurm.root / "shared" / "gate"
    watch = Watch()
    line = ("sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.05; done; echo end', str(gate), mark)
    running = asyncio.ensure_future(host.run(ProgramRequest(line), watch))
    await until(lambda: processes(mark))

    slurm.stop("slurmctld")
    try:
        gate.touch()
        await running
    finally:
        slurm.begin("slurmctld")
        slurm.wait_until(lambda: slurm.ask("sinfo", "--noheader", "--format=%T"))

    assert (watch.end.code, watch.streams["stdout"]) == (0, b"end\n")


async def test_a_cancel_ends_the_program_while_the_controller_is_away(host, slurm, wrapped, mark):
    watch = Watch()
    running = asyncio.ensure_future(host.run(ProgramRequest(("sh", "-c", "sleep 300; :", mark)), watch))
    await until(lambda: processes(mark))
    wrapped("scancel", 'echo "scancel: error: Unable to contact slurm controller" >&2; exit 1')

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert (watch.end.code, processes(mark)) == (-15, [])


async def test_an_outage_is_an_error_in_the_log_once(host, slurm, wrapped, mark, caplog, monkeypatch):
    monkeypatch.setattr("aiodag.commands.slurm_watch.OUTAGE", 0.0)
    squeue = wrapped("squeue", 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1')
    gate = slurm.root / "shared" / "gate-2"
    line = ("sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.05; done; echo end', str(gate))
    running = asyncio.ensure_future(host.run(ProgramRequest(line), Watch()))

    await until(lambda: len(squeue()) >= 3)
    gate.touch()
    await running

    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "Slurm has not answered" in errors[0].getMessage()


# The owner dies

OWNER = """
import asyncio, os, sys
from aiodag.commands.slurm import Slurm
from aiodag.programs import ProgramRequest

class Watch:
    def note_start(self, facts):
        print(facts["job"], flush=True)
    def wrote(self, stream, chunk): pass
    def note_end(self, end): pass

line = ("sh", "-c", 'echo begun; while [ ! -e "$0" ]; do sleep 0.05; done; echo end; exit 3', sys.argv[2], sys.argv[3])
asyncio.run(Slurm(directory=sys.argv[1], interval=0.3).run(ProgramRequest(line, label=sys.argv[3]), Watch()))
"""


@pytest.mark.parametrize("noted", [True, False], ids=["by its number", "by its label"])
async def test_the_job_of_an_owner_that_was_killed_goes_on_and_is_found(host, folder, slurm, mark, noted):
    gate = slurm.root / "shared" / mark
    owner = subprocess.Popen([sys.executable, "-c", OWNER, folder, gate, mark], stdout=subprocess.PIPE, text=True)
    job = owner.stdout.readline().strip()
    await until(lambda: processes(mark) and (folder / job_name(mark) / "stdout").read_text())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    before, watch = jobs_of(slurm), Watch()
    line = ("sh", "-c", 'echo begun; while [ ! -e "$0" ]; do sleep 0.05; done; echo end; exit 3', str(gate), mark)
    facts = {"job": job, "directory": str(folder / job_name(mark))} if noted else {}

    finding = asyncio.ensure_future(host.find(facts, ProgramRequest(line, label=mark), watch))
    await until(lambda: watch.streams["stdout"])
    gate.touch()
    await finding

    assert (watch.end.code, watch.streams["stdout"], watch.facts["job"]) == (3, b"begun\nend\n", job)
    assert jobs_of(slurm) == before
    with pytest.raises(ProgramNotFound):
        await host.find({}, ProgramRequest(line, label=mark), Watch())


async def test_a_job_that_never_reached_slurm_is_not_found_and_can_never_begin(host, folder, mark):
    request = ProgramRequest(("true",), label=mark)
    place = JobPlace(folder / job_name(mark))
    place.prepare(request)
    place.note_submission(place.path.name)

    with pytest.raises(ProgramNotFound):
        await host.find({}, request, Watch())


async def test_a_job_of_another_request_with_the_same_label_is_not_taken_up(host, folder, mark):
    JobPlace(folder / job_name(mark)).prepare(ProgramRequest(("true",), label=mark))

    with pytest.raises(ProgramNotFound):
        await host.find({}, ProgramRequest(("false",), label=mark), Watch())


async def test_a_job_whose_directory_is_gone_is_lost(host, folder, mark, monkeypatch):
    monkeypatch.setattr(slurm_places, "MARGIN", -6.5)  # seconds: nothing of it runs
    with pytest.raises(ProgramLost, match=r"its Slurm job 4711, .* is gone"):
        facts = {"job": "4711", "directory": str(folder / "gone")}
        await host.find(facts, ProgramRequest(("true",), label=mark, grace=0.0), Watch())


RUN_OWNER = """
import asyncio, sys
from aiodag import Run
from aiodag.commands import shell
from aiodag.commands.slurm import Slurm

async def main(folder, jobs, line):
    sync = shell(line, folder, name="sync", host="hpc")
    hosts = {"hpc": Slurm(directory=jobs, interval=0.3)}
    async with Run("etl", store=f"sqlite:///{folder}/runs.db", id="monday", hosts=hosts):
        first, second = sync("first"), sync("second")

asyncio.run(main(*sys.argv[1:]))
"""
WAITS = 'echo begun >> "$1/$2"; echo "$2"; while [ ! -e "$1/go" ]; do sleep 0.05; done; echo rows'


async def test_a_run_whose_owner_was_killed_goes_on_with_the_jobs_that_it_has(host, folder, slurm, tmp_path):
    place = str(tmp_path)
    owner = subprocess.Popen([sys.executable, "-c", RUN_OWNER, place, folder, WAITS])
    await until(lambda: (tmp_path / "first").exists() and (tmp_path / "second").exists())
    owner.kill()
    owner.wait()
    before, store = jobs_of(slurm), SQLite(tmp_path / "runs.db")
    sync = shell(WAITS, place, name="sync", host="hpc")

    try:
        async with Run("etl", store=store, id="monday", hosts={"hpc": host}):
            nodes = [sync("first"), sync("second")]
            (tmp_path / "go").touch()
        found = [dict(each.facts) for each in store.attempts("monday", every=True)]
    finally:
        store.close()

    assert [node.result().stdout for node in nodes] == ["first\nrows\n", "second\nrows\n"]
    assert jobs_of(slurm) == before
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text() == "begun\n"
    assert {each.get("job") for each in found} - {None} <= before


async def test_a_run_that_is_let_go_leaves_its_jobs_to_whoever_goes_on(host, slurm, tmp_path):
    sync, store = shell(WAITS, tmp_path, name="sync", host="hpc"), SQLite(tmp_path / "runs.db")

    async def execute(*, leave):
        async with Run("etl", store=store, id="monday", hosts={"hpc": host}) as run:
            node = sync("first")
            await until((tmp_path / "first").exists)
            if leave:
                run.let_go()
            (tmp_path / "go").touch()
        return node

    try:
        with pytest.raises(LetGo):
            await execute(leave=True)
        node = await execute(leave=False)
    finally:
        store.close()

    assert node.result().stdout == "first\nrows\n"
    assert (tmp_path / "first").read_text() == "begun\n"


async def test_an_attempt_whose_node_failed_is_tried_again_apart_from_retries(host, slurm, tmp_path):
    store = SQLite(tmp_path / "runs.db")
    line = 'if [ -e "$1/once" ]; then echo rows; else touch "$1/once"; sleep 300; fi'

    try:
        async with Run("etl", store=store, id="monday", hosts={"hpc": host}):
            node = shell(line, tmp_path, name="sync", host="hpc")()
            await until((tmp_path / "once").exists)
            slurm.ask("scontrol", "update", f"NodeName={slurm.host}", "State=DOWN", "Reason=test")
            await until(lambda: slurm.ask("squeue", "--noheader", "--states=NF", "--format=%i"))
            slurm.ask("scontrol", "update", f"NodeName={slurm.host}", "State=RESUME")
        found = [dict(each.facts) for each in store.attempts("monday", every=True)]
    finally:
        store.close()

    assert node.result().stdout == "rows\n"
    assert [each.get("lost") for each in found] == ["node failure", None]


# What is kept where


async def test_secrets_are_in_no_argument_and_in_no_file_that_others_read_or_that_stays(
    host, folder, wrapped, slurm, monkeypatch, secrets_forgotten
):
    monkeypatch.setenv("KEY_OF_TEST", "s3cr3t-value")
    sbatch = wrapped("sbatch", 'cat > "$CALLS.script"; exec "$REAL" "$@" < "$CALLS.script"')
    gate, started = slurm.root / "shared" / "gate-3", asyncio.Event()
    line = 'test "$KEY" = "$(cat)" && echo same; while [ ! -e "$1" ]; do sleep 0.05; done'
    secret = Secret("KEY_OF_TEST")
    node = shell(line, gate, env={"KEY": secret}, stdin=secret, host=host, on_output=lambda *_: started.set())()
    await started.wait()

    modes = {stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*") if not path.is_symlink()}
    readable = [path for path in folder.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    gate.touch()
    finished = await node

    assert finished.stdout == "same\n"
    assert modes <= {0o600, 0o700}
    assert {path.name for path in readable} == {"request", "stdin"}
    assert "s3cr3t" not in " ".join(sbatch()) + Path(f"{sbatch.__closure__[0].cell_contents}.script").read_text()
    await until(lambda: not any(folder.iterdir()))


async def test_a_leftover_of_the_same_label_is_in_nobodys_way(host, folder, mark):
    JobPlace(folder / job_name(mark)).prepare(ProgramRequest(("false",), label=mark))
    watch = Watch()

    await host.run(ProgramRequest(("echo", "mine"), label=mark), watch)

    assert watch.streams["stdout"] == b"mine\n"
    JobPlace(folder / job_name(mark)).remove()


@pytest.mark.parametrize("label", ["monday 3 etl.extract#1 1", "a/../../b", "", "é\udc80 $(x)\n", "x" * 1000])
def test_the_name_of_a_job_is_no_path_and_no_pattern(label):
    name = job_name(label)

    assert name == "".join(each for each in name if each.isascii() and (each.isalnum() or each in "-_."))
    assert not name.startswith(".")
    assert len(name) < 100


def test_half_a_line_of_a_status_is_not_read(tmp_path):
    place = JobPlace(tmp_path / "place")
    place.prepare(ProgramRequest(("true",)))
    with (place.path / "status").open("a") as status:
        status.write("start 12_3 node7 99 1.5 15\nexit 0 0.1 1")

    assert place.status() == JobStatus("12_3", "node7", 99, 1.5, number="15")
