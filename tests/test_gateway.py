"""What stands before the application: proxies, and the end of all answers."""

import asyncio

import pytest

pytest.importorskip("fastapi")

from aiodag.web.gateway import LAST_WORDS, Gateway


def scope_of(path="/runs", client="127.0.0.1", **headers):
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "path": path,
        "raw_path": path.encode(),
        "scheme": "http",
        "client": (client, 1),
        "headers": pairs,
        "root_path": "",
    }


class Seen:
    """An application that keeps what it was asked."""

    async def __call__(self, scope, receive, send):
        self.scope = scope


async def pass_through(scope, root="", trusted=("127.0.0.1", "10.0.0.0/8")):
    seen = Seen()
    await Gateway(seen, root, trusted)(scope, None, None)
    return seen.scope


@pytest.mark.parametrize(
    ("client", "forwarded", "found"),
    [
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.9, 192.0.2.1", "192.0.2.1"),  # what a client says itself stands first
        ("127.0.0.1", "192.0.2.1, 10.1.1.1", "192.0.2.1"),
        ("127.0.0.1", "10.1.1.2, 10.1.1.1", "10.1.1.2"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "192.0.2.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "<script>", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.1", "192.0.2.7"),  # nobody trusts that one
        ("", "192.0.2.1", ""),
    ],
)
async def test_the_client_is_the_last_that_is_no_trusted_proxy(client, forwarded, found):
    scope = await pass_through(scope_of(client=client, x_forwarded_for=forwarded))

    assert scope["client"][0] == found


@pytest.mark.parametrize(
    ("client", "said", "found"),
    [("127.0.0.1", "https", "https"), ("127.0.0.1", "javascript", "http"), ("192.0.2.7", "https", "http")],
)
async def test_the_scheme_is_what_a_trusted_proxy_says(client, said, found):
    scope = await pass_through(scope_of(client=client, x_forwarded_proto=said))

    assert scope["scheme"] == found


@pytest.mark.parametrize(
    ("path", "placed"),
    [
        ("/runs", "/aiodag/runs"),
        ("/aiodag/runs", "/aiodag/runs"),
        ("/aiodag", "/aiodag"),
        ("/aiodags", "/aiodag/aiodags"),
    ],
)
async def test_a_path_stands_below_that_of_the_proxy(path, placed):
    scope = await pass_through(scope_of(path), "/aiodag")

    assert (scope["path"], scope["raw_path"], scope["root_path"]) == (placed, placed.encode(), "/aiodag")


class Answers:
    """An application that answers in some way, and never ends by itself."""

    def __init__(self, kind):
        self.kind = kind
        self.sent = []
        self.reached = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if self.kind:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.kind)]})
        self.reached.set()
        await asyncio.Event().wait()

    async def send(self, message):
        self.sent.append(message)


@pytest.mark.virtual
@pytest.mark.parametrize(
    ("kind", "statuses", "last"),
    [
        (b"text/event-stream; charset=utf-8", [200], [LAST_WORDS]),
        (b"application/json", [200], []),
        (b"", [503], [b"the server ends"]),
    ],
)
async def test_all_answers_end_with_the_server(kind, statuses, last):
    application = Answers(kind)
    gateway = Gateway(application, "", ())
    task = asyncio.create_task(gateway(scope_of(), None, application.send))
    await application.reached.wait()
    before = asyncio.get_running_loop().time()
    gateway.end_answers()
    await task
    took = asyncio.get_running_loop().time() - before

    assert [each["status"] for each in application.sent if "status" in each] == statuses
    assert [each["body"] for each in application.sent if "body" in each] == last
    assert took == (0 if last == [LAST_WORDS] else pytest.approx(0.7))


async def test_a_client_that_cancels_is_not_the_end_of_the_server():
    application = Answers(b"text/event-stream")
    task = asyncio.create_task(Gateway(application, "", ())(scope_of(), None, application.send))
    await application.reached.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(application.sent) == 1
