"""Schedules, what became of their moments, and backfills."""

from typing import Annotated, Any, Literal

from aiodag.service.documents import Document, iso_moment
from aiodag.service.schedule_documents import (
    NEXT,
    backfill_document,
    backfill_documents,
    firing_documents,
    last_run_of,
    schedule_document,
)
from aiodag.web.access import Operator, Reader
from aiodag.web.answers import json_answer
from aiodag.web.bodies import RequestBody, body_of, takes
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.fastapi import APIRouter, Query, Request, Response
from aiodag.web.kept_schemas import BackfillAnswer, FiringAnswer, OneScheduleAnswer, ScheduleAnswer
from aiodag.web.listings import PAGE_LARGEST, ListQuery, Word
from aiodag.web.paths import AnyName, BackfillNumber
from aiodag.web.problems import Problem
from aiodag.web.pydantic import Field
from aiodag.web.schemas import BegunAnswer
from aiodag.web.visits import remark

schedules_api = APIRouter(tags=["schedules"])
FIRINGS = 20  # moments of the past that are shown of one schedule


class ScheduleForm(RequestBody):
    """A schedule: a registered `workflow` or a `definition`, and the `trigger` that says when."""

    trigger: str | dict[str, Any] = Field(description='A cron expression, or a form such as {"every": 300}.')
    name: str | None = Field(None, description="Without one it is called like its workflow.")
    workflow: str | None = None
    definition: dict[str, Any] | str | None = None
    member: str | None = None
    parameters: dict[str, Any] | None = None
    timezone: str | None = None
    overlap: Literal["queue", "skip", "allow"] | None = None
    catch_up: Literal["latest", "all", "none"] | None = None
    jitter: float | None = None
    grace: float | None = None
    queue: str | None = None
    priority: int | None = None
    tags: dict[str, str] | None = None
    retries: int | None = None
    max_active: int | None = None
    source: Word = Field("", description="What the file of the definition is called: complaints begin with it.")


class BackfillForm(RequestBody):
    """Moments of the past that runs are made of: from `start` to before `end`, days or moments as ISO 8601 has them."""

    start: Annotated[str, Field(max_length=100)]
    end: Annotated[str, Field(max_length=100)]
    parameters: dict[str, Any] | None = None
    limit: int = Field(4, description="At most so many runs at once.")
    newest_first: bool = False


class FiringQuery(ListQuery):
    """How many moments are wanted."""

    limit: int = Field(100, ge=1, le=PAGE_LARGEST, description="The newest ones: at most so many.")


class NextQuery(ListQuery):
    """How many moments are wanted."""

    number: int = Field(NEXT, ge=1, le=PAGE_LARGEST)


class BackfillQuery(ListQuery):
    """Which backfills are wanted."""

    schedule: Word | None = Field(None, description="Only those of this schedule.")


@schedules_api.get("/schedules", operation_id="schedules", response_model=list[ScheduleAnswer])
async def answer_schedules(desk: AtDesk, _: Reader) -> Response:
    """Return the schedules by name."""
    return json_answer(await desk.ask(read_schedules, desk))


@schedules_api.post(
    "/schedules",
    operation_id="put_schedule",
    status_code=201,
    openapi_extra=takes(ScheduleForm),
    response_model=ScheduleAnswer,
)
async def put_one_schedule(
    form: Annotated[ScheduleForm, body_of(ScheduleForm)], request: Request, desk: AtDesk
) -> Response:
    """Have a run begin at each moment of a trigger; a schedule of the name is replaced."""
    found = await desk.think(desk.intake.put_schedule, **schedule_options(form))
    remark(request, about=found, workflow=form.workflow, parameters=sorted(form.parameters or {}))
    return json_answer(await desk.ask(read_schedule, desk, found), 201)


@schedules_api.put(
    "/schedules/{name}",
    operation_id="put_named_schedule",
    openapi_extra=takes(ScheduleForm),
    response_model=ScheduleAnswer,
)
async def put_named_schedule(
    name: AnyName, form: Annotated[ScheduleForm, body_of(ScheduleForm)], request: Request, desk: AtDesk
) -> Response:
    """Do what `POST /schedules` does, under this name."""
    if form.name not in {None, name}:
        raise Problem(422, f"the name in the body is {form.name!r}, and that of the address is {name!r}")
    found = await desk.think(desk.intake.put_schedule, **schedule_options(form.model_copy(update={"name": name})))
    remark(request, workflow=form.workflow, parameters=sorted(form.parameters or {}))
    return json_answer(await desk.ask(read_schedule, desk, found))


@schedules_api.get("/schedules/{name}", operation_id="schedule", response_model=OneScheduleAnswer)
async def show_one_schedule(name: AnyName, desk: AtDesk, _: Reader) -> Response:
    """Return a schedule, its next moments, and what became of its last ones."""
    return json_answer(await desk.ask(read_whole_schedule, desk, name))


@schedules_api.delete("/schedules/{name}", operation_id="drop_schedule", status_code=204)
async def drop_one_schedule(name: AnyName, desk: AtDesk, _: Operator) -> Response:
    """Forget a schedule, and what became of its moments. Its runs stay."""
    await desk.ask(desk.service.drop_schedule, name)
    return Response(status_code=204)


@schedules_api.get("/schedules/{name}/next", operation_id="next_moments", response_model=list[str])
async def answer_next_moments(name: AnyName, desk: AtDesk, _: Reader, query: Annotated[NextQuery, Query()]) -> Response:
    """Return the next moments of a schedule, in its time zone; of a paused one, what they would be."""
    found = await desk.draw(desk.service.next_moments, name, query.number)
    return json_answer([iso_moment(each) for each in found])


@schedules_api.get("/schedules/{name}/firings", operation_id="firings", response_model=list[FiringAnswer])
async def answer_firings(name: AnyName, desk: AtDesk, _: Reader, query: Annotated[FiringQuery, Query()]) -> Response:
    """Return what became of the newest moments of a schedule, oldest first."""
    return json_answer(firing_documents(await desk.ask(desk.service.firings, name, limit=query.limit)))


@schedules_api.post("/schedules/{name}/pause", operation_id="pause_schedule", response_model=ScheduleAnswer)
async def pause_one_schedule(name: AnyName, desk: AtDesk, _: Operator) -> Response:
    """Have a schedule make no runs; its moments are never caught up. Runs that it has made go on."""
    await desk.ask(desk.service.pause_schedule, name)
    return json_answer(await desk.ask(read_schedule, desk, name))


@schedules_api.post("/schedules/{name}/resume", operation_id="resume_schedule", response_model=ScheduleAnswer)
async def resume_one_schedule(name: AnyName, desk: AtDesk, _: Operator) -> Response:
    """Have a paused schedule go on with its next moment."""
    await desk.ask(desk.service.resume_schedule, name)
    return json_answer(await desk.ask(read_schedule, desk, name))


@schedules_api.post("/schedules/{name}/run", operation_id="run_schedule", status_code=202, response_model=BegunAnswer)
async def run_one_schedule(name: AnyName, request: Request, desk: AtDesk, _: Operator) -> Response:
    """Submit a run of a schedule for this moment, whatever its state and its overlap are, and return its id."""
    run_id = await desk.think(desk.intake.run_schedule, name)
    remark(request, run=run_id)
    return json_answer({"id": run_id}, 202)


@schedules_api.get("/backfills", operation_id="backfills", response_model=list[BackfillAnswer])
async def answer_backfills(desk: AtDesk, _: Reader, query: Annotated[BackfillQuery, Query()]) -> Response:
    """Return the backfills, oldest first."""
    return json_answer(backfill_documents(await desk.ask(desk.service.backfills, query.schedule)))


@schedules_api.post(
    "/schedules/{name}/backfills",
    operation_id="backfill",
    status_code=201,
    openapi_extra=takes(BackfillForm),
    response_model=BackfillAnswer,
)
async def answer_backfill(
    name: AnyName, form: Annotated[BackfillForm, body_of(BackfillForm)], desk: AtDesk
) -> Response:
    """Have runs made of moments of the past. Workers do it, in their own time."""
    number = await desk.think(desk.intake.backfill, name, **form.model_dump())
    return json_answer(backfill_document(await desk.ask(desk.service.backfill_numbered, number)), 201)


@schedules_api.post("/backfills/{number}/cancel", operation_id="cancel_backfill", response_model=BackfillAnswer)
async def answer_backfill_cancel(number: BackfillNumber, desk: AtDesk, _: Operator) -> Response:
    """End a backfill: it makes no more runs, and those that it has made go on."""
    await desk.ask(desk.service.cancel_backfill, number)
    return json_answer(backfill_document(await desk.ask(desk.service.backfill_numbered, number)))


def schedule_options(form: ScheduleForm) -> dict[str, Any]:
    """Return what the intake is asked for."""
    return {**form.model_dump(exclude={"source"}), "file": form.source}


def read_schedules(desk: Desk) -> list[Document]:
    """Return all schedules."""
    return [schedule_document(each, last_run_of(desk.service, each)) for each in desk.service.schedules()]


def read_schedule(desk: Desk, name: str) -> Document:
    """Return one schedule, as a change of it answers."""
    record = desk.service.schedule(name)
    return schedule_document(record, last_run_of(desk.service, record), number=NEXT)


def read_whole_schedule(desk: Desk, name: str) -> Document:
    """Return one schedule with what became of its last moments, as `aiodag schedules NAME --json` prints it."""
    return read_schedule(desk, name) | {"firings": firing_documents(desk.service.firings(name, limit=FIRINGS))}
