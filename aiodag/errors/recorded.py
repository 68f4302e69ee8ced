"""What cannot be recorded, known again or read back."""

from aiodag.errors.root import AiodagError

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
