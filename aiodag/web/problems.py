"""Answer with what is wrong: problem documents as RFC 9457 has them, one table of what each error means over HTTP.

Their member `error` names the class of the error, so that a client can raise it again.
"""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from aiodag import errors
from aiodag.complaint import Complaint
from aiodag.web.desk import DESK, DeskBusy
from aiodag.web.fastapi import APIRoute, HTTPException, Match, Request, RequestValidationError, Response, exceptions

MEDIA = "application/problem+json"
RETRY_AFTER = "5"  # seconds
HEADERS_OF_STATUS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": RETRY_AFTER},
}
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
MOST_COMPLAINTS = 100
DETAIL_LONGEST = 4_000  # characters
TEXT_LONGEST = 1_000  # characters of a complaint
KEY_SHOWN = 60  # characters of a key in a place

# The first that an error is one of says which status it is answered with.
STATUSES: Sequence[tuple[type[BaseException], int]] = (
    (errors.NotFound, 404),
    (errors.RunOwned, 409),
    (errors.LeaseLost, 409),
    (errors.StoreUnreachable, 503),
    (DeskBusy, 503),
    (errors.StoreError, 409),
    (errors.NotAdmitted, 401),
    (errors.NotAllowed, 403),
    (errors.DefinitionRefused, 403),
    (errors.PlanningBusy, 503),
    (errors.PlanFailed, 422),
    (errors.WorkflowError, 422),
    (errors.EntryError, 422),
    (errors.OptionError, 422),
    (errors.PayloadRefused, 422),
    (errors.SecretInValue, 422),
    (errors.TriggerError, 422),
    (errors.ExpressionError, 422),
    (errors.ValueGone, 410),
    (errors.Undecodable, 409),
    (errors.MissingExtra, 501),
    (errors.AiodagError, 409),  # it says what would work, whatever it is
)

# Where a value was kept is the server's own affair: a path, or a bucket.
VALUE_GONE = "the value is not where it was left any more: resume the run, so that its task runs again"


class Problem(HTTPException):
    """What is wrong with a request: raise it in any route, or while a body is read."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        complaints: Sequence[Complaint] = (),
        error: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        self.status = status
        self.detail = detail
        self.complaints = complaints
        self.more = more | ({} if error is None else {"error": error})
        super().__init__(status, detail, dict(headers or {}))

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        told = [{"place": each.place, "text": each.text} for each in self.complaints[:MOST_COMPLAINTS]]
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail[:DETAIL_LONGEST],
            **self.more,
            **({"complaints": told} if told else {}),
        }

    def answer(self) -> Response:
        """Return the answer that says it."""
        body = json.dumps(self.document(), ensure_ascii=True).encode()
        return Response(body, self.status, media_type=MEDIA, headers=self.headers)


def problem_of(error: BaseException, place: str = "") -> Problem | None:
    """Return what an error of the library means over HTTP; None for one that nobody has expected.

    `place` is the address of the store, which is the server's own affair.
    """
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), None)
    if status is None:
        return None
    if isinstance(error, errors.StoreError) and error.store_failed:
        status = 503  # not 409: who asks has nothing to change, and may come again
    text = VALUE_GONE if isinstance(error, errors.ValueGone) else str(error)
    detail = text.replace(place, "this store") if place else text
    near = getattr(error, "near", None)
    return Problem(
        status,
        detail,
        complaints=getattr(error, "complaints", ()),
        error=type(error).__name__,
        headers=HEADERS_OF_STATUS.get(status, {}),
        **({} if near is None else {"near": near}),
    )


async def answer_problem(_: Request, error: Exception) -> Response:
    """Answer a request that a route refuses."""
    assert isinstance(error, Problem)
    return error.answer()


async def answer_known_error(request: Request, error: Exception) -> Response:
    """Answer with an error of the library."""
    desk = request.scope[DESK]
    problem = problem_of(error, desk.service.place)
    assert problem is not None
    return problem.answer()


async def answer_refused(request: Request, error: Exception) -> Response:
    """Answer a request for an address or a method that is not there."""
    assert isinstance(error, exceptions.HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(methods_at(request))
        return Problem(405, f"this address takes {allowed}", headers={"Allow": allowed}).answer()
    detail = "there is nothing at this address" if error.status_code == 404 else error.detail
    return Problem(error.status_code, detail, headers=error.headers).answer()


def methods_at(request: Request) -> list[str]:
    """Return the methods that an address takes, of all routes that it fits."""
    routes = request.app.routes
    return [
        method
        for method in METHODS
        if any(each.matches({**request.scope, "method": method})[0] is Match.FULL for each in routes)
    ]


async def answer_invalid(request: Request, error: Exception) -> Response:
    """Answer a request whose address or query says something that cannot be."""
    assert isinstance(error, RequestValidationError)
    known = query_words(request)
    complaints = [invalid_part(each, known) for each in error.errors()[:MOST_COMPLAINTS]]
    return Problem(422, "; ".join(map(str, complaints[:10])), complaints=complaints).answer()


def query_words(request: Request) -> list[str]:
    """Return the words that the query of a request may have: the fields of the model that its route takes."""
    route = request.scope.get("route")
    models = (
        [each.field_info.annotation for each in route.dependant.query_params] if isinstance(route, APIRoute) else []
    )
    return [word for model in models for word in getattr(model, "model_fields", ())]


def invalid_part(wrong: Mapping[str, Any], known: Sequence[str]) -> Complaint:
    """Return what pydantic has found wrong in an address or a query."""
    place = ".".join(str(each)[:KEY_SHOWN] for each in wrong["loc"])
    if wrong["type"] != "extra_forbidden":
        return Complaint(place, wrong["msg"].removeprefix("Value error, ")[:TEXT_LONGEST])
    near = get_close_matches(str(wrong["loc"][-1])[:KEY_SHOWN], known, n=1)
    return Complaint(place, f"is not known here{f'; did you mean {near[0]!r}?' if near else ''}")


async def answer_fault(_: Request, __: Exception) -> Response:
    """Answer for what nobody has expected: the gate writes it into the log, and it is not in the answer."""
    return Problem(500, "the server has failed at this; its log says why").answer()


HANDLERS: Mapping[Any, Any] = {
    Problem: answer_problem,
    exceptions.HTTPException: answer_refused,
    RequestValidationError: answer_invalid,
    **{kind: answer_known_error for kind, _ in STATUSES},
    Exception: answer_fault,
}
