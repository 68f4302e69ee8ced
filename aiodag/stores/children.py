"""How a run that another one has begun ended, for the node that waits for it."""

from aiodag.codec.text import decode_error
from aiodag.errors import RunCancelled, RunFailed, StoreError
from aiodag.states import State
from aiodag.wording import first_line


def child_error(run_id: str, name: str, state: State, error: str) -> Exception:
    """Return what the node fails with that waits for a run: `RunCancelled`, or `RunFailed` with what that failed with.

    >>> child_error("order-17", "order", State.CANCELLED, "")
    RunCancelled("run 'order-17' was cancelled on request; resuming it runs what has not succeeded")
    """
    if state is State.CANCELLED:
        return RunCancelled(run_id)
    if state is State.SUCCEEDED:
        return StoreError(f"run {run_id!r} of {name} has succeeded, and what it gave cannot be kept in a store")
    if not state.final:
        return StoreError(f"run {run_id!r}, which this one has begun, was deleted before it had ended")
    why = decode_error(error) if error else RuntimeError("why is not recorded")
    if not isinstance(why, Exception):
        why = RuntimeError(f"{type(why).__name__}: {why}")
    inside = list(why.exceptions) if isinstance(why, RunFailed) else [why]
    return RunFailed(f"run {run_id!r} of {name}, which this one has begun, failed: {first_line(str(why))}", inside)
