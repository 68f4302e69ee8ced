"""Other names and other sites: DNS rebinding, forged forms, CORS, framing, proxies of nobody, and paths that lead nowhere."""

import re

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

import httpx
from web_places import HERE, Place, bearer, routes

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def place():
    return Place()


# Other names, other sites


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:2503",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example.",
        "127.0.0.1@evil.example",
        "[::1].evil",
        "a b",
        "",
        "localhost:2503:1",
        "xn--localhost",
        "0x7f.1",
        "[evil]",
        "localhost/..",
        "localhost\x00",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/runs", "/login", "/static/page.css", "/"])
async def test_a_foreign_name_is_refused(place, host, path):
    async with place.client(headers=bearer(place.operating)) as client:
        answer = await client.get(path, headers={"Host": host})

    assert answer.status_code == 421
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:2503",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:2503",
        "127.1.2.3",
        "[::1]",
        "[::1]:2503",
        "10.1.2.3:80",
        "Example.com",
        "example.com:443",
    ],
)
async def test_a_name_of_this_server_is_not(host):
    place = Place(allowed_hosts=("example.com",))
    async with place.client(headers=bearer(place.reading)) as client:
        answer = await client.get("/api/v1/runs", headers={"Host": host})

    assert answer.status_code == 200


async def test_two_names_at_once_are_refused(place):
    async with place.client(headers=bearer(place.reading)) as client:
        request = client.build_request("GET", "/api/v1/runs")
        request.headers = httpx.Headers([*request.headers.items(), ("Host", "evil.example")])
        answer = await client.send(request)

    assert answer.status_code == 421


async def test_a_probe_may_call_this_machine_as_it_likes(place):
    async with place.client() as client:
        assert (await client.get("/live", headers={"Host": "pod-7.example"})).status_code == 200


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "http://127.0.0.1:2503.evil.example"},
    {"Origin": "file://"},
    {"Origin": "chrome-extension://127.0.0.1:2503"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("kind", [FORM, "text/plain", "application/json", "multipart/form-data; boundary=x"])
async def test_a_page_of_another_site_changes_nothing(place, headers, kind):
    async with place.browser() as client:
        for path in ("/api/v1/runs/monday/cancel", "/runs/monday/cancel", "/logout", "/login"):
            data = f"form={client.form}&token={place.operating}"
            answer = await client.post(path, content=data, headers={**headers, "Content-Type": kind})
            assert answer.status_code == 403, path
        assert (await client.get("/api/v1/runs")).status_code == 200

    assert place.service.audit() == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": HERE}, {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}],
    ids=str,
)
async def test_a_form_of_a_page_of_ours_is_taken(place, headers):
    async with place.browser() as client:
        answer = await client.post("/runs/monday/cancel", data={"form": client.form}, headers=headers)

    assert answer.status_code == 404  # there is no such run, and nothing else is wrong


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET", "PUT"])
async def test_other_sites_are_told_nothing_unless_one_is_named(place, method):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": method}
    async with place.client(headers=bearer(place.reading)) as client:
        preflight = await client.options("/api/v1/runs", headers=asked)
        answer = await client.get("/api/v1/runs", headers={"Origin": "https://evil.example"})

    found = [name for each in (preflight, answer) for name in each.headers if name.startswith("access-control")]
    assert found == []
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_site_that_is_named_may_call_with_a_token_and_never_with_a_cookie():
    place = Place(allowed_origins=("https://dash.example",))
    origin = {"Origin": "https://dash.example"}
    async with place.client() as client:
        preflight = await client.options("/api/v1/runs", headers={**origin, "Access-Control-Request-Method": "POST"})
        answer = await client.get("/api/v1/runs", headers={**origin, **bearer(place.reading)})
        change = await client.post("/api/v1/runs/x/cancel", headers={**origin, **bearer(place.operating)})
        other = await client.get(
            "/api/v1/runs", headers={"Origin": "https://dash.example.evil", **bearer(place.reading)}
        )
    async with place.browser() as browser:
        by_cookie = await browser.post("/api/v1/runs/x/cancel", headers=origin)

    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert answer.headers["access-control-allow-origin"] == "https://dash.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()
    assert (answer.status_code, change.status_code, by_cookie.status_code) == (200, 404, 403)
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    "path", ["/live", "/login", "/api/v1/runs", "/runs", "/nothing", "/metrics", "/%2e%2e/etc/passwd"]
)
async def test_every_answer_tells_browsers_what_may_not_be_done_with_it(place, path):
    async with place.client(headers=bearer(place.reading)) as client:
        headers = (await client.get(path)).headers

    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "no-store" in headers["cache-control"] or path == "/live"


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-For",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Forwarded-Prefix",
    ],
)
async def test_headers_of_nobody_in_particular_change_nothing(place, name):
    value = (
        "DELETE"
        if "Method" in name
        else "/admin"
        if "URL" in name or "Prefix" in name
        else "for=1.2.3.4;host=evil.example"
    )
    async with place.client() as client:
        answer = await client.post("/login", data={"token": place.operating}, headers={name: value})
        cancel = await client.post("/api/v1/runs/x/cancel", headers={name: value, **bearer(place.operating)})

    assert answer.headers["location"] == "/"
    assert "Secure" not in answer.headers["set-cookie"]
    assert [line.address for line in place.service.audit()] == ["127.0.0.1"]
    assert cancel.status_code == 404


# Addresses


TRAVERSALS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%252e%252e%252fetc%252fpasswd",
    "..%5c..%5cetc",
    "/etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "%00",
    "..;/",
    "%c0%ae%c0%ae/",
    "~root",
    "$(id)",
    "`id`",
    "|id",
    "%0d%0aSet-Cookie:%20a=b",
]


@pytest.mark.parametrize("hostile", TRAVERSALS)
async def test_no_part_of_an_address_reaches_a_file_or_a_header(place, hostile):
    async with place.client(headers=bearer(place.operating)) as client:
        for method, path in routes():
            if "{" not in path or "events" in path or "{number}" in path:
                continue
            target = re.sub(r"\{[^}]*\}", lambda _: hostile, path)
            answer = await client.request(method, httpx.URL(HERE).copy_with(raw_path=target.encode()))
            assert answer.status_code in {200, 303, 400, 404, 405, 409, 415, 421, 422}, (method, target, answer.text)
            assert "root:x:0" not in answer.text, target
            assert "uid=" not in answer.text, target
            assert "set-cookie" not in answer.headers, target
            assert "Traceback" not in answer.text, target
