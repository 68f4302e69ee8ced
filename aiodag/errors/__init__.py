"""Every exception that aiodag raises::

    Exception
     ├── AiodagError
     │    ├── NoLoop         (RuntimeError)             a task was called outside a running loop
     │    ├── ForeignLoop    (RuntimeError, ValueError) an awaitable of another loop was passed
     │    ├── Deadlock       (RuntimeError)             a body awaits what waits for that body
     │    ├── UnexpectedCancel (RuntimeError)           a body ended in a CancelledError that nobody asked for
     │    ├── WorkerDied     (RuntimeError)             the process of an attempt ended without an answer
     │    ├── AttemptLost    (RuntimeError)             nobody can know how an attempt ended on another machine
     │    ├── NotPicklable   (TypeError)                something cannot go to another process, or come back
     │    ├── Stalled        (RuntimeError)             nothing on a virtual clock can ever go on
     │    ├── NotATask       (TypeError)                what was decorated cannot be a task
     │    ├── UnknownOption  (TypeError)                an option that no task has
     │    ├── OptionError    (ValueError)               an option with a value that cannot work
     │    ├── PayloadRefused (ValueError)               a message whose payload cannot be taken
     │    ├── MessageRefused                            a message that a transport will never send
     │    ├── NoCapacity     (ValueError)               a task asks for what its run will never have
     │    ├── HookFailed     (RuntimeError)             the URL of a hook did not accept the summary
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
     │    ├── ValueGone      (LookupError)              a value that was left where it was made, and is there no longer
     │    ├── RecordedError                             stands for a stored exception that cannot be rebuilt
     │    ├── EntryError     (ValueError)               a file, a task or arguments that no run can begin with
     │    ├── WorkflowError  (ValueError)               a workflow with faults, all of them at once
     │    ├── StageFailed                               a stage of a workflow file that has failed
     │    ├── ExpressionError (ValueError)              what stands in `${{ }}` or `if` has no value
     │    ├── SettingsError  (ValueError)               settings that cannot be read, all that is wrong at once
     │    ├── TriggerError   (ValueError)               a cron expression, or another trigger, that says no moments
     │    ├── RunCancelled                              a run that was cancelled from outside
     │    ├── WaitLost                                  a run that was woken, and does not wait for that any more
     │    ├── QueueError                                a submitted run that failed without its own doing
     │    └── StoreError                                a store cannot be used
     │         ├── StoreUnreachable                     a store that cannot be reached for now
     │         ├── UnknownRun                           a run that the store does not have
     │         ├── RunOwned                             a run that another process owns
     │         └── LeaseLost                            a run that was taken over or deleted meanwhile
     ├── Skip                                           raised by a body: nothing to do, nothing failed
     └── ExceptionGroup
          └── RunFailed                                 the root failures of a run
    BaseException
     ├── LetGo                                          raised in bodies of a run that goes on elsewhere
     └── BegunAgain                                     raised by `begin_again` out of a body

A failed node raises its own exception, of the type that its body raised; none of these wraps it.
"""

from collections.abc import Iterable, Sequence

from aiodag.complaint import Complaint as Complaint
from aiodag.errors.attempts import AttemptLost as AttemptLost
from aiodag.errors.attempts import Deadlock as Deadlock
from aiodag.errors.attempts import NoSecret as NoSecret
from aiodag.errors.attempts import NotPicklable as NotPicklable
from aiodag.errors.attempts import Skip as Skip
from aiodag.errors.attempts import StageFailed as StageFailed
from aiodag.errors.attempts import Stalled as Stalled
from aiodag.errors.attempts import UnexpectedCancel as UnexpectedCancel
from aiodag.errors.attempts import WorkerDied as WorkerDied
from aiodag.errors.calls import CycleError as CycleError
from aiodag.errors.calls import ForeignLoop as ForeignLoop
from aiodag.errors.calls import MissingExtra as MissingExtra
from aiodag.errors.calls import NoCapacity as NoCapacity
from aiodag.errors.calls import NoLoop as NoLoop
from aiodag.errors.calls import NotATask as NotATask
from aiodag.errors.calls import OptionError as OptionError
from aiodag.errors.calls import UnknownOption as UnknownOption
from aiodag.errors.messages import BegunAgain as BegunAgain
from aiodag.errors.messages import MessageRefused as MessageRefused
from aiodag.errors.messages import PayloadRefused as PayloadRefused
from aiodag.errors.messages import WaitLost as WaitLost
from aiodag.errors.root import AiodagError as AiodagError
from aiodag.errors.root import remade as remade
from aiodag.errors.runs import HookFailed as HookFailed
from aiodag.errors.runs import LetGo as LetGo
from aiodag.errors.runs import QueueError as QueueError
from aiodag.errors.runs import RunCancelled as RunCancelled
from aiodag.errors.runs import RunFailed as RunFailed
from aiodag.errors.stores import LeaseLost as LeaseLost
from aiodag.errors.stores import RunOwned as RunOwned
from aiodag.errors.stores import StoreError as StoreError
from aiodag.errors.stores import StoreUnreachable as StoreUnreachable
from aiodag.errors.stores import UnknownRun as UnknownRun

ALIKE = 20  # complaints that say the same, of which a message has each


class SecretInValue(AiodagError, ValueError):
    """Raised when the value of a task cannot be recorded because it holds the text of a secret. Values are never altered.

    `task` and `secret` are names.

    >>> import os
    >>> from aiodag import Run, Secret, task
    >>> os.environ["API_TOKEN"] = "correct horse"
    >>> @task
    ... async def login(token):
    ...     return {"auth": token}
    >>> async with Run("etl", store="memory:"):
    ...     await login(Secret("API_TOKEN"))
    Traceback (most recent call last):
    aiodag.SecretInValue: the value of login cannot be recorded: it holds the text of the secret 'API_TOKEN'. ...
    """

    def __init__(self, task: str, secret: str) -> None:
        self.task = task
        self.secret = secret
        super().__init__(
            f"the value of {task} cannot be recorded: it holds the text of the secret {secret!r}. Return something else and "
            f"let the task that needs the secret take Secret({secret!r}) itself; or record no value: @task(journal=False)"
        )


class EntryError(AiodagError, ValueError):
    """Raised when no run can begin with a given file, task or arguments.

    >>> from aiodag.service import Service
    >>> Service("memory:").target("gone.py")
    Traceback (most recent call last):
    aiodag.EntryError: gone.py: no such file. Give FILE.py or FILE.py:TASK
    """


class WorkflowError(AiodagError, ValueError):
    """Raised for a workflow with faults: all of them at once, a line each.

    `complaints` holds a `Complaint` for each.

    >>> from aiodag import WorkflowError
    >>> from aiodag.workflows import loads
    >>> try:
    ...     flow = loads('{"tasks": {"pull": {"comand": ["ls"], "retries": -1}}}', "etl.json")
    ... except WorkflowError as error:
    ...     print(len(error.complaints), "complaints, the first:", error.complaints[0])
    2 complaints, the first: etl.json:1 $.tasks.pull.comand: is a key that is not known here; did you mean 'command'?
    """

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(complaint_lines(self.complaints)))


def complaint_lines(complaints: Iterable[Complaint]) -> list[str]:
    """Return a line for each complaint; of very many that say the same, the first, and how many others there are."""
    lines: list[str] = []
    told: dict[str, int] = {}
    for each in complaints:
        told[each.text] = told.get(each.text, 0) + 1
        if told[each.text] <= ALIKE:
            lines.append(str(each))
    return lines + [f"{count - ALIKE:,} more: {text}" for text, count in told.items() if count > ALIKE]


class ExpressionError(AiodagError, ValueError):
    """Raised when an expression of a workflow file, a template or a condition, has no value.

    `expression` is what was written, `reason` what is wrong, `place` where it stands: "" until somebody says so with `at`.

    >>> from aiodag import ExpressionError
    >>> raise ExpressionError("${{ 1 / 0 }}", "nothing can be divided by 0").at("etl.yaml:7 $.jobs.load.stages[0].with.url")
    Traceback (most recent call last):
    aiodag.ExpressionError: etl.yaml:7 $.jobs.load.stages[0].with.url: ${{ 1 / 0 }}: nothing can be divided by 0
    """

    def __init__(self, expression: str, reason: str, place: str = "") -> None:
        self.expression = expression
        self.reason = reason
        self.place = place
        super().__init__(": ".join(filter(None, (place, expression, reason))))

    def at(self, place: str) -> "ExpressionError":
        """Return the same error with the place where the expression stands, unless it has one already."""
        return ExpressionError(self.expression, self.reason, self.place or place)


class SettingsError(AiodagError, ValueError):
    """Raised for settings that cannot be read, in the environment or in a file: all that is wrong at once, a line each.

    `complaints` holds a `Complaint` for each.

    >>> from pathlib import Path
    >>> from aiodag import SettingsError
    >>> from aiodag.service import Service
    >>> size = Path("aiodag.toml").write_text('stor = "runs.db"')
    >>> try:
    ...     Service()
    ... except SettingsError as error:
    ...     print(error.complaints[0].text)
    stor: is a key that is not known here; did you mean store?
    """

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(map(str, self.complaints)))


class TriggerError(AiodagError, ValueError):
    """Raised for a trigger that cannot be read or never fires, and for moments that it cannot go on from.

    `faults` holds a text for each thing that is wrong.

    >>> from aiodag.schedules import Cron
    >>> Cron("60 9 * * FOO")
    Traceback (most recent call last):
    aiodag.TriggerError: cron '60 9 * * FOO': minute '60': 0 to 59; day-of-week 'FOO': 0 to 7 or SUN to SAT
    """

    def __init__(self, what: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        more = [f"and {len(self.faults) - ALIKE:,} more"] if len(self.faults) > ALIKE else []
        super().__init__(f"{what}: {'; '.join([*self.faults[:ALIKE], *more])}")


TYPES = (
    "None, bool, int, float, complex, str, bytes, list, tuple, set, dict, range, datetime, date, time, timedelta, "
    "Decimal, Fraction, UUID, Path, deque, Enum, dataclass or named tuple"
)


def name_of_type(kind: type) -> str:
    """Return how a message calls a type: built-in ones without their module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class NoCodec(AiodagError, TypeError):
    """Raised when a value cannot be recorded; the message names the type at fault and what would work.

    `task` is the name of the task, `type_name` the type, `where` its place in the value, such as `[2].price` ("" is the
    value itself).

    >>> from aiodag import Run, task
    >>> async with Run("etl", store="memory:"):
    ...     await task(object)()
    Traceback (most recent call last):
    aiodag.NoCodec: the value of object cannot be recorded: the value, of type object, has no codec. ...
    """

    def __init__(self, task: str, kind: type, where: str, why: str = "has no codec") -> None:
        self.task = task
        self.type_name = name_of_type(kind)
        self.where = where
        place = f"value{where}" if where else "the value"
        super().__init__(
            f"{f'the value of {task}' if task else 'a value'} cannot be recorded: {place}, of type {self.type_name}, "
            f'{why}. Return something made of {TYPES}; or ask for pickle: @task(codec="pickle")'
        )


class ValueTooLarge(AiodagError, ValueError):
    """Raised when a value is too large for a store. `task` is the name of the task; `size` and `largest` are bytes.

    >>> from aiodag import ValueTooLarge
    >>> raise ValueTooLarge("load", 3_000, 1_000)
    Traceback (most recent call last):
    aiodag.ValueTooLarge: the value of load takes 3,000 bytes, and a store keeps at most 1,000: ...
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
    """Raised when an argument has nothing stable by which a later run could recognise the call.

    `task` is the name of the task, `type_name` the type at fault, `where` its place in the argument ("" is the argument
    itself).

    >>> from aiodag import Run, task
    >>> async with Run("etl", store="memory:"):
    ...     node = task(print)(object())
    Traceback (most recent call last):
    aiodag.NoFingerprint: an argument of print cannot be known again in a later run: the argument, of type object, is known by nothing that lasts beyond this process. ...
    """

    def __init__(self, task: str, kind: type, where: str, why: str = "has no stable fingerprint") -> None:
        self.task = task
        self.type_name = name_of_type(kind)
        self.where = where
        place = f"argument{where}" if where else "the argument"
        super().__init__(
            f"{f'an argument of {task}' if task else 'an argument'} cannot be known again in a later run: {place}, of "
            f"type {self.type_name}, {why}. Pass key= to @task, a function of the arguments that returns a plain "
            "value; or pass plain values, and open what needs a connection inside the body"
        )


class NoIdentity(NoFingerprint):
    """Raised when a task could be mistaken for another one of the same name, so that one would get the other's value.

    >>> from aiodag import Run, task
    >>> def adder(amounts):
    ...     @task
    ...     async def add(x):
    ...         return x + sum(amounts)
    ...     return add
    >>> async with Run("etl", store="memory:"):
    ...     nodes = adder([1])(5), adder([2])(5)
    Traceback (most recent call last):
    aiodag.NoIdentity: add cannot be known again in a later run: ...
    """

    def __init__(self, task: str, why: str) -> None:
        self.task = task
        self.type_name, self.where = "function", ""
        AiodagError.__init__(
            self,
            f"{task} cannot be known again in a later run: {why}. Give each function a name of its own, as in "
            '@task(name="..."), or pass what they differ in as an argument or in key=',
        )


class TaskMoved(AiodagError):
    """Raised when a run has recorded calls of a function that is no longer where it was, and so would run again.

    `former` is what `@task(former=...)` takes to go on with the record.

    >>> from aiodag import TaskMoved
    >>> raise TaskMoved("fetch", "old:fetch", "etl.py")
    Traceback (most recent call last):
    aiodag.TaskMoved: this run has recorded fetch as a function of old, and it is one of etl.py here: ...
    """

    def __init__(self, task: str, former: str, now: str) -> None:
        self.task, self.former = task, former
        super().__init__(
            f"this run has recorded {task} as a function of {former.rpartition(':')[0] or 'its own program'}, and it is one of "
            f"{now} here: nothing recorded of it would be found, and all of it would run again. If it is the same, say "
            f'@task(former="{former}"); if it is to run again, give it another version='
        )


class Undecodable(AiodagError, ValueError):
    """Raised when a record cannot be read back: its type is missing or has changed, or it is not a record.

    `type_name` is the type that the record names, as `module:qualname`, or "".

    >>> from aiodag.codec import Codecs
    >>> Codecs().decode('{"$": "registered", "v": ["money", 5]}')
    Traceback (most recent call last):
    aiodag.Undecodable: a recorded value cannot be read back: no type is registered as 'money'. ...
    """

    def __init__(self, why: str, type_name: str = "", *, loaded: bool = True) -> None:
        self.type_name = type_name
        hint = "" if loaded else f"import the module {type_name.rpartition(':')[0]} first, or "
        super().__init__(
            f"a recorded value cannot be read back: {why}. To go on, {hint}run the task again with another version: "
            '@task(version="2")'
        )


class ValueGone(AiodagError, LookupError):
    """Raised to who needs a value that was left where it was made, or in a place of its own, and cannot be had any more.

    >>> from aiodag import ValueGone
    >>> raise ValueGone("the workers that had it have died")
    Traceback (most recent call last):
    aiodag.ValueGone: a value that was left elsewhere is gone: the workers that had it have died. Its task has to run again: ...
    """

    def __init__(self, why: str) -> None:
        super().__init__(
            f"a value that was left elsewhere is gone: {why}. Its task has to run again: resume the run if it has a store, "
            "or call the task once more"
        )


class RecordedError(AiodagError):
    """Stands for a recorded exception that cannot be rebuilt: its class is missing, or something it held has no codec.

    `type_name` is its type as `module:qualname`, `text` what it said, `traceback_text` its traceback as printed.

    >>> from aiodag import RecordedError, Run, task
    >>> from aiodag.service import Service
    >>> class Declined(Exception): ...
    >>> @task
    ... async def pay():
    ...     raise Declined("no cover")
    >>> async with Run("bill", store="memory:declined", id="monday"):
    ...     await pay()
    Traceback (most recent call last):
    Declined: no cover
    >>> del Declined
    >>> Service("memory:declined").error("monday", "pay")
    RecordedError('__main__:Declined: no cover (recorded; it cannot be rebuilt: ...)')
    """

    def __init__(self, type_name: str, text: str, traceback_text: str = "", *, why: str = "") -> None:
        self.type_name = type_name
        self.text = text
        self.traceback_text = traceback_text
        super().__init__(f"{type_name}: {text}" + (f" (recorded; it cannot be rebuilt: {why})" if why else ""))
