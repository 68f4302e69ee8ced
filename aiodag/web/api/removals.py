"""What is deleted by name, by age or by count."""

from typing import Annotated

from aiodag.service.documents import Document
from aiodag.service.registry import Meant
from aiodag.web.answers import json_answer
from aiodag.web.bodies import RequestBody, body_of, takes
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.problems import Problem
from aiodag.web.pydantic import BaseModel, Field
from aiodag.web.visits import remark

removals_api = APIRouter(tags=["runs"])

MOST_REMOVED = 1_000  # ids and names in one request


class Removal(RequestBody):
    """What is to go: `which`, ids of runs and names; or ended runs by `older`, in seconds, by `keep`, or by both."""

    which: list[Annotated[str, Field(max_length=500)]] = Field(default_factory=list, max_length=MOST_REMOVED)
    older: float | None = Field(default=None, ge=0, le=1e11)
    keep: int | None = Field(default=None, ge=0, le=2**31)


class Removed(BaseModel):
    """What is gone: ids of runs, names of workflows, names of schedules."""

    deleted: list[str]
    workflows: list[str]
    schedules: list[str] = Field(default_factory=list)


@removals_api.post("/removals", operation_id="prune", openapi_extra=takes(Removal), response_model=Removed)
async def remove_runs(removal: Annotated[Removal, body_of(Removal)], request: Request, desk: AtDesk) -> Response:
    """Delete runs with everything that belongs to them, and the workflows and schedules that are called like one of `which`.

    Nothing is deleted if one of `which` is unknown or goes on. What is answered is what `aiodag delete --json` prints.
    """
    by_age = removal.older is not None or removal.keep is not None
    if by_age == bool(removal.which):
        raise Problem(422, "give either `which`, or `older`, `keep` or both")
    remark(request, about=removal.which[0] if len(removal.which) == 1 else None, which=removal.which[:20])
    return json_answer(await desk.draw(remove_asked, desk, removal))


def remove_asked(desk: Desk, removal: Removal) -> Document:
    """Delete what was asked for, and return what is gone."""
    if removal.which:
        return removed_document(desk.service.forget(*removal.which))
    return {"deleted": desk.service.prune(older=removal.older, keep=removal.keep), "workflows": []}


def removed_document(gone: Meant) -> Document:
    """Return for JSON what was deleted."""
    found = {"deleted": [run.id for run in gone.runs], "workflows": [each.name for each in gone.workflows]}
    return found | ({"schedules": list(gone.schedules)} if gone.schedules else {})
