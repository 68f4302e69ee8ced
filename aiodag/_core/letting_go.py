"""Have the bodies of a run stop without an end, because the run goes on in another process.

A cancel cannot say that: bodies catch `CancelledError` to undo what they did, and a run that was given back is not undone.
asyncio throws nothing else into what waits, though, so a body of a run with a store is driven through `Leavable`, which
raises `LetGo` in its place:

    run.let_go() ─► node.cancel() ─► asyncio throws CancelledError ─► executors, hosts, limits: as ever
                                                                  └─► Leavable ─► the body: LetGo

Only the innermost coroutine, which is the user's, is driven so. What ends programs and leaves threads hears a cancel, whatever
the reason is.
"""

from asyncio import CancelledError, current_task
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from aiodag._core.fresh import Between
from aiodag.errors import LetGo

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.run import Run


class Leavable(Between):
    """An awaitable that drives a body of which its run may let go."""

    __slots__ = ("run",)

    def __init__(self, coroutine: Any, run: "Run") -> None:
        super().__init__(coroutine)
        self.run = run

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Take a step with an exception, which may come after its type."""
        error = kind if value is None else value
        if self.run.departed and isinstance(error, CancelledError):
            error = LetGo(self.run.id)
        try:
            return self.coroutine.throw(error)
        finally:
            del self, kind, value, traceback, error  # as in InContext


def leavable(node: "Node[Any]", body: Any) -> Any:
    """Return what drives a body of a node: the body itself where its run has no store, or where it ends programs."""
    run = node.run
    if run is None or run._journal is None or type(body) is not CoroutineType or hasattr(node.task.fn, "ends_programs"):
        return body
    return Leavable(body, run)


def let_go_of(run: "Run") -> None:
    """Stop a run, and have nothing recorded from now on. Raises `RuntimeError` for one without a store."""
    if run.journal is None:
        msg = f"run {run.name!r} has no store from which another process could continue it: give it one, or cancel it"
        raise RuntimeError(msg)
    run.departed = True
    if current_task(run.loop) is run._body:
        run._leaving = True  # by itself: a cancel would come to the next thing that leaving the scope awaits
    run.journal.let_go()
    run.abort()


def parting_of(run: "Run") -> BaseException:
    """Return what leaving a run raises that goes on elsewhere. It has no end here, and so no failures to tell of."""
    for failure in list(run.untaken.values()):
        failure.report.take()
    error = None if run.journal is None else run.journal.error
    return LetGo(run.id) if error is None else error
