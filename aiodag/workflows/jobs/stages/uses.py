"""`uses`: a registered function, plain or async, or a task."""

from collections.abc import Mapping
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from aiodag._core.doors import open_door
from aiodag._core.task import Task
from aiodag.errors import StageFailed
from aiodag.workflows.jobs.stages.bodies import stage_body
from aiodag.workflows.jobs.stages.outputs import outputs_of
from aiodag.workflows.registered import resolve_hook

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage


def uses_arguments(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the name of the function, and its arguments. Raises `ExpressionError`."""
    name: Any = stage.body
    return {"uses": name.render(scope), "given": {} if stage.given is None else stage.given.render(scope)}


@stage_body
async def call_hook(uses: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Call a registered function by its name. Raises `EntryError`, `StageFailed`, and what the function raises.

    A task is a node of its own, with its options. A plain function runs in a thread, which no timeout ends.
    """
    hook = resolve_hook(uses)
    misfits = hook.misfits(given)
    if misfits:
        raise StageFailed(f"{uses} cannot be called: {'; '.join(misfits)}")
    function = hook.function
    if isinstance(function, Task) or iscoroutinefunction(function):
        return outputs_of(await function(**given))
    value = await open_door("thread").EXECUTOR.run(function, **given)
    return outputs_of(await value if isawaitable(value) else value)
