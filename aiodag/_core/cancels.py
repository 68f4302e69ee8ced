"""Tell a cancel that somebody asked for from a `CancelledError` that nobody did.

asyncio has one exception for both, and it ends a task as "cancelled" wherever it came from:

    node.cancel(), a timeout, a TaskGroup        counted by the task: cancelling() > 0          a cancel
    `await node` where that node was cancelled   nothing is counted here, it was counted there  a cancel
    a helper task was cancelled, a future,
    a body raised CancelledError itself          nobody has asked for anything                  a failure

So requests are counted, as anyio and Temporal do, and not exceptions seen: what ends for the third reason would
otherwise vanish with all that needs it, without a word. The second is told by a mark on the exception, which goes
along through helper tasks and `gather`.
"""

from asyncio import CancelledError, Task
from typing import Any

from aiodag.errors import UnexpectedCancel

MARK = "aiodag_node"  # the attribute of a CancelledError that came out of a cancelled node


def mark_asked(error: CancelledError) -> CancelledError:
    """Mark what a cancelled node raises to those that await it: what needs it is cancelled with it."""
    setattr(error, MARK, True)
    return error


def is_asked(asyncio_task: "Task[Any] | None", error: BaseException) -> bool:
    """Return whether somebody asked for this cancel: of the task itself, or of a node that it needs."""
    return (asyncio_task is not None and asyncio_task.cancelling() > 0) or hasattr(error, MARK)


def as_failure(what: str, error: BaseException) -> BaseException:
    """Return an error as it is, and a `CancelledError` that nobody asked for as the failure that it is."""
    if not isinstance(error, CancelledError):
        return error
    failure = UnexpectedCancel(what).with_traceback(error.__traceback__)  # which begins in the body
    failure.__cause__ = error
    return failure
