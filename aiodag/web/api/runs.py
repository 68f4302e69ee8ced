"""Runs: the list of them, and how one begins."""

from aiodag.service.documents import Document, run_document
from aiodag.web.access import Reader
from aiodag.web.answers import json_answer
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Response

runs_api = APIRouter(tags=["runs"])


@runs_api.get("/runs", operation_id="runs")
async def list_runs(desk: AtDesk, _: Reader) -> Response:
    """Return the newest runs, oldest first."""
    return json_answer(await desk.ask(read_runs, desk))


def read_runs(desk: Desk) -> list[Document]:
    """Return the newest runs."""
    return [run_document(each) for each in desk.service.runs(limit=100)]
