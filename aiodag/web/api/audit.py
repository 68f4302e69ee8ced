"""Who has changed what."""

from typing import Annotated

from aiodag.service.access_documents import audit_document
from aiodag.web.access import Operator
from aiodag.web.answers import json_answer
from aiodag.web.cursors import next_page
from aiodag.web.desk import AtDesk
from aiodag.web.fastapi import APIRouter, Query, Request, Response
from aiodag.web.listings import PAGE_LARGEST, ListQuery, Word
from aiodag.web.pydantic import Field

audit_api = APIRouter(tags=["audit"])


class AuditQuery(ListQuery):
    """Which audit lines are wanted: those that meet all conditions."""

    who: Word | None = Field(None, description="The name of a token.")
    about: Word | None = Field(None, description="Such as the id of a run, or the name of a schedule.")
    before: int | None = Field(None, ge=0, lt=2**63, description="Only lines with a smaller number.")
    limit: int = Field(100, ge=1, le=PAGE_LARGEST, description="How many lines.")


@audit_api.get("/audit", operation_id="audit")
async def list_audit(request: Request, desk: AtDesk, _: Operator, query: Annotated[AuditQuery, Query()]) -> Response:
    """Return audit lines, newest first. The next page is in the header `Link`."""
    found = await desk.ask(
        desk.service.audit, limit=query.limit + 1, before=query.before, who=query.who, about=query.about
    )
    lines = found[: query.limit]
    headers = next_page(request, before=lines[-1].number) if len(found) > len(lines) else {}
    return json_answer([audit_document(each) for each in lines], headers=headers)
