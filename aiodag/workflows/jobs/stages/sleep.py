"""`sleep`: a pause, or a wait for a moment, that outlives the process."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiodag._core.doors import open_door
from aiodag.errors import StageFailed
from aiodag.wording import read_duration
from aiodag.workflows.jobs.stages.bodies import stage_body

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage

LONGEST = 100 * 365 * 86400  # seconds
WANTED = "seconds, a duration such as 90s or 1.5h, or a moment with a time zone such as 2030-01-01T00:00:00Z"


def sleep_arguments(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return how long to wait, or until when. Raises `ExpressionError` and `StageFailed`."""
    body: Any = stage.body
    given = body.render(scope)
    moment = moment_to_wait_for(given)
    return {"seconds": checked_pause_seconds(given)} if moment is None else {"moment": moment.isoformat()}


def checked_pause_seconds(given: object) -> float:
    """Return a pause in seconds. Raises `StageFailed` for what cannot be one."""
    seconds = seconds_to_wait(given)
    if seconds is not None and 0 <= seconds <= LONGEST:
        return seconds
    shown = repr(given)[:60] if seconds is None or math.isnan(seconds) else f"{seconds:g} s"
    msg = f"sleep takes {WANTED}, and this is {shown}"
    raise StageFailed(msg)


def seconds_to_wait(given: object) -> float | None:
    """Return a duration in seconds; None for what is none."""
    if isinstance(given, str):
        try:
            return float(given)
        except ValueError:
            return read_duration(given)
    try:
        return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None
    except OverflowError:
        return math.inf


def moment_to_wait_for(given: object) -> datetime | None:
    """Return a moment; None for what is none, or would be another one on another machine."""
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            return None
    return given if isinstance(given, datetime) and given.utcoffset() is not None else None


@stage_body
async def pause(seconds: float | None = None, moment: str | None = None) -> dict[str, Any]:
    """Wait in a node of its own: a run that does nothing else is parked meanwhile."""
    waits = open_door("waits")
    if moment is None:
        await waits.sleep(seconds)
    else:
        await waits.sleep_until(datetime.fromisoformat(moment))
    return {}
