"""What a command loads: one that only looks at runs must not wait for what begins them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What begins runs, checks workflows, reads values or draws, and what of the standard library is slow to load.
BEGINS = (
    "aiodag.workflows",
    "aiodag.commands",
    "aiodag.executors",
    "aiodag.codec",
    "aiodag.pictures",
    "aiodag.traces",
    "aiodag.stores.recorder",
    "aiodag.stores.rehearsal",
    "aiodag.stores.keeper",
    "aiodag.service.starting",
    "aiodag.service.targets",
    "aiodag.service.binding",
    "importlib.metadata",
    "importlib.resources",
    "zipfile",
    "fractions",
    "concurrent.futures.process",
    "concurrent.futures.thread",
    "multiprocessing",
    "http",
    "rich",
)
MAKE = """
import asyncio
from aiodag import Run, task
@task
async def add(one, other): return one + other
async def main():
    async with Run("etl", store="runs.db", id="monday", tags={"env": "test"}): add(add(1, 2), 3)
asyncio.run(main())
"""
LOOK = """
import sys
from aiodag.cli import main
code = main(sys.argv[1:])
print(code, *sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A directory with a store that has a run."""
    directory = tmp_path_factory.mktemp("look")
    subprocess.run([sys.executable, "-c", MAKE], cwd=directory, env=environment(), check=True)
    return directory


def environment():
    return {"PYTHONPATH": str(ROOT), "PATH": ""}


def loaded_by(directory, *command):
    """Return the modules that a command has loaded."""
    call = [sys.executable, "-c", LOOK, "--store", "runs.db", *command]
    ended = subprocess.run(call, cwd=directory, env=environment(), capture_output=True, text=True, check=True)
    code, *modules = ended.stderr.splitlines()[-1].split(" ")
    assert code == "0", ended.stderr
    return set(modules)


def within(modules, names):
    return sorted(each for each in modules if any(f"{each}.".startswith(f"{name}.") for name in names))


@pytest.mark.parametrize(
    "command",
    [
        "runs -n 20",
        "runs --state failed --tag env=test --since 1d",
        "runs --json",
        "show monday",
        "show monday --failed",
        "show monday --json",
        "log etl",
        "log monday --task add",
        "log monday -f",
        "cancel monday",
        "delete --older 1d",
        "list",
        "backup copy.db",
    ],
)
def test_a_command_that_only_looks_loads_nothing_that_begins_runs(store, command):
    (store / "copy.db").unlink(missing_ok=True)

    assert within(loaded_by(store, *command.split()), BEGINS) == []


def test_a_service_that_only_looks_loads_nothing_that_begins_runs(store):
    code = "import sys; from aiodag.service import Service; Service('runs.db').runs(); print(*sys.modules)"
    call = [sys.executable, "-c", code]

    ended = subprocess.run(call, cwd=store, env=environment(), capture_output=True, text=True, check=True)

    assert within(ended.stdout.split(), BEGINS) == []


def test_help_loads_neither_the_service_nor_a_store(store):
    code = "import sys; from aiodag.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    call = [sys.executable, "-c", code]

    ended = subprocess.run(call, cwd=store, env=environment(), capture_output=True, text=True, check=True)

    assert within(ended.stderr.split(), [*BEGINS, "aiodag.service", "aiodag.stores", "sqlite3"]) == []


@pytest.mark.parametrize(("recorded", "read"), [("shell('echo 1')", "1"), ("shell('exit 3')", "exit code 3")])
def test_what_a_command_has_left_is_read_though_no_command_is_loaded(tmp_path, recorded, read):
    make = f"""
import asyncio
from aiodag import Run
from aiodag.commands import shell
async def main():
    async with Run("etl", store="runs.db", id="monday"): {recorded}()
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, env=environment(), capture_output=True, check=False)
    code = (
        "from aiodag.service import Service; service = Service('runs.db'); (node,) = service.nodes('monday');"
        "print(service.error('monday', '0') or service.value('monday', '0').stdout)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )

    assert read in ended.stdout
