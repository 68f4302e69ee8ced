"""The pages of workflows: which there are, what each asks for, and a run of it begun."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiodag.complaint import Complaint
from aiodag.errors import AiodagError, CycleError
from aiodag.service.document_graphs import graph_of_document
from aiodag.web.access import Operator, Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.forms import form_sent
from aiodag.web.jinja2 import mark_safe
from aiodag.web.page.beginning import begin_form, wanted_in_form
from aiodag.web.page.fields import PREFIX
from aiodag.web.page.rendering import render, root_path, see_other
from aiodag.web.page.run import MOST_OPENED
from aiodag.web.page.run_views import TableQuery, graph_address
from aiodag.web.page.searching import SearchText
from aiodag.web.page.static import page_drawing
from aiodag.web.page.workflow_views import WorkflowView, list_workflows, view_workflow
from aiodag.web.paths import AnyName, path_part
from aiodag.web.problems import problem_of
from aiodag.web.tracing import SUBMITTER, submitter_tags
from aiodag.web.visits import remark

workflows_pages = APIRouter()
CANNOT_WAIT = frozenset({404, 503})  # statuses of what has nothing to do with what was typed
MOST_DRAWN = 50_000  # tasks of a graph


@workflows_pages.get("/workflows")
async def open_workflows(
    request: Request, desk: AtDesk, _: Reader, text: SearchText = "", after: SearchText = ""
) -> Response:
    """Answer with the list of workflows."""
    return await desk.ask(write_workflows, request, desk, text, after)


def write_workflows(request: Request, desk: Desk, text: str, after: str) -> Response:
    """Return the list of workflows as a page."""
    found = list_workflows(desk.service, text, after)
    return render(request, "workflows.html", title="Workflows", section="workflows", found=found, text=text)


@workflows_pages.get("/workflows/{name}")
async def open_workflow(request: Request, desk: AtDesk, _: Reader, name: AnyName) -> Response:
    """Answer with the page of one workflow."""
    return await desk.ask(write_workflow, request, desk, name)


def write_workflow(request: Request, desk: Desk, name: str) -> Response:
    """Return the page of one workflow, with the form that begins a run of it."""
    return workflow_page(request, desk, view_workflow(desk.service, name))


@workflows_pages.get("/workflows/{name}/begin")
async def return_to_workflow(request: Request, _: Reader, name: AnyName) -> Response:
    """Lead back to the form: who reloads what came of one, or sends its address to somebody, wants that."""
    return see_other(request, f"/workflows/{path_part(name)}")


@workflows_pages.post("/workflows/{name}/begin")
async def begin_from_form(request: Request, desk: AtDesk, _: Operator, name: AnyName) -> Response:
    """Begin a run with what a form says, or answer with the form and what is wrong in it."""
    typed = await form_sent(request)
    return await desk.think(begin_as_typed, request, desk, name, typed)


def begin_as_typed(request: Request, desk: Desk, name: str, typed: Mapping[str, str]) -> Response:
    """Submit a run of a workflow as a form says, and lead to it."""
    view = view_workflow(desk.service, name)
    wanted = wanted_in_form(view, typed)
    if wanted.complaints:
        return workflow_page(request, desk, view, typed, wanted.complaints, status=422)
    try:
        tags = submitter_tags(request.headers.get(SUBMITTER)) | wanted.wishes.get("tags", {})
        run_id = desk.intake.submit(workflow=name, parameters=wanted.parameters, **wanted.wishes | {"tags": tags})
    except AiodagError as error:
        problem = problem_of(error, desk.service.place)
        if problem is None or problem.status in CANNOT_WAIT:
            raise
        found = problem.complaints or [Complaint("", problem.detail)]
        return workflow_page(request, desk, view, typed, *sorted_complaints(found, typed), status=problem.status)
    remark(request, about=run_id, workflow=name, parameters=sorted(wanted.parameters))
    return see_other(request, f"/runs/{path_part(run_id)}", "submitted")


def sorted_complaints(found: Sequence[Complaint], names: Mapping[str, str]) -> tuple[dict[str, str], list[Complaint]]:
    """Return which complaints belong to a field, by its name, and those that belong to none."""
    fields: dict[str, str] = {}
    others: list[Complaint] = []
    for each in found:
        parameter = PREFIX + each.place.rpartition("params.")[2]
        option = each.text.partition("=")[0]
        name = parameter if each.place and parameter in names else option if option in names else ""
        if name:
            fields[name] = each.text
        else:
            others.append(each)
    return fields, others


def workflow_page(
    request: Request,
    desk: Desk,
    view: WorkflowView,
    typed: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
    others: Sequence[Complaint] = (),
    *,
    status: int = 200,
) -> Response:
    """Return the page of a workflow with its form: empty, or as it was typed."""
    form = begin_form(desk.service, view, typed, wrong, others)
    drawn = drawing_of_document(request, view)
    words = {"view": view, "form": form, "drawn": drawn, "picture": drawn and mark_safe(drawn.picture)}
    return render(request, "workflow.html", title=view.row.name, section="workflows", status=status, **words)


def drawing_of_document(request: Request, view: WorkflowView) -> Any:
    """Return the graph of a workflow as a picture; None of one that has no tasks, or too many, or that runs in a circle."""
    if not 0 < (view.row.size or 0) <= MOST_DRAWN:
        return None
    address = f"{root_path(request)}/workflows/{path_part(view.row.name)}"
    query = TableQuery(opened=tuple(dict.fromkeys(request.query_params.getlist("open")))[:MOST_OPENED])

    def lead(key: int | str) -> str:
        return f"{address}#definition" if isinstance(key, int) else graph_address(address, query, key)

    try:
        return page_drawing().graph(graph_of_document(view.document), query.opened, lead)
    except CycleError:
        return None
