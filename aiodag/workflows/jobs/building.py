"""Make a workflow of a jobs form: each job is a task, whose body runs its stages, or the combinations of its matrix."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from aiodag._core.context import current_node, current_run
from aiodag._core.options import TaskOptions
from aiodag.errors import Complaint, ExpressionError, OptionError, Skip, WorkflowError
from aiodag.secret import Secret
from aiodag.workflows.jobs.containers import CONTAINERS
from aiodag.workflows.jobs.enclosing import Enclosing, Siblings, call_at
from aiodag.workflows.jobs.matrix import MatrixRefused, combinations_of
from aiodag.workflows.jobs.outcomes import JobOutcomes, needs_of, note_ended, outcome_of_job, status_of_needs
from aiodag.workflows.jobs.running import FAILED, SUCCEEDED, StageRunner, limited, retrying, with_env
from aiodag.workflows.jobs.scope import Scope
from aiodag.workflows.jobs.stages.elsewhere import RUNS_ON
from aiodag.workflows.params import bind_params

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run
    from aiodag.workflows.definition import Definition
    from aiodag.workflows.jobs.matrix import Choice
    from aiodag.workflows.jobs.model import JobsDefinition, WorkflowJob

W = TypeVar("W", bound="Definition")
RUNNER = StageRunner(CONTAINERS)


def workflow_of_jobs(
    kind: type[W], definition: "JobsDefinition", given: Mapping[str, Any] | None = None, name: str | None = None
) -> W:
    """Return the workflow of a jobs form, whose params are given the values of some names.

    These are checked where they are given; what is missing is told when it is to run. Raises `WorkflowError`.
    """
    flow = kind(name or definition.name, tags=definition.tags, limit=definition.limit, **definition.machines)
    flow.description, flow.jobs, flow.given = definition.description, definition, dict(given or {})
    work = JobsWork(definition, flow.given)
    for job in definition.jobs.values():
        made = Enclosing(work.body(job), (), TaskOptions(name=job.id, **work.options(job)))
        made.may_fail, made.runs_on = job.continue_on_error, job.runs_on
        flow.put(made, (), {}, place=job.place, name=job.id, after=list(job.needs), trigger_rule=rule_of_job(job))
        flow[job.id].description = job.description
    return flow


def rule_of_job(job: "WorkflowJob") -> str:
    """Return when a job is looked at: one whose `if` asks what became of the jobs before it decides by itself."""
    decides = job.condition is not None and job.condition.uses_status
    return "all_done" if decides and job.needs and job.trigger_rule == "all_success" else job.trigger_rule


def check_params(definition: "JobsDefinition", given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all params. Raises `WorkflowError`, with all that is wrong or missing."""
    return bind_params(definition.params, given, definition.source)


class JobsWork:
    """What the bodies of one workflow's jobs do. `given` are the values of its params, as they were given."""

    def __init__(self, definition: "JobsDefinition", given: Mapping[str, Any]) -> None:
        self.definition = definition
        self.given = given

    @cached_property
    def ground(self) -> Scope:
        """What is the same for all jobs."""
        params = check_params(self.definition, self.given)
        secrets = {name: Secret(each.name, file=each.file) for name, each in self.definition.secrets.items()}
        workflow = {"name": self.definition.name, "file": self.definition.source}
        return Scope(params=params, secrets=secrets, vars={}, env={}, workflow=workflow)

    def options(self, job: "WorkflowJob") -> dict[str, Any]:
        """Return the options of the task of a job. Of one with a matrix they are those of its combinations."""
        if job.matrix is not None:
            return {}
        timeout = job.timeout
        if timeout is None or isinstance(timeout, int | float):
            return {**retrying(job.retry), **limited(timeout, {})}
        return {**retrying(job.retry), "timeout": lambda _: limited(timeout, self.ground)["timeout"]}

    def body(self, job: "WorkflowJob") -> "Callable[[], Awaitable[Any]]":
        """Return the body of a job: a function without arguments, for its key is made of its name alone."""

        async def run_job() -> dict[str, Any]:
            return await self.run_job(job)

        return run_job

    async def run_job(self, job: "WorkflowJob") -> dict[str, Any]:
        """Run a job, in the body of its node. Raises `Skip` for one whose `if` does not hold."""
        node = current_node()
        try:
            scope = with_env(self.scope_of(job, node), self.definition.env)
            if job.condition is not None and not job.condition.holds(scope):
                raise Skip("its `if` does not hold")
            body = self.run_matrix if job.matrix is not None else self.run_stages
            return await body(job, scope)
        except ExpressionError as error:
            if error.place:
                raise
            raise error.at(job.place) from None
        finally:
            del node  # a failure's traceback holds this frame

    def scope_of(self, job: "WorkflowJob", node: "Node[Any] | None") -> Scope:
        """Return what the expressions of a job can read."""
        before = [] if node is None else needs_of(node)
        run = current_run()
        return self.ground.with_(
            needs={each.name: outcome_of_job(each) for each in before},
            jobs=JobOutcomes(before),
            job={"id": job.id, "name": job.name},
            run={"id": None if run is None else run.id, "name": None if run is None else run.name},
            release=release_root(run),
            status=status_of_needs(before),
        )

    async def run_stages(self, job: "WorkflowJob", scope: Scope, name: str | None = None) -> dict[str, Any]:
        """Run the stages of a job once, with its variables; return their outcomes and the outputs."""
        try:
            scope = with_env(scope, job.env)
        except ExpressionError as error:
            raise error.at(job.place) from None
        RUNS_ON.set(job.runs_on)
        ended = await RUNNER.run_stages(job.stages, scope)
        outcome: dict[str, Any] = {"outputs": {}, "stages": dict(ended.outcomes)}
        note_ended(current_run(), name or job.id, outcome)
        if job.continue_on_error and isinstance(ended.error, Exception | SystemExit):
            return {**outcome, "result": FAILED}
        ended.outcomes_or_raise()
        here = scope.with_(stages=ended.outcomes)
        outcome["outputs"] = {key: template.render(here) for key, template in job.outputs.items()}
        return outcome

    # Matrix

    async def run_matrix(self, job: "WorkflowJob", scope: Scope) -> dict[str, Any]:
        """Run the combinations of a job; return what became of them, in the order in which they are declared."""
        choices = self.combinations(job, scope)
        matrix: Any = job.matrix
        siblings = Siblings(parallel_in(matrix.max_parallel, scope), fail_fast=matrix.fail_fast)
        options = {**retrying(job.retry), **limited(job.timeout, scope), "limit": siblings.limit}
        scope = scope.with_(strategy={"job-total": len(choices)})
        for name, choice in choices.items():
            self.put_combination(job, scope, name, choice, siblings, options)
        await siblings.join()
        strategies = dict(zip(choices, map(outcome_of_job, siblings.nodes), strict=True))
        outcome = {"strategies": strategies, "outputs": merged_outputs(strategies)}
        if len(strategies) == 1:
            outcome["stages"] = next(iter(strategies.values()))["stages"]
        note_ended(current_run(), job.id, outcome)
        await siblings.values()
        return outcome

    def combinations(self, job: "WorkflowJob", scope: Scope) -> "Mapping[str, Choice]":
        """Return the combinations of a job's matrix by their names. Raises `Skip` if there are none, and `WorkflowError`."""
        matrix: Any = job.matrix
        try:
            found = combinations_of(matrix, scope)
        except MatrixRefused as refused:
            faults = [(".".join([matrix.place, *map(str, path)]), text) for path, text in refused.faults]
            raise WorkflowError([Complaint(place, text) for place, text in faults]) from None
        if not found:
            raise Skip("its matrix has no combination")
        return found

    def put_combination(
        self,
        job: "WorkflowJob",
        scope: Scope,
        name: str,
        choice: "Choice",
        siblings: Siblings,
        options: Mapping[str, Any],
    ) -> None:
        """Make the node of one combination."""
        here = scope.with_(matrix=dict(choice))
        full_name = f"{job.id}[{name}]"

        async def combination() -> dict[str, Any]:
            await siblings.begin()
            return {"matrix": dict(choice), **await self.run_stages(job, here, full_name)}

        made = Enclosing(combination, (), TaskOptions(name=full_name, **options))
        siblings.nodes.append(call_at(job.place, made))


def merged_outputs(strategies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the outputs of all combinations; of one that several give, that of the last one in the order of declaration."""
    found: dict[str, Any] = {}
    for outcome in strategies.values():
        if outcome["result"] == SUCCEEDED:
            found.update(outcome["outputs"])
    return found


def parallel_in(given: Any, scope: Scope) -> int | None:
    """Return how many combinations run at once. Raises `OptionError`."""
    value = given if given is None or isinstance(given, int) else given.render(scope)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError("max-parallel", value, "a whole number of 1 or more")
    return value


BEGUN: "WeakKeyDictionary[Run, datetime]" = WeakKeyDictionary()  # when runs began that no schedule has released


async def note_beginning(definition: "JobsDefinition", run: "Run") -> None:
    """Find out when a run began for the first time, before its jobs do, if an expression may ask for that."""
    if "release" not in json.dumps(definition.document, default=str) or given_release(run):
        return
    journal: Any = run.journal
    record = None if journal is None else await asyncio.to_thread(journal.store.run, run.id)
    BEGUN[run] = datetime.now(UTC) if record is None else record.created_at


def given_release(run: "Run | None") -> dict[str, Any]:
    """Return what the entry of a run says of its release: nothing for what no schedule has released."""
    return dict(((None if run is None else run.entry) or {}).get("release") or {})


def release_root(run: "Run | None") -> dict[str, Any]:
    """Return of which moment of which schedule a run is. What no schedule has released is of the moment when it began."""
    given = given_release(run)
    at = given.get("logical_date")
    begun = None if run is None else BEGUN.get(run)
    moment = datetime.fromisoformat(at) if isinstance(at, str) else begun or datetime.now(UTC)
    return {"schedule": None, "kind": "manual", **given, "logical_date": moment}
