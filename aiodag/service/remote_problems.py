"""Make errors of what a server refuses: the ones that a store here would raise, wherever that can be known."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiodag.errors import AiodagError, NotAdmitted, NotAllowed, StoreError, StoreUnreachable
from aiodag.service.retold import retold_error

LONGEST = 300  # characters of a page that is not ours
NO_TOKEN = "set AIODAG_TOKEN, or name a file with `token_file` in the settings; `aiodag token new NAME` makes one where the server runs"  # noqa: S105 - says how to have one
OVERLOADED = (429, 502, 503, 504)


class WebAnswer(NamedTuple):
    """What a server answered: its status, what the body is, and the body."""

    status: int
    kind: str
    body: bytes
    location: str = ""

    def value(self, place: str) -> Any:
        """Return the value of a JSON document. Raises `StoreError` for anything else."""
        try:
            return json.loads(self.body) if self.body else None
        except (ValueError, RecursionError):
            raise not_ours(self, place) from None


def error_of_answer(answer: WebAnswer, place: str, *, has_token: bool) -> AiodagError:
    """Return the error that an answer stands for, of the server at a place."""
    problem = problem_in(answer)
    detail = str(problem.get("detail") or problem.get("title") or f"status {answer.status}")
    if answer.status == NOT_ADMITTED and not has_token:
        return NotAdmitted(f"{place} wants a token: {NO_TOKEN}")
    if answer.status == NOT_ADMITTED:
        return NotAdmitted(f"{place} does not take this token: {detail}")
    if not problem:
        return (
            StoreUnreachable(f"{place} answers {answer.status}")
            if answer.status in OVERLOADED
            else not_ours(answer, place)
        )
    if answer.status == NOT_ALLOWED:
        return NotAllowed(f"{place}: {detail}")
    if answer.status in OVERLOADED:
        return StoreUnreachable(f"{place}: {detail}")
    if answer.status == NOT_THERE and "error" not in problem:
        return StoreError(
            f"{place}: {detail}. Is this the address that `aiodag serve` prints, and the same version of aiodag there?"
        )
    if answer.status == NOT_FIT and "error" not in problem:
        problem = {**problem, "error": "OptionError"}  # what a server checks before it asks its service
    return known_error(problem, detail) or StoreError(f"{place}: {detail}")


NOT_ADMITTED, NOT_ALLOWED, NOT_THERE, NOT_FIT = 401, 403, 404, 422


def problem_in(answer: WebAnswer) -> Mapping[str, Any]:
    """Return the problem document (RFC 9457) of an answer; an empty one where it has none."""
    if answer.kind != "application/problem+json":
        return {}
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def known_error(problem: Mapping[str, Any], detail: str) -> AiodagError | None:
    """Return the error of aiodag that a problem names, if it names one."""
    told: Any = problem.get("complaints") or ()
    complaints = [(str(each.get("place", "")), str(each.get("text", ""))) for each in told if isinstance(each, dict)]
    return retold_error(str(problem.get("error")), detail, complaints, problem.get("near"))


def not_ours(answer: WebAnswer, place: str) -> StoreError:
    """Return the error for an answer that no server of aiodag gives."""
    if answer.location:
        return StoreError(
            f"{place} sends its callers to {answer.location!r:.{LONGEST}}: give that address, if it is the one that is meant"
        )
    begin = " ".join(answer.body[:LONGEST].decode("utf-8", "replace").split())
    msg = f"{place} answers {answer.status}, and not as a server of aiodag does: {begin[:80]!r}. Is it the address that `aiodag serve` prints?"
    return StoreError(msg)
