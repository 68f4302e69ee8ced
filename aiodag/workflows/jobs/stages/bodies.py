"""What the nodes of stages run: async functions whose arguments are nobody's business."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeAlias

from aiodag._core.context import current_node

Outputs: TypeAlias = dict[str, Any]
StageBody: TypeAlias = Callable[..., Coroutine[Any, Any, Outputs]]


def stage_body(body: StageBody) -> StageBody:
    """Have a failure name the stage alone: its arguments are whole scripts, and variables of the environment."""

    @wraps(body)
    async def without_arguments(**given: Any) -> Outputs:
        try:
            return await body(**given)
        except BaseException:
            node = current_node()
            if node is not None:
                node._note_label(())  # noqa: SLF001 - as the engine does
            del node  # a failure's traceback holds this frame
            raise

    return without_arguments


def program_body(body: StageBody) -> StageBody:
    """Mark the body of a stage that ends its programs when it is cancelled, for whatever reason that is."""
    made = stage_body(body)
    vars(made)["ends_programs"] = True
    return made
