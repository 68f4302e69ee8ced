"""How a browser comes in with a token, which becomes the cookie of a session, and how it leaves."""

import re
from html import escape
from typing import Annotated

from aiodag.errors import NotAdmitted
from aiodag.service.access import SESSION_LASTS
from aiodag.web.access import Reader, check_form
from aiodag.web.desk import AtDesk
from aiodag.web.fastapi import APIRouter, HTMLResponse, Query, RedirectResponse, Request, Response
from aiodag.web.problems import Problem
from aiodag.web.sessions import cookie_name, set_cookie
from aiodag.web.visits import visit_of

login_routes = APIRouter(include_in_schema=False)

OWN_PATH = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)  # no other host, no backslash, nothing that ends a header
SEE_OTHER = 303
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in - aiodag</title><link rel="stylesheet" href="{root}/static/page.css"></head>
<body><main class="login"><h1>aiodag</h1>{notice}
<form method="post" action="{root}/login"><input type="hidden" name="next" value="{there}">
<p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p><button type="submit">Log in</button></p></form>
<p>A token is printed when the server starts for the first time, and made by <code>aiodag token new NAME</code>.</p>
</main></body></html>
"""


def own_path(text: str) -> str:
    """Return where a browser goes after it has logged in: never to another server."""
    return text if OWN_PATH.fullmatch(text) else "/"


def login_page(request: Request, there: str, notice: str = "", status: int = 200) -> Response:
    """Return the page with the form."""
    said = f'<p role="alert">{escape(notice)}</p>' if notice else ""
    root = escape(request.scope.get("root_path", ""))
    return HTMLResponse(PAGE.format(root=root, there=escape(own_path(there)), notice=said), status)


@login_routes.get("/login")
async def show_login(request: Request, there: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Show the form."""
    return login_page(request, there)


@login_routes.post("/login")
async def log_in(request: Request, desk: AtDesk) -> Response:
    """Begin the session of a browser: always a new one, so that nobody can have chosen its secret before."""
    visit, form = visit_of(request), await request.form()
    there = own_path(str(form.get("next", "/")))
    try:
        secret = await visit.callers.log_in(str(form.get("token", "")).strip(), visit.address)
    except NotAdmitted as error:
        return login_page(request, there, f"{error}", 401)
    except Problem as problem:
        return login_page(request, there, problem.detail, problem.status)
    answer = RedirectResponse(f"{request.scope.get('root_path', '')}{there}", SEE_OTHER)
    set_cookie(answer, request, desk.options, secret, SESSION_LASTS)
    return answer


@login_routes.post("/logout")
async def log_out(request: Request, desk: AtDesk, caller: Reader) -> Response:
    """End the session of a browser."""
    await check_form(request, caller)
    await desk.ask(desk.service.end_session, caller.session)
    root = request.scope.get("root_path", "")
    answer = RedirectResponse(f"{root}/login", SEE_OTHER)
    answer.delete_cookie(cookie_name(desk.options), path=root or "/")
    return answer
