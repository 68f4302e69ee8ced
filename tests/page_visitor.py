"""Somebody who looks at the pages of a server without a script: logs in, follows links, sends forms."""

import re
from html import unescape
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest

from aiodag.service import Service


@pytest.fixture(scope="module")
def visitor(server):
    """Somebody who may operate, at the `server` of a module."""
    return Visitor(server)


@pytest.fixture
def service(server):
    """The store of that server."""
    service = Service(server.store)
    yield service
    service.close()


class Markup(HTMLParser):
    """What is in a page: its tags with their attributes, its text, and the forms with their fields."""

    VOID = frozenset({"input", "link", "meta", "img", "path", "circle", "use", "rect", "option"})

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.words = []
        self.forms = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append((given, []))
        elif self.forms and tag in {"input", "textarea", "select", "button"}:
            self.forms[-1][1].append((tag, given))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        """What people read, with single spaces."""
        return " ".join(" ".join(self.words).split())


class Visitor:
    """A session with a server."""

    def __init__(self, server, token=None):
        self.server = server
        answer = server.ask("/login", urlencode({"token": token or server.token}), headers=as_form(server), token=None)
        assert answer.status == 303, answer.text
        cookie = SimpleCookie(answer.headers["Set-Cookie"])
        self.cookie = "; ".join(f"{name}={each.value}" for name, each in cookie.items())

    def open(self, path, status=200):
        """Return a page, of which a status is expected."""
        answer = self.server.ask(path, headers={"Cookie": self.cookie, "Accept": "text/html"}, token=None)
        assert answer.status == status, answer.text
        return answer

    def send(self, path, fields=(), *, page=None, status=303):
        """Send a form with what makes it one of the session, as it stands on a page; return the answer."""
        token = re.search(r'name="form" value="([^"]+)"', self.open(page or "/workflows").text)[1]
        return self.post(path, [*dict(fields).items(), ("form", token)], status)

    def post(self, path, fields, status=303):
        """Send fields and nothing else."""
        headers = {**as_form(self.server), "Cookie": self.cookie, "Accept": "text/html"}
        answer = self.server.ask(path, urlencode(fields), headers=headers, token=None)
        assert answer.status == status, answer.text
        return answer

    def arrive(self, answer):
        """Follow where an answer leads."""
        return self.open(answer.headers["Location"].removeprefix(self.server.address))


def as_form(server):
    """Return the headers with which a browser sends a form of a page."""
    return {"Content-Type": "application/x-www-form-urlencoded", "Origin": server.address}


def value_of_field(text, name):
    """Return what stands in a field of a page."""
    found = re.search(
        rf'<(?:input|textarea)[^>]* name="{re.escape(name)}"[^>]*?(?: value="([^"]*)"[^>]*>|>\n([^<]*)</)', text
    )
    return unescape(found[1] if found[1] is not None else found[2])
