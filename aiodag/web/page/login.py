"""How a browser comes in with a token, which becomes the cookie of a session, and how it leaves."""

import re
from typing import Annotated
from urllib.parse import parse_qsl

from aiodag.errors import NotAdmitted
from aiodag.service.access import SESSION_LASTS
from aiodag.web.access import Reader, check_form
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Query, RedirectResponse, Request, Response
from aiodag.web.page.rendering import render, root_path
from aiodag.web.problems import Problem
from aiodag.web.sessions import cookie_name, set_cookie
from aiodag.web.visits import visit_of

login_routes = APIRouter(include_in_schema=False)

OWN_PATH = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)  # no other host, no backslash, nothing that ends a header
FORM = "application/x-www-form-urlencoded"
LOGIN_LARGEST = 2**14  # bytes
SEE_OTHER = 303


def own_path(text: str) -> str:
    """Return where a browser goes after it has logged in: never to another server."""
    return text if OWN_PATH.fullmatch(text) else "/"


async def login_page(request: Request, desk: Desk, there: str, wrong: str = "", status: int = 200) -> Response:
    """Return the page with the form."""
    words = {"there": own_path(there), "wrong": wrong}
    return await desk.ask(render, request, "login.html", title="Log in", status=status, **words)


@login_routes.get("/login")
async def show_login(request: Request, desk: AtDesk, there: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Show the form."""
    return await login_page(request, desk, there)


@login_routes.post("/login")
async def log_in(request: Request, desk: AtDesk) -> Response:
    """Begin the session of a browser: always a new one, so that nobody can have chosen its secret before."""
    visit, form = visit_of(request), await read_login(request)
    there = own_path(form.get("next", "/"))
    try:
        secret = await visit.callers.log_in(form.get("token", "").strip(), visit.address)
    except NotAdmitted as error:
        return await login_page(request, desk, there, str(error), 401)
    except Problem as problem:
        return await login_page(request, desk, there, problem.detail, problem.status)
    answer = RedirectResponse(root_path(request) + there, SEE_OTHER)
    set_cookie(answer, request, secret, SESSION_LASTS)
    return answer


async def read_login(request: Request) -> dict[str, str]:
    """Return the fields of the form. Anybody may send it, so it is small. Raises `Problem`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Problem(415, f"send Content-Type: {FORM}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LOGIN_LARGEST:
            raise Problem(413, f"a form to log in has at most {LOGIN_LARGEST:,} bytes")
    return dict(parse_qsl(body.decode("utf-8", "replace")))


@login_routes.post("/logout")
async def log_out(request: Request, desk: AtDesk, caller: Reader) -> Response:
    """End the session of a browser."""
    await check_form(request, caller)
    await desk.ask(desk.service.end_session, caller.session)
    answer = RedirectResponse(f"{root_path(request)}/login", SEE_OTHER)
    answer.delete_cookie(cookie_name(request), path=root_path(request) or "/")
    return answer
