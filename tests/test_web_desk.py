"""The desk: it asks the service in threads, and a service that does not answer stops nobody else."""

import asyncio
import contextvars
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from web_places import Place, bearer

from aiodag.service.serve_options import ServeOptions
from aiodag.stores import SQLite
from aiodag.web.application import build_application, build_routes
from aiodag.web.desk import DeskBusy, QuestionPool
from aiodag.web.openapi import openapi_document
from aiodag.web.paths import PREFIX

pytest.importorskip("fastapi")

WHO = contextvars.ContextVar("WHO", default="nobody")


@pytest.fixture
def hanging():
    """An answer that does not come before the test ends."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def make_pool():
    made = []

    def make(threads, patience):
        made.append(QuestionPool("test", threads, patience))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_a_question_is_answered_in_a_thread_of_the_pool_with_the_context_of_who_asks(make_pool):
    pool = make_pool(1, 60.0)
    WHO.set("ada")

    name, who = await pool.ask(lambda: (threading.current_thread().name, WHO.get()))

    assert name.startswith("aiodag-web-test")
    assert who == "ada"


async def test_what_a_question_raises_is_raised_to_who_asks(make_pool):
    def no():
        raise TimeoutError("of the question itself")

    with pytest.raises(TimeoutError, match="of the question itself"):
        await make_pool(1, 60.0).ask(no)


async def test_a_question_without_an_answer_is_given_up_and_others_are_answered(make_pool, hanging):
    pool = make_pool(2, 0.05)

    with pytest.raises(DeskBusy, match="no answer"):
        await pool.ask(hanging.wait)
    assert await pool.ask(lambda: "there") == "there"


async def test_when_every_thread_hangs_nobody_waits_for_longer_than_the_patience(make_pool, hanging):
    pool = make_pool(2, 0.05)
    found = await asyncio.gather(*(pool.ask(hanging.wait) for _ in range(20)), return_exceptions=True)

    assert [type(each) for each in found] == [DeskBusy] * 20


async def test_what_was_given_up_before_it_began_never_begins(make_pool, hanging):
    pool = make_pool(1, 0.05)
    begun = []

    with pytest.raises(DeskBusy):
        await pool.ask(hanging.wait)
    with pytest.raises(DeskBusy):
        await pool.ask(lambda: begun.append(1))
    hanging.set()
    await pool.ask(lambda: None)

    assert begun == []


async def test_too_many_questions_are_refused_at_once(make_pool, hanging, monkeypatch):
    monkeypatch.setattr("aiodag.web.desk.MOST_WAITING", 3)
    pool = make_pool(1, 60.0)
    waiting = [asyncio.ensure_future(pool.ask(hanging.wait)) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(DeskBusy, match="too many"):
        await pool.ask(lambda: None)
    hanging.set()
    await asyncio.gather(*waiting)
    assert await pool.ask(lambda: "again") == "again"


async def test_a_store_that_hangs_costs_503_and_the_server_is_still_there(hanging, monkeypatch):
    place = Place()
    monkeypatch.setattr("aiodag.web.desk.PATIENCE", 0.05)
    place.application = build_application(place.service, ServeOptions())
    token = bearer(place.operating)
    async with place.client() as client:
        assert (await client.get(f"{PREFIX}/runs", headers=token)).json() == []
        monkeypatch.setattr(place.service.store, "runs", lambda **_: hanging.wait())
        answers = [await client.get(f"{PREFIX}/runs", headers=token) for _ in range(3)]
        alive = await client.get("/live")

    assert {(each.status_code, each.headers["Retry-After"]) for each in answers} == {(503, "5")}
    assert "no answer" in answers[0].json()["detail"]
    assert alive.status_code == 200


def test_a_description_that_many_ask_for_at_once_is_made_by_one_of_them(monkeypatch):
    """FastAPI fails otherwise, in a process that has described nothing yet."""
    application, gate, inside, most = build_routes.__wrapped__(), threading.Barrier(8), [], []
    describe = application.openapi

    def describe_alone():
        inside.append(1)
        most.append(len(inside))
        try:
            return describe()
        finally:
            inside.pop()

    monkeypatch.setattr(application, "openapi", describe_alone)

    def ask(_):
        gate.wait()
        return openapi_document(application)

    with ThreadPoolExecutor(8) as pool:
        documents = list(pool.map(ask, range(8)))

    assert max(most) == 1
    assert all(each == documents[0] for each in documents)


async def test_a_store_that_fails_costs_503_for_nothing_is_wrong_with_the_request(tmp_path, monkeypatch):
    """As with a full disk: the same request may be sent again, and 409 would say that it never works."""
    monkeypatch.setattr("aiodag.stores.sql.file.BUSY", 0.01)
    with closing(SQLite(tmp_path / "runs.db")) as store:
        place = Place(store)
        refused = {"json": {"workflow": "none"}, "headers": bearer(place.operating)}
        async with place.client() as client:
            with closing(sqlite3.connect(tmp_path / "runs.db")) as other:
                other.execute("begin immediate")
                failed = await client.post(f"{PREFIX}/runs", **refused)
            looked_up = await client.post(f"{PREFIX}/runs", **refused)

    assert (failed.status_code, failed.headers["Retry-After"]) == (503, "5")
    assert "database is locked" in failed.json()["detail"]
    assert looked_up.status_code == 404
