"""A client against servers that are not there, are something else, break off or refuse: one clear error, and nothing done twice."""

import json
import socket
import threading

import pytest

from aiodag import AiodagError, NotAdmitted, NotAllowed, OptionError, StoreError, StoreUnreachable, WorkflowError
from aiodag.service import Service
from aiodag.service.remote_forms import LINES
from aiodag.service.remote_http import WebLink

TOKEN = "a-token-of-a-client-0123456789-0123456789"


class Scripted:
    """A server that says what a test has written: an answer for each request, or None to hang up without one."""

    def __init__(self, *answers, keep=False):
        self.answers = list(answers)
        self.requests = []
        self.keep = keep
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while self.answers:
            connection, _ = self.listening.accept()
            with connection, connection.makefile("rb") as file:
                while self.answers and (head := self.request_in(file)) is not None:
                    self.requests.append(head)
                    answer = self.answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
                    if not self.keep:
                        break
        self.listening.close()

    def request_in(self, file):
        lines = []
        while (line := file.readline()) not in {b"\r\n", b""}:
            lines.append(line.decode().strip())
        if not lines:
            return None
        for each in lines:
            name, _, value = each.partition(": ")
            if name.lower() == "content-length":
                file.read(int(value))
        return lines


def answer(status, body=b"", kind="application/json", **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"Content-Type": kind, "Content-Length": len(body), **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def problem(status, **more):
    return answer(status, {"type": "about:blank", "title": "No", "status": status, **more}, "application/problem+json")


def refused(*answers, token=TOKEN, look=lambda service: service.topics()):
    server = Scripted(*answers)
    service = Service(server.address, token=token)
    with pytest.raises(AiodagError) as caught:
        look(service)
    service.close()
    assert TOKEN not in str(caught.value)
    return type(caught.value), str(caught.value).replace(server.address, "SERVER")


def test_a_server_that_is_not_there_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(StoreUnreachable, match=r"cannot reach the server http://127\.0\.0\.1:\d+: .*refused"):
        Service(address, token=TOKEN).runs()


def test_a_host_that_nobody_knows_is_unreachable():
    with pytest.raises(StoreUnreachable, match=r"cannot reach the server http://no-such-host\.invalid:2503"):
        Service("http://no-such-host.invalid:2503", token=TOKEN).runs()


def test_a_page_that_is_not_ours_is_told_from_a_server():
    kind, text = refused(answer(200, b"<html>Welcome to nginx</html>", "text/html"))

    assert kind is StoreError
    assert text == (
        "SERVER answers 200, and not as a server of aiodag does: '<html>Welcome to nginx</html>'. "
        "Is it the address that `aiodag serve` prints?"
    )


def test_the_address_of_a_redirect_is_told_and_never_followed():
    kind, text = refused(answer(301, b"", "text/html", Location="https://elsewhere.example/"))

    assert kind is StoreError
    assert text.startswith("SERVER sends its callers to 'https://elsewhere.example/'")


def test_a_missing_token_says_where_to_put_one(monkeypatch):
    monkeypatch.delenv("AIODAG_TOKEN", raising=False)

    kind, text = refused(problem(401, detail="this server wants a token"), token=None)

    assert kind is NotAdmitted
    assert text.startswith("SERVER wants a token: set AIODAG_TOKEN, or name a file with `token_file` in the settings")


def test_a_token_that_is_false_says_so():
    kind, text = refused(problem(401, detail="this token is not known"))

    assert (kind, text) == (NotAdmitted, "SERVER does not take this token: this token is not known")


def test_a_role_that_may_not_do_it_says_so():
    kind, text = refused(problem(403, detail="token 'ci' may read"), look=lambda service: service.cancel("monday"))

    assert (kind, text) == (NotAllowed, "SERVER: token 'ci' may read")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_is_unreachable_for_now(status):
    assert refused(problem(status, detail="too much to do")) == (StoreUnreachable, "SERVER: too much to do")
    assert refused(answer(status, b"<html>", "text/html")) == (StoreUnreachable, f"SERVER answers {status}")


def test_an_error_comes_back_with_its_class_and_its_complaints():
    told = [{"place": "$.tasks.a", "text": "is not a task"}, {"place": "", "text": "has no name"}]
    server = Scripted(problem(422, detail="…", error="WorkflowError", complaints=told))

    with pytest.raises(WorkflowError, match=r"\$\.tasks\.a: is not a task\nhas no name") as caught:
        Service(server.address, token=TOKEN).submit("etl")

    assert [tuple(each) for each in caught.value.complaints] == [("$.tasks.a", "is not a task"), ("", "has no name")]


@pytest.mark.parametrize("name", ["Exception", "publish", "__name__", "", 17, None, ["x"]])
def test_a_problem_makes_nothing_but_errors_of_aiodag(name):
    assert refused(problem(409, detail="no", error=name)) == (StoreError, "SERVER: no")


@pytest.mark.parametrize(
    "lines",
    [b"{", b"17\n[", b'{"$": "at", "v": 3}', b'{"$": "nothing"}', b"\xff", b"[" * 100_000, b'{"$": "owner", "v": []}'],
)
def test_lines_that_cannot_be_read_are_another_version(lines):
    kind, text = refused(answer(200, lines, LINES))

    assert kind is StoreError
    assert text.startswith("SERVER answered what this version of aiodag cannot read")


def test_fields_of_a_later_version_are_left_out():
    server = Scripted(answer(200, b'{"name": "PAYMENT", "waits": 2, "colour": "red"}\n', LINES))

    assert [(each.name, each.waits) for each in Service(server.address, token=TOKEN).topics()] == [("PAYMENT", 2)]


def test_a_look_is_asked_again_where_the_connection_broke():
    server = Scripted(answer(200, b"", LINES), None, answer(200, b'{"name": "A"}\n', LINES), keep=True)
    service = Service(server.address, token=TOKEN)
    service.topics()

    assert [each.name for each in service.topics()] == ["A"]
    assert len(server.requests) == 3


def test_a_change_is_never_asked_for_twice():
    server = Scripted(None, answer(200, {"asked": True}))

    with pytest.raises(StoreUnreachable, match="Whether it did what was asked for is not known"):
        Service(server.address, token=TOKEN).cancel("monday")

    assert len(server.requests) == 1


def test_a_change_with_a_key_is_asked_for_again():
    server = Scripted(None, answer(202, {"id": "etl-1"}))

    assert Service(server.address, token=TOKEN).submit("etl", key="once") == "etl-1"
    assert ["Idempotency-Key: once" in each for each in server.requests] == [True, True]


def test_the_token_goes_into_a_header_and_nowhere_else():
    server = Scripted(answer(200, b"", LINES))
    Service(server.address, token=TOKEN).topics()

    (request,) = server.requests
    assert [each for each in request if TOKEN in each] == [f"Authorization: Bearer {TOKEN}"]


@pytest.mark.parametrize("given", ["", "short", "with space " * 5, "line\r\nX-Other: 1" * 3, "ü" * 40, "x" * 5_000])
def test_a_token_that_no_header_takes_is_refused_and_not_repeated(given):
    with pytest.raises(OptionError) as caught:
        Service("http://127.0.0.1:2503", token=given)

    assert str(caught.value).startswith("token='***' cannot work")


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http:///runs",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://127.0.0.1:2503/?store=x",
        "http://127.0.0.1:2503/#x",
        "http://[::1",
        "http://host name:2503",
        "http://host\r\nX: 1/",
        "https://host:2503/a b",
    ],
)
def test_an_address_that_cannot_be_one_is_refused(address):
    with pytest.raises(StoreError, match="the address of a server, such as"):
        Service(address, token=TOKEN)


@pytest.mark.parametrize("address", ["http://me:hunter2@host:2503", "https://hunter2@host/x"])
def test_a_password_in_an_address_is_refused_and_not_repeated(address):
    with pytest.raises(StoreError, match="AIODAG_TOKEN has the token") as caught:
        Service(address, token=TOKEN)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("HTTP://Runs.Example.com:80/", "http://runs.example.com:80"),
        ("https://runs.example.com/aiodag/", "https://runs.example.com/aiodag"),
        ("http://[::1]:2503", "http://[::1]:2503"),
    ],
)
def test_an_address_may_have_a_path_and_any_host(address, place):
    assert Service(address, token=TOKEN).place == place


def test_a_token_is_for_a_server():
    with pytest.raises(OptionError, match=r"token='\*\*\*' cannot work"):
        Service("memory:token", token=TOKEN)


def test_the_environment_has_the_token_and_a_file_of_the_settings_else(tmp_path, monkeypatch):
    (tmp_path / "aiodag.toml").write_text('store = "http://127.0.0.1:2503"\ntoken_file = "secret"')
    (tmp_path / "secret").write_text(f"{TOKEN}\n")
    monkeypatch.chdir(tmp_path)
    for name in ("AIODAG_STORE", "AIODAG_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    assert vars(Service().store.link)["_token"] == TOKEN
    monkeypatch.setenv("AIODAG_TOKEN", TOKEN[::-1])
    assert vars(Service().store.link)["_token"] == TOKEN[::-1]


def test_a_connection_ends_with_the_service():
    server = Scripted(answer(200, b"", LINES), answer(200, b"", LINES), keep=True)
    service = Service(server.address, token=TOKEN)
    service.topics()
    server.answers.clear()
    service.close()
    server.thread.join(10)

    assert not server.thread.is_alive()


def test_threads_have_connections_of_their_own(web_server):
    service = Service(web_server.address, token=web_server.token)
    found = []
    threads = [threading.Thread(target=lambda: found.append(service.topics())) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    service.close()

    assert found == [service.topics()] * 20
    service.close()
    assert isinstance(service.store.link, WebLink)
