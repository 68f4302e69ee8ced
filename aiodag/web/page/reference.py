"""The pages of what can be asked over HTTP: for people, and as OpenAPI has it for programs. Neither loads from another host."""

from typing import Any

from aiodag.web.access import Reader
from aiodag.web.answers import json_answer
from aiodag.web.desk import AtDesk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.openapi import openapi_document
from aiodag.web.page.rendering import render
from aiodag.web.reference import api_operations

reference_pages = APIRouter()


@reference_pages.get("/openapi.json")
async def answer_description(request: Request, desk: AtDesk, _: Reader) -> Response:
    """Answer with the description of the API."""
    return json_answer(await desk.ask(read_description, request))


@reference_pages.get("/docs")
async def open_api_page(request: Request, desk: AtDesk, _: Reader) -> Response:
    """Answer with what can be asked over HTTP."""
    return await desk.ask(write_reference, request)


def write_reference(request: Request) -> Response:
    """Return what can be asked over HTTP as a page."""
    groups = api_operations(read_description(request))
    return render(request, "reference.html", title="API", section="docs", groups=groups)


def read_description(request: Request) -> dict[str, Any]:
    """Return the description of the API. The first time takes long enough to hold others up, so not on the loop."""
    return openapi_document(request.app, request.scope.get("root_path", ""))
