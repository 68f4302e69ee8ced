"""Workflows that a stage triggers: runs of their own, with a record, an id and a parent."""

from textwrap import dedent

import pytest
from jobs_forms import calls_noted, shown
from test_worker import Working
from worker_processes import until

from aiodag import RunFailed, State, WorkflowError
from aiodag.workflows import load

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("hooks_forgotten")]

CHILD = """
    params: {day: {type: date, required: true}, fails: {type: bool, default: false}}
    jobs:
      load:
        outputs: {day: "${{ stages.x.outputs.name }}"}
        stages: [{id: x, uses: test/call@1, with: {name: "${{ params.day | fmt('%d.%m.') }}", fails: "${{ params.fails }}"}}]
      never: {if: false, stages: [{echo: hi}]}
    """
PARENT = """
    params: {fails: {type: bool, default: false}}
    jobs:
      all:
        stages:
          - {id: begin, uses: test/call@1, with: {name: begin}}
          - {id: child, trigger: child.yaml, params: {day: "2024-02-01", fails: "${{ params.fails }}"}}
          - {id: end, uses: test/call@1, with: {name: "${{ stages.child.outputs.jobs.load.day }}"}}
    """


@pytest.fixture
def ran():
    """What the stages of a test have called, in that order."""
    return calls_noted()


@pytest.fixture
def files(tmp_path):
    for name, text in (("child.yaml", CHILD), ("parent.yaml", PARENT)):
        (tmp_path / name).write_text(dedent(text))
    return tmp_path


@pytest.fixture
def service(store, service_at):
    return service_at(store)


def children(service, parent):
    return [each for each in service.runs() if each.parent_run == parent]


async def test_without_a_store_it_runs_inside(ran, files):
    values = await load(files / "parent.yaml").run()

    assert ran == ["begin", "01.02.", "01.02."]
    assert values["all"]["stages"]["child"]["outputs"]["jobs"] == {"load": {"day": "01.02."}}
    assert shown(values.run)["all/child/trigger"] == "succeeded"


async def test_in_a_store_it_is_a_run_with_a_parent(ran, files, service):
    await service.start(service.target(str(files / "parent.yaml")), run_id="it")

    (child,) = children(service, "it")
    assert (child.name, child.state) == ("child", State.SUCCEEDED)
    assert service.value("it", "all")["stages"]["child"]["outputs"] == {
        "run_id": child.id,
        "jobs": {"load": {"day": "01.02."}},
    }
    assert ran == ["begin", "01.02.", "01.02."]


async def test_its_failure_is_the_stages_and_only_it_goes_on(ran, files, service):
    with pytest.raises(RunFailed):
        await service.start(service.target(str(files / "parent.yaml"), ["fails=true"]), run_id="it")
    (child,) = children(service, "it")
    assert (ran, child.state) == (["begin", "01.02."], State.FAILED)
    ran.clear()
    text = (files / "parent.yaml").read_text().replace('fails: "${{ params.fails }}"', "fails: false")
    (files / "edited.yaml").write_text("name: parent\n" + text)

    await service.resume("it", source=str(files / "edited.yaml"))

    assert ran == ["01.02.", "01.02."]


async def test_what_came_after_it_is_not_run_again(ran, files, service):
    text = (
        (files / "parent.yaml").read_text()
        + """
  report:
    needs: all
    stages: [{id: sum, uses: test/call@1, with: {name: sum}}, {id: bad, uses: test/call@1, with: {name: bad, fails: true}}]
"""
    )
    (files / "parent.yaml").write_text(text)
    with pytest.raises(RunFailed):
        await service.start(service.target(str(files / "parent.yaml")), run_id="it")
    assert ran == ["begin", "01.02.", "01.02.", "sum", "bad"]
    ran.clear()

    with pytest.raises(RunFailed):
        await service.resume("it")

    assert ran == ["bad"]


async def test_its_params_are_bound_before_it_begins(ran, files, service):
    text = (files / "parent.yaml").read_text().replace("2024-02-01", "no day")
    (files / "parent.yaml").write_text(text)

    with pytest.raises(RunFailed) as caught:
        await service.start(service.target(str(files / "parent.yaml")), run_id="it")

    assert caught.group_contains(WorkflowError, match="params.day")
    assert children(service, "it") == []


@pytest.mark.parametrize("name", ["chidl.yaml", "nobody", "flow.py:main"])
async def test_what_is_not_there_is_refused_and_says_what_could_be_meant(ran, files, service, name):
    text = (files / "parent.yaml").read_text().replace("child.yaml", name)
    (files / "parent.yaml").write_text(text)

    with pytest.raises(RunFailed, match=name):
        await service.start(service.target(str(files / "parent.yaml")), run_id="it")


async def test_a_workflow_of_the_same_file_is_found_by_its_name(ran, files, service):
    parts = {"child-flow": CHILD, "parent-flow": PARENT.replace("child.yaml", "child-flow")}
    indented = {
        name: "\n".join(f"  {line}" for line in dedent(text).strip().splitlines()) for name, text in parts.items()
    }
    (files / "all.yaml").write_text("\n".join(f"{name}:\n  type: Workflow\n{text}" for name, text in indented.items()))

    await service.start(service.target(f"{files}/all.yaml:parent-flow"), run_id="it")

    assert ran == ["begin", "01.02.", "01.02."]


async def test_a_workflow_that_triggers_itself_comes_to_an_end(ran, files, service_at):
    service = service_at(f"memory:{files}")
    (files / "self.yaml").write_text("jobs: {a: {stages: [{id: again, trigger: self.yaml}]}}")

    with pytest.raises(RunFailed):
        await load(files / "self.yaml").run()
    with pytest.raises(RunFailed):
        await service.start(service.target(str(files / "self.yaml")), run_id="it")

    assert len(service.runs()) == 10


async def test_in_a_queue_its_parent_is_parked_until_it_has_ended(ran, files, tmp_path, service_at):
    service = service_at(f"sqlite:///{tmp_path}/runs.db")
    run_id = service.submit(str(files / "parent.yaml"))
    async with Working(service, linger=0.0):
        await until(lambda: service.run(run_id).state.final, "it has ended")

    (child,) = children(service, run_id)
    assert (service.run(run_id).state, child.state, child.queue) == (State.SUCCEEDED, State.SUCCEEDED, "default")
    assert ran == ["begin", "01.02.", "01.02."]
    assert service.run(run_id).execution > 1  # it let go of its process, and was taken again


async def test_a_name_that_nothing_has_points_to_a_file_of_that_name(ran, files):
    (files / "parent.yaml").write_text(dedent(PARENT).replace("child.yaml", "child"))

    with pytest.raises(
        RunFailed, match=r"no workflow .* has this name.*parent\.yaml is a file child\.yaml: write its whole name"
    ):
        await load(files / "parent.yaml").run()
    assert ran == ["begin"]
