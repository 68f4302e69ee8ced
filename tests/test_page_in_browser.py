"""The pages of runs in a real browser: they move by themselves, keys work, and no name does anything."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from aiodag import Run, RunFailed, task
from aiodag.service import Service
from tests.browsers import ARGUMENTS, PHONE, Visitor, chromium, see_that

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
EVENTFUL = """
import asyncio, logging, sys
from aiodag import Run, task
from aiodag.commands import command

@task
async def wait(_):
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

@task(retries=0)
async def end(_):
    raise ValueError("the end")

async def main():
    async with Run("eventful", store=sys.argv[1], id=sys.argv[2]):
        first = command("sh", "-c", "echo one; read line <" + sys.argv[3] + "; echo two", name="speak")()
        end(wait(first))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def browser():
    program = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, web_server):
    """What opens a page for somebody who has logged in, and closes it with nothing wrong."""
    made = []

    def make(**more):
        made.append(Visitor(browser, web_server, **more).log_in())
        return made[-1].page

    yield make
    problems = [each.close() for each in made]
    assert problems == [[] for _ in made]


async def fill(store):
    """Runs with hostile names, and one too large to be drawn node by node."""

    @task(name=HOSTILE)
    async def fail(given):
        logging.getLogger("etl").warning("%s", given)
        raise ValueError(given)

    @task
    async def load(number):
        return number

    with pytest.raises(RunFailed):
        async with Run(HOSTILE, store=store, id=HOSTILE, tags={HOSTILE: HOSTILE}):
            fail(HOSTILE)
    async with Run("large", store=store, id="browser-large"):
        load.map(range(1_200))


@pytest.fixture(scope="module")
def filled(web_server):
    with ThreadPoolExecutor(1) as aside:  # playwright has a loop in this thread
        aside.submit(asyncio.run, fill(web_server.store)).result()
    return web_server


@pytest.mark.parametrize("view", ["", "/timeline", "/log", "/definition", "/nodes/0"])
def test_no_name_does_anything(filled, visit, view):
    page = visit()
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))

    page.goto(f"/runs/{quote(HOSTILE, safe='')}{view}")

    assert page.locator("h1").first.inner_text().startswith("<script>alert(1)")
    assert page.locator("main img, main script").count() == 0
    assert dialogs == []


def test_a_group_opens_step_by_step_without_a_script(filled, visit):
    page = visit(script=False)
    page.goto("/runs/browser-large")

    see_that(page.locator("#graph .group")).to_have_count(1)
    page.locator("#graph .group").click()
    see_that(page.locator("#graph .group")).to_have_count(3)
    page.locator("#graph .group").first.click()
    page.locator("#graph .group").first.click()
    see_that(page.locator("#graph .node")).to_have_count(20)
    page.locator("#graph .node").first.click()
    page.wait_for_url("**/nodes/0")
    page.go_back()
    see_that(page.locator("#graph .node")).to_have_count(20)


def test_states_and_output_move_without_a_reload(visit, web_server, tmp_path):
    """A run in a process of its own is followed from its row to its end."""
    page, node, timeline = visit(), visit(), visit()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = tmp_path / "eventful.py"
    script.write_text(EVENTFUL)
    page.goto("/runs?name=eventful")
    page.evaluate("window.stayed = true")

    with subprocess.Popen(
        [sys.executable, str(script), web_server.store, "eventful-1", str(pipe)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        page.locator("tr", has_text="eventful-1").locator(".state.running").wait_for()
        assert page.evaluate("window.stayed")
        page.goto("/runs/eventful-1")
        page.evaluate("window.stayed = true")
        node.goto("/runs/eventful-1/nodes/speak")
        node.locator("pre", has_text="one").wait_for()
        node.evaluate("window.stayed = true")
        timeline.goto("/runs/eventful-1/timeline")
        timeline.locator("#timeline .bar.running").first.wait_for(state="attached")
        pipe.write_text("go\n")
        node.locator("pre", has_text="one\ntwo").wait_for()
        node.locator("#head .state.succeeded").wait_for()
        page.locator("#graph .node.succeeded", has_text="speak").wait_for()
        page.locator("#graph .node.running", has_text="wait").wait_for()
        process.communicate("go\n")
        page.locator("#head .state.failed").wait_for()
        page.locator("#failures", has_text="ValueError: the end").wait_for()
        timeline.locator("#timeline .bar.failed").wait_for(state="attached")

    assert page.evaluate("window.stayed")
    assert node.evaluate("window.stayed")
    assert node.locator("#attempts pre").first.inner_text() == "one\ntwo\n"


def test_a_page_goes_on_when_its_server_has_been_away(browser, new_web_server):
    server = new_web_server()
    visitor = Visitor(browser, server).log_in()
    page = visitor.page
    page.evaluate("window.stayed = true")
    server.kill()
    page.locator(".stale").wait_for()

    submit(server, "meanwhile")
    server.start()
    page.locator(".stale").wait_for(state="detached")
    page.locator("tr", has_text="meanwhile").wait_for()
    submit(server, "late")
    page.locator("tr", has_text="late").wait_for()

    assert page.evaluate("window.stayed")
    assert [
        each for each in visitor.close() if "ERR_CONNECTION_REFUSED" not in each and "ERR_INCOMPLETE" not in each
    ] == []


def test_a_page_whose_session_is_over_says_so_and_leads_to_the_login(browser, new_web_server):
    server = new_web_server()
    visitor = Visitor(browser, server).log_in()
    page = visitor.page
    other = visitor.context.new_page()
    other.goto(f"{server.address}/runs")
    other.click("text=Log out")
    other.wait_for_url("**/login*")
    other.close()

    submit(server, "unseen")
    page.locator(".stale", has_text="You are logged out").wait_for()
    page.click("text=Log in again")
    page.locator("input[type=password]").wait_for()

    assert [each for each in visitor.close() if "401" not in each] == []


def submit(server, name):
    """Record a run that nobody takes."""
    file = server.folder / f"{name}.json"
    file.write_text(json.dumps({"name": name, "tasks": {"a": {"command": ["true"]}}}))
    service = Service(server.store)
    service.submit(str(file), queue="nobody")
    service.close()


def test_a_page_of_a_run_that_has_ended_goes_on_with_it(web_server, visit, tmp_path):
    service = Service(web_server.store)
    file = tmp_path / "again.json"
    file.write_text('{"name": "again", "tasks": {"one": {"command": ["true"]}}}')
    run_id = service.submit(str(file), queue="nobody")
    service.cancel(run_id)
    page = visit()
    page.goto(f"/runs/{run_id}")
    see_that(page.locator("#head")).to_contain_text("cancelled")

    service.requeue(run_id)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    see_that(page.locator("#head")).to_contain_text("queued")

    service.cancel(run_id)
    see_that(page.locator("#head")).to_contain_text("cancelled")


def test_keys_lead_through_the_list(filled, visit):
    page = visit()
    page.goto("/runs")

    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator(".lead").nth(1)
    assert page.evaluate("document.activeElement.href") == second.evaluate("each => each.href")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*")
    page.keyboard.press("g")
    page.wait_for_url("**/runs")


@pytest.mark.parametrize("path", ["/runs/browser-large", "/runs/browser-large/nodes/0"])
def test_a_phone_needs_no_scrolling_to_the_side(filled, visit, path):
    page = visit(size=PHONE, dark=True)
    page.goto(path)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
