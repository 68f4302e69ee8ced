"""An application over a store of its own, with who may use it: for tests of who may do what over HTTP."""

import re
from contextlib import asynccontextmanager

import httpx

from aiodag.service import Service
from aiodag.service.serve_options import ServeOptions
from aiodag.stores import Memory
from aiodag.web.application import API, OUTSIDE, PAGES, build_application
from aiodag.web.paths import PREFIX

HERE = "http://127.0.0.1:2503"


class Place:
    """An application over a store of its own, in memory unless one is given, with a token of each role."""

    def __init__(self, store=None, **options):
        self.service = Service(Memory() if store is None else store)
        self.reading = self.service.make_token("ann")
        self.operating = self.service.make_token("ops", "operate")
        self.application = build_application(self.service, ServeOptions(**options))

    @asynccontextmanager
    async def client(self, base=HERE, address="127.0.0.1", **more):
        transport = httpx.ASGITransport(self.application, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=base, **more) as client:
            yield client

    @asynccontextmanager
    async def browser(self, token=None, **more):
        """A client that has logged in, and the form token of its pages."""
        async with self.client(**more) as client:
            answer = await client.post("/login", data={"token": token or self.operating})
            assert answer.status_code == 303, answer.text
            page = await client.get("/audit")
            client.form = re.search(r'name="form" value="(\w+)"', page.text)[1] if page.status_code == 200 else ""
            yield client


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def routes():
    """Each method and path of the application, with parts of paths filled in."""
    tables = ((PREFIX, API), ("", OUTSIDE), ("", PAGES))
    found = [(prefix + route.path, route) for prefix, table in tables for router in table for route in router.routes]
    return [(method, path) for path, route in found for method in sorted(route.methods)]


def changing_routes():
    found = [(method, filled(path)) for method, path in routes() if method != "GET"]
    assert len(found) > 15
    return [(method, path) for method, path in found if path not in {"/login", "/logout"}]


def filled(path):
    return re.sub(r"\{[^}]*\}", "1", path)
