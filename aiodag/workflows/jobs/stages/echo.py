"""`echo`, and a stage that has only a name: a line for people."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_node
from aiodag.masking import masked
from aiodag.workflows.jobs.stages.bodies import stage_body
from aiodag.workflows.jobs.stages.outputs import outputs_without_secrets
from aiodag.workflows.jobs.stages.texts import text_or_secret

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage

LOG = logging.getLogger("aiodag.stage")


def echo_arguments(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line. Raises `ExpressionError`."""
    return {"message": stage.name if stage.body is None else text_or_secret(stage.body.render(scope))}


@stage_body
async def say_message(message: str) -> dict[str, Any]:
    """Write a line where the output of programs goes: to the record of the run, or to the log if there is none."""
    node: Any = current_node()
    journal = None if node is None or node.run is None else node.run.journal
    if journal is None:
        LOG.info("%s", message)
    else:
        journal.output(node, "stdout", f"{masked(message)}\n".encode("utf-8", "replace"))
    return outputs_without_secrets({"message": message})
