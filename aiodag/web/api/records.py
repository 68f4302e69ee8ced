"""Records as they are stored, for a `Service` on another machine."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from aiodag.service.remote_forms import LINES, lines_of_records
from aiodag.service.remote_hearing import happenings_in
from aiodag.service.remote_looks import LOOKS, look_at_store
from aiodag.web.access import Reader
from aiodag.web.answers import PRIVATE
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.events import refuse_too_many
from aiodag.web.fastapi import APIRouter, Path, Query, Response, StreamingResponse

records_api = APIRouter(tags=["records"])

What = Annotated[str, Path(description="What is asked for.", json_schema_extra={"enum": list(LOOKS)})]


@records_api.get("/records/happenings", operation_id="happenings", response_class=Response)
async def tell_happenings(desk: AtDesk, _: Reader) -> Response:
    """Tell what happens in the store, by server-sent events: a hint to look again, for clients that wait for something."""
    refuse_too_many(desk)
    return StreamingResponse(hint_events(desk), media_type="text/event-stream", headers=PRIVATE)


async def hint_events(desk: Desk) -> AsyncGenerator[str]:
    """Yield each hint as an event, and a comment where there is none."""
    with desk.streaming():
        async with aclosing(happenings_in(desk.service)) as news:
            async for heard in news:
                yield f"data: {' '.join(sorted(heard))}\n\n" if heard else ": nothing\n\n"


@records_api.get("/records/{what}", operation_id="records", response_class=Response)
async def answer_records(
    what: What,
    desk: AtDesk,
    _: Reader,
    ask: Annotated[str, Query(description="The arguments, as a JSON object.", max_length=60_000)] = "{}",
) -> Response:
    """Answer with records as the store has them, one in a line: for the client of aiodag, which makes of them what it makes of its own.

    The documents of other addresses stay as they are; these lines change with the version.
    """
    found = await desk.ask(look_at_store, desk.service.store, what, ask)
    return StreamingResponse(lines_of_records(found), media_type=LINES, headers=PRIVATE)
