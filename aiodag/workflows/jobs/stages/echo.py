"""`echo`, and a stage that has only a name: a line for people."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiodag._core.context import current_node
from aiodag._core.doors import open_door
from aiodag._core.task import task
from aiodag.masking import masked
from aiodag.workflows.jobs.stages.bodies import stage_body
from aiodag.workflows.jobs.stages.outputs import outputs_without_secrets
from aiodag.workflows.jobs.stages.sleep import checked_pause_seconds
from aiodag.workflows.jobs.stages.texts import text_or_secret

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage

LOG = logging.getLogger("aiodag.stage")


def echo_arguments(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line, and the pause after it. Raises `ExpressionError` and `StageFailed`."""
    message = stage.name if stage.body is None else text_or_secret(stage.body.render(scope))
    pause = stage.settings.get("sleep")
    return {"message": message} if pause is None else {
        "message": message,
        "seconds": checked_pause_seconds(pause.render(scope)),
    }  # fmt: skip


@stage_body
async def say_message(message: str, seconds: float | None = None) -> dict[str, Any]:
    """Write a line, and wait after it if that is asked for."""
    if seconds is None:
        write_line(message)
    else:
        await LINE(message)  # a node: a run that is parked meanwhile, and goes on, does not write it again
        await open_door("waits").sleep(seconds)
    return outputs_without_secrets({"message": message})


def write_line(message: str) -> None:
    """Write a line where the output of programs goes: to the record of the run, or to the log if there is none."""
    node: Any = current_node()
    journal = None if node is None or node.run is None else node.run.journal
    if journal is None:
        LOG.info("%s", message)
    else:
        journal.output(node, "stdout", f"{masked(message)}\n".encode("utf-8", "replace"))


async def write_line_alone(message: str) -> None:
    """Write a line in a node of its own."""
    write_line(message)


LINE = task(write_line_alone, name="line")
