"""What a jobs form says, once it has been read and found right: jobs, their stages, matrices and triggers. Nothing here runs.

A digest stands for what a stage or a job *does* as it is written: names, descriptions, places and what only says whether or how
often it is tried (`if`, `timeout`, `retry`) are not in it. So an edit of one stage leaves the digests of its neighbours alone,
and a longer timeout runs nothing again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from aiodag.workflows.files.json import Path

if TYPE_CHECKING:
    from aiodag.workflows.expressions.conditions import Condition
    from aiodag.workflows.expressions.template import Template
    from aiodag.workflows.params import Param

TriggerForm: TypeAlias = Mapping[
    str, Any
]  # one of `on`: {"cron": …, "timezone": …, policies}, or {"name": …} of another


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a stage or a job is tried again: `retries` times, with a pause of `backoff` seconds, `factor` times longer each."""

    retries: int = 0
    backoff: float = 0.0
    factor: float = 1.0
    maximum: float = 3600.0  # seconds of one pause


NEVER = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: a node of a run. `kind` is one of `KINDS` in `jobs/forms.py`; `body` is what its key of that kind holds.

    `run`, `bash`, `echo`, `raise`, `sleep`, `case`: a text or number. `uses` and `trigger`: the name of a hook or a workflow.
    `foreach`: a list, a mapping, a number, or a text that gives one. `until`: None, and `until` is its condition.
    """

    id: str  # among the stages of its job or its branch
    name: str  # for people; as it was written, or the id
    kind: str
    path: Path  # in the document
    place: str  # FILE:LINE and the path
    digest: str
    body: "Template | None" = None
    given: "Template | None" = None  # `with`, `vars` or `params`: what it is given by name
    env: "Template | None" = None
    condition: "Condition | None" = None  # `if`
    until: "Condition | None" = None  # of `until`
    timeout: "float | Template | None" = None  # seconds of an attempt
    retry: RetryPolicy = NEVER
    continue_on_error: bool = False
    always: bool = False  # runs also after a failure
    stages: "tuple[Stage, ...]" = ()  # the body of foreach and until
    branches: "Mapping[str, tuple[Stage, ...]]" = field(
        default_factory=dict
    )  # of parallel by name; of case by the value to match, `_` for the rest
    settings: Mapping[str, Any] = field(default_factory=dict)  # of its kind alone, by names such as "max_workers"


@dataclass(frozen=True, slots=True)
class Matrix:
    """The variables of a job, whose combinations it runs for. `aiodag.workflows.jobs.matrix` combines them."""

    path: Path
    place: str
    axes: "Template"  # a mapping of names and lists, or a text that gives one
    include: "Template | None" = None
    exclude: "Template | None" = None
    max_parallel: "int | Template | None" = None
    fail_fast: bool = True
    known: tuple[Mapping[str, Any], ...] | None = None  # the combinations, where they do not depend on values


@dataclass(frozen=True, slots=True)
class WorkflowJob:
    """One job: a group of nodes."""

    id: str
    name: str
    path: Path
    place: str
    digest: str
    stages: tuple[Stage, ...]
    description: str | None = None
    needs: tuple[str, ...] = ()
    condition: "Condition | None" = None  # `if`
    trigger_rule: str = "all_success"
    matrix: Matrix | None = None
    env: "Template | None" = None
    outputs: "Mapping[str, Template]" = field(default_factory=dict)
    timeout: "float | Template | None" = None  # seconds
    retry: RetryPolicy = NEVER
    continue_on_error: bool = False
    runs_on: str | None = None  # the name of a host


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The group of runs of which at most one goes on, and one waits."""

    group: "Template"
    cancel_in_progress: "bool | Template" = False


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret comes from when a stage asks for it: a variable of the environment, or a file."""

    name: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class JobsDefinition:
    """A whole jobs form. `document` is what was read, as plain JSON: a store keeps that, and reading it gives the same again."""

    name: str
    document: Mapping[str, Any]
    jobs: Mapping[str, WorkflowJob]  # as declared
    source: str = ""  # the file
    description: str | None = None
    params: "Mapping[str, Param]" = field(default_factory=dict)
    env: "Template | None" = None
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)  # by the name that templates use
    triggers: tuple[TriggerForm, ...] = ()
    concurrency: Concurrency | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    machines: Mapping[str, Any] = field(default_factory=dict)  # the options of a workflow that say where it runs


def stages_of(jobs: Iterable[WorkflowJob]) -> Iterator[Stage]:
    """Yield the stages of jobs, and those that they hold."""
    left = [stage for job in jobs for stage in job.stages][::-1]
    while left:
        stage = left.pop()
        yield stage
        left += [*stage.stages, *(each for branch in stage.branches.values() for each in branch)][::-1]
