"""Every exception that aiodag raises.

    Exception
     ├── AiodagError
     │    ├── NoLoop         (RuntimeError)             a task was called outside a running loop
     │    ├── ForeignLoop    (RuntimeError, ValueError) an awaitable of another loop was passed
     │    ├── Deadlock       (RuntimeError)             a body awaits what waits for that body
     │    ├── WorkerDied     (RuntimeError)             the process of an attempt ended without an answer
     │    ├── NotATask       (TypeError)                what was decorated cannot be a task
     │    ├── UnknownOption  (TypeError)                an option that no task has
     │    ├── OptionError    (ValueError)               an option with a value that cannot work
     │    └── CycleError     (ValueError)               a graph with a cycle, or a container inside itself
     ├── Skip                                           raised by a body: nothing to do, nothing failed
     └── ExceptionGroup
          └── RunFailed                                 the root failures of a run

A failed node raises its own exception, of the type that its body raised; none of these wraps it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from aiodag._core.failure import Failure


class AiodagError(Exception):
    """Mark an error that aiodag itself found.

    >>> issubclass(Deadlock, AiodagError)
    True
    """


class NoLoop(AiodagError, RuntimeError):
    """Say that a task was called where no event loop runs."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"{task}(...) was called without a running event loop, so nothing was scheduled. "
            f"Call it inside a coroutine: async def main(): await {task}(...), then asyncio.run(main())"
        )


class ForeignLoop(AiodagError, RuntimeError, ValueError):
    """Say that an awaitable belongs to another event loop than the one that runs."""

    def __init__(self, awaitable: object, *, closed: bool) -> None:
        state = "is closed" if closed else "is not the one that runs here"
        super().__init__(
            f"{awaitable!r} belongs to an event loop that {state}. A node serves the loop it was made on: "
            "pass its value (node.result()), or call its task again on this loop"
        )


class Deadlock(AiodagError, RuntimeError):
    """Say that a body awaits a node that waits for that body.

    `cycle` holds the names, from the awaiting task round to itself.
    """

    def __init__(self, cycle: Sequence[str]) -> None:
        self.cycle = tuple(cycle)
        super().__init__(
            " waits for ".join(self.cycle) + ": none of them could ever go on. "
            "Return the value and let the next task take it as an argument, instead of awaiting it here"
        )


class WorkerDied(AiodagError, RuntimeError):
    """Say that the process that ran an attempt ended without an answer."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"the worker process that ran {task} died before it answered (killed, out of memory, or a crash in "
            "native code). The next attempt gets a new pool; retries=1 would have tried again"
        )


class NotATask(AiodagError, TypeError):
    """Say that something cannot be made a task."""

    def __init__(self, given: object, why: str = "is not callable") -> None:
        super().__init__(
            f"task() got {given!r}, which {why}. Pass an async function, a plain function (it runs in a thread), "
            "a method, a functools.partial, or an object with an async __call__"
        )


class UnknownOption(AiodagError, TypeError):
    """Say that no task has such an option, and name the nearest that is one."""

    def __init__(self, option: str, known: Iterable[str]) -> None:
        # Imported here: asyncio does not load difflib, and `import aiodag` loads nothing that asyncio does not.
        from difflib import get_close_matches  # noqa: PLC0415 - see above

        names = sorted(known)
        near = get_close_matches(option, names, n=2)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        super().__init__(f"task() has no option {option!r}; {hint}The options are {', '.join(names)}")


class OptionError(AiodagError, ValueError):
    """Say that the value of an option cannot work, and what would."""

    def __init__(self, option: str, given: object, wanted: str) -> None:
        super().__init__(f"{option}={given!r} cannot work: {option} takes {wanted}")


class CycleError(AiodagError, ValueError):
    """Say that something leads back to itself; `path` holds the names on the way round."""

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(f"cycle: {' -> '.join(self.path)}")


class Skip(Exception):
    """Raise it in a body to settle the node as skipped: what needs the node is skipped too, and nothing failed.

    >>> raise Skip("no new rows today")
    Traceback (most recent call last):
    aiodag.errors.Skip: no new rows today
    """


class RunFailed(ExceptionGroup[Exception]):
    """Hold the root failures of a run: one exception for each node that failed of itself.

    `failures` has a `Failure` for each exception, in the same order. Catch single types with `except*`.
    """

    failures: "tuple[Failure, ...]"

    def __new__(cls, message: str, exceptions: Sequence[Exception], failures: "Sequence[Failure]" = ()) -> Self:
        """Make the group; `failures` are kept beside the exceptions."""
        group = super().__new__(cls, message, exceptions)
        group.failures = tuple(failures)
        return group

    def __init__(self, message: str, exceptions: Sequence[Exception], failures: "Sequence[Failure]" = ()) -> None:
        """Accept what `__new__` took."""

    def derive(self, excs: "Sequence[Exception]") -> "RunFailed":  # type: ignore[override]  # narrower: node failures are Exceptions
        """Make a group of some of the exceptions, as `except*` and `split` do."""
        kept = [failure for failure in self.failures if any(failure.exception is exc for exc in excs)]
        return RunFailed(self.message, excs, kept)
