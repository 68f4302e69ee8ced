"""Workflows that have a name: registered ones, and those of the folders of definitions."""

from typing import Annotated, Any

from aiodag.service.declarations import parameter_schema
from aiodag.service.document_graphs import graph_of_document
from aiodag.service.documents import Document, workflow_document
from aiodag.service.drawing import drawing_of
from aiodag.service.listed_workflows import listed_document, listed_workflows, not_registered, whole_workflow
from aiodag.web.access import Operator, Reader
from aiodag.web.answers import PRIVATE, json_answer
from aiodag.web.api.graphs import DRAWN_AS, FORMS, INERT, FormName
from aiodag.web.bodies import RequestBody, body_of, takes
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.kept_schemas import OneWorkflowAnswer, WorkflowAnswer
from aiodag.web.listings import Word
from aiodag.web.paths import AnyName
from aiodag.web.pydantic import Field
from aiodag.web.visits import remark

workflows_api = APIRouter(tags=["workflows"])

GRAPH_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The graph.", "content": {media: {} for media in FORMS.values()}}
}


class WorkflowForm(RequestBody):
    """A definition to keep under its name, or under another. `member` is the name of one of several in it."""

    definition: dict[str, Any] | str = Field(description="The document, or its text in JSON or YAML.")
    name: str | None = None
    member: str | None = None
    source: Word = Field("", description="What the file of the definition is called: complaints begin with it.")
    replace: bool = Field(default=False, description="Put it in the place of the one that has its name.")


class PreviewForm(RequestBody):
    """The values that a workflow would be given."""

    parameters: dict[str, Any] | None = None


@workflows_api.get("/workflows", operation_id="workflows", response_model=list[WorkflowAnswer])
async def answer_named_workflows(desk: AtDesk, _: Reader) -> Response:
    """Return the workflows that have a name."""
    return json_answer(await desk.ask(read_workflows, desk))


@workflows_api.post(
    "/workflows",
    operation_id="register",
    status_code=201,
    openapi_extra=takes(WorkflowForm),
    response_model=WorkflowAnswer,
)
async def register_one(
    form: Annotated[WorkflowForm, body_of(WorkflowForm)], request: Request, desk: AtDesk
) -> Response:
    """Keep a definition under its name; all of it is checked, and nothing runs."""
    record = await desk.think(desk.intake.register, **form.model_dump())
    remark(request, about=record.name)
    return json_answer(workflow_document(record, 0, None), 201)


@workflows_api.get("/workflows/{name}", operation_id="workflow", response_model=OneWorkflowAnswer)
async def show_named_workflow(name: AnyName, desk: AtDesk, _: Reader) -> Response:
    """Return a workflow that has a name, with a JSON Schema of its parameters."""
    return json_answer(await desk.ask(read_workflow, desk, name))


@workflows_api.get(
    "/workflows/{name}/graph.{form}", operation_id="workflow_graph", response_class=Response, responses=GRAPH_ANSWERS
)
async def show_workflow_graph(name: AnyName, form: FormName, desk: AtDesk, _: Reader) -> Response:
    """Return the graph that a workflow says, as JSON, SVG, Mermaid or DOT: a node for each task or job."""
    content = await desk.draw(draw_named, desk, name, form)
    return Response(content, media_type=FORMS[form], headers={**PRIVATE, **INERT})


@workflows_api.post("/workflows/{name}/preview", operation_id="preview", openapi_extra=takes(PreviewForm))
async def preview_workflow(name: AnyName, form: Annotated[PreviewForm, body_of(PreviewForm)], desk: AtDesk) -> Response:
    """Return the graph of what a workflow would run with some parameters, as JSON. Its code is read for that, and nothing runs."""
    return json_answer(await desk.think(desk.intake.preview, workflow=name, parameters=form.parameters))


@workflows_api.delete("/workflows/{name}", operation_id="unregister", status_code=204)
async def unregister_one(name: AnyName, desk: AtDesk, _: Operator) -> Response:
    """Forget a workflow, but keep its runs."""
    if not await desk.ask(desk.service.unregister, name):
        raise await desk.ask(not_registered, desk.service, name)
    return Response(status_code=204)


def read_workflows(desk: Desk) -> list[Document]:
    """Return the workflows that have a name."""
    return list(map(listed_document, listed_workflows(desk.service)[0]))


def read_workflow(desk: Desk, name: str) -> Document:
    """Return one workflow. Raises `NotFound`."""
    document = whole_workflow(desk.service, name)
    return document | {"parameters": parameter_schema(document["definition"])}


def draw_named(desk: Desk, name: str, form: str) -> bytes:
    """Draw the graph of one workflow. Raises `NotFound`."""
    graph = graph_of_document(whole_workflow(desk.service, name)["definition"])
    content = drawing_of(graph, DRAWN_AS.get(form, form))
    return content if isinstance(content, bytes) else content.encode("utf-8", "replace")
