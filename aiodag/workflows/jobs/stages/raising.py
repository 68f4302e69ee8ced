"""`raise`: a failure that the workflow itself declares."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiodag.errors import StageFailed
from aiodag.masking import masked
from aiodag.workflows.jobs.stages.bodies import stage_body
from aiodag.workflows.jobs.stages.texts import text_or_secret

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage


def raise_arguments(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message. Raises `ExpressionError`."""
    given: Any = stage.body
    return {"message": text_or_secret(given.render(scope))}


@stage_body
async def fail_as_declared(message: str) -> dict[str, Any]:
    """Fail. Raises `StageFailed`."""
    raise StageFailed(masked(message))
