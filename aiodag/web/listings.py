"""What the query of a list may ask for."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from aiodag.web.cursors import CURSOR_LONGEST
from aiodag.web.paths import LONGEST, PlainText
from aiodag.web.problems import Problem
from aiodag.web.pydantic import BaseModel, BeforeValidator, ConfigDict, Field

DATED = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d")
PAGE_LARGEST = 1_000  # of anything in one page

StateName = Literal["queued", "running", "parked", "succeeded", "failed", "cancelled"]
Word = Annotated[PlainText, Field(max_length=LONGEST)]


def dated_text(value: object) -> object:
    """Return what says a moment with a date. Raises `ValueError` for a number, which pydantic takes for seconds, or milliseconds."""
    if isinstance(value, str) and not DATED.match(value):
        raise ValueError("must be a moment, as 2026-11-29T12:00:00Z")
    if isinstance(value, bool | int | float):
        raise ValueError("must be the text of a moment, as 2026-11-29T12:00:00Z")  # noqa: TRY004 - pydantic takes ValueError alone
    return value


Moment = Annotated[datetime, BeforeValidator(dated_text)]


class ListQuery(BaseModel):
    """What a query may have: nothing but the fields of its class."""

    model_config = ConfigDict(extra="forbid")


class RunQuery(ListQuery):
    """Which runs are wanted: those that meet all conditions."""

    state: StateName | None = Field(None, description="Only those in this state.")
    name: Word | None = Field(None, description="Only those of exactly this name.")
    tag: list[Word] = Field([], max_length=20, description="Only those with this tag, NAME=VALUE; again for each tag.")
    queue: Word | None = Field(None, description="Only those that were submitted to this queue.")
    since: Moment | None = Field(
        None, description="Only those whose last execution began then or later, as 2026-11-29T12:00:00Z."
    )
    until: Moment | None = Field(None, description="Only those that were made before that moment.")
    text: Word | None = Field(None, description="Only those with this text in their id, their name or a tag.")
    parent: Word | None = Field(None, description="Only those that the run of this id has begun.")
    schedule: Word | None = Field(None, description="Only those of this schedule.")
    limit: int = Field(100, ge=1, le=PAGE_LARGEST, description="At most so many: one page.")
    after: Annotated[str, Field(max_length=CURSOR_LONGEST)] | None = Field(
        None, description="The place behind the last run of the page before, from its `Link` header."
    )


NodeState = Literal["waiting", "queued", "running", "succeeded", "failed", "skipped", "cancelled"]
Number = Annotated[int, Field(ge=-(2**31), lt=2**63)]


class PageQuery(ListQuery):
    """Which page of a list of numbered things is wanted."""

    after: Number | None = Field(None, description="Only those behind the one of this number.")
    limit: int = Field(100, ge=1, le=PAGE_LARGEST, description="At most so many: one page.")


class NodeQuery(PageQuery):
    """Which nodes of a run are wanted."""

    state: NodeState | None = Field(None, description="Only those in this state.")
    task: Word | None = Field(None, description="Only those that this number, task or label stands for.")


class OutputQuery(PageQuery):
    """Which parts of what commands wrote are wanted."""

    node: Number | None = Field(None, description="Only of the node of this number.")
    attempt: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(None, description="Only of this attempt.")
    stream: Literal["stdout", "stderr"] | None = Field(None, description="Only of this stream.")


def pairs_asked(name: str, given: list[str]) -> dict[str, str]:
    """Return what a query says as NAME=VALUE, such as tags. Raises `Problem`."""
    pairs = [each.partition("=") for each in given]
    if all(key and equals for key, equals, _ in pairs):
        return {key: value for key, _, value in pairs}
    raise Problem(422, f"query.{name}: is NAME=VALUE, as `{name}=env=test`")


def aware_moment(moment: datetime) -> datetime:
    """Return a moment in UTC; one that says no time zone is there already. Raises `Problem` for one before the year 1 there."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise Problem(422, f"{moment.isoformat()} is not a moment of the years 1 to 9999 in UTC") from None
