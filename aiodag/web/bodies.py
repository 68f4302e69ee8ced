"""Take the body of a request, from callers who may change something: it is read after that is known, and never before.

A route says what it takes twice, for itself and for its description:

    @runs_api.post("/runs", openapi_extra=takes(NewRun))
    async def begin(new: Annotated[NewRun, body_of(NewRun)]) -> Response: ...
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from aiodag.complaint import Complaint
from aiodag.web.access import Operator
from aiodag.web.desk import AtDesk, Desk
from aiodag.web.documents import parsed_json
from aiodag.web.fastapi import Depends, Request
from aiodag.web.problems import KEY_SHOWN, MOST_COMPLAINTS, TEXT_LONGEST, Problem
from aiodag.web.pydantic import BaseModel, ConfigDict, ValidationError

JSON = "application/json"
KEYS_OF_DEFINITIONS = ("tasks", "jobs", "params", "executor", "pool")
SMALL = 2**16  # bytes that are parsed at once: handing them to a thread would take longer


class RequestBody(BaseModel):
    """What a body may have: nothing but the fields of its class, each of its type."""

    model_config = ConfigDict(extra="forbid", strict=True)


Model = TypeVar("Model", bound=RequestBody)


def body_of(model: type[RequestBody], *, optional: bool = False) -> Any:
    """Return the dependency that reads a JSON body as a model; with `optional`, no body is an empty object."""

    async def read_model(request: Request, desk: AtDesk, _: Operator) -> RequestBody:
        body = await request.body()
        if optional and not body:
            return model()
        return await read_json_body(request, desk, model)

    return Depends(read_model)


async def read_json_body(request: Request, desk: Desk, model: type[Model]) -> Model:
    """Return a JSON body as a model. Raises `Problem` with all that is wrong."""
    refuse_media(request, JSON)
    body = await request.body()
    found = parsed_json(body) if len(body) < SMALL else await desk.ask(parsed_json, body)
    return checked_body(model, found)


def takes(model: type[RequestBody], *, optional: bool = False) -> dict[str, Any]:
    """Return what the description of a route says about the body that it takes."""
    return {"requestBody": {"required": not optional, "content": {JSON: {"schema": model.model_json_schema()}}}}


def refuse_media(request: Request, *wanted: str) -> str:
    """Return the media type of a body. Raises `Problem` for one that is not wanted."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given in wanted or (JSON in wanted and given.startswith("application/") and given.endswith("+json")):
        return given
    told = f"not {given[:100]!r}" if given else "and say so"
    raise Problem(415, f"send Content-Type: {' or '.join(wanted)}, {told}", headers={"Accept-Post": ", ".join(wanted)})


def checked_body(model: type[Model], document: object) -> Model:
    """Return a document as a model. Raises `Problem` with all that is wrong."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        wrong = [complaint_of(each, model) for each in error.errors(include_url=False)[:MOST_COMPLAINTS]]
    raise Problem(422, "; ".join(map(str, wrong[:10])), complaints=wrong)


def complaint_of(wrong: Mapping[str, Any], model: type[RequestBody]) -> Complaint:
    """Return what pydantic has found wrong, with its place."""
    place = "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each[:KEY_SHOWN]}" for each in wrong["loc"])
    if wrong["type"] != "extra_forbidden":
        return Complaint(place, wrong["msg"].removeprefix("Value error, ")[:TEXT_LONGEST])
    return Complaint(place, f"is not a key here{meant_key(str(wrong['loc'][-1])[:KEY_SHOWN], model)}")


def meant_key(key: str, model: type[RequestBody]) -> str:
    """Return what somebody probably meant who wrote a key that a body does not have: `tasks` belong in its definition."""
    if key in KEYS_OF_DEFINITIONS and "definition" in model.model_fields:
        return f': it belongs in \'definition\', as in {{"definition": {{"{key}": ...}}}}'
    near = get_close_matches(key, model.model_fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(model.model_fields)}"
