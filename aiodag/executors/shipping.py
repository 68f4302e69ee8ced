"""What passes between a program and the workers of a cluster: calls, and what comes of them.

A call is one piece of bytes, which nobody but the worker reads: the function by name where that leads back to it, by value
where it does not (lambdas, closures, what the main module defines), and its arguments. Values that the cluster holds stand
in it as numbers, wherever they are among the arguments: the executor has the cluster bring them to the worker.

    program                           cluster                         worker, see shipped.py
    pack_call(...) ─► ShippedCall ──► content, what it holds ───────► answer_call(content, held, keep_from)
    open_answer(name, answer)     ◄── Answer: small, or a failure ◄── ┤
    a HeldValue                   ◄── that it is there            ◄── ┘ KeptValue: large, stays where it is
"""

import io
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from functools import cache, lru_cache
from threading import Lock
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import cloudpickle  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it has no types of its own

from aiodag._core.edges import PLAIN
from aiodag._core.failure import exception_line
from aiodag._core.function_like import FunctionLike, body_to_call, found_by_name, made_again
from aiodag.errors import AiodagError, NotPicklable, OptionError
from aiodag.executors.letters import Letter, Outcome
from aiodag.installed import versions
from aiodag.wording import printable

KEEP_FROM = 65_536  # bytes of the smallest value that stays where it was made
# What objects of users may raise as they are read and written; Dask's thread would exit.
FOREIGN = (Exception, SystemExit)
MOST = 1 << 30  # bytes of a call that go through the program
ONLY_HERE = frozenset({"executor", "limit", "middleware"})  # options of a task that mean nothing in a worker
HELD: "ContextVar[Sequence[Any]]" = ContextVar("aiodag.held", default=())  # in a worker: those of the call it reads
SIMPLE = PLAIN - {type}  # types of values: a class may be of the main module
AS_FUNCTION: object = FunctionLike.__reduce__  # how tasks are pickled that say nothing else
MADE_THERE = "Have bodies make locks, connections and open files where they run"
registering = Lock()  # held while cloudpickle has modules by value: that is one table for all threads


class WorkerDiffers(AiodagError, RuntimeError):
    """Raised when a worker of a cluster has another Python or another aiodag than the program: nothing has run there.

    >>> from aiodag.executors.shipping import WorkerDiffers
    >>> raise WorkerDiffers(("3.13", "1.8.0"), ("3.11", "1.8.0"), "tcp://10.0.0.7:41253")
    Traceback (most recent call last):
    aiodag.executors.shipping.WorkerDiffers: tcp://10.0.0.7:41253 has Python 3.11 and aiodag 1.8.0, and this program ...
    """

    def __init__(self, here: tuple[str, str], there: tuple[str, str], place: str = "a worker") -> None:
        self.here, self.there, self.place = here, there, place
        super().__init__(
            f"{place} has Python {there[0]} and aiodag {there[1]}, and this program has Python {here[0]} and aiodag {here[1]}. "
            "Functions and values only go between equals: start both from the same environment"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Have it pickled with what it was made of."""
        return type(self), (self.here, self.there, self.place)


class ClusterUnreachable(AiodagError, ConnectionError):
    """Raised when a cluster does not answer, or no more. What it runs may go on: `retries` decides whether to try again.

    >>> from aiodag.executors.shipping import ClusterUnreachable
    >>> raise ClusterUnreachable("Dask", "tcp://127.0.0.1:8786", "OSError: Timed out")
    Traceback (most recent call last):
    aiodag.executors.shipping.ClusterUnreachable: cannot use the Dask cluster at tcp://127.0.0.1:8786: OSError: Timed out
    """

    def __init__(self, kind: str, address: str, why: str) -> None:
        super().__init__(f"cannot use the {kind} cluster at {printable(address)}: {why}")


class ShippedCall(NamedTuple):
    """A call on its way to a worker: what only the worker reads, and the held values among its arguments, in order."""

    content: bytes
    held: list[Any]


class Answer(NamedTuple):
    """What came of a call, as it goes home: a "value", an "exception" with how it was raised, or why there was no "call"."""

    what: str
    content: bytes = b""
    buffers: Sequence[Any] = ()  # large parts of the content, which nobody needs to copy
    lost: str = ""  # why the content could not be written
    raised: str = ""
    traceback: str = ""


class Arguments(NamedTuple):
    """Those of a call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def are_simple(self) -> bool:
        """Return True for what pickle writes as it is, in a tenth of the time."""
        return not self.kwargs and all(type(each) in SIMPLE for each in self.args)


class KeptValue:
    """A large value that stays with the worker that made it, until another one needs it.

    Clusters read many at a time, and what raises there would take the others along: so one that cannot be read says why.
    """

    def __init__(self, value: Any, size: int, lost: str = "") -> None:
        self.value = value
        self.size = size
        self.lost = lost

    def open(self, name: str) -> Any:
        """Return the value of a task. Raises `NotPicklable` if it could not be read here."""
        if self.lost:
            raise NotPicklable(name, "value", self.lost)
        return self.value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Write the value as an answer would be, and its large parts so that nobody copies them, where that can be."""
        buffers: list[pickle.PickleBuffer] = []
        content, _ = written(self.value, buffer_callback=buffers.append)
        parts = [pickle.PickleBuffer(content), *buffers]
        return kept_again, (parts if protocol >= 5 else [part_in_band(each) for each in parts], self.size)

    def __sizeof__(self) -> int:
        """Return the bytes of the value: clusters ask, and make room."""
        return self.size


def part_in_band(part: pickle.PickleBuffer) -> bytes | bytearray:
    """Return a part of a value as what every protocol of pickle writes."""
    raw = part.raw()
    return bytes(raw) if raw.readonly else bytearray(raw)


def kept_again(parts: Sequence[Any], size: int) -> KeptValue:
    """Read a kept value."""
    try:
        return KeptValue(pickle.loads(parts[0], buffers=parts[1:]), size)  # noqa: S301 - from our own worker
    except FOREIGN as error:
        return KeptValue(None, size, exception_line(error))


class ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # as above
    """Pickles calls and values: what a worker cannot import goes as it is, tasks as their functions would."""

    def __init__(self, file: Any, is_held: "Callable[[Any], bool] | None" = None, **settings: Any) -> None:
        super().__init__(file, protocol=5, **settings)
        self.is_held = is_held
        self.held: list[Any] = []

    def reducer_override(self, obj: Any) -> Any:
        """Write held values, tasks, and the function of a task that has its name, each in its own way."""
        if self.is_held is not None and self.is_held(obj):
            self.held.append(obj)
            return held_here, (len(self.held) - 1,)
        if issubclass(type(obj), FunctionLike):
            whole = type(obj).__reduce__ is not AS_FUNCTION  # such as a command: it says itself what it is
            return obj.__reduce__() if whole or is_importable(obj.fn) else task_by_value(obj)
        if type(obj) is FunctionType and is_importable(obj):
            found = found_by_name(obj)
            if found is not obj and issubclass(type(found), FunctionLike) and found.fn is obj:
                return body_to_call, (found,)
        return super().reducer_override(obj)


def held_here(number: int) -> Any:
    """Return, in a worker that reads a call, a value that the cluster holds."""
    kept = HELD.get()[number]
    return kept.open("a task before it") if isinstance(kept, KeptValue) else kept


def is_importable(fn: Any) -> bool:
    """Return True if a worker can be told a function, or its task, by name."""
    module = getattr(fn, "__module__", None)
    if module in {None, "__main__"} or module in cloudpickle.list_registry_pickle_by_value():
        return False
    found = found_by_name(fn)
    return found is fn or getattr(found, "fn", None) is fn


def task_by_value(task: Any) -> tuple[Any, ...]:
    """Return how a task is written that a worker cannot import: with the options that mean something there."""
    given: Mapping[str, Any] = task.options.given
    return made_again, (type(task), task.fn, (), {each: given[each] for each in given if each not in ONLY_HERE})


@cache
def stamp() -> tuple[str, str]:
    """Return what a worker must have in common with the program: the versions of Python and of aiodag."""
    return f"{sys.version_info.major}.{sys.version_info.minor}", versions()["aiodag"]


def names_of_modules(option: Any) -> tuple[str, ...]:
    """Check `by_value`: modules, or their names. Raises `OptionError`."""
    if not isinstance(option, Sequence) or isinstance(option, str):
        raise OptionError("by_value", option, "a list of modules, or of their names")
    names = [each.__name__ if isinstance(each, ModuleType) else each for each in option]
    if not all(isinstance(each, str) for each in names):
        raise OptionError("by_value", option, "a list of modules, or of their names")
    return tuple(names)


def pack_call(
    name: str,
    fn: Callable[..., Any],
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
    *,
    by_value: Sequence[str] = (),
    is_held: Callable[[Any], bool] | None = None,
) -> ShippedCall:
    """Write a call of a task. `by_value` are modules that workers do not have, `is_held` tells what the cluster holds.

    Raises `NotPicklable` for what cannot go there.
    """
    call_args = Arguments(tuple(args), dict(kwargs))
    with registered(by_value):
        try:
            function = written_by_name(fn) if type(fn) is FunctionType and is_importable(fn) else written(fn)[0]
        except Exception as error:
            why = f"its function, or what that refers to: {exception_line(error)}. {MADE_THERE}, or in a module that they import"
            raise refused_call(name, why) from error
        try:
            call, held = written(call_args, is_held)
        except Exception as error:
            why = f"{unwritable(call_args, is_held)}: {exception_line(error)}. Pass what pickle can write. {MADE_THERE}"
            raise refused_call(name, why) from error
    size = len(function) + len(call)
    if size > MOST:
        why = (
            f"it takes {size:,} bytes, and more than {MOST:,} do not go through the program. "
            "Make the value by a task that runs on the cluster, or pass the path of a file"
        )
        raise refused_call(name, why)
    return ShippedCall(pickle.dumps((stamp(), name, function, call)), held)


def refused_call(name: str, why: str) -> NotPicklable:
    """Return the error of a call that cannot go to a cluster, which takes other calls than a worker process of this machine."""
    return NotPicklable.__new__(NotPicklable, f"the call of {name} cannot go to a worker of the cluster: {why}")


def unwritable(call: Arguments, is_held: Callable[[Any], bool] | None) -> str:
    """Return which argument of a call cannot be written, the first of them."""
    for argument, given in [*enumerate(call.args, 1), *call.kwargs.items()]:
        try:
            written(given, is_held)
        except Exception:  # noqa: BLE001 - from foreign code, and it is what is looked for
            return f"its argument {argument}"
    return "its arguments"


def registered(names: Sequence[str]) -> ExitStack:
    """Have cloudpickle write what these modules define by value, within a with-statement.

    Those that are not loaded define nothing that could be written.
    """
    stack = ExitStack()
    if names:
        stack.enter_context(registering)
    for name in names:
        module = sys.modules.get(name)
        if module is not None and name not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            stack.callback(cloudpickle.unregister_pickle_by_value, module)
    return stack


@lru_cache(maxsize=1024)
def written_by_name(fn: Callable[..., Any]) -> bytes:
    """Return a function that workers import as bytes, which are always the same."""
    return written(fn)[0]


def written(
    thing: Any,
    is_held: Callable[[Any], bool] | None = None,
    *,
    buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
) -> tuple[bytes, list[Any]]:
    """Return something as bytes, and the held values in it."""
    if type(thing) in SIMPLE or (type(thing) is Arguments and thing.are_simple()):
        return pickle.dumps(thing, 5), []
    file = io.BytesIO()
    pickler = ByValue(file, is_held, buffer_callback=buffer_callback)
    pickler.dump(thing)
    return file.getvalue(), pickler.held


def open_answer(name: str, answer: Answer) -> Any:
    """Return the value of a call, or raise its exception, whose cause shows where it was raised in the worker."""
    if answer.what == "call":
        raise refused_call(name, answer.lost)
    letter = Letter(None, answer.lost)
    if not answer.lost:
        try:
            letter = Letter(pickle.loads(answer.content, buffers=answer.buffers))  # noqa: S301 - from our own worker
        except FOREIGN as error:
            letter = Letter(None, exception_line(error))
    try:
        return Outcome(letter, answer.what, answer.raised, answer.traceback).open(name)
    finally:
        del letter  # a failure's traceback holds this frame
