"""What the documents of workflows, schedules, queues and messages have in them, for the description of the API."""

from typing import Any

from aiodag.web.pydantic import BaseModel, Field
from aiodag.web.schemas import RunAnswer


class WorkflowAnswer(BaseModel):
    """A workflow that has a name."""

    name: str
    target: str = Field(description="The file that it comes from; empty for one that came over HTTP.")
    tags: dict[str, str]
    registered_at: str | None = Field(description="None for one in a folder of definitions.")
    runs: int = Field(description="How many runs it has had.")
    last: RunAnswer | None
    definition: Any = Field(None, description="The document that it says; in the list only of one that is registered.")


class OneWorkflowAnswer(WorkflowAnswer):
    """A workflow with what it takes."""

    parameters: dict[str, Any] = Field(description="A JSON Schema of the values that it takes.")


class LastRunAnswer(BaseModel):
    """The last run of a schedule."""

    id: str
    state: str
    ended_at: str | None


class ScheduleAnswer(BaseModel):
    """A schedule."""

    name: str
    state: str
    reason: str | None
    when: str
    trigger: Any
    next: list[str]
    target: str
    parameters: Any
    queue: str
    priority: int
    retries: int
    tags: dict[str, str]
    overlap: str
    catch_up: str
    jitter: float
    grace: float
    group: str | None
    source: str | None
    last: LastRunAnswer | None
    created_at: str | None
    changed_at: str | None
    damaged: str | None


class FiringAnswer(BaseModel):
    """What became of a moment of a schedule, or of several in a row."""

    at: str | None
    until: str | None
    count: int
    kind: str
    state: str
    reason: str | None
    run: str | None
    noted_at: str | None


class OneScheduleAnswer(ScheduleAnswer):
    """A schedule with what became of its last moments."""

    firings: list[FiringAnswer]


class BackfillAnswer(BaseModel):
    """Moments of the past that are filled in."""

    number: int
    schedule: str
    start: str | None
    end: str | None
    state: str
    reason: str | None
    limit: int
    order: str
    cursor: str | None
    unfinished: int
    submitted: int
    known: int
    parameters: Any
    created_at: str | None


class QueueAnswer(BaseModel):
    """A queue."""

    name: str
    state: str
    rate: int | None
    per: float | None
    waiting: int
    running: int


class WorkerAnswer(BaseModel):
    """A worker that is there."""

    host: str
    pid: int
    state: str
    queues: list[str]
    limit: int
    runs: list[str] = Field(description="The ids of what it works on.")
    started_at: str | None
    seen_at: str | None


class MessageAnswer(BaseModel):
    """A message that is remembered."""

    topic: str
    id: str
    keys: list[str]
    payload: Any
    state: str
    at: str | None


class TopicAnswer(BaseModel):
    """A topic: how many wait for it, and how many of its messages are kept, dead, or about to leave."""

    name: str
    waits: int
    kept: int
    dead: int
    outgoing: int
    starts: list[str] = Field(description="Names of runs that its messages begin.")


class DeliveredAnswer(BaseModel):
    """What became of a message."""

    topic: str
    id: str
    outcome: str = Field(description="taken, kept, started, duplicate or dead.")
    runs: list[str]
