"""The life of `aiodag serve`: from its start to its end, with a worker, behind a proxy, and beside clients that are no good."""

import http.client
import json
import re
import signal
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from proxies import Proxy
from web_servers import PATIENCE, TOKEN, WebServer

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FLOW = json.dumps({"tasks": {"greet": {"command": ["echo", "hello"]}}})


def until(true, what):
    end = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < end, what
        time.sleep(0.02)  # real time: another process is waited for
    return found


def opened(server, path, headers=()):
    """Open a connection that has asked for something, and reads nothing yet."""
    link = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Authorization: Bearer {TOKEN}", *headers]
    link.sendall("\r\n".join([*lines, "", ""]).encode())
    return link


# Start


def test_the_token_is_told_once_and_lets_in(new_web_server, tmp_path):
    server = WebServer(tmp_path, given=False)
    try:
        server.start()
        token = re.search(
            r"^token: (\S+)$", until(lambda: "shown this once" in server.said and server.said, "it says"), re.M
        )[1]

        assert server.ask("/api/v1/runs", token=token).status == 200
        assert server.ask("/api/v1/runs", token=None).status == 401
        server.stop()
        assert "token: " not in server.start().said
        assert server.ask("/api/v1/runs", token=token).status == 200
    finally:
        server.remove()


def test_a_port_that_is_taken_ends_in_one_line(web_server, tmp_path):
    other = WebServer(tmp_path)
    other.port = web_server.port
    with pytest.raises(AssertionError, match="Address already in use"):
        other.start()

    assert other.process.wait(PATIENCE) == 2
    assert len(other.said.splitlines()) == 1


def test_it_listens_on_ipv6(new_web_server):
    server = new_web_server("--host=::1")

    assert server.address == f"http://[::1]:{server.port}"
    assert server.ask("/live").status == 200


def test_it_speaks_tls(new_web_server, tmp_path):
    import ssl

    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    server = new_web_server(f"--certificate={tmp_path}/server.pem")
    link = http.client.HTTPSConnection(
        "127.0.0.1", server.port, context=ssl.create_default_context(cafile=tmp_path / "authority.pem")
    )
    with closing(link):
        link.request("GET", "/live")

        assert link.getresponse().status == 200
    assert server.address.startswith("https://")


# With a worker


def test_a_worker_of_its_own_works_on_runs_and_ends_with_it(new_web_server, service_at):
    server = new_web_server("--worker", "--limit=3", "--queue=default")
    Path(server.folder, "hello.json").write_text(FLOW)
    service = service_at(server.store)
    run = service.submit(service.target(f"{server.folder}/hello.json"))
    until(lambda: service.head(run).state.value == "succeeded", "it works")
    (worker,) = service.workers()

    assert (worker.limit, worker.owner.pid == server.process.pid) == (3, False)
    assert "works on default" in server.said
    assert server.stop() == 0
    assert service.workers() == []


def test_a_worker_that_dies_is_started_again(new_web_server, service_at):
    import os

    server = new_web_server("--worker")
    service = service_at(server.store)
    first = until(service.workers, "there is a worker")[0].owner.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: [each for each in service.workers() if each.owner.pid != first], "there is another")

    assert f"the worker ended with {-signal.SIGKILL}" in server.said
    assert server.ask("/live").status == 200


def test_a_worker_ends_when_its_server_is_killed(new_web_server, service_at):
    server = new_web_server("--worker")
    service = service_at(server.store)
    pid = until(service.workers, "there is a worker")[0].owner.pid
    server.kill()

    until(lambda: not Path(f"/proc/{pid}").exists(), "it ends")


def test_the_token_of_a_server_is_not_in_its_worker(new_web_server, service_at):
    server = new_web_server("--worker", env={"AIODAG_TOKEN": TOKEN}, given=False)
    service = service_at(server.store)
    pid = until(service.workers, "there is a worker")[0].owner.pid

    assert server.ask("/api/v1/runs").status == 200
    assert TOKEN not in Path(f"/proc/{pid}/environ").read_text()


# End


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_two_seconds_with_200_streams_open(new_web_server, number):
    server = new_web_server()
    with ExitStack() as stack:
        links = [stack.enter_context(closing(opened(server, "/api/v1/events"))) for _ in range(200)]
        heads = [link.recv(1_000) for link in links]
        began = time.monotonic()
        code = server.stop(number)

        assert time.monotonic() - began < 2  # real time: it is the promise
        assert code == 0
        assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
        assert b"retry:" in b"".join(iter(lambda: links[0].recv(1_000), b""))
    assert "Traceback" not in server.said


def test_it_ends_at_once_when_it_is_told_twice(new_web_server):
    server = new_web_server()
    with closing(socket.create_connection(("127.0.0.1", server.port))) as link:
        link.sendall(b"POST /api/v1/runs HTTP/1.1\r\nContent-Length: 10\r\nHost: 127.0.0.1\r\n\r\n")
        server.process.send_signal(signal.SIGTERM)

        assert server.stop() == 0


# Behind a proxy


@pytest.mark.parametrize("strips", ["", "/aiodag"])
def test_a_proxy_may_take_the_path_off_or_leave_it(new_web_server, strips):
    server = new_web_server("--root-path=/aiodag/", "--trust-proxy=127.0.0.1", "--allow-host=example.com")
    proxy = Proxy(server.port, strips=strips)
    server.address = f"http://127.0.0.1:{proxy.port}/aiodag"
    with closing(proxy):
        page = server.ask("/login", token=None)
        sent = server.ask("/login", f"token={TOKEN}", headers=FORM | {"Origin": "https://example.com"}, token=None)
        cookie = sent.headers["Set-Cookie"]
        runs = server.ask("/runs", headers={"Cookie": cookie.partition(";")[0]}, token=None)
        addresses = set(re.findall(r'(?:href|src|action)="([^"#]+)"', page.text + runs.text))

        assert (page.status, sent.status, runs.status) == (200, 303, 200)
        assert "Secure" in cookie  # it is https for the browser
        assert re.fullmatch(r"(?:https://example.com)?/aiodag/.*", sent.headers["Location"])
        assert {each for each in addresses if each.startswith("/") and not each.startswith("/aiodag/")} == set()
        assert all(server.ask(each.removeprefix("/aiodag")).status == 200 for each in addresses if "/static/" in each)


def test_a_stream_comes_through_a_proxy_at_once(new_web_server):
    server = new_web_server("--trust-proxy=127.0.0.1", "--allow-host=example.com")
    with closing(Proxy(server.port)) as proxy:
        server.port = proxy.port
        with closing(opened(server, "/api/v1/events")) as link:
            assert link.recv(1_000).startswith(b"HTTP/1.1 200")


def test_nobody_is_let_in_by_a_name_that_nobody_has_named(new_web_server):
    server = new_web_server()
    with closing(Proxy(server.port, host="example.net")) as proxy:
        server.address = f"http://127.0.0.1:{proxy.port}"

        assert server.ask("/api/v1/runs").status in {400, 403, 421}


def test_it_ends_in_time_beside_a_body_that_blocks_its_worker(new_web_server, service_at):
    server = new_web_server("--worker")
    Path(server.folder, "blocking.py").write_text(
        "import time\nfrom aiodag import task\n\n\n@task\nasync def main():\n    time.sleep(600)\n"
    )
    service = service_at(server.store)
    run = service.submit(service.target(f"{server.folder}/blocking.py:main"))
    until(lambda: service.head(run).state.value == "running", "it blocks")
    pid = service.workers()[0].owner.pid

    assert server.stop() == 0
    assert not Path(f"/proc/{pid}").exists()
