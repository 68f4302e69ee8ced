"""What a worker of a cluster does with a call that `shipping.py` has written.

A plain function runs in the thread that the cluster gives it. An async one runs on a loop that all calls of the worker
share, in a thread of its own, while the cluster's thread waits for it: so it can be cancelled, and it blocks nobody.

Who wants a call to end asks the worker by its label, for a cluster cannot end what it has begun:

    not begun            it never does, even if the cluster brings it yet
    an async function    is cancelled
    a plain function     goes on to its end, which can be waited for
"""

import asyncio
import pickle
import traceback
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import cache, lru_cache
from threading import Lock, Thread
from typing import Any

from aiodag._core.context import SHIPPED
from aiodag._core.failure import exception_line
from aiodag._core.function_like import body_to_call
from aiodag.executors.shipping import FOREIGN, HELD, Answer, KeptValue, WorkerDiffers, stamp, written

LARGEST_KEPT = 262_144  # bytes of a function that is kept for its next call: closures and methods may take arrays along
REMEMBERED = 10_000  # labels of calls that are never to begin


class ShippedBody:
    """One call in this worker, until it has ended."""

    def __init__(self) -> None:
        self.ended: Future[None] = Future()
        self.task: asyncio.Task[Any] | None = None
        self.stopped = False

    def run(self, content: bytes, held: Sequence[Any], keep_from: int | None) -> Answer | KeptValue:
        """Return what comes of the call."""
        try:
            fn, args, kwargs = unpack_call(content, held)
        except WorkerDiffers as error:
            return packed_failure(error)
        except FOREIGN as error:
            return Answer("call", lost=why_unread(error))
        try:
            value = fn(*args, **kwargs)
            del args, kwargs
            if isinstance(value, Coroutine):
                value = self.run_on_loop(value)
        except StopIteration as error:  # as in a coroutine: a future cannot hold it
            told = RuntimeError("a plain function raised StopIteration")
            told.__cause__ = error
            return packed_failure(told)
        except BaseException as error:  # noqa: BLE001 - raised again where the call came from
            return packed_failure(error)
        return packed_value(value, keep_from)

    def run_on_loop(self, body: "Coroutine[Any, Any, Any]") -> Any:
        """Return the value of an async body, which runs on the loop of this worker."""
        ended: Future[tuple[Any, BaseException | None]] = Future()
        loop = loop_here()

        async def to_its_end() -> None:
            try:
                outcome: tuple[Any, BaseException | None] = (await body, None)
            except BaseException as error:  # noqa: BLE001 - even SystemExit, which would end the loop of all the others
                outcome = (None, error)
            ended.set_result(outcome)

        def begin() -> None:
            self.task = loop.create_task(to_its_end())
            if self.stopped:
                self.task.cancel()

        def give_up() -> None:
            self.stop()
            if self.task is None:  # and it never will be begun
                ended.set_result((None, None))

        try:
            loop.call_soon_threadsafe(begin, context=copy_context())
            value, error = ended.result()
        except KeyboardInterrupt:  # of this thread, in which the body does not run
            loop.call_soon_threadsafe(give_up)
            ended.result()
            raise
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error  # a failure's traceback holds this frame

    def stop(self) -> None:
        """Cancel an async body, once. On the loop of this worker, in whose thread no body begins meanwhile."""
        if self.stopped:  # two may hear of one interrupt, and what the body does at its end is not to be cancelled, too
            return
        self.stopped = True
        if self.task is not None:
            self.task.cancel()


class ShippedBodies:
    """The calls of this worker by their labels, and those that are never to begin."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.running: dict[str, ShippedBody] = {}
        self.revoked: OrderedDict[str, None] = OrderedDict()

    def begin(self, label: str) -> ShippedBody | None:
        """Note a call that begins, None if it is not to."""
        with self.lock:
            if label in self.revoked:
                return None
            body = self.running[label] = ShippedBody()
            return body

    def end(self, label: str) -> None:
        """Note that a call has ended."""
        with self.lock:
            body = self.running.pop(label)
        body.ended.set_result(None)

    def stop(self, labels: Iterable[str]) -> list[str]:
        """Have calls end, and return those that have begun and not ended here."""
        with self.lock:
            bodies = {label: self.running[label] for label in labels if label in self.running}
            self.revoked.update(dict.fromkeys(label for label in labels if label not in bodies))
            while len(self.revoked) > REMEMBERED:
                self.revoked.popitem(last=False)
        for body in bodies.values():
            loop_here().call_soon_threadsafe(body.stop)
        return list(bodies)

    def still(self, labels: Iterable[str]) -> list[str]:
        """Return those of some calls that run here."""
        with self.lock:
            return [label for label in labels if label in self.running]

    async def wait_for(self, labels: Iterable[str]) -> None:
        """Wait until calls have ended here."""
        with self.lock:
            bodies = [self.running[label] for label in labels if label in self.running]
        for body in bodies:
            await asyncio.wrap_future(body.ended)


def unpack_call(content: bytes, held: Sequence[Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Read a call. Raises `WorkerDiffers` before it reads anything that another version may have written in another way."""
    stamped, _, function, call = pickle.loads(content)  # noqa: S301 - from the program that this works for
    if stamped != stamp():
        raise WorkerDiffers(stamped, stamp())
    HELD.set(held)
    args, kwargs = pickle.loads(call)  # noqa: S301 - as above
    HELD.set(())
    return function_of(function), args, kwargs


def function_of(content: bytes) -> "Callable[..., Any]":
    """Return a function that is called here: the same one for the same bytes, unless they take much memory."""
    return kept_function(content) if len(content) <= LARGEST_KEPT else read_function(content)


@lru_cache(maxsize=256)
def kept_function(content: bytes) -> "Callable[..., Any]":
    """Return a function, and keep it with what it has in its globals."""
    return read_function(content)


def read_function(content: bytes) -> "Callable[..., Any]":
    """Return a function of the program."""
    fn: Callable[..., Any] = body_to_call(pickle.loads(content))  # noqa: S301 - from the program that this works for
    return fn


def why_unread(error: BaseException) -> str:
    """Return why a call cannot be read here, and what helps where a module is missing."""
    line = exception_line(error)
    if not isinstance(error, ImportError | AttributeError):
        return line
    return (
        f"{line}. Workers import what they run: start them where its module is found (PYTHONPATH, the same environment), "
        "or name the module in by_value=[...] of the executor"
    )


def packed_value(value: Any, keep_from: int | None) -> Answer | KeptValue:
    """Return the answer with a value; the value itself if it is large and may stay."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        content, _ = written(value, buffer_callback=buffers.append)
        size = len(content) + sum(each.raw().nbytes for each in buffers)
    except FOREIGN as error:
        return Answer("value", lost=exception_line(error))
    if keep_from is not None and size >= keep_from:
        return KeptValue(value, size)
    return Answer("value", content, buffers)


def packed_failure(error: BaseException) -> Answer:
    """Return the answer with an exception."""
    raised, lines = exception_line(error), "".join(traceback.format_exception(error))
    try:
        return Answer("exception", written(error)[0], raised=raised, traceback=lines)
    except FOREIGN as unwritten:
        return Answer("exception", lost=exception_line(unwritten), raised=raised, traceback=lines)


@cache
def loop_here() -> asyncio.AbstractEventLoop:
    """Return the loop of this worker, which runs in a thread of its own until the worker ends."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="aiodag.worker", daemon=True).start()
    return loop


def answer_call(content: bytes, held: Sequence[Any], keep_from: int | None, label: str) -> Answer | KeptValue:
    """Do what a call says, and answer whatever comes of it; a value of `keep_from` bytes or more is left as it is."""
    body = BODIES.begin(label)
    if body is None:
        return Answer("call", lost="it was cancelled before it began")
    try:
        context = copy_context()
        context.run(SHIPPED.set, True)
        return context.run(body.run, content, held, keep_from)
    finally:
        BODIES.end(label)


BODIES = ShippedBodies()
