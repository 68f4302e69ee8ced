"""Runs of jobs that go on: what has succeeded is not done again, whatever ended them."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest
from worker_processes import Workers, until

from aiodag import RunFailed, State
from aiodag.workflows import hook, loads

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("hooks_forgotten")]

TWO_JOBS = """
    name: etl
    params: {day: {type: str, default: monday}}
    jobs:
      pull:
        stages:
          - {id: p1, uses: test/call@1, with: {name: p1}}
          - {id: p2, uses: test/call@1, with: {name: p2}}
      load:
        needs: pull
        stages:
          - {id: l1, uses: test/call@1, with: {name: l1}}
          - {id: l2, uses: test/call@1, with: {name: "l2 ${{ params.day }}"}}
          - {id: l3, uses: test/flaky@1, with: {name: l3}}
          - {id: l4, uses: test/call@1, with: {name: l4}}
      report: {needs: load, stages: [{id: r1, uses: test/call@1, with: {name: r1}}]}
    """


class Calls(list):
    """The names that stages were called with, since somebody asked last; those in `failing` fail."""

    def __init__(self):
        super().__init__()
        self.failing = set()

    def taken(self):
        names = list(self)
        self.clear()
        return names


@pytest.fixture
def ran():
    calls = Calls()

    @hook("test/call@1")
    @hook("test/flaky@1")
    async def call(name):
        calls.append(name)
        if name in calls.failing:
            raise ValueError(name)
        return {"name": name}

    return calls


@pytest.fixture
def service(store, service_at):
    return service_at(store)


@pytest.fixture
def write(tmp_path):
    """Write a workflow into a file, with some text replaced."""

    def written(text, name="etl.yaml", **replaced):
        for old, new in replaced.items():
            text = text.replace(old, new)
        (tmp_path / name).write_text(dedent(text))
        return str(tmp_path / name)

    return written


async def begin(service, file, *, fails=False, given=()):
    target = service.target(file, given)
    if not fails:
        return await service.start(target, run_id="it")
    with pytest.raises(RunFailed):
        await service.start(target, run_id="it")
    return None


async def test_a_run_goes_on_at_the_stage_that_failed(ran, service, write):
    ran.failing = {"l3"}
    await begin(service, write(TWO_JOBS), fails=True)
    assert ran.taken() == ["p1", "p2", "l1", "l2 monday", "l3"]
    ran.failing.clear()

    await service.resume("it")

    assert ran.taken() == ["l3", "l4", "r1"]
    found = {node.name: (node.attempt, node.recalled) for node in service.nodes("it")}
    assert found["pull"] == (1, True)
    assert found["load"] == (2, False)
    assert (found["l2"], found["l3"]) == ((1, True), (2, False))
    assert service.run("it").state is State.SUCCEEDED


async def test_it_goes_on_without_its_file(ran, service, write, tmp_path):
    ran.failing = {"l3"}
    await begin(service, write(TWO_JOBS), fails=True, given=["day=friday"])
    (tmp_path / "etl.yaml").unlink()
    ran.failing.clear()
    assert ran.taken()[3] == "l2 friday"

    await service.resume("it")

    assert ran.taken() == ["l3", "l4", "r1"]


async def test_an_edited_stage_runs_again_with_what_follows_and_not_what_was_before(ran, service, write):
    await begin(service, write(TWO_JOBS))
    ran.clear()
    edited = write(TWO_JOBS, **{"name: l1}": "name: l1 edited}"})

    plan = await service.plan("it", source=edited)
    await service.resume("it", source=edited)

    assert "l1" in plan.run
    assert not {"p1", "p2", "pull"} & set(plan.run)
    assert ran.taken() == ["l1 edited", "l2 monday", "l3", "l4", "r1"]


async def test_an_edit_of_the_first_job_reaches_the_jobs_that_need_it(ran, service, write):
    await begin(service, write(TWO_JOBS))
    ran.clear()

    await service.resume("it", source=write(TWO_JOBS, **{"name: p2}": "name: p2 edited}"}))

    assert ran.taken() == ["p2 edited", "l1", "l2 monday", "l3", "l4", "r1"]


@pytest.mark.parametrize(
    "edit",
    [
        {"id: l2,": "id: l2, name: A better name, timeout: 60, retry: 2,"},
        {"name: etl": "name: etl\n    description: Loads"},
        {"load:\n        needs: pull": "load:\n        name: Load\n        needs: [pull]"},
    ],
)
async def test_an_edit_of_what_is_there_for_people_runs_nothing_again(ran, service, write, edit):
    await begin(service, write(TWO_JOBS))
    ran.clear()

    await service.resume("it", source=write(TWO_JOBS, **edit))

    assert ran.taken() == []


async def test_a_stage_that_was_added_runs_and_so_does_what_follows(ran, service, write):
    await begin(service, write(TWO_JOBS))
    ran.clear()
    added = "- {id: l15, uses: test/call@1, with: {name: l15}}\n          - {id: l2,"

    await service.resume("it", source=write(TWO_JOBS, **{"- {id: l2,": added}))

    assert ran.taken() == ["l15", "l2 monday", "l3", "l4", "r1"]


async def test_a_stage_that_somebody_names_runs_again_with_what_follows(ran, service, write):
    await begin(service, write(TWO_JOBS))
    ran.clear()

    plan = await service.plan("it", again=["l2"])
    await service.resume("it", again=["l2"])

    assert ran.taken() == ["l2 monday", "l3", "l4", "r1"]
    assert "l2" in plan.run
    assert "l1" not in plan.run


async def test_a_job_that_somebody_names_runs_again_with_what_needs_it(ran, service, write):
    await begin(service, write(TWO_JOBS))
    ran.clear()

    await service.resume("it", again=["load"])

    assert ran.taken() == ["l1", "l2 monday", "l3", "l4", "r1"]


async def test_a_plan_says_what_would_run_and_runs_nothing(ran, service, write):
    ran.failing = {"l3"}
    await begin(service, write(TWO_JOBS), fails=True)
    ran.clear()

    plan = await service.plan("it")

    assert set(plan.run) == {"load", "l3", "report"}
    assert plan.recalled == 5  # pull with p1 and p2, l1 and l2
    assert ran == []


MATRIX = """
    jobs:
      load:
        strategy: {fail-fast: false, matrix: {t: [a, b, c]}}
        stages:
          - {id: x, uses: test/call@1, with: {name: "x${{ matrix.t }}"}}
          - {id: y, uses: test/call@1, with: {name: "y${{ matrix.t }}"}}
          - id: each
            foreach: [1, 2, 3]
            stages: [{id: z, uses: test/call@1, with: {name: "z${{ matrix.t }}${{ item }}"}}]
    """


async def test_only_the_combination_that_failed_goes_on(ran, service, write):
    ran.failing = {"yb"}
    await begin(service, write(MATRIX), fails=True)
    assert len(ran.taken()) == 12
    ran.failing.clear()

    await service.resume("it")

    assert ran.taken() == ["yb", "zb1", "zb2", "zb3"]


async def test_a_loop_goes_on_with_the_turn_that_failed(ran, service, write):
    ran.failing = {"zb2"}
    await begin(service, write(MATRIX), fails=True)
    ran.clear()
    ran.failing.clear()

    await service.resume("it")

    assert ran.taken() == ["zb2", "zb3"]


async def test_a_failure_that_a_job_went_on_after_stays_as_it_was(ran, service, write):
    text = TWO_JOBS.replace("id: l1,", "id: l1, continue-on-error: true,")
    ran.failing = {"l1", "l3"}
    await begin(service, write(text), fails=True)
    ran.clear()
    ran.failing.clear()

    await service.resume("it")

    assert ran.taken() == ["l3", "l4", "r1"]


async def test_stages_that_cleaned_up_after_a_failure_clean_up_again(ran, service, write):
    text = TWO_JOBS.replace("- {id: l4,", "- {id: l4, always: true,")
    ran.failing = {"l3"}
    await begin(service, write(text), fails=True)
    assert ran.taken()[-2:] == ["l3", "l4"]
    ran.failing.clear()

    await service.resume("it")

    assert ran.taken() == ["l3", "l4", "r1"]


async def test_a_job_that_looks_after_failed_ones_sees_their_stages_when_the_run_goes_on(ran, service, write):
    text = """
        jobs:
          bad: {stages: [{id: b1, uses: test/call@1, with: {name: b1}}, {id: b2, uses: test/call@1, with: {name: b2}}]}
          last:
            needs: bad
            if: always()
            stages:
              - {id: s, uses: test/call@1, with: {name: "${{ needs.bad.stages.b1.outputs.name }} ${{ needs.bad.result }}"}}
              - {id: t, uses: test/call@1, with: {name: t}}
        """
    ran.failing = {"b2", "t"}
    await begin(service, write(text), fails=True)
    assert ran.taken() == ["b1", "b2", "b1 failed", "t"]
    ran.failing = {"b2"}

    with pytest.raises(RunFailed):
        await service.resume("it")

    assert ran.taken() == ["b2", "b1 failed", "t"]


async def test_what_no_schedule_released_has_the_moment_of_its_beginning_for_good(ran, service, write):
    text = TWO_JOBS.replace("l2 ${{ params.day }}", "${{ release.logical_date }}")
    ran.failing = {"l3"}
    await begin(service, write(text), fails=True)
    ran.clear()
    ran.failing.clear()

    await service.resume("it")

    assert ran.taken() == ["l3", "l4", "r1"]


# Real processes

SCRIPTS = """
    jobs:
      first: {stages: [{id: a, bash: echo a >> effects}, {id: b, bash: echo b >> effects}]}
      second:
        needs: first
        strategy: {max-parallel: 1, matrix: {t: [x, y]}}
        stages:
          - {id: c, bash: "echo c${{ matrix.t }} >> effects"}
          - {id: d, bash: "echo d${{ matrix.t }} >> effects"}
          - {id: e, if: "${{ matrix.t == 'y' }}", bash: "test -e go || { touch here; sleep 60; }; echo e >> effects"}
      third: {needs: second, stages: [{id: f, bash: echo f >> effects}]}
    """


def aiodag(*args, cwd, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "aiodag", *args],
        cwd=cwd,
        env=environment,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def effects_in(directory):
    return Counter((directory / "effects").read_text().split())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_what_was_killed_or_interrupted_in_a_stage_goes_on_there(tmp_path, number):
    (tmp_path / "flow.yaml").write_text(dedent(SCRIPTS))
    with (tmp_path / "said").open("w") as said:
        run = aiodag("run", "flow.yaml", "--store", "runs.db", "--id", "it", cwd=tmp_path, stdout=said, stderr=said)
    await until(lambda: (tmp_path / "here").exists(), "the stage has begun")
    run.send_signal(number)
    if number == signal.SIGINT:  # the first one lets the stage end
        await until(lambda: "once again" in (tmp_path / "said").read_text(), "the run is drained")
        run.send_signal(number)
    run.wait(30)
    assert run.returncode == (130 if number == signal.SIGINT else -9)
    (tmp_path / "go").touch()

    again = aiodag("resume", "it", "--store", "runs.db", cwd=tmp_path)
    output, errors = again.communicate(timeout=60)

    assert again.returncode == 0, output + errors
    assert effects_in(tmp_path) == {"a": 1, "b": 1, "cx": 1, "dx": 1, "cy": 1, "dy": 1, "e": 1, "f": 1}
    shown = aiodag("show", "it", "--store", "runs.db", "--json", cwd=tmp_path).communicate()[0]
    assert json.loads(shown)["run"]["state"] == "succeeded"


async def test_a_run_of_a_program_goes_on_with_the_params_that_it_was_given(ran, service, write, tmp_path):
    ran.failing = {"l3"}
    with pytest.raises(RunFailed):
        await loads(dedent(TWO_JOBS), "etl.yaml").but(parameters={"day": "friday"}).run(service.store, "it")
    ran.failing.clear()
    assert ran.taken()[3] == "l2 friday"

    await service.resume("it")

    assert ran.taken() == ["l3", "l4", "r1"]


async def test_another_worker_goes_on_where_one_was_killed(tmp_path, service_at):
    (tmp_path / "flow.yaml").write_text(
        dedent(SCRIPTS).replace("go ||", f"{tmp_path}/go ||").replace("touch here", f"touch {tmp_path}/here")
    )
    (tmp_path / "flow.yaml").write_text(
        (tmp_path / "flow.yaml").read_text().replace(">> effects", f">> {tmp_path}/effects")
    )
    workers, service = Workers(f"sqlite:///{tmp_path}/runs.db", tmp_path), service_at(f"sqlite:///{tmp_path}/runs.db")
    try:
        run_id = service.submit(str(tmp_path / "flow.yaml"))
        first = workers.start()
        await until(lambda: (tmp_path / "here").exists(), "the stage has begun")
        first.kill()
        first.wait()
        (tmp_path / "go").touch()
        workers.start()
        await until(lambda: service.run(run_id).state.final, "it has ended")
    finally:
        workers.end()

    assert service.run(run_id).state is State.SUCCEEDED
    assert effects_in(tmp_path) == {"a": 1, "b": 1, "cx": 1, "dx": 1, "cy": 1, "dy": 1, "e": 1, "f": 1}
