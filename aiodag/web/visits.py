"""One request, as far as it matters who sends it: its caller, and the audit line of what it changes."""

from dataclasses import dataclass, field
from typing import Any

from aiodag.access import Caller
from aiodag.service.access import form_token_of
from aiodag.web.callers import Callers
from aiodag.web.fastapi import Request

VISIT = "aiodag.visit"  # where a request has it


@dataclass
class Visit:
    """Who sends a request, and what is known of the change that it asks for."""

    callers: Callers
    address: str
    caller: Caller | None = None
    line: int | None = None  # the number of its audit line
    about: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def visit_of(request: Request) -> Visit:
    """Return what is known of who sends a request."""
    found: Visit = request.scope[VISIT]
    return found


def caller_in(request: Request) -> Caller | None:
    """Return who sends a request, where a page looks different for that."""
    return visit_of(request).caller


def form_token(request: Request) -> str:
    """Return what a form of a page carries in its field `form`, and a script in the header `X-Form-Token`."""
    caller = caller_in(request)
    return form_token_of(caller.session) if caller is not None and caller.session else ""


def remark(request: Request, about: str | None = None, **details: Any) -> None:
    """Have the audit line of a request say more: never a value that could be a secret.

    `about` is what it turned out to be about, such as the id of a new run.
    """
    visit = visit_of(request)
    visit.about = about if about is not None else visit.about
    visit.details |= details
