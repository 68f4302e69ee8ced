"""What happens, as a stream: in one run, and in all of them."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from aiodag.complaint import Complaint
from aiodag.errors import OptionError
from aiodag.service.feed import Event
from aiodag.service.feed_cursors import FeedStart, find_start
from aiodag.service.run_feed import KINDS, Wish
from aiodag.service.runs_feed import place_in_runs
from aiodag.web.access import Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.events import BEAT, EventStream, refuse_too_many
from aiodag.web.fastapi import APIRouter, Header, Query, Response
from aiodag.web.paths import RunId
from aiodag.web.problems import Problem

events_api = APIRouter(tags=["events"])

LONGEST_CURSOR = 200  # characters
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, until the client goes.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
NO_MORE: dict[int | str, dict[str, Any]] = {
    204: {"description": "The client has seen the end of the run already, and should not come again."}
}

After = Annotated[
    str | None,
    Query(max_length=LONGEST_CURSOR, description="Go on after the event of this id; without it, from the beginning."),
]
LastEventId = Annotated[
    str | None,
    Header(max_length=LONGEST_CURSOR, description="As `after`, which it goes before: browsers send it by themselves."),
]
Kinds = Annotated[
    str | None, Query(max_length=100, description=f"Which events, separated by commas: {', '.join(sorted(KINDS))}.")
]
OfNode = Annotated[
    int | None, Query(ge=0, lt=2**53, description="The number of the node of which lines and output are sent.")
]


@events_api.get("/events", operation_id="follow_all", status_code=200, responses=STREAM, response_class=EventStream)
async def stream_all(desk: AtDesk, _: Reader, after: After = None, last_event_id: LastEventId = None) -> Response:
    """Stream the runs that are queued, begin, move on and end: events `runs`, and `reset` where a list is to be loaded anew."""
    refuse_too_many(desk)
    cursor = last_event_id or after
    try:
        place_in_runs(cursor)
    except OptionError as error:
        raise refused_cursor(error) from None
    return EventStream(events_of_all(desk, cursor))


@events_api.get(
    "/runs/{run_id}/events",
    operation_id="follow",
    status_code=200,
    responses=STREAM | NO_MORE,
    response_class=EventStream,
)
async def stream_run(
    run_id: RunId,
    desk: AtDesk,
    _: Reader,
    after: After = None,
    kinds: Kinds = None,
    node: OfNode = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Stream what happens in a run: `run`, `moves` of nodes, `lines` that were logged, `output` of programs, and its `end`.

    Each line and each part of output is sent once, however often the connection is lost: go on after the last id.
    """
    refuse_too_many(desk)
    wish = Wish(wanted_kinds(kinds), node)
    try:
        beginning = await desk.ask(find_start, desk.service.store, run_id, last_event_id or after)
    except OptionError as error:
        raise refused_cursor(error) from None
    if beginning.has_seen_end:
        return Response(status_code=204)
    return EventStream(events_of_run(desk, run_id, beginning, wish))


def refused_cursor(error: OptionError) -> Problem:
    """Return the problem of a cursor that cannot be gone on from."""
    return Problem(400, str(error), error="OptionError")


def wanted_kinds(text: str | None) -> frozenset[str]:
    """Return the kinds of events that somebody names, or all."""
    if text is None:
        return KINDS
    found = frozenset(each.strip() for each in text.split(","))
    if not found <= KINDS:
        wanted = f"some of {', '.join(sorted(KINDS))}, separated by commas"
        raise Problem(422, f"kinds={text!r}: {wanted}", complaints=[Complaint("query.kinds", wanted)])
    return found


async def events_of_run(desk: Desk, run_id: str, beginning: FeedStart, wish: Wish) -> AsyncGenerator[list[Event]]:
    """Yield the events of a run, from the feed that all clients share."""
    async with desk.feeds.of_run(run_id, beginning.ended) as feed:
        async for events in feed.read(beginning.place, wish, BEAT):
            yield events


async def events_of_all(desk: Desk, cursor: str | None) -> AsyncGenerator[list[Event]]:
    """Yield the events of all runs."""
    async with desk.feeds.of_all() as feed:
        async for events in feed.read(cursor, BEAT):
            yield events
