"""Whether the server is there, and whether it can reach its store."""

from aiodag.web.answers import json_answer
from aiodag.web.fastapi import APIRouter, Response

health_routes = APIRouter(tags=["server"])


@health_routes.get("/live", operation_id="live")
async def tell_alive() -> Response:
    """Answer that the server is there."""
    return json_answer({"live": True})
