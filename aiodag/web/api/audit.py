"""Who has changed what."""

from typing import Annotated
from urllib.parse import urlencode

from aiodag.access import AuditRecord
from aiodag.service.access_documents import audit_document
from aiodag.web.access import Operator
from aiodag.web.answers import json_answer
from aiodag.web.desk import AtDesk
from aiodag.web.fastapi import APIRouter, Query, Request, Response

audit_api = APIRouter(tags=["audit"])

LARGEST = 2**53
Who = Annotated[str | None, Query(max_length=500, description="The name of a token.")]
About = Annotated[str | None, Query(max_length=500, description="Such as the id of a run, or the name of a schedule.")]
Below = Annotated[int | None, Query(ge=0, le=LARGEST, description="Only lines with a smaller number.")]
Most = Annotated[int, Query(ge=1, le=1000, description="How many lines.")]


@audit_api.get("/audit", operation_id="audit")
async def list_audit(
    request: Request,
    desk: AtDesk,
    _: Operator,
    who: Who = None,
    about: About = None,
    before: Below = None,
    limit: Most = 100,
) -> Response:
    """Return audit lines, newest first. The next page is in the header `Link`."""
    found = await desk.ask(desk.service.audit, limit=limit + 1, before=before, who=who, about=about)
    lines, rest = found[:limit], found[limit:]
    headers = {"Link": f'<{older_lines(request, lines)}>; rel="next"'} if rest else {}
    return json_answer([audit_document(each) for each in lines], headers=headers)


def older_lines(request: Request, lines: list[AuditRecord]) -> str:
    """Return the address of the page after some lines."""
    asked = {name: value for name, value in request.query_params.items() if name in {"who", "about", "limit"} and value}
    return f"?{urlencode({**asked, 'before': lines[-1].number})}"
