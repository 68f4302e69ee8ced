"""The API of runs over HTTP, on a real server: what is answered, and what is refused, with what words."""

import asyncio
import gzip
import http.client
import json
import logging
import socket
import time
from contextlib import closing
from urllib.parse import quote

import pytest
from web_servers import PATIENCE, TOKEN

from aiodag import Run, RunFailed, task
from aiodag.commands import command
from aiodag.records import RunFilter
from aiodag.service import Service
from aiodag.service.documents import run_document, whole_document
from aiodag.service.drawing import drawing_of

pytest.importorskip("fastapi")

ODD = "day/../a b?#%2F ü<b>"
API = "/api/v1"
HELLO = {"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}


@task
async def add(left, right):
    logging.getLogger("adding").warning("adds %s", left)
    return left + right


@task
async def fail(value):
    raise ValueError(f"not {value}, <b>bold</b>")


async def add_runs(place, *ids):
    for number, run_id in enumerate(ids):
        try:
            async with Run("sums", store=place, id=run_id, tags={"number": str(number), "kind": "sum"}):
                fail(add(add(1, 2), 3))
                command("printf", "one\ntwo\n")()
        except RunFailed:
            pass


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request, tmp_path_factory):
    """A server over a store with three runs of `sums`."""
    from web_servers import WebServer

    folder = tmp_path_factory.mktemp("api")
    place = f"sqlite:///{folder}/runs.db"
    if request.param == "postgresql":
        place = request.getfixturevalue("postgres").address("http_api")
        Service(place).migrate()
    asyncio.run(add_runs(place, "monday", ODD, "friday"))
    made = WebServer(folder, store=place)
    try:
        yield made.start()
    finally:
        made.remove()


@pytest.fixture
def service(server):
    made = Service(server.store)
    yield made
    made.close()


def at(run_id, *more):
    return "/".join([f"{API}/runs", quote(run_id, safe=""), *more])


def problem(answer, status):
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["type"]) == (status, "about:blank")
    return document


def following(answer):
    link = answer.headers["Link"]
    return link and link.partition(">")[0][1:]


# Runs


def test_a_list_is_what_the_command_line_prints_newest_first(server, service):
    expected = [run_document(each) for each in service.runs()][::-1]

    assert server.ask(f"{API}/runs").json() == expected
    assert [each["id"] for each in expected] == ["friday", ODD, "monday"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("name=sums&limit=2", ["friday", ODD]),
        ("name=sum", []),
        ("state=failed", ["friday", ODD, "monday"]),
        ("state=succeeded", []),
        ("tag=number=1", [ODD]),
        ("tag=number=1&tag=kind=sum", [ODD]),
        ("tag=number=1&tag=kind=other", []),
        ("text=DAY", ["friday", ODD, "monday"]),
        ("text=%3Cb%3E", [ODD]),
        ("text=%25", [ODD]),
        ("since=2020-01-01T00:00:00Z&until=2120-01-01T00:00:00", ["friday", ODD, "monday"]),
        ("until=2020-01-01T00:00:00Z", []),
        ("since=2120-01-01T00:00:00Z", []),
        ("queue=default", []),
        ("parent=monday", []),
        ("schedule=nightly", []),
    ],
)
def test_runs_are_found_by_what_a_query_says(server, query, ids):
    assert [each["id"] for each in server.ask(f"{API}/runs?{query}").json()] == ids


def test_pages_follow_each_other_and_what_comes_or_goes_moves_none(new_web_server):
    server = new_web_server()
    asyncio.run(add_runs(server.store, *map(str, range(6))))
    first = server.ask(f"{API}/runs?limit=2")
    service = Service(server.store)
    asyncio.run(add_runs(server.store, "new"))
    second = server.ask(following(first))
    service.delete("2")
    third = server.ask(following(second))
    service.close()

    pages = [[each["id"] for each in answer.json()] for answer in (first, second, third)]
    assert pages == [["5", "4"], ["3", "2"], ["1", "0"]]
    assert following(third) is None


def test_a_page_goes_on_where_a_run_was_that_is_deleted(new_web_server):
    server = new_web_server()
    asyncio.run(add_runs(server.store, *map(str, range(4))))
    first = server.ask(f"{API}/runs?limit=2&state=failed")
    with closing(Service(server.store)) as service:
        service.delete("2")

    assert [each["id"] for each in server.ask(following(first)).json()] == ["1", "0"]


def test_behind_a_proxy_addresses_are_those_that_the_proxy_shows(new_web_server):
    server = new_web_server("--root-path=/tools/aiodag")
    begun = [server.ask("/api/v1/runs", {"definition": HELLO}) for _ in range(3)]
    first = server.ask("/api/v1/runs?limit=2")
    whole = server.ask("/api/v1/runs", headers={"Accept-Encoding": "gzip"})
    server.address = f"http://127.0.0.1:{server.port}"

    assert server.ask(begun[0].headers["Location"]).json()["id"] == begun[0].json()["id"]
    assert len(json.loads(gzip.decompress(whole.body))) == 3
    assert [each["id"] for each in server.ask(following(first)).json()] == [begun[0].json()["id"]]


@pytest.mark.parametrize("run_id", ["monday", ODD])
def test_a_run_is_what_the_command_line_prints_of_it(server, service, run_id):
    whole = whole_document(service, run_id)

    assert server.ask(at(run_id)).json() == whole["run"]
    assert server.ask(at(run_id, "nodes")).json() == whole["nodes"]
    assert server.ask(at(run_id, "nodes", "2")).json() == whole["nodes"][2]
    assert server.ask(at(run_id, "definitions")).json() == whole["definitions"] == []
    assert server.ask(at(run_id, "changes")).json() == []
    assert server.ask(at(run_id, "waits")).json() == whole["waits"] == []
    assert [each["node"] for each in server.ask(at(run_id, "attempts")).json()] == [0, 1, 2, 3]
    assert server.ask(at(run_id, "nodes", "1", "value")).json() == 6


def test_nodes_are_found_by_state_by_task_and_by_pages(server):
    first = server.ask(at("monday", "nodes?limit=3"))

    assert [each["number"] for each in first.json()] == [0, 1, 2]
    assert [each["number"] for each in server.ask(following(first)).json()] == [3]
    assert [each["name"] for each in server.ask(at("monday", "nodes?state=failed")).json()] == ["fail"]
    assert [each["number"] for each in server.ask(at("monday", "nodes?task=add")).json()] == [0, 1]
    assert server.ask(at("monday", "nodes?task=add&state=failed")).json() == []


def test_output_and_lines_are_read_from_a_place_on(server):
    (part,) = server.ask(at("monday", "output")).json()
    lines = server.ask(at("monday", "logs?limit=1"))

    assert (part["text"], part["stream"], part["start"]) == ("one\ntwo\n", "stdout", 0)
    assert server.ask(at("monday", f"output?after={part['part']}")).json() == []
    assert server.ask(at("monday", "output?stream=stderr")).json() == []
    assert server.ask(at("monday", f"output?node={part['node']}&attempt=1")).json() == [part]
    assert [each["text"] for each in lines.json()] == ["adds 1"]
    assert [each["text"] for each in server.ask(following(lines)).json()] == ["adds 3"]


@pytest.mark.parametrize(("form", "media"), [("json", "application/json"), ("dot", "text/vnd.graphviz; charset=utf-8")])
def test_a_graph_is_what_the_command_line_draws(server, service, form, media):
    answer = server.ask(at("monday", f"graph.{form}"))

    assert answer.text == drawing_of(service.graph("monday"), form)
    assert answer.headers["Content-Type"] == media


@pytest.mark.parametrize(("form", "begin"), [("svg", "<svg "), ("mermaid", "flowchart ")])
def test_a_picture_is_drawn_and_has_nothing_that_runs(server, form, begin):
    answer = server.ask(at(ODD, f"graph.{form}"))

    assert answer.text.startswith(begin)
    assert "<b>" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_picture_of_an_ended_run_is_sent_once(server):
    first = server.ask(at("monday", "graph.svg"))
    again = server.ask(at("monday", "graph.svg"), headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status, again.body) == (304, b"")


def test_head_answers_as_get_does_without_the_body(server):
    answer = server.ask(at("monday"), method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(server.ask(at("monday")).body)


def test_a_document_is_compressed_for_who_takes_that_and_no_page_is(server):
    takes = {"Accept-Encoding": "gzip", "Accept": "text/html"}
    document, page = server.ask(f"{API}/runs", headers=takes), server.ask("/docs", headers=takes)

    assert json.loads(gzip.decompress(document.body)) == server.ask(f"{API}/runs").json()
    assert page.headers["Content-Encoding"] is None


def test_a_run_is_deleted_by_its_id_and_never_by_its_name(server, service):
    asyncio.run(add_runs(server.store, "gone"))

    assert problem(server.ask(at("sums"), method="DELETE"), 404)["error"] == "UnknownRun"
    assert server.ask(at("gone"), method="DELETE").status == 204
    assert problem(server.ask(at("gone"), method="DELETE"), 404)
    assert service.store.runs(wanted=RunFilter(name="sums"), limit=1)


# What is wrong


def test_an_unknown_run_is_404_with_a_near_miss(server):
    document = problem(server.ask(at("mondy")), 404)

    assert (document["near"], document["error"]) == ("monday", "UnknownRun")
    assert "this store" in document["detail"]
    assert server.store not in document["detail"]


def test_an_unknown_node_is_404_and_one_of_several_409(server):
    assert problem(server.ask(at("monday", "nodes", "ad")), 404)["error"] == "NotFound"
    assert "Give the number of one" in problem(server.ask(at("monday", "nodes", "add")), 409)["detail"]
    assert "its state is failed" in problem(server.ask(at("monday", "nodes", "fail", "value")), 409)["detail"]


@pytest.mark.parametrize(
    ("path", "status", "place"),
    [
        ("/runs?limt=3", 422, "query.limt"),
        ("/runs?limit=0", 422, "query.limit"),
        ("/runs?limit=1001", 422, "query.limit"),
        ("/runs?limit=" + "9" * 5_000, 422, "query.limit"),
        ("/runs?state=done", 422, "query.state"),
        ("/runs?since=yesterday", 422, "query.since"),
        ("/runs?until=0.5", 422, "query.until"),
        ("/runs?until=2026-11-29", 422, "query.until"),
        ("/runs?after=abc", 422, "query.after"),
        ("/runs?after=W10", 422, "query.after"),
        ("/runs?text=%00", 422, "query.text"),
        ("/runs?text=" + "x" * 501, 422, "query.text"),
        ("/runs/%00", 422, "path.run_id"),
        ("/runs/%ff", 422, "path.run_id"),
        ("/runs/" + "x" * 501, 422, "path.run_id"),
        ("/runs/monday/graph.exe", 422, "path.form"),
        ("/runs/monday/nodes?after=1.5", 422, "query.after"),
    ],
)
def test_what_an_address_says_wrong_is_answered_with_its_place(server, path, status, place):
    assert [each["place"] for each in problem(server.ask(API + path), status)["complaints"]] == [place]


def test_an_address_or_a_method_that_is_not_there_is_a_problem_too(server):
    assert problem(server.ask(f"{API}/rnus"), 404)
    assert problem(server.ask(at("monday", "..", "..", "etc", "passwd")), 404)
    document = server.ask(at("monday"), method="PATCH")

    assert problem(document, 405)["detail"] == "this address takes DELETE, GET"
    assert problem(server.ask("/live?" + "x" * 9_000), 414)


# Bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ('{"again": [NaN]}', 400),
        ('{"again": ' + "[" * 50_000 + "]" * 50_000 + "}", 400),
        ('{"again": ' + "[" * 150 + "]" * 150 + "}", 400),
        ('{"again": [' + "9" * 5_000 + "]}", 400),
        ('{"queue": "a", "queue": "b"}', 400),
        (b'{"queue": "\xff"}', 400),
        ('{"queue": "\\ud800"}', 422),
        ('{"queue": "\\u0000"}', 422),
        ('{"queu": "a"}', 422),
        ('{"queue": 1}', 422),
        ("[]", 422),
        ("null", 422),
    ],
)
def test_a_body_that_is_no_good_is_refused_at_the_door(server, body, status):
    assert problem(server.ask(at("monday", "plan"), body, headers={"Content-Type": "application/json"}), status)


def test_a_body_of_another_type_is_415(server):
    answer = server.ask(at("monday", "plan"), "queue=a", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert problem(answer, 415)
    assert answer.headers["Accept-Post"] == "application/json"


def test_a_key_that_is_misspelled_gets_a_near_miss(server):
    document = problem(server.ask(at("monday", "resume"), {"queu": "a", "again": 3}), 422)

    complaints = {each["place"]: each["text"] for each in document["complaints"]}
    assert complaints["$.queu"] == "is not a key here; did you mean 'queue'?"
    assert "$.again" in complaints


def test_a_specification_sent_bare_is_told_where_it_belongs(server):
    document = problem(server.ask("/api/v1/runs", {"tasks": {"a": {"command": ["true"]}}}), 422)

    assert document["complaints"] == [
        {
            "place": "$.tasks",
            "text": """is not a key here: it belongs in 'definition', as in {"definition": {"tasks": ...}}""",
        }
    ]


@pytest.mark.parametrize(("sent", "meant"), [("tags", "tag"), ("states", "state"), ("limt", "limit")])
def test_a_word_of_a_query_that_is_misspelled_gets_a_near_miss(server, sent, meant):
    document = problem(server.ask(f"/api/v1/runs?{sent}=a"), 422)

    assert document["complaints"] == [{"place": f"query.{sent}", "text": f"is not known here; did you mean '{meant}'?"}]


def test_more_than_16_mib_is_413_whatever_the_head_says(server):
    large = b'{"again": ["' + b"x" * 2**24 + b'"]}'
    told = server.ask(at("monday", "plan"), large, headers={"Content-Type": "application/json"})
    chunks = (large[place : place + 2**16] for place in range(0, len(large), 2**16))
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with closing(link):
        link.request("POST", at("monday", "plan"), chunks, headers, encode_chunked=True)
        counted = link.getresponse().status

    assert problem(told, 413)["detail"] == "the body has more than 16 MiB"
    assert counted == 413


def test_a_body_that_never_ends_is_answered_and_its_connection_ends(server):
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as link:
        head = [
            f"POST {at('monday', 'plan')} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Authorization: Bearer {TOKEN}",
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
        ]
        link.sendall("\r\n".join([*head, "", ""]).encode())
        chunk = b"10000\r\n" + b" " * 2**16 + b"\r\n"
        end = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < end:
                link.sendall(chunk)
        except OSError:
            pass
        else:
            pytest.fail("it takes more and more")

    assert server.ask("/live").status == 200


def test_who_may_only_read_is_refused_before_a_byte_of_a_body_is_read(server, service):
    token = service.make_token("looks", "read")
    answer = server.ask(at("monday", "plan"), "{", headers={"Content-Type": "application/json"}, token=token)
    service.revoke_token("looks")

    assert problem(answer, 403)["error"] == "NotAllowed"


def test_the_description_of_the_api_is_there_for_people_and_for_programs(server):
    document = server.ask("/openapi.json").json()
    page = server.ask("/docs", headers={"Accept": "text/html"})

    assert document["paths"][f"{API}/runs"]["get"]["operationId"] == "runs"
    assert all("default" in each["responses"] for path in document["paths"].values() for each in path.values())
    assert "/api/v1/runs/{run_id}/nodes" in page.text
    assert json.dumps(document).count("HTTPValidationError") == 0
