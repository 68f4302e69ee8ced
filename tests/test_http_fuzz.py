"""What schemathesis makes of the server's own description, sent to a real server: nothing stops it, and no answer is a 500.

Of each operation, it sends what the description allows and what it forbids, by who may operate and by who may only look. The
answers keep to the description: their status, their media type and their schema.
"""

import asyncio
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from web_servers import PATIENCE, TOKEN

from aiodag import Run, RunFailed, task
from aiodag.commands import command
from aiodag.service import Service

pytest.importorskip("fastapi")
schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")
requests = pytest.importorskip("requests")

REQUESTS = int(os.environ.get("AIODAG_FUZZ", "2000"))  # as many as there is time for: CI asks for 5,000
HEAD_LARGEST = 2**14  # bytes
UNREAD = "Invalid HTTP request received."  # for a head that is larger, before the application hears of it
STREAMS = ("/events", "/happenings")  # which end with their run, or never
ODD = "day/../a b?#%2F ü<b>"
# What a name in an address may stand for: of what there is, and what is near to it.
KNOWN = {
    "run_id": ["monday", ODD, "mondy"],
    "node": ["0", "1", "2", "add", "fail", "9999999999999999999999"],
    "name": ["kept", "nightly", "default", "kpet"],
    "form": ["json", "svg", "mermaid", "dot"],
    "topic": ["PAYMENT"],
    "number": ["1", "-1"],
}
PROMISES = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
MEMORY_MOST = 200  # MiB that thousands of requests may add


@task
async def add(left, right):
    return left + right


@task
async def fail(value):
    raise ValueError(f"not {value}")


async def add_runs(place):
    for run_id in ("monday", ODD):
        try:
            async with Run("sums", store=place, id=run_id, tags={"kind": "sum"}):
                fail(add(add(1, 2), 3))
                command("printf", "one\n")()
        except RunFailed:
            pass


def fill(service, folder):
    """Put something of everything into a store."""
    file = Path(folder) / "kept.json"
    file.write_text(json.dumps({"name": "kept", "tasks": {"greet": {"command": ["echo", "hello"]}}}))
    service.register(str(file))
    service.put_schedule("nightly", "kept", "0 3 * * *")
    service.deliver("PAYMENT", "A17", {"amount": 3}, id="m1")
    service.submit("kept")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from web_servers import WebServer

    folder = tmp_path_factory.mktemp("fuzz")
    made = WebServer(folder)
    asyncio.run(add_runs(made.store))
    service = Service(made.store)
    fill(service, folder)
    made.reader = service.make_token("reader", "read")
    service.close()
    try:
        yield made.start()
    finally:
        made.remove()


def operations_of(server):
    document = server.ask("/openapi.json").json()
    found = [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]
    # What deletes comes last: the others are to find something.
    kept = [each for each in found if not each.path.endswith(STREAMS)]
    return sorted(kept, key=lambda each: (each.method.upper() == "DELETE", each.path.endswith("/removals")))


def aimed(draw, case):
    """Half of the addresses are of something that there is."""
    for name in case.path_parameters or {}:
        if name in KNOWN and draw(st.booleans()):
            case.path_parameters[name] = draw(st.sampled_from(KNOWN[name]))
    return case


def send(session, server, case, token):
    """Send one request, and return the status; 400 for one whose head is so large that the connection ends before it is read."""
    asked = case.as_transport_kwargs(base_url=server.address)
    asked["headers"]["Authorization"] = f"Bearer {token}"
    try:
        answer = session.request(**asked, timeout=PATIENCE)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        assert len(str(asked)) > HEAD_LARGEST, asked
        return 400
    assert answer.status_code < 500, (case.as_curl_command(), answer.text)
    if answer.text == UNREAD:
        assert len(str(asked)) > HEAD_LARGEST, asked
        return 400
    case.validate_response(answer, checks=PROMISES)
    if token != TOKEN and case.method not in {"GET", "HEAD"}:
        assert answer.status_code in {400, 403, 405, 414, 422}, (case.as_curl_command(), answer.text)
    return answer.status_code


def test_thousands_of_requests_get_no_500_and_leave_the_server_as_it_was(server):
    operations = operations_of(server)
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    each = REQUESTS // len(operations) // 4 + 5
    sent: Counter[int] = Counter()

    @st.composite
    def cases(draw, operation, mode):
        return aimed(draw, draw(operation.as_strategy(generation_mode=mode)))

    with requests.Session() as session:
        for operation in operations:
            for mode in schemathesis.GenerationMode:

                @settings(
                    max_examples=each,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    suppress_health_check=list(HealthCheck),
                    phases=[Phase.generate],
                )
                @given(case=cases(operation, mode))
                def ask(case):
                    for token in (TOKEN, server.reader):
                        sent[send(session, server, case, token)] += 1

                with suppress(Unsatisfiable):  # an operation that takes nothing is sent nothing that is wrong
                    ask()
    assert sent.total() >= REQUESTS, sent
    assert not {status for status in sent if status >= 500 or status == 429}, sent
    assert server.ask("/live").status == 200
    assert server.process.poll() is None
    assert process.memory_info().rss - before < MEMORY_MOST * 2**20
