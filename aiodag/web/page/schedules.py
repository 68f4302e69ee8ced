"""The pages of schedules: when each is due, what became of its moments, and what can be done with it."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from aiodag.complaint import Complaint
from aiodag.errors import AiodagError, NotFound, OptionError
from aiodag.service import Service
from aiodag.web.access import Operator, Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.forms import form_sent
from aiodag.web.page.beginning import integer_typed, moment_typed
from aiodag.web.page.rendering import render, see_other
from aiodag.web.page.schedule_views import list_schedules, view_schedule, zone_of_schedule
from aiodag.web.page.searching import SearchText
from aiodag.web.paths import AnyName, BackfillNumber, path_part
from aiodag.web.problems import Problem

schedules_pages = APIRouter()
# What a schedule can be told: how, and the notice that says that it was.
CHANGES: Mapping[str, tuple[Callable[[Service, str], Any], str]] = {
    "pause": (Service.pause_schedule, "schedule-paused"),
    "resume": (Service.resume_schedule, "schedule-resumed"),
}


@schedules_pages.get("/schedules")
async def open_schedules(
    request: Request, desk: AtDesk, _: Reader, text: SearchText = "", after: SearchText = ""
) -> Response:
    """Answer with the list of schedules."""
    return await desk.ask(write_schedules, request, desk, text, after)


def write_schedules(request: Request, desk: Desk, text: str, after: str) -> Response:
    """Return the list of schedules as a page."""
    found = list_schedules(desk.service, text, after)
    return render(request, "schedules.html", title="Schedules", section="schedules", found=found, text=text)


@schedules_pages.get("/schedules/{name}")
async def open_schedule(request: Request, desk: AtDesk, _: Reader, name: AnyName) -> Response:
    """Answer with the page of one schedule."""
    return await desk.ask(write_schedule, request, desk, name)


def write_schedule(
    request: Request, desk: Desk, name: str, typed: Mapping[str, str] | None = None, wrong: str = "", status: int = 200
) -> Response:
    """Return the page of one schedule."""
    view = view_schedule(desk.service, name)
    complaints = [Complaint("", wrong)] if wrong else []
    words = {"view": view, "typed": typed or {}, "complaints": complaints}
    return render(request, "schedule.html", title=name, section="schedules", status=status, **words)


@schedules_pages.post("/schedules/{name}/run")
async def run_schedule_now(request: Request, desk: AtDesk, _: Operator, name: AnyName) -> Response:
    """Make a run of a schedule for this moment, and lead to it."""
    run_id = await desk.think(desk.intake.run_schedule, name)
    return see_other(request, f"/runs/{path_part(run_id)}", "submitted")


@schedules_pages.get("/schedules/{name}/backfill")
async def return_to_schedule(request: Request, _: Reader, name: AnyName) -> Response:
    """Lead back to the schedule: who reloads what came of its form wants that."""
    return see_other(request, f"/schedules/{path_part(name)}")


@schedules_pages.post("/schedules/{name}/backfill")
async def begin_backfill(request: Request, desk: AtDesk, _: Operator, name: AnyName) -> Response:
    """Have runs made of moments of the past, as a form says."""
    typed = await form_sent(request)
    return await desk.think(backfill_as_typed, request, desk, name, typed)


def backfill_as_typed(request: Request, desk: Desk, name: str, typed: Mapping[str, str]) -> Response:
    """Put a backfill as a form says, or answer with what is wrong in it."""
    try:
        zone = zone_of_schedule(desk.service.schedule(name)) or "UTC"
        start, end = (bound_typed(option, typed.get(option, "").strip(), zone) for option in ("start", "end"))
        limit = limit_typed(typed.get("limit", "").strip() or "4")
        desk.intake.backfill(name, start, end, limit=limit, newest_first="newest_first" in typed)
    except NotFound:
        raise
    except (AiodagError, ValueError) as error:
        return write_schedule(request, desk, name, typed, str(error), 422)
    return see_other(request, f"/schedules/{path_part(name)}", "backfill-put")


def bound_typed(option: str, text: str, zone: str) -> str:
    """Return the first or the last moment of a backfill: a day, or a moment, in a zone where it says none. Raises `OptionError`."""
    try:
        bound = date.fromisoformat(text) if len(text) <= len("2024-01-31") else moment_typed(text, zone)
        return bound.isoformat()
    except ValueError:
        raise OptionError(option, text[:40], "a day or a moment, such as 2024-01-31 or 2024-01-31T08:30") from None


def limit_typed(text: str) -> int:
    """Return how many runs of a backfill go on at once. Raises `OptionError`."""
    try:
        return integer_typed(text)
    except ValueError:
        raise OptionError("limit", text[:40], "a whole number: the runs that go on at once") from None


@schedules_pages.post("/backfills/{number}/cancel")
async def end_backfill(request: Request, desk: AtDesk, _: Operator, number: BackfillNumber) -> Response:
    """End a backfill: it makes no more runs."""
    record = await desk.ask(desk.service.backfill_numbered, number)
    await desk.ask(desk.service.cancel_backfill, number)
    return see_other(request, f"/schedules/{path_part(record.schedule)}", "backfill-ended")


@schedules_pages.post("/schedules/{name}/{change}")
async def change_schedule(request: Request, desk: AtDesk, _: Operator, name: AnyName, change: AnyName) -> Response:
    """Pause a schedule, or have it go on."""
    if change not in CHANGES:
        raise Problem(404, f"a schedule cannot be told to {change}: there are run, {', '.join(CHANGES)}")
    method, notice = CHANGES[change]
    await desk.ask(method, desk.service, name)
    typed = await form_sent(request)
    address = "/schedules" if typed.get("back") == "list" else f"/schedules/{path_part(name)}"
    return see_other(request, address, notice)
