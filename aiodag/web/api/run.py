"""One run: what is recorded of it, and what becomes of it."""

from collections.abc import Mapping
from typing import Annotated

from aiodag.service.documents import output_document, run_document, wait_documents
from aiodag.web.access import Operator, Reader
from aiodag.web.answers import json_answer
from aiodag.web.cursors import next_page
from aiodag.web.desk import AtDesk
from aiodag.web.excerpts import (
    cancel_one,
    delete_one,
    read_lines,
    read_node,
    read_nodes,
    read_output_page,
    read_plain_value,
)
from aiodag.web.fastapi import APIRouter, Query, Request, Response
from aiodag.web.listings import NodeQuery, OutputQuery, PageQuery
from aiodag.web.paths import NodeName, RunId
from aiodag.web.schemas import (
    CancelAnswer,
    ChangeAnswer,
    DefinitionAnswer,
    LineAnswer,
    NodeAnswer,
    NodeAttemptAnswer,
    OutputAnswer,
    RunAnswer,
    WaitAnswer,
)

run_api = APIRouter(tags=["runs"])


@run_api.get("/runs/{run_id}", operation_id="run", response_model=RunAnswer)
async def show_run(run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Return one run, with how many of its nodes are in each state."""
    return json_answer(run_document(await desk.ask(desk.service.run, run_id)))


@run_api.get("/runs/{run_id}/nodes", operation_id="nodes", response_model=list[NodeAnswer])
async def list_nodes(
    run_id: RunId, desk: AtDesk, _: Reader, request: Request, query: Annotated[NodeQuery, Query()]
) -> Response:
    """Return the nodes of the last execution of a run with their attempts, by number: one page of them."""
    documents, last = await desk.ask(read_nodes, desk.service, run_id, query)
    return json_answer(documents, headers=page_link(request, last))


@run_api.get("/runs/{run_id}/nodes/{node}", operation_id="node", response_model=NodeAnswer)
async def show_node(run_id: RunId, node: NodeName, desk: AtDesk, _: Reader) -> Response:
    """Return one node, given by its number, task or label, with all its attempts."""
    return json_answer(await desk.ask(read_node, desk.service, run_id, node))


@run_api.get("/runs/{run_id}/nodes/{node}/value", operation_id="value")
async def show_node_value(run_id: RunId, node: NodeName, desk: AtDesk, _: Reader) -> Response:
    """Return the value of a node that has succeeded. What JSON has no word for becomes text."""
    return json_answer(await desk.ask(read_plain_value, desk.service, run_id, node))


@run_api.get("/runs/{run_id}/attempts", operation_id="attempts", response_model=list[NodeAttemptAnswer])
async def list_attempts(
    run_id: RunId, desk: AtDesk, _: Reader, request: Request, query: Annotated[NodeQuery, Query()]
) -> Response:
    """Return the attempts of the nodes of a run, those of earlier executions included, by node: one page of nodes."""
    documents, last = await desk.ask(read_nodes, desk.service, run_id, query)
    found = [{"node": each["number"], **attempt} for each in documents for attempt in each["attempts"]]
    return json_answer(found, headers=page_link(request, last))


@run_api.get("/runs/{run_id}/output", operation_id="output", response_model=list[OutputAnswer])
async def list_output(
    run_id: RunId, desk: AtDesk, _: Reader, request: Request, query: Annotated[OutputQuery, Query()]
) -> Response:
    """Return the parts of what commands wrote, in order: one page of them. `after` is the `part` of the last one that was seen."""
    parts, last = await desk.ask(read_output_page, desk.service, run_id, query)
    return json_answer(list(map(output_document, parts)), headers=page_link(request, last))


@run_api.get("/runs/{run_id}/logs", operation_id="logs", response_model=list[LineAnswer])
async def list_lines(
    run_id: RunId, desk: AtDesk, _: Reader, request: Request, query: Annotated[PageQuery, Query()]
) -> Response:
    """Return the lines that bodies logged, in order: one page of them. `after` is the `part` of the last one that was seen."""
    lines, last = await desk.ask(read_lines, desk.service, run_id, query)
    return json_answer(lines, headers=page_link(request, last))


@run_api.get("/runs/{run_id}/waits", operation_id="waits_of", response_model=list[WaitAnswer])
async def list_waits_of_run(run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Return what a run waits for outside."""
    return json_answer(await desk.ask(lambda: wait_documents(desk.service.waits_of(desk.service.head(run_id)))))


@run_api.get("/runs/{run_id}/definitions", operation_id="definitions", response_model=list[DefinitionAnswer])
async def list_definitions(run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Return the texts that a run was built from, oldest first, each with the first execution that had it."""
    found = await desk.ask(desk.service.definitions, run_id)
    return json_answer([{"execution": execution, "definition": text} for execution, text in found])


@run_api.get("/runs/{run_id}/changes", operation_id="changes", response_model=list[ChangeAnswer])
async def list_changes(run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Return what each definition of a run changed, as names of tasks."""
    return json_answer([each._asdict() for each in await desk.ask(desk.service.changes, run_id)])


@run_api.post("/runs/{run_id}/cancel", operation_id="cancel", response_model=CancelAnswer)
async def answer_cancel(run_id: RunId, desk: AtDesk, _: Operator) -> Response:
    """Ask the owner of a run to cancel it. `asked` is false for a run that had ended before."""
    return json_answer(await desk.ask(cancel_one, desk.service, run_id))


@run_api.delete("/runs/{run_id}", operation_id="delete", status_code=204)
async def answer_delete(run_id: RunId, desk: AtDesk, _: Operator) -> Response:
    """Delete a run with everything that belongs to it. One that goes on has to be cancelled first."""
    await desk.ask(delete_one, desk.service, run_id)
    return Response(status_code=204)


def page_link(request: Request, last: int | None) -> Mapping[str, str]:
    """Return the header that says where the next page is, behind a number; none where there is no other."""
    return {} if last is None else next_page(request, after=last)
