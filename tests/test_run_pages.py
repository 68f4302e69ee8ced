"""The pages of runs, behind a real server, without a script."""

import asyncio
import logging
import re
import subprocess
import sys
import time
from html import unescape
from urllib.parse import quote

import pytest

from aiodag import Run, RunFailed, Secret, current_node, task
from aiodag.commands import command
from aiodag.service import Service
from tests.page_visitor import Markup, Visitor

NAMES = {
    "script": "<script>alert(1)</script>",
    "quote": "\"'><img src=x onerror=alert(2)>",
    "template": "{{'ja'*3}}{% raw %}",
    "turned": "\u202eevil\u2066",
    "long": "😀" * 250,
    "lines": "one\ntwo\r\n\u2028three\t\x1b[2J",
    "link": "javascript:alert(3)",
    "path": "../../etc/passwd?x=1#y",
}
VIEWS = (
    "",
    "/timeline",
    "/log",
    "/definition",
    "/nodes/0",
    "/failed",
    "?state=failed",
    "?text=%3Cscript%3E&after=-7&open=x",
)


@task(retries=1)
async def fetch(name):
    logging.getLogger("etl").warning("fetching %s", name)
    if name == "late" and current_node().attempt == 1:
        raise TimeoutError("no answer")
    return name


@task
async def clean(row):
    if row == "bad":
        raise ValueError("row 17: negative price")
    return {"rows": 3, "of": row}


@task
async def load(*rows):
    return len(rows)


def hostile_id(key):
    """An id, which takes no more than printable characters."""
    return "".join(each for each in f"hostile-{key}-{NAMES[key]}" if each.isprintable())[:400]


async def fail_with(name, store, **more):
    """A run in which a node of a name fails, and says the name wherever it can."""

    plain = "".join(" " if each < " " else each for each in name)  # names of tasks and runs have no control characters

    @task(name=plain)
    async def body(given):
        logging.getLogger("etl").warning("%s", given)
        raise ValueError(given)

    async with Run(plain, store=store, **more):
        load(body(name))


@pytest.fixture(scope="module")
def server(web_server):
    """A server with runs in its store."""
    asyncio.run(fill(web_server.store))
    return web_server


async def fill(store):
    async with Run("pages", store=store, id="pages-good", tags={"day": "monday"}):
        load(*(clean(fetch(name)) for name in ("a1", "late")))
    with pytest.raises(RunFailed):
        async with Run("pages", store=store, id="pages-bad", tags={"day": "tuesday"}):
            load(load(clean(fetch("bad"))))
    with pytest.raises(RunFailed):
        async with Run("pages", store=store, id="pages-program"):
            program = command("sh", "-c", "echo cleaning; echo no such row >&2; exit 3", name="program")
            load(program())
    for key, name in NAMES.items():
        with pytest.raises(RunFailed):
            await fail_with(name, store, id=hostile_id(key), tags={"by": name.splitlines()[0], key: "x"})


@pytest.fixture(scope="module")
def visitor(server):
    return Visitor(server)


def seen(visitor, path, status=200):
    return Markup(visitor.open(path, status).text)


def links(markup):
    return [given["href"] for tag, given in markup.tags if tag == "a" and "href" in given]


def test_the_start_leads_to_the_list_of_runs(visitor):
    assert visitor.open("/", 307).headers["Location"] == "/runs"


def test_the_list_says_of_a_failed_run_why_and_leads_to_the_node(visitor):
    page = seen(visitor, "/runs?name=pages")

    assert "failed: ValueError: row 17: negative price" in page.text
    assert "/runs/pages-bad/failed" in links(page)
    assert page.text.index("pages-bad") < page.text.index("pages-good")


@pytest.mark.parametrize(
    ("query", "there", "missing"),
    [
        ("state=failed", "pages-bad", "pages-good"),
        ("state=succeeded", "pages-good", "pages-bad"),
        ("tag=day:monday", "pages-good", "pages-bad"),
        ("tag=day%3Dtuesday", "pages-bad", "pages-good"),
        ("text=ages-g", "pages-good", "pages-bad"),
        ("since=1h&name=pages", "pages-bad", "hostile-"),
    ],
)
def test_the_list_is_filtered(visitor, query, there, missing):
    text = seen(visitor, f"/runs?{query}").text

    assert there in text
    assert missing not in text


def test_a_list_that_nothing_fits_says_so(visitor):
    assert "No run fits" in seen(visitor, "/runs?text=nothing-like-it").text


@pytest.mark.parametrize("query", ["since=soon", "before=gone"])
def test_what_a_list_cannot_be_asked_is_told_on_a_page(visitor, query):
    page = seen(visitor, f"/runs?{query}", 422 if "since" in query else 404)

    assert "duration" in page.text or "gone" in page.text
    assert ("script", "src") in {(tag, name) for tag, given in page.tags for name in given}


def test_the_list_has_pages(server, visitor):
    service = Service(server.store)
    file = server.folder / "many.json"
    file.write_text('{"name": "many", "tasks": {"a": {"command": ["true"]}}}')
    ids = [service.submit(str(file), queue="nobody") for _ in range(53)]
    service.close()

    first = seen(visitor, "/runs?name=many")
    older = next(unescape(link) for link in links(first) if "before=" in link)
    second = seen(visitor, f"/runs{older}")

    assert [each in first.text for each in ids] == [False] * 3 + [True] * 50
    assert [each in second.text for each in ids] == [True] * 3 + [False] * 50


def test_a_run_says_first_what_failed_what_it_wrote_and_what_was_skipped_for_it(visitor):
    text, program = seen(visitor, "/runs/pages-bad").text, seen(visitor, "/runs/pages-program").text

    assert "ValueError: row 17: negative price" in text
    assert "Skipped because of it: load , load" in text
    assert program.index("no such row") < program.index("Graph and nodes")


def test_the_nodes_of_the_graph_are_links(visitor):
    page = seen(visitor, "/runs/pages-bad")

    numbered = {given["data-number"]: given["href"] for tag, given in page.tags if given.get("data-number")}

    assert numbered["1"] == "/runs/pages-bad/nodes/1"
    assert len(numbered) == 4


def test_a_failed_node_is_two_clicks_from_the_start_with_its_output(visitor):
    row = next(link for link in links(seen(visitor, "/runs?tag=day:tuesday")) if link.endswith("/failed"))
    answer = visitor.open(row, 307)

    page = Markup(visitor.arrive(answer).text)

    assert "row 17: negative price" in page.text
    assert "Traceback (most recent call last)" in page.text
    assert "fetching bad" in seen(visitor, "/runs/pages-bad/nodes/fetch").text


def test_a_node_shows_each_attempt_with_what_it_wrote(visitor):
    page = seen(visitor, "/runs/pages-program/nodes/program")

    assert "exit code 3" in page.text
    assert "cleaning" in page.text
    assert "no such row" in page.text


def test_a_node_shows_the_attempt_that_was_tried_again_its_value_and_its_neighbours(visitor):
    text = seen(visitor, "/runs/pages-good/nodes/1").text

    assert "Attempt 2" in text or '"of": "a1"' in text
    assert "Needs" in text
    assert "TimeoutError: no answer" in seen(visitor, "/runs/pages-good/nodes/2").text


def test_the_table_of_nodes_is_filtered(visitor):
    text = seen(visitor, "/runs/pages-bad?state=skipped").text

    assert "Nodes 2 that fit" in text


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("key", NAMES)
def test_no_name_is_ever_markup(visitor, key, view):
    """Nothing but what the templates write is a tag, an attribute or an address."""
    address = f"/runs/{quote(hostile_id(key), safe='')}{view}"
    answer = visitor.open(address, 307 if view == "/failed" else 200)
    page = Markup(answer.text)

    tags = {tag for tag, _ in page.tags}
    given = {attribute for _, given in page.tags for attribute in given}
    scripts = [given for tag, given in page.tags if tag == "script"]

    assert "img" not in tags
    assert not {each for each in given if each.startswith("on") or each == "style"}
    assert all(re.fullmatch(r"/static/page-[0-9a-f]{12}\.js", each["src"]) for each in scripts)
    assert not [link for link in links(page) if not re.match(r"[/?#]|$", link)]
    assert "jajaja" not in page.text


def test_a_direction_of_writing_stays_where_it_is(visitor):
    """What turns the direction of writing is inside an element that keeps it in."""
    text = visitor.open(f"/runs/{quote(hostile_id('turned'), safe='')}").text

    for place in re.finditer("\u202e", text):
        before = text[: place.start()]
        assert before.rfind("<bdi>") > before.rfind("</bdi>") or before.rfind("<title>") > before.rfind("</title>")


@pytest.mark.parametrize(
    "path", ["/runs/gone", "/runs/gone/timeline", "/runs/pages-bad/nodes/gone", "/runs/gone/failed"]
)
def test_what_is_not_there_is_told_on_a_page(visitor, path):
    page = seen(visitor, path, 404)

    assert "gone" in page.text
    assert ("h1", {}) in page.tags


def test_a_program_is_told_by_a_problem_document(server):
    answer = server.ask("/runs/gone", headers={"Accept": "application/json"})

    assert answer.headers["Content-Type"] == "application/problem+json"


def test_who_may_only_read_sees_no_button_that_changes_something(server):
    service = Service(server.store)
    reader = Visitor(server, service.make_token("pages-reader", "read"))
    service.close()

    forms = [given for given, _ in seen(reader, "/runs/pages-bad").forms if given["method"] == "post"]

    assert [each["action"] for each in forms] == ["/logout"]


def test_a_run_is_deleted_by_its_id_alone(server, visitor):
    service = Service(server.store)
    file = server.folder / "removed.json"
    file.write_text('{"name": "pages-gone", "tasks": {"a": {"command": ["true"]}}}')
    one, other = (service.submit(str(file), queue="nobody") for _ in range(2))
    for each in (one, other):
        service.cancel(each)

    visitor.send(f"/runs/{one}/delete", page="/runs")
    visitor.send("/runs/pages-gone/delete", page="/runs", status=404)

    assert [run.id for run in service.runs(name="pages-gone")] == [other]
    service.close()


def test_a_queued_run_is_cancelled_and_the_page_says_so(server, visitor):
    service = Service(server.store)
    file = server.folder / "stopped.json"
    file.write_text('{"name": "stopped", "tasks": {"a": {"command": ["true"]}}}')
    run_id = service.submit(str(file), queue="nobody")

    page = Markup(visitor.arrive(visitor.send(f"/runs/{run_id}/cancel", page="/runs")).text)

    assert "asked to stop" in page.text
    assert service.run(run_id).state == "cancelled"
    page = Markup(visitor.arrive(visitor.send(f"/runs/{run_id}/resume", page="/runs")).text)
    assert "queued again" in page.text
    assert service.run(run_id).state == "queued"
    service.close()


def test_a_queued_run_says_why_it_does_not_begin(server, visitor):
    service = Service(server.store)
    file = server.folder / "late.json"
    file.write_text('{"name": "late", "tasks": {"a": {"command": ["true"]}}}')
    service.add_queue("pages slow")
    run_id = service.submit(str(file), queue="pages slow")

    before = seen(visitor, f"/runs/{run_id}").text
    service.pause_queue("pages slow")
    after = seen(visitor, f"/runs/{run_id}").text
    service.close()

    assert "No worker takes runs of the queue pages slow" in before
    assert "aiodag worker --queue 'pages slow'" in before
    assert "is paused" in after
    assert "is paused" not in before


def test_what_a_killed_worker_left_behind_is_shown(server, visitor):
    service = Service(server.store)
    file = server.folder / "left.json"
    file.write_text('{"name": "left", "tasks": {"a": {"command": ["sleep", "600"]}}}')
    run_id = service.submit(str(file), queue="pages left")
    worker = subprocess.Popen(
        [sys.executable, "-m", "aiodag", "worker", "--store", server.store, "--queue", "pages left"]
    )
    try:
        while service.run(run_id).state != "running":
            assert worker.poll() is None
            time.sleep(0.05)  # real time: a worker is another process
        before = seen(visitor, "/workers").text
    finally:
        worker.kill()
        worker.wait()

    after = seen(visitor, "/workers")
    run = seen(visitor, f"/runs/{run_id}").text
    service.delete(run_id)
    service.close()

    assert "Gone" not in before
    assert "The next worker that serves the queue goes on with their runs" in after.text
    assert f"/runs/{run_id}" in links(after)
    assert "Its process has gone" in run
    assert "No worker takes runs of the queue pages left" in run


def test_a_line_at_the_top_cannot_be_made_by_who_makes_the_address(visitor):
    assert "notice" not in visitor.open("/runs?done=Your+account+is+locked").text


def test_a_secret_is_shown_nowhere(server, visitor, monkeypatch):
    monkeypatch.setenv("PAGES_PASSWORD", "hunter2-hunter2")
    hidden = Secret("PAGES_PASSWORD")

    @task
    async def connect(password):
        logging.getLogger("etl").warning("with %s", password.reveal())
        raise ValueError(f"no entry with {password.reveal()}")

    async def run():
        async with Run("secretive", store=server.store, id="secretive"):
            connect(hidden)

    with pytest.raises(RunFailed):
        asyncio.run(run())

    for view in ("", "/timeline", "/log", "/definition", "/nodes/0"):
        assert "hunter2" not in visitor.open(f"/runs/secretive{view}").text


def test_the_stylesheet_and_the_script_are_kept_and_are_all_that_is_static(visitor):
    page = seen(visitor, "/runs")
    (script,) = [given["src"] for tag, given in page.tags if tag == "script"]

    answer = visitor.open(script)

    assert "immutable" in answer.headers["Cache-Control"]
    for wrong in ("page.css", "..%2Frun.py", "%2e%2e/run.py", "layout.html"):
        visitor.open(f"/static/{wrong}", 404)
