"""Run the stages of a job one after the other: decide which run, make their nodes, keep what they give."""

from asyncio import CancelledError
from collections import ChainMap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from aiodag._core.options import Backoff, TaskOptions
from aiodag._core.task import Task
from aiodag.errors import ExpressionError, OptionError, Skip
from aiodag.masking import masked
from aiodag.states import State
from aiodag.workflows.jobs.enclosing import Enclosing, Siblings, after_node, call_at
from aiodag.workflows.jobs.gathering import DURATION_WANTED, seconds_of_value
from aiodag.workflows.jobs.scope import Scope, Status
from aiodag.workflows.jobs.stages.leaves import LEAVES

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag.workflows.expressions.template import Template
    from aiodag.workflows.jobs.model import RetryPolicy, Stage

Outcome: TypeAlias = dict[str, Any]  # of a stage: "outputs", "result", and "error" of one that failed
Container: TypeAlias = "Callable[[StageRunner, Stage, Scope], Awaitable[dict[str, Any]]]"  # which gives the outputs
SUCCEEDED, FAILED, SKIPPED, CANCELLED = (
    str(each) for each in (State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED)
)


class StagesEnd(NamedTuple):
    """How some stages have ended: the outcome of each by its id, and why they failed, if they did."""

    outcomes: Mapping[str, Outcome]
    error: BaseException | None = None

    def outcomes_or_raise(self) -> Mapping[str, Outcome]:
        """Return the outcomes of stages that have succeeded. Raises what made them fail."""
        if self.error is not None:
            raise self.error
        return self.outcomes


class StageRunner:
    """Runs stages. `containers` run those that have stages in them, by their kinds."""

    def __init__(self, containers: Mapping[str, Container]) -> None:
        self.containers = containers

    async def run_stages(self, stages: "Sequence[Stage]", scope: Scope) -> StagesEnd:
        """Run stages in their order, in the body of a node: after a failure, or a cancel, only those that ask for it."""
        outcomes: dict[str, Outcome] = {}
        error: BaseException | None = None
        last: Node[Any] | None = None
        seen = ChainMap(outcomes, *within(scope.get("stages")))
        for stage in stages:
            if error is not None and not asks_after_failure(stage):
                continue
            node, outcome, failure = await self._run_stage(
                stage, scope.with_(stages=seen, status=status_of(error)), last
            )
            outcomes[stage.id] = outcome
            last = node if outcome["result"] != SKIPPED else last
            if isinstance(failure, CancelledError):
                if isinstance(error, CancelledError):  # for the second time: now nothing more runs
                    break
                error = failure
            elif failure is not None and error is None and not stage.continue_on_error:
                error = failure
        return StagesEnd(outcomes, error)

    async def _run_stage(
        self, stage: "Stage", scope: Scope, last: "Node[Any] | None"
    ) -> "tuple[Node[Any], Outcome, BaseException | None]":
        """Run one stage; return its node, its outcome and why it failed."""
        node = self._node_of(stage, scope, after_node(last))
        try:
            value = await node
        except Skip as why:
            return node, {"outputs": {}, "result": SKIPPED, "reason": str(why)}, None
        except CancelledError as error:
            return node, {"outputs": {}, "result": CANCELLED}, error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the job's to go on or to fail
            text = masked(f"{type(error).__name__}: {error}")
            return node, {"outputs": {}, "result": FAILED, "error": text}, error
        outputs = value["outputs"] if stage.kind in self.containers else value
        return node, {"outputs": outputs, "result": SUCCEEDED}, None

    def _node_of(self, stage: "Stage", scope: Scope, after: tuple[Any, ...]) -> "Node[Any]":
        """Make the node of a stage: one that fails, or is skipped, where it cannot or shall not run."""
        arguments: Mapping[str, Any] = {}
        try:
            made, arguments = self._task_of(stage, scope, after)
        except ExpressionError as error:
            made = stopped_stage(stage, after, error.at(stage.place))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why the stage fails
            made = stopped_stage(stage, after, error)
        made.may_fail = stage.continue_on_error
        return call_at(stage.place, made, **arguments)

    def _task_of(
        self, stage: "Stage", scope: Scope, after: tuple[Any, ...]
    ) -> tuple[Task[..., Any], Mapping[str, Any]]:
        """Return the task of a stage, and its arguments. Raises `Skip`, and whatever keeps it from beginning."""
        if stage.condition is not None and not stage.condition.holds(scope):
            raise Skip("its `if` does not hold")
        scope = with_env(scope, stage.env)
        options = {"name": stage.id, **retrying(stage.retry), **limited(stage.timeout, scope)}
        if stage.kind in self.containers:
            return Enclosing(self._container(stage, scope), after, TaskOptions(**options)), {}
        leaf = LEAVES[stage.kind]
        arguments = leaf.arguments(stage, scope)
        return Task(leaf.body, after, TaskOptions(version=stage.digest, limit=leaf.limit, **options)), arguments

    def _container(self, stage: "Stage", scope: Scope) -> "Callable[[], Awaitable[Any]]":
        perform = self.containers[stage.kind]

        async def enclosed() -> dict[str, Any]:
            try:
                return {"outputs": await perform(self, stage, scope)}
            except ExpressionError as error:
                raise error if error.place else error.at(stage.place) from None

        return enclosed

    def enclose(self, stage: "Stage", part: str, stages: "Sequence[Stage]", scope: Scope, siblings: Siblings) -> None:
        """Make a node around stages that are part of a stage: a branch, or one turn of a loop. Its value has their outcomes."""

        async def enclosed() -> dict[str, Any]:
            await siblings.begin()
            outcomes = (await self.run_stages(stages, scope)).outcomes_or_raise()
            return {"stages": dict(outcomes)}

        options = TaskOptions(name=f"{stage.id}[{part}]", limit=siblings.limit)
        siblings.nodes.append(call_at(stage.place, Enclosing(enclosed, (), options)))


def stopped_stage(stage: "Stage", after: tuple[Any, ...], why: Exception) -> Task[..., Any]:
    """Return the task of a stage that is skipped or cannot begin, so that the record shows it, and why."""

    async def stop() -> None:
        raise why

    return Task(stop, after, TaskOptions(name=stage.id, version=stage.digest))


def asks_after_failure(stage: "Stage") -> bool:
    """Return True for a stage that also runs when one before it has failed, or at least decides that by its `if`."""
    return stage.always or (stage.condition is not None and stage.condition.uses_status)


def status_of(error: BaseException | None) -> Status:
    """Return what conditions are told of the stages so far."""
    cancelled = isinstance(error, CancelledError)
    return Status(success=error is None, failure=error is not None and not cancelled, cancelled=cancelled)


def within(outer: Any) -> tuple[Any, ...]:
    """Return the outcomes of the stages around some stages, as parts of a chain."""
    if outer is None:
        return ()
    return tuple(outer.maps) if isinstance(outer, ChainMap) else (outer,)


def with_env(scope: Scope, env: "Template | None") -> Scope:
    """Return a scope with more variables of the environment. Raises `ExpressionError`."""
    if env is None:
        return scope
    return scope.with_(env={**scope.get("env", {}), **env.render(scope)})


def retrying(policy: "RetryPolicy") -> dict[str, Any]:
    """Return how often a node is tried again, as options of its task."""
    if not policy.retries:
        return {}
    return {"retries": policy.retries, "backoff": Backoff(policy.backoff, policy.factor, policy.maximum, jitter=0)}


def limited(timeout: "float | Template | None", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seconds that an attempt has, as options of its task. Raises `ExpressionError` and `OptionError`."""
    if timeout is None:
        return {}
    given = timeout if isinstance(timeout, int | float) else timeout.render(scope)
    seconds = seconds_of_value(given)
    if seconds is None:
        raise OptionError("timeout", given, DURATION_WANTED)
    return {"timeout": seconds}
