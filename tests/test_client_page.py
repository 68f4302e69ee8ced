"""The page about the client, as typed: its commands and its program, against a server with a worker."""

import json
import os
import re
import subprocess
import sys

import pytest
from programs import ROOT

from aiodag import State, errors
from aiodag.cli.grammar import build_parser
from aiodag.service import Service

PAGE = (ROOT / "docs" / "client.md").read_text("utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
HERE = "http://127.0.0.1:2503"
FLOW = {"name": "flow", "tasks": {"greet": {"command": ["echo", "hello"]}}}


def block(language):
    (text,) = [found["text"] for found in BLOCK.finditer(PAGE) if found["language"] == language]
    return text


@pytest.fixture(scope="module")
def page_server(tmp_path_factory):
    from web_servers import WebServer

    server = WebServer(tmp_path_factory.mktemp("web"), "--worker")
    yield server.start()
    server.remove()


@pytest.fixture
def place(page_server, tmp_path):
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    (tmp_path / "edited.json").write_text(json.dumps(FLOW).replace("hello", "goodbye"))
    return tmp_path


def typed(page_server, place, *command, **more):
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AIODAG_TOKEN": page_server.token,
        "AIODAG_STORE": page_server.address,
    }
    done = subprocess.run(
        command, cwd=place, env={**env, **more}, capture_output=True, text=True, check=False, timeout=100
    )
    assert "Traceback" not in done.stderr
    return done


def test_the_commands_do_what_they_say(page_server, place):
    script = re.sub(r"^export AIODAG_.*\n", "", block("sh"), flags=re.MULTILINE)
    function = f'aiodag() {{ "{sys.executable}" -m aiodag "$@"; }}\n'

    done = typed(page_server, place, "bash", "-euc", function + script)

    assert done.returncode == 0, done.stderr
    assert re.search(r"greet: hello\n", done.stdout)
    assert "waits in the queue 'default', to be resumed from edited.json" in done.stdout
    service = Service(page_server.store)
    (run,) = service.runs(name="flow", limit=1)
    assert "goodbye" in service.definitions(run.id)[-1][1]
    service.close()


def test_the_program_prints_what_the_page_says(page_server, place):
    (place / "example.py").write_text(block("python").replace(HERE, page_server.address))

    done = typed(page_server, place, sys.executable, "-W", "error", "example.py")

    assert (done.returncode, done.stdout, done.stderr) == (0, block("text"), "")


def test_every_command_that_the_page_names_is_there():
    named = re.search(r"What looks and what controls.*?: (.*?)\.\n", PAGE)[1]
    commands = build_parser().commands

    assert {each.split()[0] for each in re.findall(r"`([^`]+)`", named)} <= set(commands)


def test_every_error_that_the_page_names_is_there():
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)

    assert len(named) == 4
    assert all(issubclass(getattr(errors, each), errors.AiodagError) for each in named)


LOOKS = [
    "runs", "runs --json", "runs --text flo", "show RUN", "show RUN --json", "show RUN greet --value", "log RUN", "log RUN --json",
    "log flow --style tree", "log flow --task greet", "graph RUN", "graph RUN --format svg", "plan RUN", "plan RUN --from edited.json",
    "queues", "workers", "schedules", "backfill", "waits", "messages", "topics", "list", "export", "next flow.json", "validate flow.json",
    "graph flow.json", "plan flow.json", "info",
]  # fmt: skip


@pytest.fixture(scope="module")
def ended_run(page_server, tmp_path_factory):
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps(FLOW))
    service = Service(page_server.address, token=page_server.token)
    run_id = service.submit(str(flow))
    for _ in service.follow(run_id).looks():
        pass
    assert service.run(run_id).state is State.SUCCEEDED
    service.close()
    return run_id


@pytest.mark.parametrize("line", LOOKS)
def test_what_looks_prints_the_same_for_a_server_and_its_store(
    page_server, place, ended_run, line, capsys, monkeypatch
):
    from aiodag.cli.program import main

    monkeypatch.chdir(place)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("AIODAG_TOKEN", page_server.token)
    words = line.replace("RUN", ended_run).split()

    def printed(store):
        monkeypatch.setenv("AIODAG_STORE", store)
        try:
            code = main(words)
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return code, said.out.replace(store, "STORE"), said.err.replace(store, "STORE")

    there, here = printed(page_server.address), printed(page_server.store)
    if line in {"info", "workers"}:  # moments move on, and a server has no notices of its own
        assert there[0] == here[0]
    else:
        assert there == here


REFUSED = {
    "run flow.json": "running code here",
    "resume RUN": "going on with a run here",
    "worker --once": "a worker",
    "serve --port 0": "a server",
    "backup copy.db": "a backup",
    "migrate": "a migration",
    "token list": "working with tokens",
    "token new ci": "working with tokens",
    "audit --forget 90d": "working with tokens",
    "plan --parked flow flow.py": "thinking runs through",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_works_on_a_store_itself_is_refused_in_one_line(page_server, place, ended_run, line, capsys, monkeypatch):
    from aiodag.cli.program import main

    monkeypatch.chdir(place)
    monkeypatch.setenv("AIODAG_TOKEN", page_server.token)

    code = main(["--store", page_server.address, *line.replace("RUN", ended_run).split()])

    said = capsys.readouterr()
    (error,) = said.err.splitlines()
    assert (code, said.out) == (2, "")
    assert REFUSED[line] in error
    assert page_server.address in error
    assert page_server.token not in error


def test_copies_are_refused_in_either_direction(page_server, place):
    for ends in ((page_server.address, "copy.db"), ("runs.db", page_server.address)):
        done = typed(page_server, place, sys.executable, "-m", "aiodag", "copy", *ends)

        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
