"""Who may do what over HTTP: each threat by itself, against the whole application."""

import asyncio
import re

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from web_places import Place, bearer, changing_routes, filled, routes

from aiodag import StoreError, StoreUnreachable
from aiodag.service.serve_options import ServeOptions
from aiodag.web import admission, events
from aiodag.web.desk import Desk
from aiodag.web.page.login import own_path
from aiodag.web.sessions import ADDRESSES, TRIES, WITHIN, WrongTokens, network_of

GIVEN = "0123456789abcdef0123456789abcdef"
FREE = {"/live", "/ready", "/login", "/static/{name}"}
FORM = "application/x-www-form-urlencoded"
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def place():
    return Place()


# Every route


async def test_no_route_answers_without_a_token_but_for_those_that_nobody_needs_one_for(place):
    async with place.client() as client:
        let_in = {path for method, path in routes() if (await client.request(method, filled(path))).status_code != 401}

    assert let_in <= FREE


async def test_a_browser_without_a_session_is_sent_to_the_login_page_and_comes_back(place):
    async with place.client(headers=BROWSER) as client:
        answer = await client.get("/runs?state=failed&tag=a%3Ab")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/login?next=/runs%3Fstate%3Dfailed%26tag%3Da%253Ab",
        )
        page = await client.get(answer.headers["location"])
        back = re.search(r'name="next" value="([^"]*)"', page.text)[1].replace("&amp;", "&")
        answer = await client.post("/login", data={"token": place.reading, "next": back})

    assert answer.headers["location"] == "/runs?state=failed&tag=a%3Ab"


async def test_a_token_that_may_read_changes_nothing_by_any_route(place):
    async with place.client(headers=bearer(place.reading)) as client:
        answers = {
            (method, path): (await client.request(method, path)).status_code for method, path in changing_routes()
        }

    assert {pair for pair, status in answers.items() if status != 403} == set()


async def test_a_session_that_may_read_changes_nothing_by_any_route(place):
    async with place.browser(place.reading) as client:
        answers = {
            (method, path): (await client.request(method, path)).status_code for method, path in changing_routes()
        }

    assert {pair for pair, status in answers.items() if status != 403} == set()


async def test_a_browser_changes_nothing_without_the_form_token_of_its_session(place):
    async with place.browser() as other, place.browser() as client:
        assert client.form != other.form
        for headers, data in (
            ({}, {}),
            ({}, {"form": other.form}),
            ({"X-Form-Token": "x"}, {"form": client.form}),
            ({"X-Form-Token": "é".encode()}, {}),
        ):
            for method, path in [*changing_routes(), ("POST", "/logout")]:
                content = f"form={data['form']}" if data else ""
                sent = {"Content-Type": FORM, **headers}
                answer = await client.request(method, path, content=content, headers=sent)
                assert answer.status_code == 403, (method, path, headers, data)


async def test_every_route_that_changes_something_writes_an_audit_line_before(place):
    async with place.client(headers=bearer(place.operating)) as client:
        for method, path in changing_routes():
            before = len(place.service.audit())
            answer = await client.request(method, path)
            (line,) = place.service.audit()[: len(place.service.audit()) - before]
            assert (line.who, line.role, line.address) == ("ops", "operate", "127.0.0.1"), path
            assert line.outcome == answer.status_code, path
            assert line.about == ("1" if "/1" in path else line.about), path


async def test_what_was_refused_is_in_the_audit_lines_and_what_nobody_sent_is_not(place):
    async with place.client() as client:
        await client.post("/api/v1/runs/monday/cancel", headers=bearer(place.reading))
        await client.post("/api/v1/runs/monday/cancel", headers=bearer("aiodag_wrong"))
        await client.get("/api/v1/runs", headers=bearer(place.operating))

    assert [(line.who, line.what, line.about, line.outcome) for line in place.service.audit()] == [
        ("ann", "cancel", "monday", 403)
    ]


async def test_what_cannot_be_written_down_is_not_done(place, monkeypatch):
    def refuse(*_, **__):
        raise StoreError("the disk is full")

    done = []
    monkeypatch.setattr(place.service.store, "note_request", refuse)
    monkeypatch.setattr(type(place.service), "cancel", lambda *_, **__: done.append("cancelled"))
    async with place.client(headers=bearer(place.operating)) as client:
        answer = await client.post("/api/v1/runs/monday/cancel")

    assert (answer.status_code, done) == (409, [])


@pytest.mark.parametrize("query", ["befor=3", "who=%00", "limit=1001", "before=99999999999999999999"])
async def test_audit_lines_are_not_asked_for_by_what_cannot_be_meant(place, query):
    async with place.client(headers=bearer(place.operating)) as client:
        answer = await client.get(f"/api/v1/audit?{query}")

    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["detail"]


async def test_audit_lines_come_in_pages_that_name_the_next_one(place):
    async with place.client(headers=bearer(place.operating)) as client:
        for run in ("a", "b", "a", "a"):
            await client.post(f"/api/v1/runs/{run}/cancel")
        address, found = "/api/v1/audit?about=a&limit=2", []
        while address:
            answer = await client.get(address)
            found.append([line["about"] for line in answer.json()])
            address = answer.links.get("next", {}).get("url")

    assert found == [["a", "a"], ["a"]]


async def test_there_is_a_bound_for_all_streams_together(place, monkeypatch):
    monkeypatch.setattr(events, "MOST_STREAMS", 0)
    async with place.client(headers=bearer(place.reading)) as client:
        for path in ("/events", "/runs/monday/events", "/records/happenings"):
            answer = await client.get(f"/api/v1{path}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path


# Tokens


@pytest.mark.parametrize(
    "sent",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic YTpi",
        "Token x",
        "bearer aiodag_",
        "Bearer " + "x" * 5000,
        "Bearer é",
        "",
        "Bearer \x1b[2J",
    ],
)
async def test_what_is_not_a_token_gets_401_and_is_not_repeated(place, sent, caplog):
    async with place.client() as client:
        answer = await client.get("/api/v1/runs", headers={"Authorization": sent.encode("latin-1")})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"] == "NotAdmitted"
    assert "xxx" not in answer.text + caplog.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(place, scheme):
    async with place.client() as client:
        answer = await client.get("/api/v1/runs", headers={"Authorization": f"{scheme} {place.reading}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("where", ["?token={}", "?access_token={}", "?authorization=Bearer%20{}", "/{}"])
async def test_a_token_in_an_address_lets_nobody_in(place, where):
    async with place.client() as client:
        answer = await client.get("/api/v1/runs" + where.format(place.operating))

    assert answer.status_code == 401
    assert place.operating not in answer.text


async def test_a_revoked_token_is_refused_at_once_and_so_is_its_session(place):
    async with place.client(headers=bearer(place.reading)) as client, place.browser(place.reading) as browser:
        assert [(await each.get("/api/v1/runs")).status_code for each in (client, browser)] == [200, 200]
        place.service.revoke_token("ann")

        assert [(await each.get("/api/v1/runs")).status_code for each in (client, browser)] == [401, 401]


async def test_a_given_token_is_compared_and_never_shown(monkeypatch):
    monkeypatch.setenv("AIODAG_TOKEN", GIVEN)
    place = Place()
    async with place.client() as client:
        good = await client.get("/api/v1/runs", headers=bearer(GIVEN))
        bad = await client.get("/api/v1/runs", headers=bearer(GIVEN[:-1] + "0"))

    assert (good.status_code, bad.status_code) == (200, 401)
    assert GIVEN not in bad.text


async def test_a_store_that_is_away_says_503_and_the_server_lives(place, monkeypatch):
    def away(_):
        raise StoreUnreachable("cannot reach it")

    monkeypatch.setattr(place.service.store, "token_of_hash", away)
    async with place.client(headers=bearer(place.reading)) as client:
        answers = [(await client.get(path)).status_code for path in ("/api/v1/runs", "/live")]

    assert answers == [503, 200]


# Guessing


def test_an_address_may_try_a_few_wrong_tokens_and_is_then_told_to_wait():
    now = [0.0]
    wrong = WrongTokens(lambda: now[0])
    assert [wrong.note("10.0.0.1") for _ in range(TRIES)] == [0] * TRIES
    assert wrong.note("10.0.0.1") == WITHIN
    assert wrong.note("10.0.0.2") == 0
    now[0] = WITHIN + 1
    assert wrong.note("10.0.0.1") == 0


def test_who_has_many_addresses_costs_little_memory():
    wrong = WrongTokens()
    for number in range(5 * ADDRESSES):
        wrong.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert len(wrong._tries) == ADDRESSES  # noqa: SLF001 - nobody else knows
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("unix:") == "unix:"


async def test_a_guesser_waits_and_nobody_else_does_at_the_same_address_either(monkeypatch):
    monkeypatch.setenv("AIODAG_TOKEN", GIVEN)
    place = Place()
    async with place.client(address="10.0.0.9") as guesser, place.client(address="10.0.0.8") as other:
        answers = [await guesser.get("/api/v1/runs", headers=bearer(f"guess{each}")) for each in range(TRIES + 1)]
        login = await guesser.post("/login", data={"token": "guess"})
        others = await other.get("/api/v1/runs", headers=bearer("guess"))
        same = [
            (await guesser.get("/api/v1/runs", headers=bearer(each))).status_code for each in (place.reading, GIVEN)
        ]
        logged_in = await guesser.post("/login", data={"token": GIVEN})

    assert [each.status_code for each in answers] == [401] * TRIES + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= WITHIN
    assert (login.status_code, others.status_code, same, logged_in.status_code) == (429, 401, [200, 200], 303)


async def test_two_tokens_at_once_let_nobody_in(place):
    async with place.client() as client:
        both = [("Authorization", f"Bearer {place.reading}"), ("Authorization", f"Bearer {place.operating}")]
        answers = [(await client.get("/api/v1/runs", headers=each)).status_code for each in (both, both[::-1])]

    assert answers == [401, 401]


# Sessions


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("application/json", b"{}", 415),
        ("text/plain", b"token=x", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("multipart/form-data", b"x", 415),
        (FORM, b"token=" + b"x" * 20_000, 413),
        (FORM, b"a=b&" * 4_000, 401),
        (FORM, b"token=%ff%00&next=%ff&&&=&a", 401),
        (FORM, b"", 401),
    ],
)
async def test_what_anybody_may_send_to_log_in_is_small_and_plain(place, kind, content, status):
    async with place.client() as client:
        answer = await client.post("/login", content=content, headers={"Content-Type": kind})

    assert answer.status_code == status


async def test_a_large_definition_can_be_sent_by_a_form(place):
    async with place.browser() as client:
        answer = await client.post("/runs/monday/edit", data={"form": client.form, "definition": "x" * 3_000_000})

    assert answer.status_code == 404  # there is no such run: the form was read


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(place):
    async with place.client(follow_redirects=False) as client:
        answer = await client.post("/login", data={"token": place.operating, "next": "/runs"})
        cookie = answer.headers["set-cookie"]

        assert re.fullmatch(r"aiodag_session_2503=[\w-]{43}; HttpOnly; Max-Age=\d+; Path=/; SameSite=strict", cookie), (
            cookie
        )
    async with place.client(base="https://127.0.0.1:2503") as client:
        assert "; Secure" in (await client.post("/login", data={"token": place.operating})).headers["set-cookie"]


async def test_a_session_is_always_a_new_one_whatever_the_browser_brings(place):
    chosen = "a" * 43
    async with place.client(cookies={"aiodag_session_2503": chosen}) as client:
        assert (await client.get("/api/v1/runs")).status_code == 401
        answer = await client.post("/login", data={"token": place.operating})

    assert chosen not in answer.headers["set-cookie"]
    async with place.client(cookies={"aiodag_session_2503": chosen}) as client:
        assert (await client.get("/api/v1/runs")).status_code == 401


@pytest.mark.parametrize("forged", ["", "x", "a" * 5000, "aiodag_" + "a" * 43, '"', "é", "a;b", "0" * 64])
async def test_a_forged_cookie_lets_nobody_in(place, forged):
    async with place.client() as client:
        answer = await client.get("/api/v1/runs", headers={"Cookie": f"aiodag_session_2503={forged}".encode("latin-1")})

    assert answer.status_code == 401


async def test_the_token_itself_is_not_a_cookie_and_the_cookie_not_a_token(place):
    async with place.browser() as client:
        (cookie,) = client.cookies.values()
    async with place.client(cookies={"aiodag_session_2503": place.operating}) as client:
        assert (await client.get("/api/v1/runs")).status_code == 401
    async with place.client(headers=bearer(cookie)) as client:
        assert (await client.get("/api/v1/runs")).status_code == 401


async def test_who_leaves_is_out(place):
    async with place.browser() as client:
        (cookie,) = client.cookies.values()
        answer = await client.post("/logout", data={"form": client.form})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    async with place.client(cookies={"aiodag_session_2503": cookie}) as client:
        assert (await client.get("/api/v1/runs")).status_code == 401


@pytest.mark.parametrize(
    "there",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "/a\r\nX: y",
        "",
        "/\t/evil.example",
        "evil",
        "/ü",
        "///evil",
        "/%0d%0aX: y ",
    ],
)
async def test_who_logs_in_is_sent_to_no_other_place(place, there):
    async with place.client() as client:
        answer = await client.post("/login", data={"token": place.operating, "next": there})
        page = await client.get("/login", params={"next": there})

    assert answer.headers["location"] == "/"
    assert 'name="next" value="/"' in page.text
    assert "x" not in {name.lower() for name in answer.headers}


def test_paths_of_this_server_are_kept():
    assert [own_path(each) for each in ("/", "/runs?a=b", "/runs/a%2Fb/nodes/1#x")] == [
        "/",
        "/runs?a=b",
        "/runs/a%2Fb/nodes/1#x",
    ]


async def test_a_hostile_token_is_never_html(place):
    async with place.client() as client:
        answer = await client.post("/login", data={"token": "<script>alert(1)</script>", "next": '/"><script>'})

    assert answer.status_code == 401
    assert "<script>alert" not in answer.text
    assert '"><script>' not in answer.text


# Streams


async def test_a_stream_ends_when_the_token_of_its_reader_is_revoked(place, monkeypatch):
    sent, gone = asyncio.Queue(), asyncio.Event()

    async def events(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        while not gone.is_set():
            await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
            if await sent.get() == "last":
                break
        assert (await receive())["type"] == "http.disconnect"
        gone.set()

    answered = []

    async def send(message):
        answered.append(message)

    async def receive():
        await asyncio.Event().wait()

    guard = admission.AdmissionGuard(events, Desk(place.service, ServeOptions()))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/events",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2503),
        "headers": [(b"authorization", f"Bearer {place.reading}".encode())],
    }
    monkeypatch.setattr(admission, "RECHECK", 0.0)
    task = asyncio.ensure_future(guard(scope, receive, send))
    await sent.put("more")
    while len(answered) < 3:
        await asyncio.sleep(0)
    place.service.revoke_token("ann")
    await sent.put("more")
    await sent.put("last")
    await asyncio.wait_for(task, 10)

    assert answered[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
