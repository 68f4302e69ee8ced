"""What the documents of runs have in them, for the description of the API.

Answers are the documents of `service.documents` as they are; these classes describe them, and tests hold both to each other.
"""

from typing import Any

from aiodag.web.pydantic import BaseModel, Field


class OwnerAnswer(BaseModel):
    """The process that a run goes on in."""

    host: str
    pid: int
    gone: bool = Field(description="True if that process has ended.")


class RunAnswer(BaseModel):
    """A run."""

    id: str
    name: str
    state: str
    execution: int = Field(description="How often it has begun.")
    created_at: str | None
    started_at: str | None
    ended_at: str | None
    entry: Any = Field(description="What it began with, if that was a task in a file.")
    tags: dict[str, str]
    owner: OwnerAnswer | None
    counts: dict[str, int] = Field(description="How many of its nodes are in each state.")
    error: str | None
    queue: str | None = None
    priority: int | None = None
    due_at: str | None = None
    deaths: int | None = None
    schedule: str | None = None
    group: str | None = None
    held: bool | None = None
    parent: str | None = None
    generation: int | None = None
    damaged: str | None = Field(None, description="What of its record cannot be read.")


class AttemptAnswer(BaseModel):
    """One try of a node."""

    attempt: int
    state: str
    started_at: str | None
    ended_at: str | None
    error: str | None
    facts: Any


class NodeAttemptAnswer(AttemptAnswer):
    """One try of a node, with the number of that."""

    node: int


class NodeAnswer(BaseModel):
    """A node of a run: one call of a task."""

    number: int
    name: str
    label: str
    version: str | None
    key: str
    state: str
    recalled: bool
    parent: int | None
    site: str | None = Field(description="Where it was called.")
    created_at: str | None
    started_at: str | None
    ended_at: str | None
    error: str | None
    attempts: list[AttemptAnswer]
    damaged: str | None = None


class OutputAnswer(BaseModel):
    """A part of what a command wrote."""

    node: int
    attempt: int
    stream: str
    part: int
    start: int = Field(description="How many bytes of the stream came before.")
    at: str | None
    text: str
    base64: str | None = Field(None, description="The bytes, where they are not whole text.")


class LineAnswer(BaseModel):
    """A line that a body logged."""

    at: str | None
    node: int | None
    label: str | None
    level: str
    logger: str
    text: str
    part: int


class WaitAnswer(BaseModel):
    """What a node of a run waits for."""

    run: str
    number: int
    label: str
    kind: str
    topic: str
    key: str
    group: int | None
    settled: bool = Field(description="True if it has come, and the run has not heard of it.")
    since: str | None
    due_at: str | None


class DefinitionAnswer(BaseModel):
    """A text that a run was built from."""

    execution: int = Field(description="The first execution that had it.")
    definition: str


class ChangeAnswer(BaseModel):
    """What a definition of a run changed, as names of tasks."""

    execution: int
    tasks: int
    changed: list[str]
    added: list[str]
    removed: list[str]


class CancelAnswer(BaseModel):
    """What became of asking a run to end."""

    id: str
    asked: bool = Field(description="False for a run that had ended before.")
    state: str


class BegunAnswer(BaseModel):
    """The run that was submitted."""

    id: str


class ComplaintAnswer(BaseModel):
    """One thing that is wrong, and where."""

    place: str
    text: str


class ProblemAnswer(BaseModel):
    """What is wrong with a request, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    error: str | None = Field(None, description="The class of the error in aiodag, if it is one.")
    near: str | None = Field(None, description="What may have been meant, where nothing has the name.")
    complaints: list[ComplaintAnswer] | None = None
