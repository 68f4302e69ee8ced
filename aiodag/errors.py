"""Every exception that aiodag raises::

    Exception
     ├── AiodagError
     │    ├── NoLoop         (RuntimeError)             a task was called outside a running loop
     │    ├── ForeignLoop    (RuntimeError, ValueError) an awaitable of another loop was passed
     │    ├── Deadlock       (RuntimeError)             a body awaits what waits for that body
     │    ├── UnexpectedCancel (RuntimeError)           a body ended in a CancelledError that nobody asked for
     │    ├── WorkerDied     (RuntimeError)             the process of an attempt ended without an answer
     │    ├── NotPicklable   (TypeError)                something cannot go to another process, or come back
     │    ├── Stalled        (RuntimeError)             nothing on a virtual clock can ever go on
     │    ├── NotATask       (TypeError)                what was decorated cannot be a task
     │    ├── UnknownOption  (TypeError)                an option that no task has
     │    ├── OptionError    (ValueError)               an option with a value that cannot work
     │    ├── NoCapacity     (ValueError)               a task asks for what its run will never have
     │    ├── HookFailed     (RuntimeError)             a URL that could not be told of a run
     │    ├── CycleError     (ValueError)               a graph with a cycle, or a container inside itself
     │    ├── MissingExtra   (ImportError)              an optional dependency that is not installed
     │    ├── NoSecret       (LookupError)              a secret that cannot be read, or is too short to be one
     │    ├── SecretInValue  (ValueError)               a value that cannot be stored, since a secret is in it
     │    ├── NoFingerprint  (TypeError)                an argument by which no node can be known again
     │    │    └── NoIdentity                           a function that could be taken for another of its name
     │    ├── NoCodec        (TypeError)                a value that cannot be stored
     │    ├── ValueTooLarge  (ValueError)               a value that is too large for a store
     │    ├── TaskMoved                                 a recorded function that is not where it was
     │    ├── Undecodable    (ValueError)               a stored value that cannot be read back
     │    ├── RecordedError                             stands for a stored exception that cannot be rebuilt
     │    ├── EntryError     (ValueError)               a file, a task or arguments that no run can begin with
     │    ├── WorkflowError  (ValueError)               a workflow with faults, all of them at once
     │    ├── RunCancelled                              a run that was cancelled from outside
     │    └── StoreError                                a store cannot be used
     │         ├── UnknownRun                           a run that the store does not have
     │         ├── RunOwned                             a run that another process owns
     │         └── LeaseLost                            a run that was taken over or deleted meanwhile
     ├── Skip                                           raised by a body: nothing to do, nothing failed
     └── ExceptionGroup
          └── RunFailed                                 the root failures of a run

A failed node raises its own exception, of the type that its body raised; none of these wraps it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from aiodag.complaint import Complaint as Complaint  # noqa: PLC0414 - re-exported, for the checkers

if TYPE_CHECKING:
    from aiodag._core.failure import Failure


class AiodagError(Exception):
    """Mark an error that aiodag itself found.

    >>> issubclass(Deadlock, AiodagError)
    True
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args), vars(self) or None


def remade(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Make a copy of an error, from pickle or `copy`, with its finished text: `__init__` would build another one."""
    return kind.__new__(kind, *args)


class NoLoop(AiodagError, RuntimeError):
    """Say that a task was called where no event loop runs: outside of any, or in the body of a plain function."""

    def __init__(self, task: str, body: str = "") -> None:
        outside = f"Call it inside a coroutine: async def main(): await {task}(...), then asyncio.run(main())"
        inside = f"The body of {body}, a plain function, runs in a thread, which has none. Make {body} async, and what blocks in it "
        inside += f"a task of its own; or return what {task} needs, and call it where {body} is called"
        super().__init__(
            f"{task}(...) was called without a running event loop, so nothing was scheduled. {inside if body else outside}"
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


class UnexpectedCancel(AiodagError, RuntimeError):
    """Say that a body ended in a `CancelledError` although nobody had cancelled it: that is a failure, not a cancel.

    The cause of this error is that `CancelledError`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} ended in a CancelledError, but nobody asked to cancel it: something that it awaited was cancelled, "
            "such as a helper task or a future, or it raised CancelledError itself. Catch asyncio.CancelledError where "
            "that is expected; raise aiodag.Skip to end a node without a value, and call node.cancel() to cancel one"
        )


class WorkerDied(AiodagError, RuntimeError):
    """Say that the worker process of an attempt ended without an answer. No other attempt has noticed.

    `code` is its exit code, or a negative signal; None where nobody knows it.
    """

    def __init__(self, task: str, *, attempt: int = 1, attempts: int = 1, code: int | None = None) -> None:
        self.code = code
        super().__init__(
            f"{task} got no answer in attempt {attempt} of {attempts}, because its worker process ended (exit code {code}): "
            "killed, out of memory, a crash in native code, or a main module that starts the program again when a "
            'worker imports it (guard it with `if __name__ == "__main__":`). The next attempt gets a new worker'
            + ("; retries=1 would have tried again" if attempts == 1 else "")
        )


class NotPicklable(AiodagError, TypeError):
    """Say that a call cannot go to a worker process, or its value or its exception cannot come back, and why.

    The cause of this error shows where an exception that was lost had been raised.
    """

    def __init__(self, task: str, what: str, why: str, *, raised: str = "") -> None:
        way, hint = {
            "call": ("go to", "Its function must be importable by its own name, and what it is given picklable"),
            "value": ("come back from", "Return what pickle takes, and can make again"),
            "exception": (
                "come back from",
                "Pass all arguments of its __init__ on to super().__init__(), or define __reduce__",
            ),
        }[what]
        told = f", {raised}," if raised else ""
        super().__init__(f"the {what} of {task}{told} cannot {way} a worker process: {why}. {hint}")


class Stalled(AiodagError, RuntimeError):
    """Say that nothing on a virtual clock can go on: no timer is left, no thread, no I/O, and something still waits.

    `waiting` names what waits.
    """

    def __init__(self, waiting: Iterable[str]) -> None:
        self.waiting = tuple(waiting)
        super().__init__(
            "nothing can go on: there is no timer, no thread or process and no I/O that could end the wait of "
            f"{', '.join(self.waiting) or 'the loop'}. Set, cancel or time out what they wait for"
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
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        super().__init__(f"task() has no option {option!r}{hint} The options are {', '.join(names)}")


class OptionError(AiodagError, ValueError):
    """Say that the value of an option cannot work, and what would."""

    def __init__(self, option: str, given: object, wanted: str) -> None:
        super().__init__(f"{option}={given!r} cannot work: {option} takes {wanted}")


class NoCapacity(AiodagError, ValueError):
    """Say that a task asks for resources that its run will never have: what, and what there is."""

    def __init__(self, task: str, why: str) -> None:
        self.task = task
        super().__init__(f"{task} {why}")


class HookFailed(AiodagError, RuntimeError):
    """Say that a URL could not be told of a run, and why. It names the host alone: the rest may give access."""

    def __init__(self, host: str, why: str) -> None:
        self.host = host
        super().__init__(f"{host} {why}")


class NoSecret(AiodagError, LookupError):
    """Say that a secret cannot be read, by its name, and why."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"secret {name!r} {why}")


class SecretInValue(AiodagError, ValueError):
    """Say that the value of a task cannot be recorded, because the text of a secret is in it. Values are never altered."""

    def __init__(self, task: str, secret: str) -> None:
        self.task = task
        self.secret = secret
        super().__init__(
            f"the value of {task} cannot be recorded: it holds the text of the secret {secret!r}. Return something else and "
            f"let the task that needs the secret take Secret({secret!r}) itself; or record no value: @task(journal=False)"
        )


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

    `failures` has a `Failure` for each exception, in the same order; a copy or pickle has none, since they belong to a
    loop. Catch single types with `except*`.
    """

    failures: "tuple[Failure, ...]"

    def __new__(cls, message: str, exceptions: Sequence[Exception], failures: "Sequence[Failure]" = ()) -> Self:
        """Make the group; `failures` are kept beside the exceptions."""
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


class MissingExtra(AiodagError, ImportError):
    """Say that an optional dependency is not installed."""

    def __init__(self, wanted: str, package: str, extra: str) -> None:
        super().__init__(f"{wanted} needs {package}, which is not installed: pip install 'aiodag[{extra}]'")


class EntryError(AiodagError, ValueError):
    """Say why no run can begin with a file, a task in it, or the arguments given."""


class WorkflowError(AiodagError, ValueError):
    """Hold all that is wrong in a workflow, one complaint a line."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(map(str, self.complaints)))


class RunCancelled(AiodagError):
    """Say that a run was cancelled on request."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} was cancelled on request; resuming it runs what has not succeeded")


class StoreError(AiodagError):
    """Say that a store cannot be used: where it is, what was tried, what went wrong."""


class UnknownRun(StoreError):
    """Say that a store has no such run."""

    def __init__(self, run: str, known: Iterable[str], place: str) -> None:
        from difflib import get_close_matches  # noqa: PLC0415 - as above

        near = get_close_matches(run, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " `aiodag runs` lists what there is."
        super().__init__(f"no run {run!r} in {place}.{hint}")


class RunOwned(StoreError):
    """Say who owns a run that was to be resumed."""

    def __init__(self, run: str, owner: object, left: float) -> None:
        super().__init__(
            f"run {run!r} is owned by {owner}, which renewed its lease for another {left:.0f} s. Wait for it, or cancel "
            f"it with `aiodag cancel {run}`; when its lease has run out, the run can be resumed"
        )


class LeaseLost(StoreError):
    """Say that a run is no longer this process's: it was taken over, or deleted. Nothing more is written, its nodes stop."""

    def __init__(self, run: str, *, deleted: bool = False) -> None:
        what = "deleted" if deleted else "taken over by another process"
        super().__init__(
            f"run {run!r} was {what} while this process did not renew its lease. Nothing of it was written after that"
        )


TYPES = (
    "None, bool, int, float, complex, str, bytes, list, tuple, set, dict, range, datetime, date, time, timedelta, "
    "Decimal, Fraction, UUID, Path, deque, Enum, dataclass or named tuple"
)


def named(kind: type) -> str:
    """Return how a message calls a type: built-in ones without their module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class NoCodec(AiodagError, TypeError):
    """Say that a value cannot be recorded: which task returned it, what in it is at fault, and both ways out.

    `type_name` is the type at fault, and `where` its place inside the value, such as `[2].price` ("" is the value itself).
    """

    def __init__(self, task: str, kind: type, where: str, why: str = "has no codec") -> None:
        self.task = task
        self.type_name = named(kind)
        self.where = where
        place = f"value{where}" if where else "the value"
        super().__init__(
            f"{f'the value of {task}' if task else 'a value'} cannot be recorded: {place}, of type {self.type_name}, "
            f'{why}. Return something made of {TYPES}; or ask for pickle: @task(codec="pickle")'
        )


class ValueTooLarge(AiodagError, ValueError):
    """Say that a value is too large for a store, and what to return instead. Sizes are bytes.

    >>> str(ValueTooLarge("load", 3_000, 1_000)).partition(":")[0]
    'the value of load takes 3,000 bytes, and a store keeps at most 1,000'
    """

    def __init__(self, task: str, size: int, largest: int) -> None:
        self.task = task
        self.size = size
        self.largest = largest
        super().__init__(
            f"the value of {task} takes {size:,} bytes, and a store keeps at most {largest:,}: write it to a file, and "
            "return the path; or leave it out of the record with @task(journal=False)"
        )


class NoFingerprint(AiodagError, TypeError):
    """Say that an argument has nothing stable by which a later run could know it again, and what would help.

    `type_name` is the type at fault, and `where` its place inside the argument ("" is the argument itself).
    """

    def __init__(self, task: str, kind: type, where: str, why: str = "has no stable fingerprint") -> None:
        self.task = task
        self.type_name = named(kind)
        self.where = where
        place = f"argument{where}" if where else "the argument"
        super().__init__(
            f"{f'an argument of {task}' if task else 'an argument'} cannot be known again in a later run: {place}, of "
            f"type {self.type_name}, {why}. Pass key= to @task, a function of the arguments that returns a plain "
            "value; or pass plain values, and open what needs a connection inside the body"
        )


class NoIdentity(NoFingerprint):
    """Say that a task could be taken for another one of the same name, so that values would be mistaken; and what helps."""

    def __init__(self, task: str, why: str) -> None:
        self.task = task
        self.type_name, self.where = "function", ""
        AiodagError.__init__(
            self,
            f"{task} cannot be known again in a later run: {why}. Give each function a name of its own, as in "
            '@task(name="..."), or pass what they differ in as an argument or in key=',
        )


class TaskMoved(AiodagError):
    """Say that a run has recorded a call of a function that is no longer where it was, so that it would run again.

    `former` is what `@task(former=...)` takes to go on with the record.
    """

    def __init__(self, task: str, former: str, now: str) -> None:
        self.task, self.former = task, former
        super().__init__(
            f"this run has recorded {task} as a function of {former.rpartition(':')[0] or 'its own program'}, and it is one of "
            f"{now} here: nothing recorded of it would be found, and all of it would run again. If it is the same, say "
            f'@task(former="{former}"); if it is to run again, give it another version='
        )


class Undecodable(AiodagError, ValueError):
    """Say that a record cannot be read back: it names a type that is not there, has changed, or it is not a record.

    `type_name` is the type that the record names, as `module:qualname`, or "".
    """

    def __init__(self, why: str, type_name: str = "", *, loaded: bool = True) -> None:
        self.type_name = type_name
        hint = "" if loaded else f"import the module {type_name.rpartition(':')[0]} first, or "
        super().__init__(
            f"a recorded value cannot be read back: {why}. To go on, {hint}run the task again with another version: "
            '@task(version="2")'
        )


class RecordedError(AiodagError):
    """Stand for a recorded exception that cannot be rebuilt: its class is not there, or what it held has no codec.

    `type_name` is its type as `module:qualname`, `text` what it said, `traceback_text` the traceback as it was printed.
    """

    def __init__(self, type_name: str, text: str, traceback_text: str = "", *, why: str = "") -> None:
        self.type_name = type_name
        self.text = text
        self.traceback_text = traceback_text
        super().__init__(f"{type_name}: {text}" + (f" (recorded; it cannot be rebuilt: {why})" if why else ""))
