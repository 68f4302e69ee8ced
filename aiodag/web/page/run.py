"""The pages of one run: its graph and its nodes, when they ran, what it logged, what it was built from."""

from collections.abc import Callable
from typing import Any

from aiodag.records import RunRecord
from aiodag.service.feed_cursors import cursor_now
from aiodag.service.phrases import change_text, parked_counts, run_state
from aiodag.web.access import Operator, Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.excerpts import delete_one
from aiodag.web.fastapi import APIRouter, RedirectResponse, Request, Response
from aiodag.web.jinja2 import mark_safe
from aiodag.web.page.rendering import render, root_path, see_other
from aiodag.web.page.run_views import (
    TableQuery,
    failed_nodes,
    graph_address,
    held_up,
    may_cancel,
    may_resume,
    node_rows,
    node_times,
    run_address,
    run_facts,
    run_failures,
    shown_counts,
    wait_lines,
)
from aiodag.web.page.static import page_drawing
from aiodag.web.page.words import whole_or_ends
from aiodag.web.paths import RunId, path_part

run_pages = APIRouter()

MOST_OPENED = 50  # groups of the graph
PAGE_OF_LINES = 500  # of a log
MOST_CHILDREN_SHOWN = 20
LARGE = 2_000  # nodes, whose graph takes long to read


def node_query(request: Request) -> TableQuery:
    """Return what an address asks the table of nodes and the graph for."""
    asked = request.query_params
    after = asked.get("after", "")[:9]
    opened = tuple(dict.fromkeys(asked.getlist("open")))[:MOST_OPENED]
    number = int(after) if after.isascii() and after.isdigit() else 0
    return TableQuery(asked.get("state", ""), asked.get("text", "").strip()[:200], number, opened)


def run_frame(request: Request, desk: Desk, run: RunRecord, tab: str) -> dict[str, Any]:
    """Return what all pages of a run show of it."""
    address = run_address(root_path(request), run.id)
    return {
        "run": run,
        "tab": tab,
        "address": address,
        "events": events_address(request, run, "run,moves"),
        "says": run_state(run),
        "counts": dict(parked_counts(run)),
        "facts": run_facts(run),
        "held_up": list(held_up(desk.service, run)),
        "waits": wait_lines(desk.service.waits_of(run)),
        "children": desk.service.runs(parent=run.id, limit=MOST_CHILDREN_SHOWN)[::-1],
        "may_cancel": may_cancel(run),
        "may_resume": may_resume(run),
        "section": "runs",
    }


def events_address(request: Request, run: RunRecord, kinds: str, more: str = "") -> str:
    """Return where a page hears of what happens in a run that goes on; nothing of one that has ended."""
    if run.ended_at is not None:
        return ""
    return f"{root_path(request)}/api/v1/runs/{path_part(run.id)}/events?kinds={kinds}{more}"


def run_page(request: Request, desk: Desk, run: RunRecord) -> Response:
    """Write the page of a run; without its graph where only what changes is asked for."""
    graph, again = desk.graphs.look(run)
    query = node_query(request)
    words = run_frame(request, desk, run, "graph")
    address = words["address"]
    live = request.query_params.get("part") == "live"
    drawn = None if live else page_drawing().graph(graph, query.opened, lambda key: graph_address(address, query, key))
    rows = node_rows(graph, query)
    return render(
        request,
        "run.html",
        title=run.name,
        **words,
        picture=drawn and mark_safe(drawn.picture),
        drawn=drawn,
        failures=list(run_failures(desk.service, run, graph)),
        query=query,
        rows=rows,
        times={node.id: node_times(run, node, graph.now) for node in rows.nodes},
        node_counts=shown_counts(graph),
        again=round(1000 * again),
    )


def timeline_page(request: Request, desk: Desk, run: RunRecord) -> Response:
    """Write when the nodes of a run ran."""
    words = run_frame(request, desk, run, "timeline")
    found = page_drawing().timeline(
        desk.graphs.graph(run), lambda key: graph_address(words["address"], TableQuery(), key)
    )
    pictures = None if found is None else [mark_safe(each) for each in found]
    return render(request, "timeline.html", title=run.name, **words, pictures=pictures)


def log_page(request: Request, desk: Desk, run: RunRecord) -> Response:
    """Write the last lines of what a run logged and wrote, and of what failed in it."""
    place = cursor_now(desk.service.store, run.id)
    lines = desk.service.follow(run.id).look_at_all()
    words = run_frame(request, desk, run, "log")
    words["events"] = events_address(request, run, "run,lines,output", f"&after={place}")
    return render(
        request,
        "log.html",
        title=run.name,
        **words,
        lines=lines[-PAGE_OF_LINES:],
        more=max(0, len(lines) - PAGE_OF_LINES),
    )


def definition_page(request: Request, desk: Desk, run: RunRecord) -> Response:
    """Write what a run was built from, and what each edit has changed."""
    texts = dict(desk.service.definitions(run.id))
    changes = [
        (each.execution, change_text(each), texts.get(each.execution, "")) for each in desk.service.changes(run.id)
    ]
    return render(
        request,
        "definition.html",
        title=run.name,
        **run_frame(request, desk, run, "definition"),
        changes=[(execution, words, whole_or_ends(text)) for execution, words, text in reversed(changes)],
    )


async def write_page(
    write: Callable[[Request, Desk, RunRecord], Response], request: Request, desk: Desk, run_id: str
) -> Response:
    """Write a page of a run: of a large one where it takes no place of others. Raises `UnknownRun`."""
    run = await desk.ask(desk.service.run, run_id)
    place = desk.draw if sum(run.counts.values()) > LARGE else desk.ask
    return await place(write, request, desk, run)


@run_pages.get("/runs/{run_id}")
async def show_run_page(request: Request, run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Show a run."""
    return await write_page(run_page, request, desk, run_id)


@run_pages.get("/runs/{run_id}/timeline")
async def show_timeline(request: Request, run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Show when each node of a run ran."""
    return await write_page(timeline_page, request, desk, run_id)


@run_pages.get("/runs/{run_id}/log")
async def show_run_log(request: Request, run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Show what a run logged and wrote."""
    return await write_page(log_page, request, desk, run_id)


@run_pages.get("/runs/{run_id}/definition")
async def show_definition(request: Request, run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Show what a run was built from."""
    return await write_page(definition_page, request, desk, run_id)


@run_pages.post("/runs/{run_id}/cancel")
async def post_cancel(request: Request, run_id: RunId, desk: AtDesk, _: Operator) -> Response:
    """Cancel a run."""
    await desk.ask(desk.service.cancel, run_id)
    return see_other(request, f"/runs/{path_part(run_id)}", "cancelled")


@run_pages.post("/runs/{run_id}/resume")
async def post_resume(request: Request, run_id: RunId, desk: AtDesk, _: Operator) -> Response:
    """Queue a run again, as it is recorded."""
    await desk.think(desk.intake.requeue, run_id)
    return see_other(request, f"/runs/{path_part(run_id)}", "resumed")


@run_pages.post("/runs/{run_id}/delete")
async def post_delete(request: Request, run_id: RunId, desk: AtDesk, _: Operator) -> Response:
    """Delete a run that has ended."""
    await desk.ask(delete_one, desk.service, run_id)
    return see_other(request, "/runs", "deleted")


@run_pages.get("/runs/{run_id}/failed")
async def show_failed(request: Request, run_id: RunId, desk: AtDesk, _: Reader) -> Response:
    """Lead to the first node that failed; to the run itself where none did."""
    number = await desk.draw(first_failed, desk, run_id)
    address = run_address(root_path(request), run_id)
    return RedirectResponse(address if number is None else f"{address}/nodes/{number}")


def first_failed(desk: Desk, run_id: str) -> int | None:
    """Return the number of the first node of a run that failed by itself."""
    graph = desk.graphs.graph(desk.service.run(run_id))
    return next((node.id for node in failed_nodes(graph)), None)
