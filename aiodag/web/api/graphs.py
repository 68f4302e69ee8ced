"""The graph of a run, in each form. What an ended run looks like changes no more, so its pictures are kept for a while."""

import hashlib
from typing import Any, Literal

from aiodag.records import RunRecord
from aiodag.service.drawing import drawing_of
from aiodag.web.access import Reader
from aiodag.web.answers import PRIVATE
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.kept_pictures import Picture
from aiodag.web.paths import RunId

graphs_api = APIRouter(tags=["runs"])

FORMS = {"json": "application/json", "svg": "image/svg+xml", "mermaid": "text/plain", "dot": "text/vnd.graphviz"}
DRAWN_AS = {"mermaid": "mmd"}  # where `drawing_of` has another word
# A picture shows names that anybody may have given: opened by itself, it runs and loads nothing.
INERT = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The graph.", "content": {media: {} for media in FORMS.values()}},
    304: {"description": "It is as it was: for a request with `If-None-Match`."},
}

FormName = Literal["json", "svg", "mermaid", "dot"]


@graphs_api.get("/runs/{run_id}/graph.{form}", operation_id="graph", response_class=Response, responses=ANSWERS)
async def show_graph(run_id: RunId, form: FormName, desk: AtDesk, _: Reader, request: Request) -> Response:
    """Return the graph of a run as JSON, SVG, Mermaid or DOT. More than 1,000 nodes are drawn by task."""
    run = await desk.ask(desk.service.head, run_id)
    mark = picture_mark(run, form, desk.service.place)
    headers = {**PRIVATE, **INERT} | ({"ETag": f'"{mark}"', "Cache-Control": "private, no-cache"} if mark else {})
    if mark and f'"{mark}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    picture = desk.pictures.find(mark)
    if picture is None:
        picture = await desk.draw(draw_picture, desk, run, form, mark)
        desk.pictures.keep(picture)
    return Response(picture.content, media_type=FORMS[form], headers=headers)


def picture_mark(run: RunRecord, form: str, place: str) -> str:
    """Return what stands for the picture of a run; nothing for one that has not ended, which changes all the time."""
    if run.ended_at is None:
        return ""
    told = (place, run.id, run.created_at, run.execution, run.generation, run.ended_at, run.state, form)
    return hashlib.blake2b(repr(told).encode("utf-8", "replace"), digest_size=16).hexdigest()


def draw_picture(desk: Desk, run: RunRecord, form: str, mark: str) -> Picture:
    """Draw the graph of a run, as it is now or was a moment ago."""
    content = drawing_of(desk.graphs.graph(run), DRAWN_AS.get(form, form))
    return Picture(mark, content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
