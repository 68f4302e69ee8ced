"""Every command with every kind of target: an answer, or one line that says what is wrong, and never a traceback."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from aiodag import Run, task
from aiodag.cli import grammar
from aiodag.cli.program import main
from aiodag.service import Service

ENTRY = """
from aiodag import task
from aiodag.workflows import Workflow

@task
async def fetch(name: str = "a"):
    return name

@task
async def main(name: str = "a"):
    return await fetch(name)

flow = Workflow("flow")
flow.add(fetch, name="fetch")
"""
FLOWS = """
daily: {type: On, cron: 0 6 * * *}
one: {tasks: {a: {command: [echo, a]}}}
two: {on: daily, params: {n: {type: int, default: 1}}, jobs: {a: {stages: [{echo: "${{ params.n }}"}]}}}
"""
FILE = {"name": "named", "parameters": {"DAY": ["d1"]}, "tasks": {"a": {"command": ["echo", "{{DAY}}"]}}}
HOSTILE = "evil\nrun x succeeded\x1b[2J\u202e\u2028\x85\x00é"


MODULES = ("etl", "empty", "broken", "syntax", "binary", "directory")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory with one of everything, and a store where names are registered that have not run."""
    forget_modules()  # those that other tests in this process have loaded
    path = tmp_path_factory.mktemp("made")
    (path / "etl.py").write_text(ENTRY)
    (path / "named.json").write_text(json.dumps(FILE))
    (path / "empty.py").write_text("")
    (path / "broken.py").write_text("import nothing_of_this_name\n")
    (path / "syntax.py").write_text("def\n")
    (path / "empty.json").write_text("")
    (path / "list.json").write_text("[1]")
    (path / "binary.json").write_bytes(b"\xff\x00")
    (path / "binary.py").write_bytes(b"\xff\x00")
    (path / "directory.py").mkdir()
    (path / "directory.json").mkdir()
    (path / "flows.yaml").write_text(FLOWS)
    (path / "jobs.yaml").write_text('on: {cron: "0 6 * * *"}\njobs: {a: {stages: [{echo: hello}]}}\n')
    (path / "faulty.yaml").write_text("jobs: {a: {stages: [{ecoh: hello}]}}\na: b: c\n")
    (path / "binary.yaml").write_bytes(b"\xff\x00")
    (path / "directory.yaml").mkdir()
    (path / "text.txt").write_text("text")
    service = Service(path / "runs.db")
    service.register(str(path / "named.json"))
    service.register(f"{path / 'etl.py'}:flow")
    forget_modules()

    async def once(name):
        async with Run(name, store=service.store, id=f"{name}-1"):
            await one()

    asyncio.run(once("ran"))
    asyncio.run(once("flow"))
    service.store.close()
    return path


@task
async def one():
    return 1


def forget_modules():
    """Let the next test import files of the same names from another directory."""
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A copy of it, to work in."""
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setenv("AIODAG_STORE", "sqlite:///runs.db")
    monkeypatch.setenv("TERM", "dumb")
    yield
    forget_modules()


TARGETS = [
    "etl.py",
    "etl.py:main",
    "etl.py:flow",
    "etl.py:nothing",
    "etl.py:",
    ":main",
    "named.json",
    "named.json:a",
    "named",
    "flow",
    "ran",
    "ran-1",
    "flow-1",
    "rna-1",
    "no.py",
    "no.json",
    "empty.py",
    "broken.py",
    "syntax.py",
    "binary.py",
    "empty.json",
    "list.json",
    "binary.json",
    "directory.py",
    "directory.json",
    "flows.yaml",
    "flows.yaml:one",
    "flows.yaml:two",
    "flows.yaml:daily",
    "jobs.yaml",
    "faulty.yaml",
    "binary.yaml",
    "directory.yaml",
    "text.txt",
    ".",
    "",
    " ",
    "a\nb",
    "x" * 5000,
    "\udcff",
    "etl.py:main:more",
    "module:main",
]
FORMS = {
    "run": ["run {}", "run {} --id one --limit 1 --json"],
    "resume": [
        "resume {}",
        "resume {} --from named.json",
        "resume ran-1 --from {}",
        "resume flow-1 --from {}",
        "resume {} --queue",
        "resume flow-1 --queue {}",
        "resume flow-1 --from {} --queue",
        "resume flow-1 --again {} --queue --json",
    ],
    "plan": ["plan {}", "plan {} --json", "plan ran-1 --from {}"],
    "runs": ["runs --name {}"],
    "show": ["show {}", "show {} --json", "show {} one", "show {} --failed", "show {} one --value", "show ran-1 {}"],
    "log": ["log {}", "log {} --style tree", "log {} one", "log {} --task one", "log {} --json", "log ran-1 {}"],
    "graph": ["graph {}", "graph {} --format mmd", "graph {} --format dot", "graph {} --json", "graph {} -o g.svg"],
    "serve": ["serve --check"],
    "token": [
        "token",
        "token new {}",
        "token new {} --role operate --expires 1d --json",
        "token revoke {}",
        "token --json",
    ],
    "audit": ["audit", "audit --who {}", "audit --about {} --json", "audit --forget 90d"],
    "validate": ["validate {}", "validate {} --json", "validate named.json {}"],
    "register": ["register {} --replace", "register etl.py:flow --name {} --replace"],
    "list": ["list"],
    "export": ["export", "export {}", "export {} -o exported.json"],
    "import": ["import {}", "import {} --replace"],
    "cancel": ["cancel {}"],
    "delete": ["delete {}"],
    "backup": ["backup {}"],
    "copy": ["copy runs.db copied.db {}"],
    "migrate": ["migrate", "migrate --json"],
    "submit": ["submit {}", "submit etl.py:main --queue {}"],
    "queues": ["queues", "queues pause {}"],
    "worker": ["worker --import {}"],
    "workers": ["workers --queue {}"],
    "send": ["send {}", "send T --key {}", "send T --payload {}", "send T --file {}", "send T --id {} --strict"],
    "waits": ["waits", "waits {}", "waits --topic {} --json"],
    "messages": ["messages --dead", "messages --topic {}", "messages --deliver {} {}", "messages --deliver T {}"],
    "topics": ["topics", "topics --json"],
    "next": ["next {}", "next {} -n 2 --json"],
    "schedules": ["schedules", "schedules {}", "schedules pause {}", "schedules add {}", "schedules --json"],
    "backfill": ["backfill", "backfill {} --from 2026-01-01 --to 2026-01-02"],
    "schema": ["schema", "schema jobs"],
    "hosts": ["hosts", "hosts {}", "hosts {} --json"],
    "agent": ["agent --listen {} --token-file missing", "agent --token-file missing --resources {}"],
    "agents": ["agents --drain {}", "agents --undrain {} --json"],
    "info": ["info"],
    "completion": ["completion bash", "completion --words parameters --of {}", "completion --words runs"],
}
COMMANDS = sorted(grammar.build_parser().commands)


def test_every_command_is_tried():
    assert set(COMMANDS) <= set(FORMS), "say how the new command is called"


def called(form, target, capsys):
    """Call a command as it was typed, and return its code and what it said."""
    argv = [target if part == "{}" else part for part in form.split()]
    try:
        code = main(argv)
    except SystemExit as ended:  # of argparse
        code = ended.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("form", [form for forms in FORMS.values() for form in forms if "{}" in form])
def test_a_command_answers_whatever_its_target_is(place, form, capsys):
    for target in TARGETS:
        code, out, err = called(form, target, capsys)

        assert code in {0, 1, 2}, (target, out, err)
        assert "Traceback" not in out + err, target
        assert "--traceback shows where" not in err, (target, err)  # what nobody thought of
        if code == 2 and form.startswith("validate") and "aiodag: " not in err:
            assert out, target  # complaints are what it was asked for
        elif code == 2:
            assert err.startswith("aiodag: "), (target, err)
            assert out == "", target


@pytest.mark.parametrize("form", [form for forms in FORMS.values() for form in forms if "{}" not in form])
def test_a_command_without_a_target_answers(place, form, capsys):
    code, _, err = called(form, "", capsys)

    assert (code, "Traceback" in err) == (0, False)


@pytest.mark.parametrize("form", [form for name, forms in FORMS.items() for form in forms if name != "completion"])
def test_a_damaged_store_is_told_in_a_line(place, form, capsys):
    path = Path("runs.db")
    path.write_bytes(path.read_bytes()[:6000] + os.urandom(6000))

    code, _, err = called(form, "ran-1", capsys)
    assert code in {0, 1, 2}
    assert "--traceback shows where" not in err, err


VIEWS = [
    "runs",
    "show {}",
    "show {} --failed",
    "log {}",
    "log {} --style tree",
    "log {} --style flat",
    "log evil",
    "graph {}",
    "graph {} --format mmd",
    "graph {} --format dot",
    "graph {} -o g.svg",
    "list",
    "completion --words runs",
    "completion --words names",
    "cancel {}",
    "delete {}",
]


@pytest.mark.parametrize("form", VIEWS)
def test_names_of_others_forge_no_line_and_steer_no_terminal(place, form, capsys):
    async def body():
        async with Run("evil", store="runs.db", id="evil-1"):

            @task
            async def fails(argument):
                raise ValueError(HOSTILE)

            await asyncio.wait([fails(HOSTILE)])

    with pytest.raises(ExceptionGroup):
        asyncio.run(body())
    with closing(sqlite3.connect("runs.db", isolation_level=None)) as connection:
        # As a program of another version may have written them: ours refuses such names.
        connection.execute("update nodes set name = ?, label = ?, site = ?", (HOSTILE, HOSTILE, HOSTILE))
        connection.execute("update runs set tags = ? where name = 'evil'", (json.dumps({HOSTILE: HOSTILE}),))
        connection.execute("update workflows set name = ?, target = ? where name = 'flow'", (HOSTILE, HOSTILE))
        connection.execute("update logs set level = ?, logger = ?", (HOSTILE, HOSTILE))

    code, out, err = called(form, "evil-1", capsys)
    if "-o" in form:
        out = Path("g.svg").read_text("utf-8")
    said = out + err

    assert code in {0, 1}, err
    assert not {"\x1b", "\u202e", "\u2028", "\x85", "\x00"} & set(said)
    assert not [line for line in said.splitlines() if line.startswith("run x succeeded")]
