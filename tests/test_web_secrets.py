"""Neither a secret, nor a token, nor what only the server's machine knows is in anything that the server answers or writes."""

import asyncio
import json
import re
import socket
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from web_places import routes
from web_servers import TOKEN

from aiodag import RunFailed
from aiodag.service import Service
from aiodag.service.access import hash_of

CANARY = "c4nary \"sécret\\of'all <things>"
OTHER = "s3cond-canary-of-the-environment"
WORKFLOW = {
    "name": "job",
    "tags": {"team": "data"},
    "tasks": {
        "say": {
            "shell": 'echo "$T"; echo "$1" >&2; cat',
            "arguments": [{"$secret": "APP_TOKEN"}],
            "environment": {"T": {"$secret": "APP_TOKEN"}},
            "stdin": {"$secret": "APP_TOKEN"},
        },
        "fail": {"shell": 'echo "$T" >&2; exit 3', "environment": {"T": {"$secret": "APP_TOKEN"}}, "parents": ["say"]},
    },
}
PARTS = {
    "run_id": "r",
    "node": "1",
    "name": "job",
    "ending": "svg",
    "form": "svg",
    "number": "1",
    "topic": "T",
    "queue": "default",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server whose environment, token file and store's folder have canaries, over a store in which a run had one."""
    from web_servers import WebServer

    folder = tmp_path_factory.mktemp("canary")
    (folder / "job.json").write_text(json.dumps(WORKFLOW))
    with pytest.MonkeyPatch.context() as patch, closing(Service(folder / "runs.db")) as service:
        patch.setenv("APP_TOKEN", CANARY)
        service.register(str(folder / "job.json"), name="job")
        service.put_schedule("job", str(folder / "job.json"), "0 0 * * *")
        service.deliver("T", "k", {"amount": 3}, id="m1")
        with pytest.raises(RunFailed):
            asyncio.run(service.start(service.target(str(folder / "job.json")), run_id="r"))
        service.submit(str(folder / "job.json"))
        token = service.make_token("ann", "operate")
        service.begin_session(token)
    server = WebServer(folder, env={"APP_TOKEN": CANARY, "OTHER": OTHER})
    try:
        yield server.start(), token
    finally:
        server.remove()


def spelled(text):
    """A text as answers may have it: as it is, in JSON, in HTML, in an address."""
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        html.replace('"', "&#34;").replace("'", "&#39;"),
        html.replace('"', "&quot;").replace("'", "&#x27;"),
        quote(text),
    }


def hidden(token):
    """All that nobody may see."""
    secrets = (CANARY, "c4nary", OTHER, TOKEN, token, hash_of(token), hash_of(TOKEN), "aiodag_session")
    return {spelling for each in secrets for spelling in spelled(each)}


def begin_of(server, path, headers=()):
    """What a route answers first: a stream of events never ends."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as link:
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Authorization: Bearer {TOKEN}", *headers]
        link.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        found = b""
        try:
            while part := link.recv(65536):
                found += part
                if b"text/event-stream" in found:
                    link.settimeout(0.2)  # real time: a stream that says nothing for a while has nothing to say
        except TimeoutError:
            pass
    return found.decode("utf-8", "replace")


LOOKS = [path for method, path in routes() if method == "GET"]


@pytest.mark.parametrize("path", LOOKS)
def test_no_look_shows_a_secret(served, path):
    server, token = served
    filled = re.sub(r"\{(\w+)[^}]*\}", lambda part: PARTS.get(part[1], "1"), path)
    answers = [
        begin_of(server, filled),
        begin_of(server, f"{filled}?before=x&limit=-1&format=evil"),
        begin_of(server, f"{filled}x"),
    ]

    shown = "".join(answers)
    status = int(shown.split(" ", 2)[1])
    assert status < 500, shown[:500]
    assert [each for each in hidden(token) if each in shown] == []


@pytest.mark.parametrize(
    "definition",
    [
        {"name": "j", "tasks": {"a": {"command": ["echo", "${{ env.OTHER }}"]}}},
        {"name": "j", "tasks": {"a": {"command": ["echo", "x"], "environment": {"A": "${{ env.APP_TOKEN }}"}}}},
        {"name": "${{ env.OTHER }}", "tasks": {"a": {"command": ["echo", "${{ env.NOPE }}"]}}},
        {"name": "j", "tasks": {"a": {"command": ["${APP_TOKEN}", "$OTHER"], "host": "${{ env.OTHER }}"}}},
    ],
)
def test_no_document_that_comes_over_http_brings_out_a_variable_of_the_server(served, definition):
    server, token = served
    answers = [
        server.ask("/api/v1/runs", {"definition": definition}),
        server.ask("/api/v1/runs/r/plan", {"definition": definition}),
        server.ask("/api/v1/runs/r/resume", {"definition": definition}),
    ]

    shown = "".join(each.text for each in answers)
    runs = "".join(
        server.ask(f"/api/v1/runs/{quote(run['id'], safe='')}/definitions").text
        for run in server.ask("/api/v1/runs").json()
    )
    assert [each for each in hidden(token) if each in shown + runs] == []


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"workflow": "nope"}',
        '{"definition": 3}',
        '{"workflow": "job", "parameters": {"password": "hunter2-hunter2"}}',
    ],
)
def test_what_was_sent_is_in_no_audit_line(served, body):
    server, _ = served
    sent = {"Content-Type": "application/json", "Idempotency-Key": "hunter2-hunter2"}
    server.ask("/api/v1/runs", body, headers=sent)

    assert "hunter2" not in server.ask("/api/v1/audit").text


def test_neither_the_log_nor_the_process_table_nor_the_store_has_a_token(served):
    server, token = served
    server.ask("/api/v1/runs", token="wrong-" + "x" * 40)
    server.ask(f"/login?next=/{TOKEN}", token=None)
    server.ask("/login", f"token={TOKEN}", headers={"Content-Type": "application/x-www-form-urlencoded"}, token=None)
    command = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().decode()
    stored = b"".join(each.read_bytes() for each in server.folder.glob("runs.db*"))

    for each in (TOKEN, token, "wrong-xxx"):
        assert each not in server.said
        assert each not in command
        assert each.encode() not in stored
