"""Events over HTTP, from a real server: streams that end, break, are refused, and go on with the next server."""

import http.client
import json
import socket
import time
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest
from executions import claim_one, row, write_one
from servers import QUICK, PostgresServer

from aiodag import State
from aiodag.records import Claim, Owner
from aiodag.stores import SQLite

PATIENCE = 60.0


@pytest.fixture
def server(new_web_server):
    return new_web_server()


@pytest.fixture
def store(server):
    made = SQLite(server.folder / "runs.db")
    yield made
    made.close()


def begin(store, run_id="r"):
    return claim_one(store, Claim(run_id, "etl", None, Owner.here(), 600.0, time.time()))


def log(store, claimed, *texts, run_id="r", **more):
    write_one(store, claimed, run_id, logs=[(6.5, None, "INFO", "etl", text) for text in texts], **more)


class Stream:
    """A stream of events, as a browser reads it."""

    def __init__(self, server, path, cursor=None):
        parts = urlsplit(server.address)
        self.link = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {server.token}"} | ({"Last-Event-ID": cursor} if cursor else {})
        self.link.request("GET", f"/api/v1{path}", headers=headers)
        self.answer = self.link.getresponse()
        self.cursor = cursor

    def events(self):
        """Yield kind and document, until the stream ends or breaks."""
        fields = {}
        while line := self.line():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            self.cursor = fields.get("id", self.cursor)
            if "event" in fields:
                yield fields["event"], json.loads(fields["data"])
            fields = {}

    def line(self):
        try:
            return self.answer.readline()
        except (OSError, http.client.HTTPException):
            return b""

    def close(self):
        self.link.close()


@contextmanager
def stream(*args):
    with closing(Stream(*args)) as made:
        yield made


def texts(events):
    return [line["text"] for kind, document in events if kind == "lines" for line in document]


def test_a_page_goes_on_with_the_next_server_and_misses_nothing(server, store):
    """The first server is killed; meanwhile lines come and a node moves."""
    claimed = begin(store)
    log(store, claimed, "one", nodes=[row(0, state=State.RUNNING)])
    found = []
    with stream(server, "/runs/r/events") as first:
        for each in first.events():
            found.append(each)
            if each[0] == "moves":
                server.kill()
        cursor = first.cursor
    log(store, claimed, "two", nodes=[row(0)])
    server.start()
    with stream(server, "/runs/r/events", cursor) as second:
        for each in second.events():
            found.append(each)
            if each[0] == "moves" and each[1]["moves"][0]["state"] == "succeeded" and not store.head("r").ended_at:
                log(store, claimed, "three", state=State.SUCCEEDED, at=time.time())
        cursor = second.cursor

    assert texts(found) == ["one", "two", "three"]
    assert found[-1][0] == "end"
    with stream(server, "/runs/r/events", cursor) as third:
        assert third.answer.status == 204  # so a browser does not come again


REFUSED = [
    ("/runs/none/events", 404, "no run 'none'"),
    ("/runs/refused/events?after=forged", 400, "the id of an event, as it was sent"),
    ("/runs/refused/events?after=00000000.0.0.0", 400, "another run"),
    ("/runs/refused/events?kinds=moves,all", 422, "some of lines, moves, output, run"),
    ("/runs/refused/events?node=-1", 422, "query.node"),
    ("/runs/refused/events?node=x", 422, "query.node"),
    ("/events?after=..", 400, "the id of an event, as it was sent"),
]


@pytest.mark.parametrize(("path", "status", "said"), REFUSED)
def test_a_stream_that_cannot_begin_is_refused(web_server, path, status, said):
    with closing(SQLite(web_server.folder / "runs.db")) as store:
        if not store.runs("refused"):
            begin(store, "refused")
    answer = web_server.ask(f"/api/v1{path}")

    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert said in json.dumps(answer.json())


def test_the_list_hears_of_what_begins(server, store):
    begin(store, "before")
    with stream(server, "/events") as events:
        heard = events.events()
        first = next(heard)
        begin(store, "later")
        later = next(each for each in heard if each[0] == "runs")
        cursor = events.cursor

    assert [run["id"] for run in first[1]] == ["before"]
    assert [(run["id"], run["state"]) for run in later[1]] == [("later", "running")]
    server.kill()
    server.start()
    with stream(server, "/events", cursor) as events:
        assert next(events.events()) == ("reset", {})


def test_a_client_that_goes_is_noticed_and_one_that_hears_of_nothing_stays(server, store):
    begin(store)
    with (
        stream(server, "/runs/r/events") as first,
        stream(server, "/events") as second,
        stream(server, "/records/happenings") as hints,
    ):
        next(first.events())
        next(second.events())
        assert hints.line().startswith(b"data: ")
        assert metric(server, "aiodag_streams_open") == 3.0

    wait_for(lambda: metric(server, "aiodag_streams_open") == 0.0)


def test_clients_that_never_read_cost_no_memory_and_others_are_served(server, store):
    claimed = begin(store)
    silent = [asking(server, "/api/v1/runs/r/events") for _ in range(50)]
    wait_for(lambda: metric(server, "aiodag_streams_open") == 50.0)
    before = metric(server, "process_resident_memory_bytes")
    for _ in range(10):
        log(store, claimed, *["x" * 10_000] * 50)  # 5 MB for each of them
    log(store, claimed, "last", state=State.SUCCEEDED, at=time.time())
    with stream(server, "/runs/r/events?kinds=lines") as reading:
        found = texts(reading.events())
    after = metric(server, "process_resident_memory_bytes")
    for each in silent:
        each.close()

    assert (len(found), found[-1]) == (501, "last")
    assert after - before < 100 * 2**20  # of 250
    wait_for(lambda: metric(server, "aiodag_streams_open") == 0.0)


def asking(server, path):
    """Send a request for a stream, and read nothing."""
    parts = urlsplit(server.address)
    made = socket.create_connection((parts.hostname, parts.port))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {server.token}\r\n\r\n".encode()
    )
    return made


def metric(server, name):
    lines = server.ask("/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def wait_for(holds):
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)  # real time: another process is waited for


# Health and numbers


def test_ready_says_whether_the_store_can_be_read_and_live_that_the_server_is_there(new_web_server, schema):
    """Its database has gone, and the server goes on without it."""
    database = PostgresServer(**QUICK)
    try:
        server = new_web_server(store=database.start().address(schema))
        assert server.ask("/ready", token=None).json() == {"ready": True}
    finally:
        database.remove()
    refused = server.ask("/ready", token=None)

    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json()["detail"] == "the store cannot be reached; the log of the server says more"
    assert server.ask("/live", token=None).json() == {"live": True}
    # The token of the server is in its file, and not in the store.
    assert "aiodag_store_up 0.0" in server.ask("/metrics").text


def test_metrics_say_what_runs_there_are_and_which_requests(server, store):
    claimed = begin(store)
    server.ask("/api/v1/runs/r")
    server.ask("/api/v1/runs/r%2Fother")
    server.ask("/nowhere")
    found = server.ask("/metrics")

    assert found.headers["Content-Type"].startswith("text/plain")
    lines = set(found.text.splitlines())
    assert {
        'aiodag_runs{state="running"} 1.0',
        "aiodag_store_up 1.0",
        'aiodag_lag_seconds{what="schedules"} 0.0',
    } <= lines
    assert 'aiodag_requests_total{method="GET",route="/api/v1/runs/{run_id}",status="200"} 1.0' in lines
    assert 'aiodag_requests_total{method="GET",route="/api/v1/runs/{run_id}",status="404"} 1.0' in lines
    assert 'aiodag_requests_total{method="GET",route="none",status="404"} 1.0' in lines
    assert server.ask("/metrics", token=None).status == 401
    write_one(store, claimed, "r", state=State.SUCCEEDED, at=time.time())


def test_a_run_keeps_the_span_of_the_request_that_submitted_it(web_server):
    definition = {"name": "traced", "tasks": {"greet": {"command": ["echo", "hello"]}}}
    span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    begun = [
        web_server.ask("/api/v1/runs", {"definition": definition}, headers={"traceparent": each}).json()["id"]
        for each in (span, "forged\t<script>")
    ]

    assert [web_server.ask(f"/api/v1/runs/{each}").json()["tags"] for each in begun] == [{"traceparent": span}, {}]
