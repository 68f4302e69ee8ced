"""How runs begin, and go on with another definition. Nothing of them runs in the server: a worker takes them from a queue."""

from typing import Annotated, Any

from aiodag.queue_defaults import DEFAULT_QUEUE
from aiodag.service.documents import run_document
from aiodag.web.access import Operator
from aiodag.web.answers import json_answer
from aiodag.web.bodies import JSON, RequestBody, body_of, checked_body, read_json_body, refuse_media, takes
from aiodag.web.desk import AtDesk
from aiodag.web.documents import refuse_unfit
from aiodag.web.fastapi import APIRouter, Depends, Header, Query, Request, Response
from aiodag.web.listings import ListQuery, Moment, Word, aware_moment, pairs_asked
from aiodag.web.paths import LONGEST, PREFIX, PlainText, RunId, path_part
from aiodag.web.problems import Problem
from aiodag.web.pydantic import Field
from aiodag.web.schemas import BegunAnswer, RunAnswer
from aiodag.web.tracing import submitter_tags
from aiodag.web.visits import remark

beginning_api = APIRouter(tags=["runs"])

YAML = "application/yaml"
INTEGER_LARGEST = 2**31 - 1

Definition = dict[str, Any] | str


class YamlQuery(ListQuery):
    """How the workflow of a YAML body is submitted. A JSON body says it itself."""

    member: Word | None = Field(None, description="Which of several workflows in a YAML body.")
    parameter: list[Annotated[str, Field(max_length=100_000)]] = Field(
        [], max_length=1_000, description="A parameter of a YAML body, NAME=VALUE; again for each."
    )
    tag: list[Word] = Field([], max_length=100, description="A tag of a YAML body, NAME=VALUE; again for each.")
    queue: Word = Field(DEFAULT_QUEUE, min_length=1, description="The queue of a YAML body.")
    priority: int = Field(0, ge=-INTEGER_LARGEST, le=INTEGER_LARGEST, description="The priority of a YAML body.")
    at: Moment | None = Field(None, description="When a YAML body begins, at the earliest.")


class NewRun(RequestBody):
    """A run that is to begin: of a registered workflow, or of a definition."""

    workflow: Word | None = Field(None, description="The name of a registered workflow.")
    definition: Definition | None = Field(
        None, description="Or a workflow: an object, or the text of a JSON or YAML file."
    )
    member: Word | None = Field(None, description="Which of several workflows in the definition.")
    source: Word = Field(
        "", description="What the file of the definition is called: where complaints are, and its name if it has none."
    )
    parameters: dict[str, Any] = Field({}, description="Its parameters by name.")
    tags: dict[str, str] = Field({}, description="Tags of the run, besides those of the workflow.")
    queue: Word = Field(DEFAULT_QUEUE, min_length=1, description="The queue that it waits in.")
    priority: int = Field(0, ge=-INTEGER_LARGEST, le=INTEGER_LARGEST, description="Larger ones begin first.")
    at: Moment | None = Field(None, strict=False, description="It begins at that moment or later.")
    expires: float | None = Field(
        None, gt=0, description="Seconds, from now or from `at`, after which it fails if it has not begun."
    )
    retries: int = Field(
        0, ge=0, le=INTEGER_LARGEST, description="How often the whole run begins again after a failure."
    )
    max_active: int | None = Field(
        None, ge=1, le=INTEGER_LARGEST, description="How many runs of its name go on at once."
    )
    strict: bool = Field(False, description="Refuse a queue that nobody knows.")


class NewPlan(RequestBody):
    """What a run is to go on with."""

    definition: Definition | None = Field(None, description="An edited workflow; without one, it goes on with its own.")
    again: list[Word] = Field(
        [], max_length=10_000, description="What runs again though it has succeeded: numbers, tasks or labels."
    )


class NewResumption(NewPlan):
    """What a run is to go on with, and where it waits for that."""

    queue: Word | None = Field(None, description="The queue that it waits in; without one, its own.")
    execution: Annotated[int, Field(ge=0, le=2**31)] | None = Field(
        None, description="The execution that somebody has looked at: refused with 409 if the run went on since."
    )


BODY = {
    "requestBody": {
        "required": True,
        "content": {**takes(NewRun)["requestBody"]["content"], YAML: {"schema": {"type": "string"}}},
    }
}


async def read_new_run(request: Request, desk: AtDesk, _: Operator, query: Annotated[YamlQuery, Query()]) -> NewRun:
    """Return what a body asks for: JSON as it is, or a workflow in YAML with what the query says."""
    if refuse_media(request, JSON, YAML) != YAML:
        if query.model_fields_set:
            raise Problem(
                422, f"query: {', '.join(sorted(query.model_fields_set))} is for YAML: a JSON body says it itself"
            )
        return await read_json_body(request, desk, NewRun)
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError:
        raise Problem(400, "the body is not valid UTF-8") from None
    refuse_unfit(text)
    wishes = query.model_dump(exclude={"parameter", "tag"})
    pairs = {"parameters": pairs_asked("parameter", query.parameter), "tags": pairs_asked("tag", query.tag)}
    return checked_body(NewRun, {"definition": text, **wishes, **pairs})


@beginning_api.post("/runs", operation_id="submit", status_code=202, response_model=BegunAnswer, openapi_extra=BODY)
async def submit_run(
    desk: AtDesk,
    _: Operator,
    request: Request,
    new: Annotated[NewRun, Depends(read_new_run)],
    idempotency_key: Annotated[
        PlainText | None,
        Header(alias="Idempotency-Key", max_length=LONGEST, description="Begin one run, however often this is sent."),
    ] = None,
    traceparent: Annotated[
        str | None,
        Header(
            max_length=LONGEST, description="The span of the request, which the run keeps as a tag: its spans join it."
        ),
    ] = None,
) -> Response:
    """Submit a run: of a registered workflow by its name, or of a definition. A worker takes it from its queue.

    The same `Idempotency-Key` again answers with the id of the first run; with something else to run, it is refused with 409.
    """
    if (new.workflow is None) == (new.definition is None):
        raise Problem(422, "$: give either `workflow`, the name of a registered one, or `definition`")
    remark(request, workflow=new.workflow or "", parameters=sorted(new.parameters))
    wishes: dict[str, Any] = new.model_dump(exclude={"at"}) | {"at": None if new.at is None else aware_moment(new.at)}
    wishes["tags"] = submitter_tags(traceparent) | new.tags
    run_id = await desk.think(desk.intake.submit, key=idempotency_key, **wishes)
    remark(request, about=run_id)
    return json_answer({"id": run_id}, 202, {"Location": api_run_address(request, run_id)})


@beginning_api.post(
    "/runs/{run_id}/resume",
    operation_id="resume",
    status_code=202,
    response_model=RunAnswer,
    openapi_extra=takes(NewResumption, optional=True),
)
async def resume_run(
    run_id: RunId, desk: AtDesk, request: Request, new: Annotated[NewResumption, body_of(NewResumption, optional=True)]
) -> Response:
    """Queue a recorded run again: what has succeeded is recalled, the rest runs, and what an edited definition changes."""
    found = await desk.think(desk.intake.requeue, run_id, **new.model_dump())
    return json_answer(run_document(found), 202, {"Location": api_run_address(request, run_id)})


@beginning_api.post("/runs/{run_id}/plan", operation_id="plan", openapi_extra=takes(NewPlan, optional=True))
async def plan_run(run_id: RunId, desk: AtDesk, new: Annotated[NewPlan, body_of(NewPlan, optional=True)]) -> Response:
    """Return what resuming a run would run, as `aiodag plan --json` prints it. Nothing runs, and nothing is recorded."""
    return json_answer(await desk.think(desk.intake.plan, run_id, definition=new.definition, again=new.again))


def api_run_address(request: Request, run_id: str) -> str:
    """Return the address of a run."""
    return f"{request.scope.get('root_path', '')}{PREFIX}/runs/{path_part(run_id)}"
