"""Numbers for Prometheus."""

from contextlib import suppress

from aiodag.web.access import Reader
from aiodag.web.desk import AtDesk, DeskBusy
from aiodag.web.fastapi import APIRouter, Response
from aiodag.web.prometheus_client import CONTENT_TYPE

metrics_routes = APIRouter(tags=["server"])


@metrics_routes.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"description": "What is counted.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def answer_metrics(desk: AtDesk, _: Reader) -> Response:
    """Answer with what is counted of the server and its store, as Prometheus reads it."""
    with suppress(DeskBusy):  # what is counted of the server is answered all the same
        await desk.metered.refresh(desk.ask)
    return Response(desk.meter.text(), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
