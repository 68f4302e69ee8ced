"""A real browser for tests: Debian's chromium, driven by playwright, which brings none itself."""

import shutil
from urllib.parse import urlsplit

import pytest

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
PATIENCE = 30_000  # milliseconds, after which something hangs
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


def chromium():
    """Return the program. Skips the test where there is none, which CI takes for a failure."""
    pytest.importorskip("playwright")
    return shutil.which("chromium") or pytest.skip("no chromium here: apt-get install chromium")


def see_that(place):
    """Expect something of a place on the page, which may take until it hangs."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    return expect(place)


class Visitor:
    """Somebody with a browser of their own, who looks at one server: what it asks of whom, and what goes wrong, is kept."""

    def __init__(self, browser, server, *, script=True, dark=False, size=WIDE, zone="UTC"):
        self.server = server
        self.context = browser.new_context(
            base_url=server.address,
            viewport=size,
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            timezone_id=zone,
            locale="en-GB",
        )
        self.context.set_default_timeout(PATIENCE)
        self.problems, self.hosts = [], set()
        self.page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _hear(self, message):
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.type}: {message.text}")

    def log_in(self, token=None):
        """Log in as people do, and come to the list of runs."""
        self.open("/login")
        self.page.fill("input[type=password]", token or self.server.token)
        self.page.press("input[type=password]", "Enter")
        self.page.wait_for_url("**/runs*")
        return self

    def open(self, path):
        """Open an address of the server."""
        return self.page.goto(f"{self.server.address}{path}")

    def close(self):
        """Close it, and return what was wrong: problems of the page, and other hosts that it asked."""
        self.context.close()
        own = urlsplit(self.server.address).netloc
        return self.problems + [f"asked {host}" for host in self.hosts - {own, ""}]
