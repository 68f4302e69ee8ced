"""Stores that earlier versions have written: their runs are resumed with nothing run again."""

import importlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import aiodag.commands  # noqa: F401 - the values name a class of it
from aiodag import State
from aiodag.codec.text import decode
from aiodag.service import Service

ROOT = Path(__file__).parent.parent
RECORDED = Path(__file__).with_name("recorded")
EXPECTED = json.loads((RECORDED / "journey-values.json").read_text())
RUNS = ["functions", "failing", "workflow", "document"]
LENGTH = {"functions": 79, "workflow": 13, "document": 6}  # nodes, with those that only join edges


STORES = [
    f"v{version}-py{python}.db"
    for version in ("1.2.0", "1.3.0", "1.4.0", "1.6.0", "1.8.0")
    for python in ("3.11", "3.13")
]
EARLY = json.loads((RECORDED / "early-values.json").read_text())
FIRST = [f"v1.1.0-py{python}.db" for python in ("3.11", "3.13")]  # before workflows: of a program of its own
IMPORTED = "import sys, journey; journey.STORE = f'sqlite:///{sys.argv[1]}'; journey.main()"
IN_SLICES = f"from aiodag.stores.sql import past; past.WHOLE, past.SLICE, past.NEAR = 0, 2, 1; {IMPORTED}"
COPIED = "who has copied it"
WAYS = {
    "the program": ["journey.py"],
    "who imports it": ["-c", IMPORTED],
    "who reads slices": ["-c", IN_SLICES],
    COPIED: ["journey.py"],
}


def put_in_a_new_store(path):
    """Put copies of all runs of a store into another one, which takes its place."""
    new = path.with_name("new.db")
    service = Service(path)
    service.copy_to(new)
    service.close()
    new.rename(path)


@pytest.fixture(scope="module", params=[(name, way) for name in STORES for way in WAYS], ids=" by ".join)
def journey(request, tmp_path_factory):
    """The program of the store, run again with a copy of it: what it printed, and the copy."""
    store, way = request.param
    place = tmp_path_factory.mktemp("journey")
    for name in (store, "journey.py", "journey.json"):
        shutil.copy(RECORDED / name, place)
    if way == COPIED:
        put_in_a_new_store(place / store)
    done = subprocess.run(
        [sys.executable, "-W", "error", *WAYS[way], store, "again"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    service = Service(place / store)
    yield json.loads(done.stdout), service
    service.close()


@pytest.mark.parametrize("part", EXPECTED)
def test_a_run_of_an_earlier_version_is_resumed_with_nothing_run_again(journey, part):
    answers, _ = journey
    again = {"decline", "nothing_to_do"} if part == "failing" else set()

    assert set(answers[part]["ran"]) <= again
    assert answers[part]["values"] == EXPECTED[part]["values"]
    assert answers[part]["state"] == EXPECTED[part]["state"]


@pytest.mark.parametrize("run", ["functions", "workflow", "document"])
def test_every_success_of_an_earlier_version_is_recalled(journey, run):
    _, service = journey
    always = {"clock", "functions.<locals>.opened"}  # journal=False, and a coroutine object

    nodes = service.nodes(run)

    assert {node.name for node in nodes if not node.recalled} <= always
    assert service.nodes(run, every=True)[-1].number < LENGTH[run]  # none has a second row, under another key
    assert {node.state for node in nodes} == {State.SUCCEEDED}


def test_what_an_earlier_version_has_written_beside_the_values_can_be_read(journey):
    _, service = journey

    assert [line.text for line in service.logs("functions")].count("fetched a") == 1
    assert service.run("functions").tags == {"kind": "test"}
    assert [each.attempt for each in service.attempts("functions") if "no answer for f" in each.error] == [1]
    assert isinstance(service.error("failing", "decline"), ValueError)
    assert {part.bytes for part in service.output("document", "make[SIDE=left]")} == {b"left\n"}
    assert service.value("document", "sum").stdout == "sum\n"


@pytest.mark.parametrize("name", STORES)
def test_the_values_of_an_earlier_version_can_be_read(name, tmp_path):
    shutil.copy(RECORDED / name, tmp_path)
    service = Service(tmp_path / name)
    nodes = [node for node in service.nodes("workflow") if node.state is State.SUCCEEDED]
    service.close()

    assert nodes
    assert all(decode(node.value) is not ... for node in nodes)


@pytest.mark.parametrize("copied", [False, True], ids=["as it is", "copied"])
@pytest.mark.parametrize("name", FIRST)
def test_a_run_of_the_first_stores_is_resumed_with_nothing_run_again(name, copied, tmp_path):
    for each in (name, "early.py"):
        shutil.copy(RECORDED / each, tmp_path)
    if copied:
        put_in_a_new_store(tmp_path / name)

    done = subprocess.run(
        [sys.executable, "-W", "error", "early.py", name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

    answer = json.loads(done.stdout)
    assert answer["ran"] == ["decline"]
    assert answer["values"] == EARLY["values"]


@pytest.mark.parametrize("name", FIRST)
def test_a_first_store_can_be_looked_at_without_a_change(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(RECORDED)
    importlib.import_module("early")  # the values name classes of the program
    shutil.copy(RECORDED / name, tmp_path)
    before = (tmp_path / name).read_bytes()

    service = Service(tmp_path / name)
    good, bad = service.run("good"), service.run("bad")
    called = [node for node in service.nodes("good") if node.codec == "json" and node.parent is None]
    values = [service.value("good", str(node.number)) for node in called]
    refused = service.error("bad", "decline")
    lines = [line.text for line in service.logs("good")]
    tries = [each.error for each in service.attempts("good") if each.state is State.FAILED]
    service.close()

    assert (good.state, good.tags, good.definition) == (State.SUCCEEDED, {}, None)
    assert (bad.state, str(refused)) == (State.FAILED, "declined ['good']")
    assert len(values) == 37
    assert all(ascii(value) in EARLY["values"] for value in values)
    assert lines == ["fetched a", "fetched b", "fetched p", "fetched p"]
    assert ["no answer for f" in error for error in tries] == [True]
    assert (tmp_path / name).read_bytes() == before


def rows_of_every_run(path):
    """Return the rows of nodes and edges in a store, each with the id of its run, as its tables have them."""
    with closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute(f"select id, {columns} from {table} join runs using (run) order by {order}").fetchall()
            for table, columns, order in (
                ("nodes", "number, key, codec, value, nodes.error, typeof(value), nodes.state", "id, number"),
                ("edges", "down, up, exogenous, tolerant", "id, down, up"),
            )
        ]


@pytest.mark.parametrize("name", [*FIRST, *STORES])
def test_every_value_of_an_earlier_version_goes_to_a_server_and_back(name, tmp_path, postgres_address):
    shutil.copy(RECORDED / name, tmp_path)
    for source, target in ((tmp_path / name, postgres_address), (postgres_address, tmp_path / "back.db")):
        with closing(Service(source)) as service:
            service.copy_to(target)

    assert rows_of_every_run(tmp_path / "back.db") == rows_of_every_run(tmp_path / name)


def test_values_and_arguments_of_classes_of_aiodag_itself_are_known_again(tmp_path):
    for name in ("v1.3.0-own.db", "own.py"):
        shutil.copy(RECORDED / name, tmp_path)

    done = subprocess.run(
        [sys.executable, "-W", "error", "own.py", "v1.3.0-own.db"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

    answer = json.loads(done.stdout)
    assert answer["ran"] == []
    assert "[<Finished echo one: exit code 0>, {'state': <State.QUEUED: 'queued'>}]" in answer["values"]
