"""What an agent answers to whoever speaks to it: as it should be, or with what is wrong; and it lives on."""

import asyncio
import json
import socket
from base64 import b64encode
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from agent_servers import TOKEN
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("starlette")

from aiodag.agent.requests import READERS, BadRequest, read_order
from aiodag.agent.starlette import agent_application
from aiodag.agent.table import AgentSettings, ProgramTable
from aiodag.commands.agent_wire import BODY_LARGEST, CLOCK_HEADER, FrameReader, program_id

BEARER = {"authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def served(folder, **changes):
    table = ProgramTable(AgentSettings(changes.pop("resources", {"cores": 2}), Path(folder), **changes))
    try:
        yield table, agent_application(table, TOKEN)
    finally:
        await table.leave(0.0)
        for each in table.programs.values():
            each.log.close()


async def ask(app, method, path, body=b"", headers=BEARER, clock="0", query="", *, leave=False):
    """Speak to an application as a server does; return the code, the headers and the body of its answer.

    With `leave`, the client is gone as soon as it has asked: a server takes whatever is sent to it then.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    messages, sent = [{"type": "http.request", "body": content, "more_body": False}], []

    async def receive():
        if messages:
            return messages.pop()
        if leave:
            return {"type": "http.disconnect"}
        return await asyncio.get_running_loop().create_future()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [
            (name.encode(), value.encode("latin-1")) for name, value in {**headers, CLOCK_HEADER: clock}.items()
        ],
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
    head = dict(sent[0]["headers"])
    return sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:])


def clock_of(table):
    return repr(table.clock)


def order(label="one", *args, **fields):
    return {"label": label, "args": args or ("true",), "grace": 1, **fields}


# As it should be


async def test_a_program_is_started_followed_and_ended(tmp_path):
    async with served(tmp_path) as (table, app):
        asked = order("one", "sh", "-c", "echo out; echo err >&2; exit 3")
        code, head, body = await ask(app, "POST", "/programs", asked, clock=clock_of(table))
        assert (code, json.loads(body)["id"]) == (201, program_id("one"))
        assert head[b"aiodag-instance"].decode() == table.instance
        code, _, log = await ask(app, "GET", f"/programs/{program_id('one')}/log")

    frames = [(kind, content) for kind, content, _ in FrameReader().feed(log) if kind != b"."]
    streams = {kind: b"".join(content for each, content in frames if each == kind) for kind in (b"o", b"e")}
    end = json.loads(frames[-1][1])
    assert (code, streams) == (200, {b"o": b"out\n", b"e": b"err\n"})
    assert (end["end"]["code"], end["by_agent"]) == (3, "")


async def test_what_an_owner_has_is_forgotten(tmp_path):
    async with served(tmp_path) as (table, app):
        await ask(app, "POST", "/programs", order("one"), clock=clock_of(table))
        await table.programs[program_id("one")].task
        seen = {"programs": [program_id("one"), "other"], "taken": [program_id("one")]}
        code, _, body = await ask(app, "POST", "/seen", seen, clock=clock_of(table))

        assert (code, json.loads(body)["unknown"]) == (200, [program_id("one"), "other"])
        assert (await ask(app, "GET", f"/programs/{program_id('one')}/log"))[0] == 404


async def test_a_log_is_read_from_any_place_in_it(tmp_path):
    async with served(tmp_path) as (table, app):
        await ask(app, "POST", "/programs", order("one", "echo", "hello"), clock=clock_of(table))
        path = f"/programs/{program_id('one')}/log"
        whole = [frame for frame in FrameReader().feed((await ask(app, "GET", path))[2]) if frame.kind != b"."]
        for before, frame in pairwise(whole):
            rest = (await ask(app, "GET", path, query=f"from={before.place}"))[2]
            assert next(each for each in FrameReader(before.place).feed(rest) if each.kind != b".") == frame
        end = whole[-1].place
        assert [(await ask(app, "GET", path, query=f"from={place}"))[0] for place in (end, end + 1, -1, "x")] == [
            200,
            400,
            400,
            400,
        ]


async def test_a_log_is_read_no_further_when_its_reader_has_gone(tmp_path):
    async with served(tmp_path) as (table, app):
        many = order("one", "head", "-c", "20000000", "/dev/zero")
        await ask(app, "POST", "/programs", many, clock=clock_of(table))
        await table.programs[program_id("one")].task
        read = (await ask(app, "GET", f"/programs/{program_id('one')}/log", leave=True))[2]

        assert table.programs[program_id("one")].log.end > 20_000_000
        assert len(read) < 5_000_000


# Who may


@pytest.mark.parametrize(
    "given_token", ["", "Bearer", "Bearer ", f"bearer {TOKEN}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ready"),
        ("GET", "/resources"),
        ("POST", "/programs"),
        ("POST", "/drain"),
        ("DELETE", "/programs/x"),
        ("GET", "/no"),
    ],
)
async def test_nothing_is_told_without_the_token(tmp_path, given_token, method, path):
    async with served(tmp_path) as (table, app):
        headers = {"authorization": given_token} if given_token else {}
        code, _, body = await ask(app, method, path, order(), headers=headers)

        assert (code, "token" in json.loads(body)["error"]) == (401, True)
        assert (table.programs, table.drained) == ({}, False)


async def test_another_protocol_is_refused(tmp_path):
    async with served(tmp_path) as (_, app):
        code, _, body = await ask(app, "GET", "/ready", headers={**BEARER, "aiodag-protocol": "2"})

    assert (code, "install the same version on both sides" in json.loads(body)["error"]) == (426, True)


# What cannot be


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"label": ""}, "'label' must be text of 1 to 500 characters"),
        ({"label": "x" * 501}, "'label' must be"),
        ({"label": 7}, "'label' must be"),
        ({"args": []}, "'args' must be a list"),
        ({"args": ["a\0b"]}, "'args' must be"),
        ({"args": "true"}, "'args' must be"),
        ({"args": ["\ud800"]}, "'args' must be"),
        ({"env": {"A=B": "x"}}, "'env' must be"),
        ({"env": {"": "x"}}, "'env' must be"),
        ({"env": {"A": 1}}, "'env' must be"),
        ({"cwd": 7}, "'cwd' must be"),
        ({"stdin": {"base64": "!"}}, "'stdin' must be"),
        ({"stdin": "text"}, "'stdin' must be"),
        ({"stdin": {"path": "a", "base64": ""}}, "'stdin' must be"),
        ({"grace": -1}, "'grace' must be"),
        ({"grace": True}, "'grace' must be"),
        ({"grace": 10**400}, "'grace' must be"),
        ({"resources": {"cores": 0}}, "'resources' must be"),
        ({"resources": {"cores": "many"}}, "'resources' must be"),
        ({"rseources": {}}, "'rseources' is not a key here"),
    ],
)
async def test_what_cannot_be_a_program_is_told_with_all_that_is_wrong(tmp_path, changes, why):
    async with served(tmp_path) as (table, app):
        asked = json.dumps(order(**changes)).encode()
        code, _, body = await ask(app, "POST", "/programs", asked, clock=clock_of(table))

        assert (code, why in json.loads(body)["error"]) == (400, True)
        assert table.programs == {}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"nul", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}', b"1" * 5000]
)
async def test_a_body_that_is_not_an_order_is_refused(tmp_path, body):
    async with served(tmp_path) as (table, app):
        assert (await ask(app, "POST", "/programs", body, clock=clock_of(table)))[0] == 400


async def test_a_body_that_is_too_large_is_refused_before_it_is_there(tmp_path):
    async with served(tmp_path) as (table, app):
        code, _, body = await ask(app, "POST", "/programs", b"x" * (BODY_LARGEST + 1), clock=clock_of(table))

        assert (code, "at most" in json.loads(body)["error"]) == (413, True)


@pytest.mark.parametrize("clock", ["", "soon", "nan", "-1"])
async def test_who_has_not_heard_the_agent_starts_nothing(tmp_path, clock):
    async with served(tmp_path) as (_, app):
        code, _, body = await ask(app, "POST", "/programs", order(), clock=clock)

        assert (code, "must say what this agent said" in json.loads(body)["error"]) == (400, True)


async def test_an_order_that_comes_too_late_starts_nothing(tmp_path):
    async with served(tmp_path) as (table, app):
        code, _, body = await ask(app, "POST", "/programs", order(), clock=repr(table.clock - 61))

        assert (code, "took longer on its way" in json.loads(body)["error"]) == (503, True)


async def test_an_order_for_the_agent_before_starts_nothing(tmp_path):
    async with served(tmp_path) as (table, app):
        headers = {**BEARER, "aiodag-instance": "other"}

        assert (await ask(app, "POST", "/programs", order(), headers=headers, clock=clock_of(table)))[0] == 412
        assert table.programs == {}


PATHS = st.sampled_from(
    ["/ready", "/resources", "/programs", "/seen", "/drain", "/undrain", "/programs/x/log", "/programs/x/find"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys([*READERS, "programs", "taken"], JSON))


@settings(max_examples=75)
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "NO"]),
    PATHS | st.text(max_size=30).map(lambda text: f"/{text}"),
    st.binary(max_size=50) | FIELDS.map(lambda fields: json.dumps(fields).encode()),
    st.sampled_from(["0", "x", "1e300", "inf", "1" * 50]),
    st.text("from=&%0123x-", max_size=12),
)
async def test_whatever_comes_is_answered(tmp_path_factory, method, path, body, clock, query):
    async with served(tmp_path_factory.getbasetemp()) as (table, app):
        code, _, answer = await ask(app, method, path, body, clock=clock, query=query)

        assert code < 500 or code == 503
        assert method == "HEAD" or isinstance(json.loads(answer), dict)
        assert table.programs == {}


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)


@given(
    st.lists(WORDS, min_size=1, max_size=3).filter(lambda args: args[0]),
    st.dictionaries(WORDS.filter(lambda name: name and "=" not in name), st.none() | WORDS, max_size=3),
    st.none() | st.binary(max_size=20),
    st.dictionaries(WORDS.filter(bool), st.floats(1e-6, 1e9), max_size=2),
)
def test_an_order_is_read_as_it_was_written(args, env, stdin, resources):
    content = None if stdin is None else {"base64": b64encode(stdin).decode()}
    told = {"label": "x", "args": args, "env": env, "stdin": content, "grace": 2, "resources": resources}
    request = read_order(json.dumps(told).encode()).request

    assert (request.args, request.env, request.stdin, request.resources) == (tuple(args), env, stdin, resources)
    assert (request.label, request.grace, request.cwd) == ("x", 2.0, None)


def test_a_body_that_names_nothing_lacks_all():
    with pytest.raises(BadRequest, match=r"'label' must be .*; 'args' must be .*; 'grace' must be"):
        read_order(b"{}")


# On the wire


GARBAGE = [
    b"\r\n\r\n",
    b"\x16\x03\x01\x00\xa5",
    b"GET /ready HTTP/9.9\r\n\r\n",
    b"GET " + b"x" * 100_000,
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
    b"GET /ready HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /programs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"\xff" * 1000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_on_the_wire_is_no_end_of_an_agent(shared_agent, garbage):
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_agent.port)
    writer.write(garbage)
    if garbage.startswith(b"\x16"):
        writer.write_eof()
    try:
        async with asyncio.timeout(30):
            answer = await reader.read(12)
    finally:
        writer.transport.abort()

    assert answer[:10] in {b"HTTP/1.1 4", b""}
    assert (await shared_agent.host().look()).reachable


async def test_who_says_nothing_keeps_nobody_from_being_heard(shared_agent):
    silent = [socket.create_connection(("127.0.0.1", shared_agent.port)) for _ in range(50)]
    try:
        for each in silent:
            each.send(b"GET /ready HT")
        assert (await shared_agent.host().look()).reachable
    finally:
        for each in silent:
            each.close()


def test_frames_are_read_in_whatever_pieces_they_come():
    from aiodag.commands.agent_wire import frame_of

    sent = [(b"o", b"hello"), (b".", b"1.5"), (b"e", b""), (b"-", b"100"), (b"=", b"{}")]
    wire = b"".join(frame_of(*each) for each in sent)
    for size in range(1, len(wire) + 1):
        reader = FrameReader()
        found = [frame for begin in range(0, len(wire), size) for frame in reader.feed(wire[begin : begin + size])]
        assert [(frame.kind, frame.content) for frame in found] == sent
        assert [frame.place for frame in found] == [10, 10, 15, 100, 107]
    with pytest.raises(ValueError, match="a frame of"):
        list(FrameReader().feed(b"o\xff\xff\xff\xff"))
