"""Queues, and the workers that take runs from them."""

from typing import Annotated

from aiodag.service.documents import Document, queue_documents, worker_documents
from aiodag.web.access import Operator, Reader
from aiodag.web.answers import json_answer
from aiodag.web.bodies import RequestBody, body_of, takes
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Response
from aiodag.web.kept_schemas import QueueAnswer, WorkerAnswer
from aiodag.web.paths import AnyName
from aiodag.web.pydantic import Field

queues_api = APIRouter(tags=["queues"])


class QueueForm(RequestBody):
    """How many runs of a queue begin: at most `rate` in `per` seconds, evenly spaced; any number without a rate."""

    rate: int | None = Field(None, ge=1, lt=2**31)
    per: float = Field(1.0, gt=0, le=1e9)


@queues_api.get("/queues", operation_id="queues", response_model=list[QueueAnswer])
async def answer_queues(desk: AtDesk, _: Reader) -> Response:
    """Return the queues that were added, or have runs that wait or go on."""
    return json_answer(queue_documents(await desk.ask(desk.service.queues)))


@queues_api.put("/queues/{name}", operation_id="add_queue", openapi_extra=takes(QueueForm), response_model=QueueAnswer)
async def add_one_queue(name: AnyName, form: Annotated[QueueForm, body_of(QueueForm)], desk: AtDesk) -> Response:
    """Make a queue, or change its rate."""
    await desk.ask(desk.service.add_queue, name, rate=form.rate, per=form.per)
    return json_answer(await desk.ask(read_queue, desk, name))


@queues_api.post("/queues/{name}/pause", operation_id="pause_queue", response_model=QueueAnswer)
async def pause_one_queue(name: AnyName, desk: AtDesk, _: Operator) -> Response:
    """Have no worker take runs from a queue. What was taken goes on."""
    await desk.ask(desk.service.pause_queue, name)
    return json_answer(await desk.ask(read_queue, desk, name))


@queues_api.post("/queues/{name}/resume", operation_id="resume_queue", response_model=QueueAnswer)
async def resume_one_queue(name: AnyName, desk: AtDesk, _: Operator) -> Response:
    """Have a queue take and give runs again."""
    await desk.ask(desk.service.resume_queue, name)
    return json_answer(await desk.ask(read_queue, desk, name))


@queues_api.post("/queues/{name}/drain", operation_id="drain_queue", response_model=QueueAnswer)
async def drain_one_queue(name: AnyName, desk: AtDesk, _: Operator) -> Response:
    """Refuse what is submitted to a queue from now on; what waits is worked off."""
    await desk.ask(desk.service.drain_queue, name)
    return json_answer(await desk.ask(read_queue, desk, name))


@queues_api.get("/workers", operation_id="workers", response_model=list[WorkerAnswer])
async def answer_workers(desk: AtDesk, _: Reader) -> Response:
    """Return the workers that are there."""
    return json_answer(worker_documents(await desk.ask(desk.service.workers)))


def read_queue(desk: Desk, name: str) -> Document:
    """Return a queue that was just changed."""
    return queue_documents([each for each in desk.service.queues() if each.name == name])[0]
