"""Write pages: a template, filled with words, in the frame that all pages have."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from aiodag.access import Caller
from aiodag.service.recorded import error_text
from aiodag.states import State
from aiodag.web.answers import PRIVATE
from aiodag.web.fastapi import HTMLResponse, RedirectResponse, Request, Response
from aiodag.web.jinja2 import Templates, mark_safe
from aiodag.web.page.notices import NOTICES, Notice
from aiodag.web.page.static import page_drawing, static_address
from aiodag.web.page.words import (
    ago_words,
    indented_json,
    run_words,
    span_words,
    state_shares,
    took_words,
    utc_words,
    whole_or_ends,
)
from aiodag.web.paths import path_part
from aiodag.web.visits import caller_in, form_token
from aiodag.wording import first_line, printable

SECTIONS = (
    ("runs", "Runs"),
    ("workflows", "Workflows"),
    ("schedules", "Schedules"),
    ("queues", "Queues"),
    ("workers", "Workers"),
    ("messages", "Messages"),
    ("audit", "Audit"),
)


class PageFrame(NamedTuple):
    """What is around each page: where it is, who looks at it, and what the last request did. `page` in templates."""

    root: str
    style: str
    script: str
    caller: Caller | None
    form_token: str
    notice: Notice | None
    sections: tuple[tuple[str, str], ...] = SECTIONS

    @property
    def may_operate(self) -> bool:
        """Whether who looks may change something."""
        return self.caller is not None and self.caller.role == "operate"


@cache
def templates() -> Templates:
    """Return the templates of the page."""
    filters: dict[str, Callable[..., Any]] = {
        "ago": ago_words,
        "utc": utc_words,
        "took": took_words,
        "shares": state_shares,
        "run_words": run_words,
        "bounded": whole_or_ends,
        "part": path_part,
        "error_text": error_text,
        "first_line": first_line,
        "printable": printable,
        "pretty": indented_json,
    }
    words = {"definitions": lambda: mark_safe(page_drawing().definitions), "span": span_words, "States": tuple(State)}
    return Templates("aiodag.web.page", filters, words)


def frame_of_page(request: Request) -> PageFrame:
    """Return what is around the page that a request gets."""
    root = root_path(request)
    caller = caller_in(request)
    return PageFrame(
        root=root,
        style=root + static_address(".css"),
        script=root + static_address(".js"),
        caller=caller,
        form_token=form_token(request) if caller is not None else "",
        notice=NOTICES.get(request.query_params.get("done", "")),
    )


def render(
    request: Request, template: str, *, title: str, section: str = "", status: int = 200, **words: Any
) -> Response:
    """Return a page. It takes some milliseconds: call it in the thread in which the store is read.

    `section` is the address of the page that the frame marks; what else templates want is in `words`.
    """
    frame = frame_of_page(request)
    text = templates().render(template, {"page": frame, "title": title, "section": section, **words})
    return HTMLResponse(text, status, headers=PRIVATE)


def root_path(request: Request) -> str:
    """Return what comes before each address of this server: "" or the path under which a proxy has it."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def see_other(request: Request, address: str, done: str = "") -> Response:
    """Send a browser that has posted a form to a page, which says in a line what was done: a key of `NOTICES`."""
    mark = f"{'&' if '?' in address else '?'}done={done}" if done else ""
    return RedirectResponse(f"{root_path(request)}{address}{mark}", 303, headers=PRIVATE)
