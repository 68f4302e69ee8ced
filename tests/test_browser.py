"""What people do on the page, with a real browser: nothing but the server is asked, and nothing goes wrong unseen."""

import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsers import ARGUMENTS, PHONE, Visitor, chromium, see_that
from web_servers import WebServer

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

from playwright.sync_api import sync_playwright

from aiodag.service import Service

EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"&#x3c; \u202e'
GATE = 'echo "day {{DAY}}"; while [ ! -e open ]; do sleep 0.05; done; echo fetched'
NIGHTLY = {
    "name": "nightly",
    "parameters": {"DAY": ["monday"]},
    "tasks": {
        "fetch": {"command": ["sh", "-c", GATE]},
        "load": {"command": ["sh", "-c", "echo loading; echo no such table >&2; exit 3"], "parents": ["fetch"]},
        "report": {"command": ["echo", "reported"], "parents": ["load"]},
    },
}
HOSTILE = {
    "name": EVIL,
    "tags": {EVIL: EVIL},
    "description": EVIL,
    "tasks": {"<b onclick=x>": {"command": ["sh", "-c", 'printf "%s\\n" "$0"; printf "%s\\n" "$0" >&2; exit 1', EVIL]}},
}


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests here; each of them has a profile of its own."""
    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a worker, and some workflows that are registered."""
    server = WebServer(tmp_path_factory.mktemp("browser"), "--worker", "--limit=8")
    try:
        server.start()
        service = Service(server.store)
        for number, flow in enumerate((NIGHTLY, HOSTILE)):
            file = Path(server.folder, f"flow{number}.json")
            file.write_text(json.dumps(flow))
            service.register(str(file))
        service.close()
        yield server
    finally:
        server.remove()


@pytest.fixture
def visit(browser, server):
    """What opens a browser at the server, logged in; in the end nothing may have gone wrong, and nobody else been asked."""
    visitors = []

    def make(at=server, **options):
        visitors.append(Visitor(browser, at, **options))
        return visitors[-1].log_in()

    yield make
    problems = [each.close() for each in visitors]
    assert problems == [[] for _ in visitors]


@pytest.fixture(scope="module")
def failed(server):
    """The id of a run that has failed."""
    return begun(server, "nightly")


@pytest.fixture(scope="module")
def hostile(server):
    """The id of a run whose names, values and output are markup."""
    return begun(server, EVIL)


def begun(server, workflow):
    """Begin a run, wait until it has failed, and return its id."""
    Path(server.folder, "open").touch()
    run = server.ask("/api/v1/runs", {"workflow": workflow}).json()["id"]
    service = Service(server.store)
    while not service.head(run).state.final:
        time.sleep(0.05)  # real time: another process works on it
    service.close()
    return run


def test_a_run_is_started_followed_understood_edited_and_resumed(visit, server):
    Path(server.folder, "open").unlink(missing_ok=True)
    page = visit().page

    # From the form
    page.click("nav >> text=Workflows")
    page.click("text=nightly")
    page.fill("[name=param-DAY]", "tuesday")
    page.click("button:has-text('Run now')")
    page.wait_for_url("**/runs/nightly-*")
    run = urlsplit(page.url).path.rsplit("/", 1)[1]

    # States move without reload
    page.evaluate("window.stays = 1")
    see_that(page.locator("#nodes tr", has_text="fetch")).to_contain_text("running")
    see_that(page.locator("#graph .node.running")).to_have_count(1)
    Path(server.folder, "open").touch()
    see_that(page.locator(".title")).to_contain_text("failed")
    see_that(page.locator("#graph .node.succeeded, #graph .node.failed, #graph .node.skipped")).to_have_count(3)
    see_that(page.locator("#failures")).to_contain_text("no such table")
    assert page.evaluate("window.stays") == 1

    # The failed node is found in two clicks, with its output; back works
    page.goto(f"{server.address}/")
    page.locator("#runs tr", has_text=run).get_by_role("link", name="nightly").first.click()
    page.locator("#failures a", has_text="load").click()
    see_that(page.locator("main")).to_contain_text("no such table")
    see_that(page.locator("main")).to_contain_text("loading")
    see_that(page.locator("main")).to_contain_text("exit code 3")
    page.go_back()
    see_that(page).to_have_url(f"{server.address}/runs/{run}")
    page.go_back()
    see_that(page).to_have_url(re.compile(r"/runs$"))
    page.go_forward()

    # Edited and resumed, with the plan shown first
    page.click("text=Edit and resume")
    written = page.locator("[name=definition]")
    written.fill(written.input_value().replace("exit 3", "exit 0"))
    page.click("text=Show the plan")
    see_that(page.locator("#plan")).to_contain_text("2 would run, 1 would be recalled")
    see_that(page.locator("#plan del")).to_contain_text("exit 3")
    see_that(page.locator("#plan ins")).to_contain_text("exit 0")
    page.click("text=Resume as planned")
    page.wait_for_url(f"**/runs/{run}*")
    see_that(page.locator(".title")).to_contain_text("succeeded")
    see_that(page.locator("#nodes tr", has_text="fetch")).to_contain_text("recalled")


def test_output_follows_while_it_is_written(visit, server):
    Path(server.folder, "open").unlink(missing_ok=True)
    page = visit().page
    run = server.ask("/api/v1/runs", {"workflow": "nightly"}).json()["id"]
    page.goto(f"{server.address}/runs/{run}")
    page.locator("#nodes a", has_text="fetch").click()
    see_that(page.locator("main")).to_contain_text("day monday")
    page.evaluate("window.stays = 1")
    Path(server.folder, "open").touch()

    see_that(page.locator("main")).to_contain_text("fetched")
    assert page.evaluate("window.stays") == 1


def test_a_new_run_comes_into_the_list_by_itself(visit, server):
    page = visit().page
    page.evaluate("window.stays = 1")
    run = server.ask("/api/v1/runs", {"workflow": "nightly", "queue": "nobody"}).json()["id"]

    see_that(page.locator("#runs")).to_contain_text(run)
    assert server.ask(f"/api/v1/runs/{run}/cancel", method="POST").status in {200, 202}
    see_that(page.locator("#runs tr", has_text=run)).to_contain_text("cancelled")
    assert page.evaluate("window.stays") == 1


def test_everything_is_there_without_a_script(visit, server, failed):
    page = visit(script=False).page
    page.goto(f"{server.address}/runs/{failed}")
    see_that(page.locator("#failures")).to_contain_text("no such table")
    page.locator("#graph .node.failed").click()
    see_that(page.locator("main")).to_contain_text("loading")
    page.goto(f"{server.address}/workflows/nightly")
    page.click("button:has-text('Run now')")

    see_that(page).to_have_url(re.compile(r"/runs/nightly-"))


def test_the_keyboard_is_enough(visit, server, failed):
    page = visit().page
    page.keyboard.press("/")
    page.keyboard.type(failed)
    page.keyboard.press("Enter")
    see_that(page).to_have_url(re.compile(re.escape(failed)))
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    see_that(page.locator("#runs a.lead:focus")).to_have_count(1)
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.keyboard.press("Enter")

    see_that(page).to_have_url(f"{server.address}/runs/{failed}")
    assert outline != "none"
    for _ in range(12):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


ADDRESSES = [
    "/runs",
    "/workflows",
    "/workflows/nightly",
    "/schedules",
    "/queues",
    "/workers",
    "/messages",
    "/audit",
    "/docs",
]
OF_RUN = ["", "/timeline", "/log", "/definition", "/edit", "/nodes/0", "/nodes/1"]


def test_every_page_fits_a_phone(visit, server, failed, hostile):
    page = visit(size=PHONE).page
    wide = {}
    for path in [
        *ADDRESSES,
        *(
            f"/runs/{run}{each}"
            for run in (failed, quoted(hostile))
            for each in OF_RUN
            if run == failed or each != "/nodes/1"
        ),
    ]:
        assert page.goto(f"{server.address}{path}").status == 200, path
        width = page.evaluate("document.documentElement.scrollWidth")
        wide |= {path: width} if width > PHONE["width"] else {}

    assert wide == {}


def quoted(text):
    from urllib.parse import quote

    return quote(text, safe="")


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_have_enough_contrast(visit, server, failed, dark):
    page = visit(dark=dark).page
    page.goto(f"{server.address}/runs/{failed}")
    found = page.evaluate(CONTRASTS)

    assert (found["background"] < 0.2) == dark
    assert found["low"] == []


# The texts whose contrast with what is behind them is below 4.5, as WCAG 2.2 reckons it.
CONTRASTS = """() => {
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const colour = (text) => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = colour(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const low = [];
  for (const each of document.querySelectorAll("body *:not(svg *):not(svg)")) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !each.offsetParent) continue;
    const [a, b] = [light(colour(getComputedStyle(each).color)), light(behind(each))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${each.tagName}.${each.className}: ${each.textContent.trim().slice(0, 30)}`);
  }
  return { background: light(behind(document.body)), low };
}"""


def test_no_name_value_or_output_is_markup(visit, server, hostile):
    page = visit().page
    run = quoted(hostile)
    for path in (
        "/runs",
        f"/runs?text={quoted(EVIL)}&name={quoted(EVIL)}&tag={quoted(EVIL)}",
        *(f"/runs/{run}{each}" for each in OF_RUN if each != "/nodes/1"),
        "/workflows",
        f"/workflows/{quoted(EVIL)}",
        "/queues",
        "/audit",
    ):
        page.goto(f"{server.address}{path}")
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("main img, main script, main b[onclick]").count() == 0, path
    page.goto(f"{server.address}/runs/{run}/nodes/0")
    see_that(page.locator("main")).to_contain_text("<img src=x onerror=")


def test_an_address_that_is_not_there_is_told_as_text(browser, server):
    visitor = Visitor(browser, server).log_in()
    for path in (f"/runs/{quoted(EVIL)}", f"/workflows/{quoted(EVIL)}", f"/{quoted(EVIL)}"):
        assert visitor.open(path).status == (200 if path.startswith("/workflows") else 404)
        assert visitor.page.evaluate("window.hacked") is None
    assert all("404" in each for each in visitor.close())


def test_a_token_that_reads_may_look_and_not_act(visit, server, failed):
    service = Service(server.store)
    token = service.make_token("reader", "read")
    service.close()
    visitor = visit()
    visitor.page.goto("about:blank")  # else the list asks for its events without a session
    visitor.context.clear_cookies()
    page = visitor.log_in(token).page
    page.goto(f"{server.address}/runs/{failed}")

    see_that(page.locator("#failures")).to_contain_text("no such table")
    assert page.locator("button:has-text('Resume'), button:has-text('Cancel'), button:has-text('Delete')").count() == 0
    page.click("text=Log out")
    see_that(page.locator("input[type=password]")).to_be_visible()
