"""How a run ends, and how it goes on elsewhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from aiodag.errors.root import AiodagError, remade

if TYPE_CHECKING:
    from aiodag._core.failure import Failure


class RunFailed(ExceptionGroup[Exception]):
    """Raised on leaving a run in which nodes failed: a group with one exception for each node that failed of itself.

    `failures` has a `Failure` for each exception, in the same order; a copy or pickle has none, since they belong to a
    loop. Catch single types with `except*`.

    >>> from aiodag import Run, RunFailed, task
    >>> try:
    ...     async with Run("etl"):
    ...         nodes = task(int).map(["1", "two"])
    ... except RunFailed as failed:
    ...     print(*failed.failures)
    int('two') failed: ValueError: invalid literal for int() with base 10: 'two'
    """

    failures: "tuple[Failure, ...]"

    def __new__(cls, message: str, exceptions: Sequence[Exception], failures: "Sequence[Failure]" = ()) -> Self:
        """Make the group; `failures` are kept with the exceptions."""
        group = super().__new__(cls, message, exceptions)
        group.failures = tuple(failures)
        return group

    def __init__(self, message: str, exceptions: Sequence[Exception], failures: "Sequence[Failure]" = ()) -> None:
        """Accept what `__new__` took."""

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {name: value for name, value in vars(self).items() if name != "failures"}
        return type(self), (self.message, list(self.exceptions)), kept or None

    def derive(self, excs: "Sequence[Exception]") -> "RunFailed":  # type: ignore[override]  # narrower: node failures are Exceptions
        """Make a group of some of the exceptions, as `except*` and `split` do."""
        kept = [failure for failure in self.failures if any(failure.exception is exc for exc in excs)]
        return RunFailed(self.message, excs, kept)


class RunCancelled(AiodagError):
    """Raised on leaving a run that was cancelled on request, from this process or another one.

    >>> import asyncio
    >>> from aiodag import Run, task
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:cancelled", id="monday"):
    ...     node = task(asyncio.sleep)(3600)
    ...     asked = Service("memory:cancelled").cancel("monday")
    Traceback (most recent call last):
    aiodag.RunCancelled: run 'monday' was cancelled on request; resuming it runs what has not succeeded
    """

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} was cancelled on request; resuming it runs what has not succeeded")


class QueueError(AiodagError):
    """Why a submitted run failed in its queue: it expired, no worker has its code, its owners died, or it cannot be read.

    It is recorded as the error of the run, and raised by `Service.result`.

    >>> from aiodag import QueueError
    >>> raise QueueError("expired: it had not begun by 2026-11-28 12:00:00Z")
    Traceback (most recent call last):
    aiodag.QueueError: expired: it had not begun by 2026-11-28 12:00:00Z
    """


class HookFailed(AiodagError, RuntimeError):
    """Raised when the URL of a hook did not accept the summary of a run.

    `host` is all that the error shows of the URL, since the rest may give access.

    >>> from aiodag import HookFailed
    >>> raise HookFailed("https://example.com", "answered 404 Not Found")
    Traceback (most recent call last):
    aiodag.HookFailed: https://example.com answered 404 Not Found
    """

    def __init__(self, host: str, why: str) -> None:
        self.host = host
        super().__init__(f"{host} {why}")


class LetGo(BaseException):
    """Raised in the bodies of a run that its process lets go of, where they wait and where they call a task.

    The run was given back to its queue, or belongs to another process by now. It goes on there: what has succeeded is recalled,
    and every unfinished body begins again. So this is neither an `Exception` nor a `CancelledError`, and what undoes things
    after a failure must not see it. Nothing that the body does from here on is recorded.

    >>> from aiodag import LetGo, Run, current_run, task
    >>> @task
    ... async def book():
    ...     try:
    ...         current_run().let_go()
    ...         await task(print)("never")
    ...     except Exception:
    ...         print("never: the booking stands, and goes on elsewhere")
    >>> try:
    ...     async with Run("trip", store="memory:let-go") as run:
    ...         node = book()
    ... except LetGo:
    ...     print(run.state)
    queued
    """

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} goes on in another process: this one has let go of it, and records nothing more")

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args), vars(self) or None
