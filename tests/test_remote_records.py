"""Looking at the store of a server gives what looking at the store itself gives: the same records, values, errors."""

import asyncio
import inspect
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from aiodag import OptionError, Run, StoreError, UnknownRun, task
from aiodag.abc import Inbox, Queue, Runs, Schedules
from aiodag.commands import command
from aiodag.records import RunFilter
from aiodag.service import Service
from aiodag.service.attempts import attempt_stories, story_document
from aiodag.service.documents import whole_document
from aiodag.service.remote import RemoteService
from aiodag.service.remote_looks import FILTER, MOST_NUMBERS, asked_text, look_at_store
from aiodag.service.remote_looks import LOOKS as ASKED
from aiodag.service.remote_runs import RemoteRuns

LOOKED_AT = {what: look for what, look in ASKED.items() if what != "content"}


@task(retries=1)
async def fetch(name):
    logging.getLogger("etl").warning("fetching %s", name)
    if name == "b":
        raise TimeoutError("no answer")
    return {"rows": [name, b"\0", datetime(2026, 1, 1, tzinfo=UTC)]}


@task
async def join(*parts):
    return len(parts)


async def fill(store):
    for number in range(3):
        async with Run("etl", store=store, id=f"etl/{number} é?", tags={"day": str(number), "$": "x"}):
            join(fetch("a"), command("sh", "-c", "printf 'one\\377two'; echo err >&2")())
    try:
        async with Run("broken", store=store, id="broken"):
            join(fetch("a"), fetch("b"))
    except* TimeoutError:
        pass


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def address(request, tmp_path_factory):
    """The address of a store with each kind of record."""
    folder = tmp_path_factory.mktemp("records")
    place = f"sqlite:///{folder}/runs.db"
    if request.param == "postgresql":
        place = request.getfixturevalue("postgres").address("records")
    asyncio.run(fill(place))
    service = Service(place)
    flow = folder / "flow.json"
    flow.write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    service.register(str(flow), name="greeting")
    service.submit("greeting", queue="nightly", tags={"a": "b"}, priority=3, retries=1)
    service.submit("greeting", at=datetime.now(UTC) + timedelta(days=1))
    service.add_queue("nightly", rate=3, per=2.5)
    service.put_schedule("early", "greeting", "0 3 * * *", tags={"x": "y"}, jitter=3)
    service.put_schedule("late", "greeting", {"every": 3600})
    service.pause_schedule("late")
    service.run_schedule("early")
    service.backfill("early", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC))
    service.deliver("PAYMENT", ("A17", "A18"), {"amount": 3.5}, id="m1", headers={"from": "shop"})
    service.close()
    return place


@pytest.fixture(scope="module")
def both(address, tmp_path_factory):
    """A store, and the server over it."""
    from web_servers import WebServer

    server = WebServer(tmp_path_factory.mktemp("web"), store=address)
    local = Service(address)
    remote = Service(server.start().address, token=server.token)
    yield local, remote
    remote.close()
    local.close()
    server.remove()


def test_the_address_of_a_server_makes_a_client_of_it(both):
    _, remote = both

    assert isinstance(remote, RemoteService)
    assert remote.place.startswith("http://127.0.0.1:")


LOOKS = {
    "runs": lambda service: service.runs(),
    "the newest": lambda service: service.runs(limit=2),
    "runs until": lambda service: service.runs(until=datetime(2030, 1, 1, tzinfo=UTC)),
    "runs by text": lambda service: service.runs(text="brok"),
    "runs by name, state and tag": lambda service: service.runs(name="etl", state="succeeded", tags={"day": "1"}),
    "a page": lambda service: service.runs(limit=2, before="broken"),
    "runs of a queue": lambda service: service.runs(queue="nightly"),
    "runs of a schedule": lambda service: service.runs(schedule="early"),
    "runs since": lambda service: service.runs(since=86_400),
    "newest of a name": lambda service: service.newest("etl", 2),
    "count": lambda service: service.count_runs("etl"),
    "run": lambda service: service.run("etl/1 é?"),
    "head": lambda service: service.head("etl/1 é?"),
    "nodes": lambda service: service.nodes("etl/1 é?"),
    "every node": lambda service: service.nodes("etl/1 é?", every=True),
    "failed nodes": lambda service: service.nodes("broken", state=service.nodes("broken")[1].state),
    "edges": lambda service: service.edges("etl/1 é?"),
    "attempts": lambda service: service.attempts("broken"),
    "attempts of some": lambda service: service.attempts("broken", [1, 99]),
    "logs": lambda service: service.logs("broken"),
    "logs of a node": lambda service: service.logs("broken", "fetch"),
    "logs after": lambda service: service.logs("broken", after=1),
    "output": lambda service: service.output("etl/1 é?"),
    "output of a number": lambda service: service.output("etl/1 é?", 1),
    "matching": lambda service: service.matching("etl/1 é?", "fetch"),
    "definitions": lambda service: service.definitions("etl/1 é?"),
    "changes": lambda service: service.changes("etl/1 é?"),
    "value": lambda service: service.value("etl/1 é?", "fetch"),
    "value of a command": lambda service: service.value("etl/1 é?", "sh").stdout,
    "graph": lambda service: service.graph("etl/1 é?").to_json(),
    "whole": lambda service: whole_document(service, "broken"),
    "stories": lambda service: [story_document(each) for each in attempt_stories(service, service.newest("etl"), "sh")],
    "lines": lambda service: service.follow("broken").look(),
    "workflows": lambda service: service.workflows(),
    "export": lambda service: service.export(),
    "queues": lambda service: service.queues(),
    "workers": lambda service: service.workers(),
    "waits": lambda service: service.waits(),
    "messages": lambda service: service.messages(),
    "kept messages": lambda service: service.messages("PAYMENT", state="kept", limit=1),
    "topics": lambda service: service.topics(),
    "schedules": lambda service: service.schedules(),
    "schedule": lambda service: service.schedule("late"),
    "firings": lambda service: service.firings("early"),
    "next moments": lambda service: service.next_moments("early", 3, after=datetime(2026, 1, 1, tzinfo=UTC)),
    "backfills": lambda service: service.backfills(),
    "backfill": lambda service: service.backfill_numbered(1),
    "entry": lambda service: service.entry(service.runs(queue="nightly")[0].id),
    "parameters": lambda service: service.parameters("greeting"),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_at_a_server_gives_what_one_at_its_store_gives(both, look):
    local, remote = both

    assert look(remote) == look(local)


MISTAKES = {
    "an unknown run": lambda service: service.run("brokn"),
    "a page of an unknown run": lambda service: service.runs(before="brokn"),
    "nodes of an unknown run": lambda service: service.nodes("brokn"),
    "an unknown node": lambda service: service.value("broken", "load"),
    "a value that is not there": lambda service: service.value("broken", "1"),
    "an unknown schedule": lambda service: service.schedule("erly"),
    "an unknown backfill": lambda service: service.backfill_numbered(17),
    "an unknown workflow": lambda service: service.export("greting"),
    "another state": lambda service: service.messages(state="lost"),
}


@pytest.mark.parametrize("look", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_the_same_words(both, look):
    local, remote = both

    def said(service):
        with pytest.raises((StoreError, ValueError)) as caught:
            look(service)
        return type(caught.value), str(caught.value).replace(service.place, "PLACE")

    assert said(remote) == said(local)


@pytest.mark.parametrize("what", LOOKED_AT)
def test_a_look_takes_all_that_the_method_of_a_store_takes(what):
    method = next(getattr(seam, what) for seam in (Runs, Queue, Inbox, Schedules) if hasattr(seam, what))

    assert list(LOOKED_AT[what].takes) == [*inspect.signature(method).parameters][1:]
    assert [*inspect.signature(getattr(RemoteRuns, what)).parameters] == [*inspect.signature(method).parameters]


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
@pytest.mark.parametrize("what", [what for what, look in ASKED.items() if asked_text in look.takes.values()])
def test_a_text_that_no_store_can_look_for_is_a_mistake_and_no_failure(both, what, text):
    given = {name: text for name, check in ASKED[what].takes.items() if check is asked_text}
    if what == "runs":
        given = {"wanted": {"tags": {"day": text}}}

    with pytest.raises(OptionError, match="without NUL and half surrogates"):
        look_at_store(both[0].store, what, json.dumps(given))


@pytest.mark.parametrize("state", ["lost", "", 3, ["failed"], {"a": 1}])
def test_another_state_is_refused_with_those_that_there_are(both, state):
    with pytest.raises(OptionError, match=r"state takes one of waiting, .*failed"):
        look_at_store(both[0].store, "nodes", json.dumps({"run_id": "broken", "state": state}))


def test_every_condition_for_runs_can_be_asked_for():
    assert FILTER.keys() == set(RunFilter._fields)


def test_an_unknown_run_has_a_near_miss(both):
    with pytest.raises(UnknownRun, match="Did you mean 'broken'"):
        both[1].run("brokn")


def test_an_error_comes_back_as_what_was_raised(both):
    assert isinstance(both[1].error("broken", "1"), TimeoutError)


def test_a_result_that_is_there_is_returned_at_once(both):
    local, remote = both

    assert asyncio.run(remote.result("etl/1 é?", timeout=5)) == asyncio.run(local.result("etl/1 é?", timeout=5))


def test_more_nodes_than_fit_into_an_address_are_asked_for_all_at_once(both):
    local, remote = both

    for count in (MOST_NUMBERS, MOST_NUMBERS + 1, 5_000):
        numbers = [*range(10**9, 10**9 + count - 1), 1]

        assert remote.attempts("broken", numbers) == local.attempts("broken", numbers)
