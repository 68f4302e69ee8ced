"""Whether the server is there, and whether it can reach its store."""

import logging

from aiodag.errors import StoreError, StoreUnreachable
from aiodag.web.answers import json_answer
from aiodag.web.desk import AtDesk, DeskBusy
from aiodag.web.fastapi import APIRouter, Response
from aiodag.web.problems import HEADERS_OF_STATUS, Problem

log = logging.getLogger("aiodag.web")

health_routes = APIRouter(tags=["server"])


@health_routes.get("/live", operation_id="live")
async def tell_alive() -> Response:
    """Answer that the server is there."""
    return json_answer({"live": True})


@health_routes.get("/ready", operation_id="ready", responses={503: {"description": "The store cannot be used."}})
async def tell_ready(desk: AtDesk) -> Response:
    """Answer whether the store can be read: anybody may ask, so the reason names neither its place nor what is in it."""
    try:
        await desk.ask(desk.service.runs, limit=1)
    except StoreUnreachable as error:
        raise not_ready("the store cannot be reached", error) from None
    except StoreError as error:
        raise not_ready("the store cannot be used: its tables are of another version, or damaged", error) from None
    except DeskBusy as error:
        raise not_ready("the store gives no answer", error) from None
    return json_answer({"ready": True})


def not_ready(reason: str, error: Exception) -> Problem:
    """Return the problem of a server that cannot do its work; the log has all of it."""
    log.warning("not ready: %s", error)
    return Problem(
        503, f"{reason}; the log of the server says more", error=type(error).__name__, headers=HEADERS_OF_STATUS[503]
    )
