"""The page of audit lines and tokens: who may, and who has changed what."""

from typing import Annotated

from aiodag.web.access import Operator
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Query, Request, Response
from aiodag.web.page.rendering import render, see_other
from aiodag.web.page.searching import SearchText
from aiodag.web.paths import AnyName

audit_pages = APIRouter()
LINES_OF_PAGE = 100
LARGEST_LINE = 2**53  # the number of an audit line that a store can be asked for


@audit_pages.get("/audit")
async def open_audit(
    request: Request,
    desk: AtDesk,
    _: Operator,
    who: SearchText = "",
    about: SearchText = "",
    before: Annotated[int | None, Query(ge=0, le=LARGEST_LINE)] = None,
) -> Response:
    """Answer with the newest audit lines."""
    return await desk.ask(write_audit, request, desk, who, about, before)


def write_audit(request: Request, desk: Desk, who: str, about: str, before: int | None) -> Response:
    """Return audit lines as a page, and the tokens."""
    lines = desk.service.audit(limit=LINES_OF_PAGE + 1, before=before, who=who or None, about=about or None)
    older = lines[LINES_OF_PAGE - 1].number if len(lines) > LINES_OF_PAGE else None
    return render(
        request,
        "audit.html",
        title="Audit",
        section="audit",
        lines=lines[:LINES_OF_PAGE],
        older=older,
        who=who,
        about=about,
        before=before,
        tokens=desk.service.tokens(),
    )


@audit_pages.post("/tokens/{name}/revoke")
async def revoke_from_page(request: Request, desk: AtDesk, _: Operator, name: AnyName) -> Response:
    """Revoke a token: whoever has it is let in no more."""
    await desk.ask(desk.service.revoke_token, name)
    return see_other(request, "/audit", "token-revoked")
