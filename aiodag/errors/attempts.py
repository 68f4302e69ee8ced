"""How an attempt ends, but for the exceptions of its body."""

from collections.abc import Iterable, Sequence

from aiodag.errors.root import AiodagError


class Deadlock(AiodagError, RuntimeError):
    """Raised when a body awaits a node that waits for that body.

    `cycle` holds the names, from the awaiting task round to itself.

    >>> from aiodag import current_node, task
    >>> @task
    ... async def whole():
    ...     return await part(current_node())
    >>> @task
    ... async def part(value): ...
    >>> await whole()
    Traceback (most recent call last):
    aiodag.Deadlock: whole waits for part waits for whole: none of them could ever go on. ...
    """

    def __init__(self, cycle: Sequence[str]) -> None:
        self.cycle = tuple(cycle)
        super().__init__(
            " waits for ".join(self.cycle) + ": none of them could ever go on. "
            "Return the value and let the next task take it as an argument, instead of awaiting it here"
        )


class UnexpectedCancel(AiodagError, RuntimeError):
    """Raised when a body ends in a `CancelledError` although nobody cancelled it: that is a failure, not a cancel.

    Its `__cause__` is that `CancelledError`.

    >>> import asyncio
    >>> from aiodag import task
    >>> @task
    ... async def fetch():
    ...     raise asyncio.CancelledError
    >>> await fetch()
    Traceback (most recent call last):
    aiodag.UnexpectedCancel: fetch ended in a CancelledError, but nobody asked to cancel it: ...
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} ended in a CancelledError, but nobody asked to cancel it: something that it awaited was cancelled, "
            "such as a helper task or a future, or it raised CancelledError itself. Catch asyncio.CancelledError where "
            "that is expected; raise aiodag.Skip to end a node without a value, and call node.cancel() to cancel one"
        )


class WorkerDied(AiodagError, RuntimeError):
    """Raised when the worker process of an attempt ends without an answer. Other attempts are not affected.

    `code` is its exit code, a negative signal number, or None if it is not known.

    >>> import os
    >>> from aiodag import task
    >>> await task(os._exit, executor="process")(3)
    Traceback (most recent call last):
    aiodag.WorkerDied: _exit got no answer in attempt 1 of 1, because its worker process ended (exit code 3): ...
    """

    def __init__(self, task: str, *, attempt: int = 1, attempts: int = 1, code: int | None = None) -> None:
        self.code = code
        super().__init__(
            f"{task} got no answer in attempt {attempt} of {attempts}, because its worker process ended (exit code {code}): "
            "killed, out of memory, a crash in native code, or a main module that starts the program again when a "
            'worker imports it (guard it with `if __name__ == "__main__":`). The next attempt gets a new worker'
            + ("; retries=1 would have tried again" if attempts == 1 else "")
        )


class AttemptLost(AiodagError, RuntimeError):
    """Raised when nobody can know how an attempt on another machine ended, and nothing of it runs any more.

    It is tried again, up to `lost_retries` times, which are counted apart from `retries`. `reason` says in a few words what
    happened, such as "connection", "node failure" or "worker died".

    >>> from aiodag import AttemptLost
    >>> raise AttemptLost("the worker of resize, tcp://10.0.0.7:4100, has died", reason="worker died")
    Traceback (most recent call last):
    aiodag.AttemptLost: the worker of resize, tcp://10.0.0.7:4100, has died
    """

    def __init__(self, why: str, *, reason: str = "connection") -> None:
        self.reason = reason
        super().__init__(why)


class NotPicklable(AiodagError, TypeError):
    """Raised when a call cannot go to a worker process, or its value or exception cannot come back.

    If an exception was lost this way, `__cause__` shows where it was raised.

    >>> from aiodag import task
    >>> await task(lambda: 1, executor="process")()
    Traceback (most recent call last):
    aiodag.NotPicklable: the call of <lambda> cannot go to a worker process: ...
    """

    def __init__(self, task: str, what: str, why: str, *, raised: str = "") -> None:
        way, hint = {
            "call": ("go to", "Its function must be importable by its own name, and its arguments picklable"),
            "value": ("come back from", "Return something that pickle can write and read"),
            "exception": (
                "come back from",
                "Pass all arguments of its __init__ on to super().__init__(), or define __reduce__",
            ),
        }[what]
        told = f", {raised}," if raised else ""
        super().__init__(f"the {what} of {task}{told} cannot {way} a worker process: {why}. {hint}")


class Stalled(AiodagError, RuntimeError):
    """Raised when nothing on a virtual clock can go on: something waits, and no timer, thread or I/O could end the wait.

    `waiting` names what waits.

    >>> import asyncio
    >>> from aiodag.testing import run
    >>> run(asyncio.Event().wait())
    Traceback (most recent call last):
    aiodag.Stalled: nothing can go on: ...
    """

    def __init__(self, waiting: Iterable[str]) -> None:
        self.waiting = tuple(waiting)
        super().__init__(
            "nothing can go on: there is no timer, no thread or process and no I/O that could end the wait of "
            f"{', '.join(self.waiting) or 'the loop'}. Set, cancel or time out what they wait for"
        )


class NoSecret(AiodagError, LookupError):
    """Raised when a secret cannot be read, or is too short to be one. `name` is the name of the secret.

    >>> from aiodag import Secret
    >>> Secret("NO_SUCH_TOKEN").read()
    Traceback (most recent call last):
    aiodag.NoSecret: secret 'NO_SUCH_TOKEN' ...
    """

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"secret {name!r} {why}")


class Skip(Exception):
    """Raise this in a body to settle its node as skipped: what needs the node is skipped too, and nothing has failed.

    >>> from aiodag import Skip, task
    >>> @task
    ... async def load(rows):
    ...     if not rows:
    ...         raise Skip("no new rows today")
    >>> node = load([])
    >>> await node
    Traceback (most recent call last):
    aiodag.Skip: no new rows today
    >>> node.state
    <State.SKIPPED: 'skipped'>
    """


class StageFailed(AiodagError):
    """Raised when a stage of a workflow file fails: with what its `raise` says, or with how its `run` ended.

    >>> from aiodag import StageFailed
    >>> raise StageFailed("no rows came for monday")
    Traceback (most recent call last):
    aiodag.StageFailed: no rows came for monday
    """
