"""Who may do what: no request gets past here without a token or a session, but for what nobody needs one for.

request ──► OriginGuard ──► AdmissionGuard ──► may(role) ──► route
            foreign: 421,   nobody: 401, or    403, or its audit
            403             the login page     line is written
"""

import hmac
from typing import Annotated, Any
from urllib.parse import unquote

from aiodag.access import Caller, Role
from aiodag.errors import NotAdmitted, NotAllowed
from aiodag.service.access import form_token_of
from aiodag.web.admission import AdmissionGuard
from aiodag.web.desk import Desk, desk_of
from aiodag.web.fastapi import ASGIApp, Depends, Request
from aiodag.web.forms import form_sent
from aiodag.web.origins import SAFE, OriginGuard
from aiodag.web.problems import Problem
from aiodag.web.visits import Visit, visit_of

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
REFUSED = 403


def may(role: Role) -> Any:
    """Return the dependency of a route: its caller, who must have the role.

    What changes something by it gets its audit line here, before the route begins; see `remark`.
    """

    async def find_caller(request: Request) -> Caller:
        visit, changes = visit_of(request), role is Role.OPERATE and request.method not in SAFE
        if visit.caller is None:
            raise NotAdmitted("this address wants a token: send `Authorization: Bearer TOKEN`")
        allowed = visit.caller.role.allows(role)
        if changes and visit.line is None:
            await write_audit_line(request, desk_of(request), visit)
        if not allowed:
            msg = f"token {visit.caller.name!r} may {visit.caller.role} only: this wants one with the role {role}"
            raise NotAllowed(msg)
        if changes and visit.caller.session:
            await check_form(request, visit.caller)
        return visit.caller

    return Depends(find_caller)


Reader = Annotated[Caller, may(Role.READ)]  # a parameter of a route
Operator = Annotated[Caller, may(Role.OPERATE)]


async def write_audit_line(request: Request, desk: Desk, visit: Visit) -> None:
    """Write the audit line of what a request asks for: what cannot be written down is not done."""
    assert visit.caller is not None
    route = request.scope["route"]
    about, *others = map(unquote, request.path_params.values()) if request.path_params else ("",)
    visit.line = await desk.ask(
        desk.service.note_request,
        visit.caller,
        route.operation_id or route.name,
        about,
        address=visit.address,
        details={"also": others} if others else None,
    )


async def check_form(request: Request, caller: Caller) -> None:
    """Refuse a change that a browser sends, unless it comes from a page of its session. Raises `Problem`."""
    sent = request.headers.get("x-form-token", "")
    if not sent and request.headers.get("content-type", "").partition(";")[0].strip().lower() in FORMS:
        sent = (await form_sent(request)).get("form", "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), form_token_of(caller.session).encode()):
        raise Problem(REFUSED, "this form is not one of your session: open the page again, and send it from there")


def guard_application(application: ASGIApp, desk: Desk) -> ASGIApp:
    """Return an application with what stands before all of its routes."""
    return OriginGuard(AdmissionGuard(application, desk), desk.options)
