"""What is recorded is found again when a program is started in another way, or moves; or somebody is told."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiodag import Run, task
from aiodag.errors import OptionError, TaskMoved
from aiodag.stores import Memory

ROOT = Path(__file__).parent.parent
PROGRAM = """
import asyncio, os
from aiodag import Run, task
from aiodag.workflows import Workflow


@task
async def load(day):
    print("load", flush=True)
    return [day]


def made(by):
    @task
    async def scale(rows):
        print("scale", flush=True)
        return rows * by

    return scale


@task
async def report(day):
    print("report", flush=True)
    rows = await made(2)(load(day))
    if "DIE" in os.environ:
        os._exit(9)
    return len(rows)


def count(rows):
    print("count", flush=True)
    return len(rows)


flow = Workflow("flow")
flow.add(count, flow.add(load, "monday"), name="counted")


async def main():
    async with Run("etl", store="sqlite:///runs.db", id="etl"):
        node = report("monday")
    print(node.result())
    values = await flow.run(store="sqlite:///runs.db", id="flow")
    print(values["counted"])


if __name__ == "__main__":
    asyncio.run(main())
"""
IMPORTING = "import asyncio, etl; asyncio.run(etl.main())"
WAYS = {
    "as a script": ["etl.py"],
    "as a module": ["-m", "etl"],
    "by who imports it": ["-c", IMPORTING],
    "by a script that imports it": ["runner.py"],
}


def start(args, cwd, **variables):
    return subprocess.run(
        [sys.executable, "-W", "error", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{cwd}", "NO_COLOR": "1", **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def place(tmp_path):
    (tmp_path / "etl.py").write_text(PROGRAM)
    (tmp_path / "runner.py").write_text(IMPORTING)
    return tmp_path


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_a_program_is_known_again_however_it_is_started(place, first, second):
    assert start(WAYS[first], place, DIE="1").stdout.split() == ["report", "load", "scale"]

    one = start(WAYS[second], place)
    other = start(WAYS[first], place)

    assert one.stdout.split() == ["report", "2", "load", "count", "1"], one.stderr
    assert other.stdout.split() == ["2", "1"], other.stderr


def test_a_module_that_was_renamed_is_told_with_the_way_out(place):
    start(["runner.py"], place, DIE="1")
    (place / "etl.py").rename(place / "tasks.py")
    (place / "runner.py").write_text(IMPORTING.replace("etl", "tasks"))

    told = start(["runner.py"], place)

    assert told.stdout == ""
    assert "this run has recorded report as a function of etl, and it is one of tasks here" in told.stderr
    assert '@task(former="etl:report")' in told.stderr


def test_who_says_the_former_name_goes_on_with_what_is_recorded(place):
    start(["runner.py"], place, DIE="1")
    (place / "etl.py").unlink()
    source = PROGRAM
    for name in ("load", "report"):
        source = source.replace(f"@task\nasync def {name}", f'@task(former="etl:{name}")\nasync def {name}')
    source = source.replace("    @task\n", '    @task(former="etl:scale")\n')
    (place / "tasks.py").write_text(source)
    (place / "runner.py").write_text(IMPORTING.replace("etl", "tasks"))

    done = start(["runner.py"], place)

    assert done.stdout.split() == ["report", "2", "load", "count", "1"], done.stderr
    assert start(["runner.py"], place).stdout.split() == ["2", "1"]


def test_another_version_runs_what_has_moved_again(place):
    start(["runner.py"], place, DIE="1")
    (place / "etl.py").unlink()
    (place / "tasks.py").write_text(PROGRAM.replace("@task\nasync def report", "@task(version=2)\nasync def report"))
    (place / "runner.py").write_text(IMPORTING.replace("etl", "tasks"))

    assert start(["runner.py"], place).stdout.split()[:3] == ["report", "load", "scale"]


RAN = []


def of_module(name, answer):
    async def load(x):
        RAN.append(answer)
        return answer

    load.__module__, load.__qualname__ = name, "load"
    return load


@pytest.fixture
def modules(monkeypatch):
    """Two modules with a function of one name."""
    RAN.clear()
    for name in ("extract", "transform"):
        module = type(sys)(name)
        module.load = task(of_module(name, name))
        monkeypatch.setitem(sys.modules, name, module)
    return sys.modules


def execute(store, *calls):
    async def main():
        async with Run("test", store=store, id="r"):
            nodes = [call() for call in calls]
        return [node.result() for node in nodes]

    return asyncio.run(main())


def test_a_function_of_the_same_name_in_another_module_is_no_move(modules):
    """The one that was recorded is still where it was."""
    store = Memory()

    assert execute(store, lambda: modules["extract"].load(1)) == ["extract"]
    assert execute(store, lambda: modules["transform"].load(1)) == ["transform"]
    assert execute(store, lambda: modules["extract"].load(1), lambda: modules["transform"].load(1)) == [
        "extract",
        "transform",
    ]
    assert RAN == ["extract", "transform"]


def test_a_function_that_is_no_longer_there_is_taken_to_have_moved(modules, monkeypatch):
    store = Memory()
    execute(store, lambda: modules["extract"].load(1))
    monkeypatch.delattr(modules["extract"], "load")

    with pytest.raises(TaskMoved, match="function of extract") as caught:
        execute(store, lambda: modules["transform"].load(1))
    assert caught.value.former == "extract:load"
    assert RAN == ["extract"]

    assert execute(store, lambda: modules["transform"].load.with_options(former="extract:load")(1)) == ["extract"]
    assert execute(store, lambda: modules["transform"].load(2)) == ["transform"]


def test_a_function_that_was_renamed_says_what_it_was(modules):
    store = Memory()
    execute(store, lambda: modules["extract"].load(1))
    pull = modules["transform"].load.with_options(name="pull")

    assert execute(store, lambda: pull.with_options(former=["other:load", "extract:load"])(1)) == ["extract"]
    assert execute(store, lambda: pull(1)) == ["transform"]


def said_of_it(caplog):
    """What was said of the run, in a log that all of this process write to."""
    return [each for each in caplog.messages if each.startswith("run r ")]


def test_a_resumed_run_that_takes_back_nothing_says_so(modules, caplog):
    """It may be meant; and may be a function with another name, which nothing tells from a new one."""
    store = Memory()
    execute(store, lambda: modules["extract"].load(1))
    assert not said_of_it(caplog)

    execute(store, lambda: modules["extract"].load.with_options(name="pull")(1))
    (warning,) = said_of_it(caplog)
    assert "taken back none of 1 recorded successes" in warning
    caplog.clear()

    execute(store, lambda: modules["extract"].load(1), lambda: modules["extract"].load(2))
    assert not said_of_it(caplog)


@pytest.mark.parametrize("former", ["", "module:", 5, [5], [""], "a\nb:c"])
def test_a_former_name_that_is_none_is_refused(former):
    with pytest.raises(OptionError, match="former"):
        task(former=former)
