"""The feeds of a store: one look for all who follow, no line twice and none missing, wherever somebody goes on."""

import asyncio
import json
import time
from contextlib import AsyncExitStack, aclosing

import pytest
from executions import claim_one, row, write_one
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import State
from aiodag.errors import OptionError, StoreUnreachable, UnknownRun
from aiodag.records import Claim, Owner
from aiodag.service import feed as feed_module
from aiodag.service import run_feed, runs_feed
from aiodag.service.feed_cursors import cursor_now, find_start, read_cursor
from aiodag.service.feeds import Feeds
from aiodag.service.run_feed import Wish
from aiodag.stores import Memory, SQLite

PATIENCE = 3600.0


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    for module in (run_feed, runs_feed):
        monkeypatch.setattr(module, "LEAST", 0.0)
        monkeypatch.setattr(module, "SHARE", 0.0)
        monkeypatch.setattr(module, "SLOW", 0.02)
        monkeypatch.setattr(module, "AGAIN", 0.0)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_store")
        return
    made = Memory() if request.param == "memory" else SQLite(tmp_path / "runs.db")
    yield made
    made.close()


@pytest.fixture
def claimed(store):
    return begin(store)


@pytest.fixture
def feeds(store):
    made = Feeds(store)
    yield made
    made.close()


def begin(store, run_id="r"):
    return claim_one(store, Claim(run_id, "etl", None, Owner.here(), 60.0, time.time()))


def line(text, number=0):
    return (6.5, number, "INFO", "etl", text)


class Reader:
    """A client that keeps what it hears, as a page does."""

    def __init__(self, store, feeds, wish=Wish()):
        self.store, self.feeds, self.wish = store, feeds, wish
        self.cursor = None
        self.generation = (0, 0)
        self.lines, self.output, self.nodes, self.kinds = [], b"", {}, []

    async def read(self, until):
        """Read until something holds, or the stream ends; then lose the connection."""
        start = find_start(self.store, "r", self.cursor)
        async with (
            self.feeds.of_run("r", start.ended) as feed,
            aclosing(feed.read(start.place, self.wish, PATIENCE)) as batches,
        ):
            async for events in batches:
                for each in events:
                    self.take(each)
                    if until(self):
                        return

    def take(self, event):
        self.cursor = event.cursor
        self.kinds.append(event.kind)
        document = json.loads(event.text) if event.text else None
        if event.kind == "lines":
            self.lines += [each["text"] for each in document]
        elif event.kind == "output":
            self.output += b"".join(each["text"].encode() for each in document)
        elif event.kind == "moves":
            self.nodes |= {each["node"]: each["state"] for each in document["moves"]}


def has_ended(reader):
    return reader.kinds[-1] == "end"


async def test_a_new_client_hears_what_was_and_then_what_comes_until_the_end(store, claimed, feeds):
    write_one(store, claimed, "r", nodes=[row(0, state=State.RUNNING)], logs=[line("one"), line("two", None)])
    reader = Reader(store, feeds)

    def go_on(reader):
        if reader.kinds == ["run", "lines", "moves", ""]:
            output = [(0, 1, "stdout", 0, 7.0, b"written")]
            write_one(store, claimed, "r", nodes=[row(0), row(1)], logs=[line("three")], output=output)
        if "output" in reader.kinds and "end" not in reader.kinds and not store.head("r").ended_at:
            write_one(store, claimed, "r", logs=[line("four")], state=State.SUCCEEDED, at=9.0)
        return False

    await reader.read(go_on)

    assert (reader.lines, reader.output) == (["one", "two", "three", "four"], b"written")
    assert reader.nodes == {0: "succeeded", 1: "succeeded"}
    assert reader.kinds[:8] == ["run", "lines", "moves", "", "run", "moves", "lines", "output"]
    assert reader.kinds[-1] == "end"


async def test_an_ended_run_is_told_whole_and_whoever_has_seen_its_end_need_not_come_again(store, claimed, feeds):
    write_one(store, claimed, "r", nodes=[row(0)], logs=[line("one")], state=State.SUCCEEDED, at=9.0)
    reader = Reader(store, feeds)
    await reader.read(lambda _: False)

    assert reader.kinds == ["run", "lines", "moves", "end"]
    assert find_start(store, "r", reader.cursor).has_seen_end
    again = begin(store)
    assert not find_start(store, "r", reader.cursor).has_seen_end
    write_one(store, again, "r", logs=[line("again")], state=State.FAILED, at=9.0)
    later = Reader(store, Feeds(store))
    later.cursor = reader.cursor
    await later.read(lambda _: False)
    assert (later.lines, later.kinds[-1]) == (["again"], "end")
    later.feeds.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.integers(1, 4)),
        st.tuples(st.just("write"), st.integers(1, 3)),
        st.tuples(st.just("move"), st.integers(0, 5)),
        st.tuples(st.just("read"), st.integers(1, 6)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.parametrize("room", [1, 3, 2_000])
@given(steps=STEPS)
@settings(max_examples=25, deadline=None)
def test_each_line_comes_once_and_each_last_state_however_often_the_connection_is_lost(room, steps):
    """With feeds that forget nearly all, too: then who goes on catches up from the store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_module, "MOST_EVENTS", room)
        patch.setattr("aiodag.service.run_looks.PAGE", 2)
        patch.setattr("aiodag.service.run_looks.PARTS", 2)
        patch.setattr(run_feed, "FIRST_PAGE", 1)
        patch.setattr(feed_module, "ON_THE_WAY", 1)
        asyncio.run(lose_connections(steps))


async def lose_connections(steps):
    store = Memory()
    claimed = begin(store)
    feeds = Feeds(store)
    reader = Reader(store, feeds)
    states, logged, written = {}, [], b""
    for what, number in [*steps, ("end", 0)]:
        if what == "log":
            lines = [f"line {len(logged) + each}" for each in range(number)]
            write_one(store, claimed, "r", logs=[line(each, None) for each in lines])
            logged += lines
        elif what == "write":
            for _ in range(number):
                text = f"<{len(written)}>".encode()
                write_one(store, claimed, "r", output=[(0, 1, "stdout", len(written), 7.0, text)])
                written += text
        elif what == "move":
            states[number] = State.RUNNING if states.get(number) is not State.RUNNING else State.SUCCEEDED
            write_one(store, claimed, "r", nodes=[row(number, state=states[number])])
        elif what == "read":
            # Some events, or as many as there are: the run alone comes always.
            seen = len(reader.kinds)
            await reader.read(lambda reader, upto=seen + min(number, 2): len(reader.kinds) >= upto)
        elif what == "restart":
            feeds.close()
            feeds = reader.feeds = Feeds(store)
        else:
            write_one(store, claimed, "r", state=State.SUCCEEDED, at=9.0)
            await reader.read(has_ended)
    feeds.close()

    assert (reader.lines, reader.output) == (logged, written)
    assert reader.nodes == {number: str(state) for number, state in states.items()}


async def test_all_who_follow_a_run_cost_one_look(store, claimed, feeds, monkeypatch):
    write_one(store, claimed, "r", nodes=[row(each) for each in range(1_200)])
    looks = []
    last_moves = store.last_moves
    monkeypatch.setattr(store, "last_moves", lambda run_id: looks.append(run_id) or last_moves(run_id))
    monkeypatch.setattr(run_feed, "SLOW", PATIENCE)
    readers = [Reader(store, feeds) for _ in range(50)]
    async with AsyncExitStack() as held:
        await held.enter_async_context(feeds.of_run("r"))
        async with asyncio.TaskGroup() as group:
            for each in readers:
                group.create_task(each.read(lambda reader: reader.kinds[-1] == ""))

    assert {len(each.nodes) for each in readers} == {1_200}
    assert all(each.kinds == ["run", "moves", "moves", "moves", ""] for each in readers)
    assert len(looks) <= 3


async def test_who_comes_when_a_run_goes_on_again_does_not_hear_of_its_former_end(store, claimed, feeds):
    """While somebody still reads the end of the former execution."""
    first, second = Reader(store, feeds), Reader(store, feeds)
    async with AsyncExitStack() as held:
        await held.enter_async_context(feeds.of_run("r"))
        write_one(store, claimed, "r", nodes=[row(0, state=State.FAILED)], state=State.FAILED, at=9.0)
        await first.read(lambda _: False)
        again = begin(store)
        second.cursor = first.cursor

        def end(reader):
            if "run" in reader.kinds and not store.head("r").ended_at:
                write_one(store, again, "r", nodes=[row(0)], state=State.SUCCEEDED, at=10.0)
            return False

        await second.read(end)

    assert has_ended(first)
    assert has_ended(second)
    assert read_cursor(second.cursor).ended == 2


async def test_a_client_hears_of_what_it_asks_for(store, claimed, feeds):
    parts = [(0, 1, "stdout", 0, 7.0, b"a"), (1, 1, "stdout", 0, 7.0, b"b")]
    nodes = [row(0), row(1)]
    write_one(store, claimed, "r", nodes=nodes, logs=[line("a"), line("b", 1), line("c", None)], output=parts)
    write_one(store, claimed, "r", logs=[line("d", 1)], state=State.SUCCEEDED, at=9.0)
    one, moves = (
        Reader(store, feeds, Wish(frozenset({"lines", "output"}), 1)),
        Reader(store, feeds, Wish(frozenset({"moves"}))),
    )
    await one.read(lambda _: False)
    await moves.read(lambda _: False)

    assert (one.kinds, one.lines, one.output) == (["lines", "output", "end"], ["b", "d"], b"b")
    assert moves.kinds == ["moves", "end"]


async def test_a_page_goes_on_from_what_it_shows(store, claimed, feeds):
    write_one(store, claimed, "r", logs=[line("shown")])
    reader = Reader(store, feeds)
    reader.cursor = cursor_now(store, "r")
    write_one(store, claimed, "r", logs=[line("new")], state=State.SUCCEEDED, at=9.0)
    await reader.read(lambda _: False)

    assert reader.lines == ["new"]


async def test_a_deleted_run_ends_the_stream_and_its_cursor_is_not_one_of_another_of_its_id(store, claimed, feeds):
    write_one(store, claimed, "r", logs=[line("one")])
    reader = Reader(store, feeds)

    def delete(reader):
        if reader.kinds[-1] == "":
            store.delete(["r"])
        return False

    await reader.read(delete)

    assert "end" not in reader.kinds
    with pytest.raises(UnknownRun):
        find_start(store, "r", reader.cursor)
    begin(store)
    with pytest.raises(OptionError, match="this is one of another run"):
        find_start(store, "r", reader.cursor)


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "0" * 200,
        "........",
        "zzzzzzzz.0.0.0",
        "00000000.0.0.0\n",
        "00000000.0.0.٣",
        f"00000000.0.0.{'9' * 19}",
        "\0",
    ],
)
def test_a_forged_cursor_is_refused(text):
    with pytest.raises(OptionError, match="the id of an event, as it was sent"):
        read_cursor(text)


def test_a_cursor_beyond_what_the_run_has_written_is_refused(store, claimed):
    write_one(store, claimed, "r", logs=[line("one")])
    word = cursor_now(store, "r").partition(".")[0]

    assert find_start(store, "r", f"{word}.0.1.0").place.logged == 1
    for forged in ("0.2.0", "0.1.1", "1.0.0"):
        with pytest.raises(OptionError, match="another run"):
            find_start(store, "r", f"{word}.{forged}")


@given(numbers=st.tuples(*[st.integers(0, 10**17)] * 5))
def test_a_cursor_is_read_as_it_is_written(numbers):
    generation, logged, written, sequence, ended = numbers
    for text in (
        f"0a1b2c3d.{generation}.{logged}.{written}",
        f"0a1b2c3d.{generation}.{logged}.{written}.00ff00ff.{sequence}",
    ):
        for whole in (text, f"{text}.end{ended or 1}"):
            assert str(read_cursor(whole)) == whole


async def test_a_store_that_goes_away_for_a_while_costs_no_line(store, claimed, feeds, monkeypatch):
    write_one(store, claimed, "r", logs=[line("one")])
    reader, head, failures = Reader(store, feeds), store.head, []

    def fail(run_id):
        if len(failures) < 3:
            failures.append(run_id)
            raise StoreUnreachable("gone")
        return head(run_id)

    def go_on(reader):
        if reader.kinds[-1] == "":
            monkeypatch.setattr(store, "head", fail)
            write_one(store, claimed, "r", logs=[line("two")], state=State.SUCCEEDED, at=9.0)
        return False

    await reader.read(go_on)

    assert (reader.lines, len(failures)) == (["one", "two"], 3)


async def test_a_look_that_fails_halfway_costs_no_move(store, claimed, feeds, monkeypatch):
    """What nodes have done is read, and then the lines are not."""
    write_one(store, claimed, "r", nodes=[row(0, state=State.RUNNING)])
    reader, logs, failures = Reader(store, feeds), store.logs, []

    def fail(*args, **more):
        if not failures:
            failures.append(args)
            raise StoreUnreachable("gone")
        return logs(*args, **more)

    def go_on(reader):
        if reader.kinds[-1] == "" and not failures:
            monkeypatch.setattr(store, "logs", fail)
            write_one(store, claimed, "r", nodes=[row(0)], logs=[line("one")])
        return reader.nodes == {0: "succeeded"} and reader.lines == ["one"]

    await reader.read(go_on)

    assert len(failures) == 1


async def test_silence_is_broken_by_an_event_that_says_nothing(store, claimed, feeds):
    start = find_start(store, "r", None)
    async with feeds.of_run("r") as feed, aclosing(feed.read(start.place, Wish(), 0.01)) as batches:
        kinds = []
        while "run" not in kinds or kinds[-3:] != [""] * 3:
            kinds += [each.kind for each in await anext(batches)]

    assert set(kinds) == {"run", ""}


@pytest.mark.parametrize("of_all", [False, True])
async def test_looks_that_find_nothing_do_not_put_off_the_end_of_silence(store, claimed, feeds, of_all):
    place = None if of_all else find_start(store, "r", None).place

    async def look(feed):
        while True:
            feed.publish([])
            await asyncio.sleep(0.01)  # real time: silence is measured by it

    async with feeds.of_all() if of_all else feeds.of_run("r") as feed, asyncio.timeout(60):
        looks = asyncio.ensure_future(look(feed))
        reading = feed.read(place, 0.1) if of_all else feed.read(place, Wish(), 0.1)
        async with aclosing(reading) as batches:
            kinds = [events[0].kind async for events in batches_up_to(batches, 4)]
        looks.cancel()

    assert kinds.count("") >= 3


async def batches_up_to(batches, most):
    number = 0
    async for events in batches:
        yield events
        number += 1
        if number == most:
            return


async def test_a_feed_keeps_a_bounded_number_of_characters(store, claimed, feeds, monkeypatch):
    monkeypatch.setattr(feed_module, "MOST_CHARACTERS", 10_000)
    monkeypatch.setattr("aiodag.service.run_looks.PAGE", 2)
    async with feeds.of_run("r") as feed:
        await feed.changed(0, PATIENCE)
        for each in range(50):
            write_one(store, claimed, "r", logs=[line(f"{each} " + "x" * 1_000)])
        reader = Reader(store, feeds)
        await reader.read(lambda reader: len(reader.lines) == 50)

        kept = next(each for each in range(feed.last) if feed.has_all_after(feed.mark, each))
        monkeypatch.setattr(feed_module, "ON_THE_WAY", 10**9)
        assert 0 < sum(len(event.text) for event in feed.after(kept)) <= 10_000


# All runs


async def heard(feed, cursor, until, *, most=200):
    """Return the events of a feed of all runs, until something holds for the last one."""
    found = []
    async with aclosing(feed.read(cursor, PATIENCE)) as batches:
        async for events in batches_up_to(batches, most):
            found += events
            if until(events[-1]):
                return found
    return found


def runs_in(events):
    return [(run["id"], run["state"]) for each in events if each.kind == "runs" for run in json.loads(each.text)]


async def test_the_list_hears_of_runs_that_begin_and_end(store, claimed, feeds):
    async with feeds.of_all() as feed:
        first = await heard(feed, None, lambda _: True)
        begin(store, "later")
        second = await heard(feed, first[-1].cursor, lambda event: "later" in event.text)
        write_one(store, claimed, "r", state=State.FAILED, at=time.time())
        third = await heard(feed, second[-1].cursor, lambda event: "failed" in event.text)

    assert runs_in(first) == [("r", "running")]
    assert runs_in(second)[-1] == ("later", "running")
    assert ("r", "failed") in runs_in(third)


async def test_a_list_whose_place_is_not_known_is_loaded_again(store, claimed, feeds):
    async with feeds.of_all() as feed:
        events = await heard(feed, "00ff00ff.7", lambda _: True)

    assert [(each.kind, each.text) for each in events] == [("reset", "{}")]
    with pytest.raises(OptionError):
        runs_feed.place_in_runs("abc")


async def test_the_list_hears_of_an_old_run_that_went_on_and_ended(store, feeds, monkeypatch):
    """One that no question finds: it neither goes on, nor began lately, nor is one of the newest."""
    monkeypatch.setattr(runs_feed, "NEWEST", 1)
    now = time.time()
    old = claim_one(store, Claim("old", "etl", None, Owner.here(), 60.0, now - 3_000))
    claim_one(store, Claim("newest", "etl", None, Owner.here(), 60.0, now))
    looks = runs_feed.RunsLooks(store)
    looks.look()
    write_one(store, old, "old", state=State.SUCCEEDED, at=now)
    moved, _ = looks.look()
    store.delete(["old"])

    assert [json.loads(each)["state"] for each in moved] == ["succeeded"]
    assert looks.look()[0] == []
