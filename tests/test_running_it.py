"""The pages about workers, and about running them for real: each file there can be used, each command can be typed."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from contextlib import closing

import pytest
from executions import execute
from programs import ROOT

from aiodag import task
from aiodag.cli.grammar import build_parser, parse
from aiodag.stores import SQLite
from aiodag.stores.places import store_at

DEPLOYMENT = ROOT / "examples" / "deployment"
UNIT = DEPLOYMENT / "aiodag-worker@.service"
PAGES = [ROOT / "docs" / name for name in ("running-it.md", "queues-and-workers.md", "the-server.md", "security.md")]
FILE = re.compile(r"<!-- file: (?P<path>\S+) -->\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`(aiodag [^`]*)`")


def files_shown():
    shown = [(found["path"], found["text"]) for page in PAGES for found in FILE.finditer(page.read_text("utf-8"))]
    return [(path, text) for path, text in shown if "/" in path]  # others are somebody's own


def typed_in(text):
    """Return the commands that a page has people type."""
    lines = [line.removeprefix("$ ") for block in BLOCK.findall(text) for line in block.splitlines()]
    return [line for line in lines if line.startswith("aiodag ")]


TYPED = sorted({each for page in PAGES for each in typed_in(page.read_text("utf-8"))})
MENTIONED = sorted({each for page in PAGES for each in QUOTED.findall(page.read_text("utf-8"))})


@pytest.mark.parametrize(("path", "text"), files_shown(), ids=lambda value: value.rpartition("/")[2][:40])
def test_the_page_shows_the_files_that_the_source_has(path, text):
    assert text == (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("command", TYPED)
def test_every_command_of_the_pages_can_be_typed(command):
    _, *words = shlex.split(command)

    assert parse(words).command == words[0]


@pytest.mark.parametrize("command", MENTIONED)
def test_every_command_that_the_pages_mention_is_there_with_its_options(command):
    _, name, *words = shlex.split(command)

    assert {word for word in words if word.startswith("-")} <= set(build_parser().commands[name].options())


def unit():
    """Return the sections of the unit: a key that stands twice is one mistake, for none here may."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


def test_the_unit_gives_a_worker_longer_to_stop_than_it_takes():
    service = unit()["Service"]
    _, *words = shlex.split(service["ExecStart"].replace("%i", "etl"))

    args = parse(words)

    assert args.command == "worker"
    assert float(service["TimeoutStopSec"]) > args.grace
    assert service["KillMode"] == "mixed"


def test_systemd_takes_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        assert {"Unit", "Service", "Install"} == {*unit().sections()}
        return
    there = UNIT.read_text("utf-8").replace("/srv/etl/.venv/bin/aiodag", sys.executable)
    placed = tmp_path / "aiodag-worker@etl.service"
    placed.write_text(there.replace("EnvironmentFile=", "EnvironmentFile=-"))

    done = subprocess.run(["systemd-analyze", "verify", placed], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def dumped_and_restored(postgres, schema, path):
    """Do with a schema what the page says."""
    place = postgres.address(schema).partition("?")[0]
    page = PAGES[0].read_text("utf-8")
    dump, restore = re.findall(r"^(?:pg_dump|pg_restore) .*$", page, re.MULTILINE)
    for line in (dump, restore):
        line = line.replace("=aiodag", f"={schema}").replace("postgresql://etl@db.example/etl", place)
        program, *words = shlex.split(line)
        subprocess.run([postgres.programs / program, *words], cwd=path, check=True)


def test_a_store_on_a_server_is_dumped_and_restored_as_the_page_says(postgres, schema, tmp_path):
    async def body():
        return [task(sum)([1, 2]), task(sum)([3, 4])]

    with closing(store_at(postgres.address(schema))) as store:
        execute(store, body, "one")
        before = store.runs(), store.nodes("one")
        dumped_and_restored(postgres, schema, tmp_path)
        after = store.runs(), store.nodes("one")
        execute(store, body, "two")

        assert after == before
        assert [run.id for run in store.runs()] == ["one", "two"]


def test_a_copy_of_a_file_is_put_in_its_place_as_the_page_says(tmp_path):
    async def body():
        return [task(sum)([1, 2])]

    path = tmp_path / "runs.db"
    with closing(SQLite(path)) as store:
        execute(store, body, "before")
        store.backup(tmp_path / "copy.db")
        execute(store, body, "after")

    shutil.copy(tmp_path / "copy.db", path)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)

    with closing(SQLite(path)) as store:
        execute(store, body, "later")
        assert [run.id for run in store.runs()] == ["before", "later"]


def instructions():
    """Return the instructions of the image file with what they are given, continued lines joined."""
    text = (DEPLOYMENT / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    return [line.split(" ", 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_image_file_is_well_formed_and_runs_a_worker_as_nobody_special():
    given = instructions()
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    words = [word for name, text in given if name in {"ENTRYPOINT", "CMD"} for word in json.loads(text)]

    assert given[0][0] == "FROM"
    assert {name for name, _ in given} <= known
    assert [text for name, text in given if name == "USER"] == ["worker"]
    assert words[:2] == ["aiodag", "worker"]
    assert parse(words[1:]).command == "worker"


def test_the_image_file_installs_what_the_package_has():
    (install,) = [text for name, text in instructions() if name == "RUN" and "pip install" in text]
    extras = ConfigParser()
    extras.read(ROOT / "setup.cfg")
    version = extras["metadata"]["version"].rpartition(".")[0]
    (wanted,) = re.findall(rf'"aiodag\[([\w,]+)\]>={re.escape(version)},<2"', install)

    assert set(wanted.split(",")) <= {*extras["options.extras_require"]}
