"""The pages of queues and workers."""

from collections.abc import Callable, Mapping

from aiodag.complaint import Complaint
from aiodag.errors import OptionError
from aiodag.service import Service
from aiodag.web.access import Operator, Reader
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Request, Response
from aiodag.web.forms import form_sent
from aiodag.web.page.beginning import integer_typed
from aiodag.web.page.queue_views import gone_processes, list_queues
from aiodag.web.page.rendering import render, see_other
from aiodag.web.paths import AnyName
from aiodag.web.problems import Problem

queues_pages = APIRouter()
QUEUE_CHANGES: Mapping[str, tuple[Callable[[Service, str], None], str]] = {
    "pause": (Service.pause_queue, "queue-paused"),
    "resume": (Service.resume_queue, "queue-resumed"),
    "drain": (Service.drain_queue, "queue-draining"),
}


@queues_pages.get("/queues")
async def open_queues(request: Request, desk: AtDesk, _: Reader) -> Response:
    """Answer with the list of queues."""
    return await desk.ask(write_queues, request, desk)


def write_queues(
    request: Request, desk: Desk, typed: Mapping[str, str] | None = None, wrong: str = "", status: int = 200
) -> Response:
    """Return the list of queues as a page, with the form that adds one."""
    rows = list_queues(desk.service)
    complaints = [Complaint("", wrong)] if wrong else []
    words = {"rows": rows, "typed": typed or {}, "complaints": complaints}
    return render(request, "queues.html", title="Queues", section="queues", status=status, **words)


@queues_pages.post("/queues")
async def put_queue_typed(request: Request, desk: AtDesk, _: Operator) -> Response:
    """Make a queue, or change its rate, as a form says."""
    typed = await form_sent(request)
    return await desk.ask(add_queue_typed, request, desk, typed)


def add_queue_typed(request: Request, desk: Desk, typed: Mapping[str, str]) -> Response:
    """Add a queue as a form says, or answer with what is wrong in it."""
    try:
        rate = typed.get("rate", "").strip()
        per = seconds_typed(typed.get("per", "").strip() or "1")
        desk.service.add_queue(typed.get("name", ""), rate=integer_typed(rate) if rate else None, per=per)
    except (OptionError, ValueError) as error:
        return write_queues(request, desk, typed, str(error), 422)
    return see_other(request, "/queues", "queue-put")


def seconds_typed(text: str) -> float:
    """Return a number of seconds. Raises `ValueError`."""
    try:
        return float(text)
    except ValueError:
        msg = f"{text[:40]!r} is not a number of seconds"
        raise ValueError(msg) from None


@queues_pages.post("/queues/{name}/{change}")
async def change_queue_state(request: Request, desk: AtDesk, _: Operator, name: AnyName, change: AnyName) -> Response:
    """Pause a queue, have it go on, or have it take nothing more."""
    if change not in QUEUE_CHANGES:
        raise Problem(404, f"a queue cannot be told to {change}: there are {', '.join(QUEUE_CHANGES)}")
    method, notice = QUEUE_CHANGES[change]
    await desk.ask(method, desk.service, name)
    return see_other(request, "/queues", notice)


@queues_pages.get("/workers")
async def open_workers(request: Request, desk: AtDesk, _: Reader) -> Response:
    """Answer with the list of workers."""
    return await desk.ask(write_workers, request, desk)


def write_workers(request: Request, desk: Desk) -> Response:
    """Return the list of workers as a page, with those that left runs behind."""
    workers, gone = desk.service.workers(), gone_processes(desk.service)
    return render(request, "workers.html", title="Workers", section="workers", workers=workers, gone=gone)
