"""Runs: the list of them, and how one begins."""

from typing import Annotated

from aiodag.errors import UnknownRun
from aiodag.records import RunRecord
from aiodag.service.documents import run_document
from aiodag.web.access import Reader
from aiodag.web.answers import json_answer
from aiodag.web.cursors import cursor_behind, next_page, run_cursor
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Query, Request, Response
from aiodag.web.listings import RunQuery, aware_moment, pairs_asked
from aiodag.web.schemas import RunAnswer

runs_api = APIRouter(tags=["runs"])


@runs_api.get("/runs", operation_id="runs", response_model=list[RunAnswer])
async def list_runs(desk: AtDesk, _: Reader, request: Request, query: Annotated[RunQuery, Query()]) -> Response:
    """Return the runs that meet all conditions, newest first: one page of them.

    If there are more, a header `Link` has the address of the next page, with `rel="next"`. Runs that are made meanwhile move no page.
    """
    found = await desk.ask(read_runs, desk, query)
    more = next_page(request, after=cursor_behind(found[query.limit - 1])) if len(found) > query.limit else {}
    return json_answer([run_document(each) for each in found[: query.limit]], headers=more)


def read_runs(desk: Desk, query: RunQuery) -> list[RunRecord]:
    """Return the runs of a page, newest first, and one more if there is one."""
    place = None if query.after is None else run_cursor(query.after)
    before, until = (None, query.until) if place is None else (place.run_id, query.until)
    for _ in range(2):
        try:
            return desk.service.runs(
                name=query.name,
                state=query.state,
                tags=pairs_asked("tag", query.tag),
                queue=query.queue,
                since=None if query.since is None else aware_moment(query.since),
                until=None if until is None else aware_moment(until),
                text=query.text,
                parent=query.parent,
                schedule=query.schedule,
                before=before,
                limit=query.limit + 1,
            )[::-1]
        except UnknownRun:
            if place is None:
                raise
            # Somebody has deleted the run that the page began behind: it goes on where that was.
            before, until = None, min(place.made_at, aware_moment(query.until or place.made_at))
    return []
