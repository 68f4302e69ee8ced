"""The pages of what can be asked over HTTP: for people, and as OpenAPI has it for programs. Neither loads from another host."""

from aiodag.web.access import Reader
from aiodag.web.answers import json_answer
from aiodag.web.desk import AtDesk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.openapi import openapi_document
from aiodag.web.page.rendering import render
from aiodag.web.reference import api_operations

reference_pages = APIRouter()


@reference_pages.get("/openapi.json")
async def answer_description(request: Request, _: Reader) -> Response:
    """Answer with the description of the API."""
    return json_answer(openapi_document(request.app, request.scope.get("root_path", "")))


@reference_pages.get("/docs")
async def open_api_page(request: Request, desk: AtDesk, _: Reader) -> Response:
    """Answer with what can be asked over HTTP."""
    groups = api_operations(openapi_document(request.app, request.scope.get("root_path", "")))
    return await desk.ask(render, request, "reference.html", title="API", section="docs", groups=groups)
