"""Records go through lines of JSON and come back as they were; and whatever is asked of a server, it answers."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import Run, StoreError, ValueGone, task
from aiodag.firings import ScheduleRecord
from aiodag.records import REFERENCE, AttemptRecord, MessageRecord, OutputRecord, Owner
from aiodag.service import Service
from aiodag.service.remote_forms import lines_of_records, records_of_lines
from aiodag.service.remote_looks import LOOKS
from aiodag.states import State
from aiodag.submissions import Submission

AT = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates and NUL among them
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def passed_on(record):
    (found,) = records_of_lines(type(record), b"".join(lines_of_records([record])).splitlines(), "here")
    return found


@given(PLAIN, st.binary(max_size=50), st.sampled_from(State), TEXTS)
def test_every_record_comes_back_as_it_was(plain, written, state, text):
    for record in (
        AttemptRecord(1, 2, state, AT, None, text, {"facts": plain, "$": [plain]}),
        OutputRecord(1, 1, 1, "stdout", 0, AT, written, text),
        MessageRecord(text, text, (text, "b"), text, "kept", AT, AT, headers={text: text}),
        ScheduleRecord(
            text, {"cron": plain}, Submission(text, text, {"file": plain}, text, 3.5, tags={text: text}), next_at=AT
        ),
    ):
        assert passed_on(record) == record


def test_numbers_without_a_word_in_json_and_moments_of_any_zone_come_back():
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = passed_on(
        AttemptRecord(1, 1, State.FAILED, elsewhere, AT, "", {"a": math.inf, "b": -math.inf, "c": math.nan})
    )

    assert (found.facts["a"], found.facts["b"], found.started_at.utcoffset()) == (
        math.inf,
        -math.inf,
        timedelta(hours=5.5),
    )
    assert math.isnan(found.facts["c"])


def test_whether_an_owner_has_ended_is_what_the_server_knows():
    class Ended(Owner):
        def gone(self):
            return True

    for owner, is_gone in ((Owner("there", 17, "1 2 3"), False), (Ended("there", 17, "1 2 3"), True)):
        (found,) = records_of_lines(None, b"".join(lines_of_records([[owner]])).splitlines(), "here")

        assert (found, found[0].gone()) == ([owner], is_gone)


def test_what_is_no_part_of_a_record_is_not_sent():
    with pytest.raises(TypeError, match="a object is no part of a record"):
        list(lines_of_records([[object()]]))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A server with a run, which whatever is asked must not stop."""
    import asyncio

    from web_servers import WebServer

    server = WebServer(tmp_path_factory.mktemp("web"))

    async def fill():
        async with Run("etl", store=server.store, id="monday"):
            task(sum)([1, 2])

    asyncio.run(fill())
    yield server.start()
    server.remove()


ODD = st.sampled_from(
    [
        "monday",
        "",
        "\0",
        "\ud800",
        "a" * 9_000,
        "../../etc/passwd",
        "%2e%2e",
        0,
        -1,
        2**63,
        2**64,
        10**400,
        1.5,
        True,
        None,
        [],
        [1],
        {},
    ]
)
ANY = ODD | PLAIN
ASKS = st.dictionaries(
    st.sampled_from(sorted({name for look in LOOKS.values() for name in look.takes})) | TEXTS, ANY, max_size=4
)


@settings(max_examples=150)
@given(st.sampled_from([*LOOKS, "delete", "__class__", "backup"]), ASKS | ANY, st.booleans())
def test_whatever_is_asked_is_answered_with_records_or_with_a_problem(asked, what, ask, needed):
    if needed and isinstance(ask, dict) and what in LOOKS:
        ask = {name: each for name, each in ask.items() if name in LOOKS[what].takes} | dict.fromkeys(
            LOOKS[what].needs, "monday"
        )
        ask |= {"number": 0} if what == "content" else {}
    answer = asked.ask(f"/api/v1/records/{what}?ask={quote(json.dumps(ask))}")

    assert answer.status in {200, 400, 404, 409, 414, 422}, answer.text
    assert answer.status == 200 or answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "ask", ["", "{", "[" * 2_000, "17", '{"run_id": NaN}', '{"run_id": "monday", "number": 1e999}']
)
def test_what_is_not_an_object_of_json_is_refused(asked, ask):
    answer = asked.ask(f"/api/v1/records/output?ask={quote(ask)}")

    assert answer.status == 422
    assert answer.json()["error"] == "OptionError"


def test_a_value_in_a_place_of_its_own_is_read_through_the_server(new_web_server, tmp_path):
    import asyncio

    server = new_web_server()

    @task
    async def load():
        return {"rows": "x" * 200_000}

    async def fill():
        async with Run("etl", store=server.store, id="monday", values=str(tmp_path / "values")):
            load()

    asyncio.run(fill())
    local, remote = Service(server.store), Service(server.address, token=server.token)

    assert local.nodes("monday")[0].codec == REFERENCE
    (tmp_path / "values").rename(tmp_path / "elsewhere")  # it is not here, but there
    with pytest.raises(ValueGone, match="not where it was left any more") as caught:
        remote.value("monday", "load")
    assert str(tmp_path) not in str(caught.value)
    assert server.ask("/api/v1/runs/monday/nodes/load/value").status == 410
    (tmp_path / "elsewhere").rename(tmp_path / "values")
    assert remote.value("monday", "load") == local.value("monday", "load")
    with pytest.raises(StoreError, match="no node 7"):
        remote.store.content("monday", 7)
    remote.close()
    local.close()
