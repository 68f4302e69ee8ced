"""Scripts of Pydag run with only their import lines changed."""

import asyncio
import json
from itertools import pairwise

import pytest
from typed_in import Place

from aiodag import RunFailed
from aiodag.compat import pydag
from aiodag.compat.pydag import GoCronJob, GoCronTask, PyGoCron, compose_command
from aiodag.errors import EntryError, OptionError, WorkflowError
from aiodag.service import Service

SCRIPT = """
from aiodag.compat.pydag import GoCronJob, GoCronTask, PyGoCron

# step1 : define a job(workflow)
tm = PyGoCron()
job = GoCronJob(name="TestJob", task_manager=tm)

task1 = GoCronTask(name="Sync Data", command="echo syncdata")
task2 = GoCronTask(name="Feature Engineering1", command="echo one")
task3 = GoCronTask(name="Feature Engineering2", command="echo two")
task4 = GoCronTask(name="Machine Learning", command="echo learn")
task5 = GoCronTask(name="Send Email", command="echo sent")

task1.set_downstream(task2)
task1.set_downstream(task3)
task2.set_downstream(task4)
task3.set_downstream(task4)
task4.set_downstream(task5)

job.add_task(task1, task2, task3, task4, task5)
print(job)
job.run()
"""
NAMES = ["Sync Data", "Feature Engineering1", "Feature Engineering2", "Machine Learning", "Send Email"]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, example=SCRIPT, submit=SCRIPT.replace("run()", 'run(mode="submit")'))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A directory and a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIODAG_STORE", str(tmp_path / "runs.db"))
    for name in ("PYDAG_TASK_TIMEOUT", "PYDAG_RUN_NEW", "PYDAG_ADD_SUDO", "PYDAG_PYTHON_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def job_of(*commands, name="TestJob"):
    """A job of tasks a, b, c, one after the other."""
    tasks = [GoCronTask(name="abc"[place], command=command) for place, command in enumerate(commands)]
    for before, after in pairwise(tasks):
        before.set_downstream(after)
    job = GoCronJob(name=name, task_manager=PyGoCron())
    job.add_task(*tasks)
    return job


def states():
    service = Service()
    try:
        return {node.label: str(node.state) for node in service.nodes(service.runs()[-1].id)}
    finally:
        service.close()


def test_the_script_of_the_readme_runs_draws_and_is_recorded(place):
    for _ in range(2):
        out, _ = place(python=("example.py",), code=0)

        assert out == "<TestJob with 5 tasks>\n"

    assert (place.path / "TestJob.png").read_bytes().startswith(b"\x89PNG")
    runs = place.json("runs")
    assert [run["name"] for run in runs] == ["TestJob", "TestJob"]
    shown = place.json("show", runs[0]["id"])
    assert [node["name"] for node in shown["nodes"]] == NAMES
    assert len(shown["edges"]) == 5
    assert "learn" in place("log", "TestJob", "--task", "Machine Learning")[0]


def test_what_is_submitted_runs_by_its_name(place):
    place(python=("submit.py",))

    assert place.json("runs") == []
    assert [each["name"] for each in place.json("list")] == ["TestJob"]
    place("run", "TestJob")
    assert [run["state"] for run in place.json("runs")] == ["succeeded"]
    assert len(json.loads((place.path / "TestJob.json").read_text())["tasks"]) == 5


def test_a_job_that_is_submitted_with_a_cron_expression_is_replaced_never_doubled_and_deleted_by_its_name(place):
    place(python=("submit.py",))
    for expression in ("0 0 * * *", "0 6 * * *"):
        place("submit", "TestJob", "--cron", expression, "--name", "TestJob")
    schedules = place.json("schedules")
    place("delete", "TestJob")

    assert [(each["name"], each["when"]) for each in schedules] == [("TestJob", "0 6 * * *")]
    assert place.json("schedules") == []


def test_a_job_submits_itself_with_a_cron_expression(here):
    job_of("true", "true", "true").submit(cron="0 0 * * *")

    (found,) = Service().schedules()
    assert (found.trigger["cron"], json.loads(found.submission.definition)["name"]) == ("0 0 * * *", found.name)


def test_what_needs_a_failed_task_is_skipped_and_the_run_ends(here):
    with pytest.raises(RunFailed):
        job_of("true", "exit 3", "true").run()

    assert states() == {"a": "succeeded", "b": "failed", "c": "skipped"}


def test_a_task_has_the_time_that_the_environment_says(here, monkeypatch):
    monkeypatch.setenv("PYDAG_TASK_TIMEOUT", "1")

    (task,) = job_of("sleep 60").workflow().tasks
    assert task.task.options.timeout == 1
    monkeypatch.delenv("PYDAG_TASK_TIMEOUT")
    (task,) = job_of("sleep 60").workflow().tasks
    assert task.task.options.timeout == 3600
    monkeypatch.setenv("PYDAG_TASK_TIMEOUT", "soon")
    with pytest.raises(OptionError, match="PYDAG_TASK_TIMEOUT"):
        job_of("true")


@pytest.mark.parametrize("node", [2, "2"])
def test_another_node_is_refused_with_what_to_write(node):
    with pytest.raises(OptionError, match=r"node_id=.*write ssh into the command"):
        GoCronTask(name="Sync Data", command="echo", node_id=node)
    GoCronTask(name="Sync Data", command="echo", node_id=1)


def test_a_cycle_and_a_task_that_is_not_added_are_refused(here):
    first, second = GoCronTask("a", "true"), GoCronTask("b", "true")
    first.set_downstream(second)
    second.set_downstream(first)
    with pytest.raises(ValueError, match=r"a -> b -> a|b -> a -> b"):
        GoCronJob("TestJob", PyGoCron()).add_task(first, second)

    for edge in ("set_downstream", "set_upstream"):
        alone, missing = GoCronTask("c", "true"), GoCronTask("d", "true")
        getattr(alone, edge)(missing)
        with pytest.raises(WorkflowError, match="'d', which is not added"):
            GoCronJob("TestJob", PyGoCron()).add_task(alone)


def test_tasks_are_found_by_their_edges(here):
    job = job_of("true", "true", "true")

    assert job.get_root_task() is job.get_task_by_id("a")
    assert [task.id for task in job.get_successors("a")] == ["b"]
    assert [task.id for task in job.get_predecessors("c")] == ["b"]
    with pytest.raises(ValueError, match="has no task 'x'"):
        job.get_task_by_id("x")


def test_a_job_is_deleted_by_exactly_its_name(here):
    for name in ("TestJob", "TestJob2"):
        job_of("true", name=name).run()

    GoCronJob.delete_job_tasks(PyGoCron(), "TestJob")

    service = Service()
    assert [run.name for run in service.runs()] == ["TestJob2"]
    service.close()


async def test_a_job_runs_where_a_loop_runs_as_in_a_notebook(here):
    asyncio.get_running_loop()

    job_of("true").run()

    assert states() == {"a": "succeeded"}


@pytest.mark.parametrize("options", [{"mode": "now"}, {"PYDAG_RUN_NEW": "maybe"}])
def test_modes_that_are_not_known_are_refused_before_anything_runs(here, monkeypatch, options):
    job = job_of("true")
    mode = options.pop("mode", "execute")
    for name, value in options.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(OptionError):
        job.run(mode=mode)
    assert not (here / "runs.db").exists()


def test_a_server_that_is_asked_for_something_is_refused_with_a_word():
    with pytest.raises(AttributeError, match="add_new_node asks a gocron server, and there is none"):
        PyGoCron(gocron_address="http://x").add_new_node(ip="1")


def test_a_file_becomes_a_line_that_runs_it(here, monkeypatch):
    (here / "it's.py").write_text("print('ran')")

    line = compose_command("it's.py")
    job_of(f"{line} > out").run()

    assert (here / "out").read_text() == "ran\n"
    assert pydag.compose_command_for_file is compose_command
    monkeypatch.setenv("PYDAG_PYTHON_COMMAND", "python9")
    monkeypatch.setenv("PYDAG_ADD_SUDO", "yes")
    assert compose_command("it's.py").startswith("sudo python9 ")
    with pytest.raises(EntryError, match=r"no\.py cannot be run"):
        compose_command("no.py")
