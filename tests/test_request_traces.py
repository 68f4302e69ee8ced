"""Spans of requests, and of the runs that they begin: a real server and a real worker, which write their spans to files."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("fastapi")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from web_servers import PATIENCE, WebServer

from aiodag.service import Service
from aiodag.traces.opentelemetry import RequestSpans
from aiodag.web.tracing import TracedRequests, submitter_tags

SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = SENDER.split("-")[1]
HELLO = {"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}
EXPORTER = """
import os
from pathlib import Path
from types import SimpleNamespace
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class FileExporter(SpanExporter):
    def export(self, spans):
        with Path(os.environ["SPANS"]).open("a") as file:
            file.write("".join(each.to_json(indent=None) + "\\n" for each in spans))
        return SpanExportResult.SUCCESS
"""


@pytest.fixture
def variables(tmp_path):
    """The environment of a process that writes its spans to a file, by an exporter that a package brings."""
    packages = tmp_path / "packages"
    entry = packages / "file_exporter-1.dist-info"
    entry.mkdir(parents=True)
    (packages / "file_exporter.py").write_text(EXPORTER)
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: file-exporter\nVersion: 1\n")
    (entry / "entry_points.txt").write_text("[opentelemetry_traces_exporter]\nto_file = file_exporter:FileExporter\n")
    path = os.pathsep.join([str(packages), *filter(None, [os.environ.get("PYTHONPATH")])])
    spans = tmp_path / "spans.json"
    spans.touch()
    return {"PYTHONPATH": path, "OTEL_TRACES_EXPORTER": "to_file", "SPANS": str(spans)}


def spans_in(variables):
    """Return the spans of a file by their names."""
    found = [json.loads(line) for line in Path(variables["SPANS"]).read_text().splitlines()]
    return {each["name"]: each for each in found}


def ids(span):
    """Return the trace, the span and the parent of a span, as headers have them."""
    parent = span["parent_id"]
    context = span["context"]
    return context["trace_id"][2:], context["span_id"][2:], parent and parent[2:]


def wait_for(look):
    """Wait until another process has done something."""
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        time.sleep(0.05)  # real time: another process is waited for


def test_a_request_is_the_parent_of_the_run_that_it_begins(tmp_path, variables):
    """The worker of the server traces, too: one option is enough."""
    server = WebServer(tmp_path, "--worker", "--trace", env=variables)
    try:
        server.start()
        sent = {"traceparent": SENDER}
        run_id = server.ask("/api/v1/runs", {"definition": HELLO}, headers=sent).json()["id"]
        service = Service(server.store)
        wait_for(lambda: service.run(run_id).state.final)
        tags = service.run(run_id).tags
        service.close()
        server.ask("/api/v1/runs/r%2Fother?q=hidden", token=None)
        server.ask("/live")
        server.ask("/metrics")
        assert server.stop() == 0
    finally:
        server.remove()
    found = spans_in(variables)

    request, refused, node = (found[each] for each in ("POST /api/v1/runs", "GET", "greet"))
    assert ids(request)[::2] == (TRACE, SENDER.split("-")[2])
    assert tags == {"traceparent": f"00-{TRACE}-{ids(request)[1]}-01"}
    assert ids(node)[::2] == ids(request)[:2]
    assert request["kind"] == "SpanKind.SERVER"
    assert request["attributes"] == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "url.path": "/api/v1/runs",
        "http.response.status_code": 202,
        "http.route": "/api/v1/runs",
    }
    assert request["resource"]["attributes"]["service.name"] == "aiodag"
    assert refused["attributes"]["http.response.status_code"] == 401
    assert refused["attributes"]["url.path"] == "/api/v1/runs/r%2Fother"
    assert not {"/live", "/metrics"} & {each["attributes"].get("url.path") for each in found.values()}
    assert "hidden" not in Path(variables["SPANS"]).read_text()


def test_a_worker_traces_if_it_is_told(tmp_path, variables):
    """Its runs are in processes of their own here, which are told, too."""
    store = f"sqlite:///{tmp_path}/runs.db"
    service = Service(store)
    (tmp_path / "hello.json").write_text(json.dumps(HELLO))
    run_id = service.submit(f"{tmp_path}/hello.json", tags=submitter_tags(SENDER))
    command = [sys.executable, "-m", "aiodag", "worker", "--isolate", "process", "--limit", "1"]
    env = {**os.environ, **variables, "AIODAG_STORE": store, "AIODAG_TRACE": "yes", "OTEL_SERVICE_NAME": "etl"}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as worker:
        wait_for(lambda: service.run(run_id).state.final)
        wait_for(lambda: "greet" in spans_in(variables))
        worker.terminate()
        said = worker.stderr.read()
    service.close()
    node = spans_in(variables)["greet"]

    assert (worker.returncode, "Traceback" in said) == (0, False), said
    assert ids(node)[::2] == (TRACE, SENDER.split("-")[2])
    assert node["resource"]["attributes"]["service.name"] == "etl"


@pytest.mark.parametrize("command", [["worker", "--once"], ["serve", "--check"]])
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "nowhere"}, "OTEL_TRACES_EXPORTER='nowhere' cannot work"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "--trace needs opentelemetry-exporter-otlp, which is not installed: pip install 'aiodag[otlp]'",
        ),
    ],
)
def test_what_cannot_be_traced_is_said_in_a_line(tmp_path, command, variables, said):
    env = {**os.environ, **variables, "AIODAG_STORE": f"sqlite:///{tmp_path}/runs.db"}
    done = subprocess.run(
        [sys.executable, "-m", "aiodag", *command, "--trace"], env=env, cwd=tmp_path, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


class Spans:
    """Spans of requests in memory."""

    def __init__(self):
        self.memory, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.requests = RequestSpans(provider)

    async def ask(self, inner, path="/runs", method="GET", headers=()):
        """Send a request through, and return its span."""
        scope = {"type": "http", "method": method, "scheme": "http", "raw_path": path.encode(), "headers": [*headers]}
        await TracedRequests(inner, self.requests)({**scope, "aiodag.route": ["/runs"]}, None, ignore)
        return self.memory.get_finished_spans()[-1]


async def ignore(message):
    """Take a part of an answer."""


def answering(status, kind=b"text/html"):
    """Return an application that answers so."""

    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})

    return answer


@pytest.mark.parametrize(("status", "code"), [(200, "UNSET"), (404, "UNSET"), (500, "ERROR"), (503, "ERROR")])
async def test_a_fault_of_the_server_is_an_error(status, code):
    span = await Spans().ask(answering(status))

    assert span.status.status_code.name == code
    assert span.attributes.get("error.type") == (str(status) if code == "ERROR" else None)


async def test_the_span_of_a_stream_ends_where_the_stream_begins():
    spans = Spans()

    async def stream(scope, receive, send):
        await answering(200, b"text/event-stream; charset=utf-8")(scope, receive, send)
        assert [each.name for each in spans.memory.get_finished_spans()] == ["GET /runs"]

    await spans.ask(stream)

    assert len(spans.memory.get_finished_spans()) == 1


async def test_what_is_inside_sees_the_span_in_place_of_its_sender():
    seen = []

    async def look(scope, receive, send):
        seen.append([value.decode() for name, value in scope["headers"] if name == b"traceparent"])

    span = await Spans().ask(look, headers=[(b"traceparent", SENDER.encode()), (b"accept", b"*/*")])

    assert seen == [[f"00-{TRACE}-{span.context.span_id:016x}-01"]]


async def test_a_method_that_nobody_knows_names_no_span():
    span = await Spans().ask(answering(405), method="<SCRIPT>")

    assert (span.name, span.attributes["http.request.method"]) == ("HTTP /runs", "_OTHER")


async def test_a_tracer_that_raises_harms_no_request(monkeypatch):
    spans, answered = Spans(), []

    def start_span(*_):
        raise RuntimeError("full")

    monkeypatch.setattr(spans.requests, "_tracer", SimpleNamespace(start_span=start_span))

    async def note(scope, receive, send):
        answered.append(scope["headers"])

    with pytest.raises(IndexError):  # there is no span
        await spans.ask(note, headers=[(b"accept", b"*/*")])

    assert answered == [[(b"accept", b"*/*")]]
