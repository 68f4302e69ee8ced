"""After anything that can happen to a run, the value of a secret is in no file of its store and on no terminal."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOKEN = "t0p\"sécret\\of'all <things>"
PROGRAM = """
import asyncio, logging, os, sys
from typing import Annotated
from aiodag import Secret, task
from aiodag.commands import command

log = logging.getLogger("login")


class Declined(Exception):
    def __init__(self, why, token):
        super().__init__(why, token)
        self.sent = {token: [token.encode()]}


@task
async def login(user, token):
    log.warning("%s says %s and %r", user, token, [token])
    return len(token)


@task(retries=1, backoff=0)
async def charge(how, token):
    if how == "fail":
        raise Declined(f"no {token!r}", token) from ValueError(token)


@task
def in_thread(headers):
    logging.getLogger("thread").error("sending %s", headers)


echo = command(sys.executable, "-c", "import os, sys, time\\nfor part in os.environ['T'].partition('of'):"
    "\\n    print(end=part, flush=True); time.sleep(0.01)\\nprint(sys.argv[1], file=sys.stderr)\\nsys.stdin.read()")


@task
async def wait(token, how):
    print("ready", flush=True)
    if how in ("cancel", "kill"):
        await command("sh", "-c", 'echo "$T"; echo "$T" >&2; sleep 60', env={"T": Secret("APP_TOKEN")})()


async def main(password: Annotated[str, Secret], how: str = "succeed"):
    await login("anna", password)
    await login("anna", Secret("APP_TOKEN"))
    await in_thread({"Authorization": Secret("APP_TOKEN")})
    await echo(Secret("APP_TOKEN"), env={"T": Secret("APP_TOKEN")}, stdin=Secret("APP_TOKEN"))
    await wait(password, how)
    await charge(how, password)
"""
JOB = {
    "name": "job",
    "tasks": {
        "say": {
            "shell": 'echo "$T"; echo "$1" >&2; cat; test "$T" = x',
            "arguments": [{"$secret": "APP_TOKEN"}],
            "environment": {"T": {"$secret": "APP_TOKEN"}},
            "stdin": {"$secret": "APP_TOKEN"},
        },
        "call": {"task": "job.py:login", "arguments": ["anna", {"$secret": "APP_TOKEN"}]},
    },
}
LOOKS = [
    ["show", "r"],
    ["show", "r", "--json"],
    ["log", "r"],
    ["log", "r", "--json"],
    ["log", "r", "-f"],
    ["runs"],
    ["runs", "--json"],
    ["graph", "r"],
    ["graph", "r", "--format", "mmd"],
    ["graph", "r", "--format", "dot"],
    ["graph", "r", "--format", "json"],
    ["graph", "r", "-o", "r.svg"],
    ["graph", "r", "-o", "r.html"],
    ["graph", "r", "--format", "txt"],
    ["plan", "r"],
]
ALL = """
import json, sys
from aiodag.cli import main
for each in json.loads(sys.argv[1]):
    print("$ aiodag", *each, flush=True)
    assert main(each) in (0, 1), each
"""


class Place:
    def __init__(self, directory):
        self.directory = directory
        self.seen = b""
        self.env = {
            **os.environ,
            "APP_TOKEN": TOKEN,
            "AIODAG_STORE": str(directory / "kept" / "runs.db"),
            "PYTHONPATH": str(ROOT),
        }
        self.env.pop("XDG_STATE_HOME", None)
        (directory / "job.py").write_text(PROGRAM)
        (directory / "job.json").write_text(json.dumps(JOB))

    def started(self, *args):
        command = [sys.executable, "-m", "aiodag", *args]
        return subprocess.Popen(
            command, cwd=self.directory, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def ended(self, process):
        out, _ = process.communicate(timeout=60)
        self.seen += out
        return process.returncode, out.decode()

    def aiodag(self, *args):
        return self.ended(self.started(*args))

    def look(self):
        """Look at the run in every way, in one process that has read no secret until the last."""
        looked = subprocess.run(
            [sys.executable, "-c", ALL, json.dumps(LOOKS)],
            cwd=self.directory,
            env=self.env,
            capture_output=True,
            timeout=60,
        )
        self.seen += looked.stdout + looked.stderr

        assert looked.returncode == 0, looked.stderr.decode()

    def assert_nothing_is_seen(self):
        files = {
            path: path.read_bytes() for path in self.directory.rglob("*") if path.is_file() and path.suffix != ".pyc"
        }
        assert any(path.name == "runs.db" for path in files)
        for text in spellings():
            assert text not in self.seen, text
            assert [str(path) for path, content in files.items() if text in content] == [], text


def spellings():
    for each in (TOKEN, repr(TOKEN)[1:-1], json.dumps(TOKEN)[1:-1], json.dumps(TOKEN, ensure_ascii=False)[1:-1]):
        yield each.encode()
    yield base64.b64encode(TOKEN.encode())[:20]
    yield TOKEN.encode().hex().encode()
    yield TOKEN[:13].encode()  # not even a part of it, such as a stream or a label that was cut leaves


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("how", ["succeed", "fail"])
def test_nothing_is_seen_of_a_run_that_ends(place, how):
    code, _ = place.aiodag("run", "job.py", "--id", "r", "-p", "password=APP_TOKEN", "-p", f"how={how}")

    assert code == (how == "fail")
    place.look()
    assert b"***" in place.seen
    place.assert_nothing_is_seen()


def test_nothing_is_seen_of_a_workflow_in_a_file(place):
    place.aiodag("plan", "job.json")
    code, _ = place.aiodag("run", "job.json", "--id", "r")

    assert code == 1
    place.look()
    place.aiodag("resume", "r")
    place.assert_nothing_is_seen()


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_nothing_is_seen_of_a_run_that_is_cut_off(place, how):
    process = place.started("run", "job.py", "--id", "r", "-p", "password=APP_TOKEN", "-p", f"how={how}", "--quiet")
    while b"ready" not in (line := process.stdout.readline()):
        assert line, "it ended"
        place.seen += line
    until = time.monotonic() + 30
    while "sleep 60" not in place.aiodag("log", "r", "--json")[1] + place.aiodag("show", "r", "--json")[1]:
        assert time.monotonic() < until
    if how == "cancel":
        place.aiodag("cancel", "r")
    else:
        process.send_signal(signal.SIGKILL)
    place.ended(process)

    place.look()
    place.assert_nothing_is_seen()


def test_the_files_of_a_store_are_for_their_owner_alone(place):
    process = place.started("run", "job.py", "--id", "r", "-p", "password=APP_TOKEN", "-p", "how=kill")
    while b"ready" not in (line := process.stdout.readline()):
        assert line, "it ended"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (place.directory / "kept").iterdir()}
    process.kill()
    place.ended(process)

    assert {"runs.db", "runs.db-wal", "runs.db-shm"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert (place.directory / "kept").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("given", [TOKEN, f"@{TOKEN}", ""])
def test_the_text_of_a_secret_is_refused_as_a_parameter_and_not_recorded(place, given):
    code, out = place.aiodag("run", "job.py", "--id", "r", "-p", f"password={given}")

    assert code == 2
    assert "parameter password is a secret" in out
    assert "-p password=NAME" in out
    assert TOKEN[:6] not in out
    assert not (place.directory / "kept").exists()


def test_a_parameter_can_name_a_file(place):
    (place.directory / "token.txt").write_text(f"{TOKEN}\n")

    code, _ = place.aiodag("run", "job.py", "--id", "r", "-p", "password=@token.txt")
    (place.directory / "token.txt").unlink()

    assert code == 0
    place.assert_nothing_is_seen()
