"""Run functions on a Ray cluster: the extra `ray`.

    program                                           cluster                      worker: a process, one call at a time
    run ─► pack_call ─► remote(content, *held) ─────► finds a worker, near ──────► answer_there
    open_answer       ◄── the first of two results ◄─ what is held               ◄─ an Answer, or a size and a KeptValue
    a RayValue        ◄── the second: a reference     the value stays there

A process has one connection to one cluster, for all its loops and executors: Ray has no other. It is opened in a thread that
stays, because the processes of a cluster which Ray starts end with the thread that has started them.
"""

import asyncio
import logging
import os
import pickle
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from itertools import count
from queue import SimpleQueue
from socket import create_connection, gethostbyname
from struct import Struct
from threading import Lock, Thread
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, finalize

from aiodag._core.callables import callable_name, is_async
from aiodag._core.context import current_node
from aiodag._core.failure import exception_line
from aiodag.abc import Worker
from aiodag.errors import AttemptLost, MissingExtra, OptionError, ValueGone
from aiodag.executors.arrivals import MANY, Batches, arrival, arrivals_on
from aiodag.executors.cluster_places import ClusterGate, ClusterPlace, is_timed
from aiodag.executors.crew import abandon
from aiodag.executors.interrupted import interruptible
from aiodag.executors.shipped import answer_call
from aiodag.executors.shipping import (
    KEEP_FROM,
    Answer,
    ClusterUnreachable,
    KeptValue,
    names_of_modules,
    open_answer,
    pack_call,
)
from aiodag.held_values import HeldValue
from aiodag.wording import printable

try:
    import ray
    from ray import exceptions
except ImportError as error:
    raise MissingExtra("an executor of type ray", "ray", "ray") from error

# What users do not say: attempts are counted here, and calls named after their tasks.
OURS = {"max_retries": 0, "retry_exceptions": False, "num_returns": 2}
TOGETHER = 0.05  # seconds for more answers to come together
REACHED = 5.0  # seconds for the head of a cluster to answer; Ray itself goes on for minutes
WORKERS_DIED = {
    exceptions.WorkerCrashedError: "worker died",
    exceptions.OutOfMemoryError: "out of memory",
    exceptions.NodeDiedError: "node failure",
    exceptions.LocalRayletDiedError: "node failure",
}
# Behind a call: from how many bytes on its value stays, -1 for never; whether it can be cancelled.
TRAILER = Struct("<q?")
NUMBERS = count(1)  # of the calls in a worker


class Ray:
    """Run attempts on a Ray cluster: `Ray("10.0.0.7:6379")`, or `Ray()` for the one that `ray.init` has connected to.

    Without an address, and where `ray.init` was not called, that is the cluster that Ray itself would choose: the one
    in `RAY_ADDRESS`, one that runs on this machine, or a new one here. Each call has a worker process of the cluster to
    itself. Functions that workers cannot import go there as they are: lambdas, closures, what the main module defines,
    and all of the modules in `by_value`. Values of `keep_from` bytes or more stay on the cluster for the tasks that need
    them there. All other options are those of a remote function of Ray: `num_cpus`, `num_gpus`, `resources`, `memory`,
    `runtime_env`, `scheduling_strategy`, ...

    A cancel or a timeout ends a plain function with its worker; an async one is cancelled, and has 5 seconds to end.
    Raises `OptionError` for a bad option, `ClusterUnreachable` where no cluster answers, `WorkerDiffers` for another
    aiodag there, `NotPicklable` for what cannot go there, and `AttemptLost` for a worker that dies.

    >>> from aiodag import Run
    >>> from aiodag.executors.ray import Ray
    >>> run = Run("train", executors={"gpu": Ray("10.0.0.7:6379", num_gpus=1)})
    """

    takes_async = True

    def __init__(
        self,
        address: Any = None,
        *,
        keep_from: int | None = KEEP_FROM,
        by_value: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        if address is not None and (not isinstance(address, str) or "://" in address or not address):
            wanted = "HOST:PORT of the head of a cluster, from one of its machines; None: what ray.init() would choose"
            raise OptionError("address", address, wanted)
        if keep_from is not None and (type(keep_from) is not int or keep_from < 0):
            raise OptionError("keep_from", keep_from, "a number of bytes, or None: every value comes home")
        self.address = address
        self.keep_from = keep_from
        self.by_value = names_of_modules(by_value)
        check_options(options)
        self.options = options
        self.remote = lru_cache(256)(partial(remote_function, options))  # by the name that Ray shows
        self.gates: WeakKeyDictionary[asyncio.AbstractEventLoop, ClusterGate] = WeakKeyDictionary()
        self.batches: WeakKeyDictionary[asyncio.AbstractEventLoop, Batches] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Ray({'' if self.address is None else repr(self.address)})"

    async def place(self) -> Worker:
        """Wait for room on the cluster if the attempt has a timeout, which must not count what waits there."""
        if not is_timed():
            return ClusterPlace(self, None)
        loop = asyncio.get_running_loop()
        await self.connected()
        gate = self.gates.get(loop)
        if gate is None:
            gate = self.gates[loop] = ClusterGate(loop, self.count)
        return await gate.place(self)

    async def count(self) -> int:
        """Return how many calls the cluster can run at once."""
        resources = await arrival(CONNECTION.ask(ray.cluster_resources))
        return int(resources.get("CPU", 0) / (self.options.get("num_cpus") or 1))

    async def run(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
        """Return `fn(*args, **kwargs)` of a worker, or a `RayValue` where that is large."""
        node = current_node()
        name = node.name if node else callable_name(fn)
        del node  # a failure's traceback holds this frame
        await self.connected()
        call = pack_call(name, fn, args, kwargs, by_value=self.by_value, is_held=is_ray_value)
        stoppable = is_async(fn)
        del fn, args, kwargs
        references = [each.reference for each in call.held]
        answer, kept = self.remote(name).remote(call.content + self.trailer(stoppable), *references)
        del call, references
        try:
            came = opened(await self.come(answer))
        except BaseException as error:
            kept.future()  # looked at: or Ray prints that nobody has
            if not isinstance(error, Exception):
                ray.cancel(answer, force=not stoppable)
                abandon(answer.future())  # the moment until it is really gone
            elif isinstance(error, exceptions.RayError):
                raise failure_of(name, error) from error
            raise
        return open_answer(name, came) if isinstance(came, Answer) else RayValue(self, came, name, kept)

    async def come(self, answer: Any) -> Any:
        """Return the answer that a reference stands for: with many others where many are on their way."""
        loop = asyncio.get_running_loop()
        batches = self.batches.get(loop)
        if batches is None:
            batches = self.batches[loop] = Batches(CONNECTION.ask, answers_among)
        if arrivals_on(loop).waiting + len(batches.wanted) < MANY:
            return await arrival(answer.future())
        return await batches.bring(answer)

    def trailer(self, stoppable: bool) -> bytes:
        """Return what a worker must know before it reads a call, which pickle does not read."""
        return TRAILER.pack(-1 if self.keep_from is None else self.keep_from, stoppable)

    async def connected(self) -> None:
        """See that there is a connection to the cluster. Raises `ClusterUnreachable`, and `OptionError` for another one."""
        loop = asyncio.get_running_loop()
        if not CONNECTION.stands(self, loop):
            await arrival(CONNECTION.ask(CONNECTION.open, self, loop))

    async def close(self) -> None:
        """Let go of the cluster: the connection ends if it was made here, and nobody else in this process has it."""
        await arrival(CONNECTION.ask(CONNECTION.close, self, asyncio.get_running_loop()))


def check_options(options: dict[str, Any]) -> None:
    """Refuse what no remote function of Ray takes, and what is said here. Raises `OptionError`."""
    taken = sorted({*OURS, "name"} & options.keys())
    if taken:
        wanted = "nothing: aiodag counts attempts, by `retries` and `lost_retries` of the task, and names its calls"
        raise OptionError(taken[0], options[taken[0]], wanted)
    try:
        remote_function(options, "checked")
    except (ValueError, TypeError) as error:
        raise OptionError("options of Ray", options, f"what a remote function of Ray takes: {error}") from error


def remote_function(options: dict[str, Any], name: str) -> Any:
    """Return what Ray calls in a worker."""
    given: dict[str, Any] = {**OURS, **options, "name": printable(name)}
    return ray.remote(**given)(answer_there)


def answer_there(*parts: Any) -> tuple[Any, Any]:
    """Do what a call says. Called by a worker, in its main thread; what it holds for the call is there.

    Bytes are what Ray neither writes nor reads in Python, and parameters with names are what it looks at for long.
    """
    content, *held = parts
    keep_from, stoppable = TRAILER.unpack(content[-TRAILER.size :])
    label = str(next(NUMBERS))
    with interruptible(label) if stoppable else nullcontext():
        answer = answer_call(content, held, None if keep_from < 0 else keep_from, label)
    if isinstance(answer, KeptValue):
        return pickle.dumps(answer.size), answer
    return answer if answer.buffers else pickle.dumps(tuple(answer)), b""


def answers_among(answers: Sequence[Any], number: int) -> dict[Any, tuple[Any, Exception | None]]:
    """Wait a moment until so many answers are here, and return those that are, or their exceptions."""
    here, _ = ray.wait(list(answers), num_returns=number, timeout=TOGETHER)
    try:
        return {answer: (came, None) for answer, came in zip(here, ray.get(here), strict=True)}
    except Exception:  # noqa: BLE001 - of one of them
        return {answer: answer_or_error(answer) for answer in here}


def answer_or_error(answer: Any) -> tuple[Any, Exception | None]:
    """Return an answer that is here and None, or None and its exception."""
    try:
        return ray.get(answer), None
    except Exception as error:  # noqa: BLE001 - for who waits for it
        return None, error


def opened(came: Any) -> "Answer | int":
    """Return the answer that a worker has sent, or the size of the value that it keeps."""
    found = pickle.loads(came) if isinstance(came, bytes) else came  # noqa: S301 - from our own worker
    return found if isinstance(found, Answer | int) else Answer(*found)


def failure_of(name: str, error: Exception) -> Exception:
    """Return the error for a call of which no answer came."""
    for kind, reason in WORKERS_DIED.items():
        if isinstance(error, kind):
            return AttemptLost(
                f"the worker of {printable(name)} on Ray has died: {exception_line(error)}", reason=reason
            )
    if isinstance(error, exceptions.ObjectLostError):
        return ValueGone(f"{printable(name)} on Ray: {exception_line(error)}")
    # A body's own exception is in its answer. So this one is of a worker that cannot begin: without aiodag, for example.
    return ClusterUnreachable("Ray", "a worker", exception_line(error))


class RayValue(HeldValue):
    """A value that stays on the cluster, for as long as somebody holds this."""

    executor: Ray

    def __init__(self, executor: Ray, size: int, name: str, reference: Any) -> None:
        super().__init__(executor, size)
        self.name = name
        self.reference = reference
        CONNECTION.hold(self)

    async def fetch(self) -> Any:
        """Return the value. NumPy arrays are views of the object store, which are read-only. Raises `ValueGone`."""
        if not ray.is_initialized():
            raise ValueGone(f"{printable(self.name)} on Ray: the connection over which it was held has ended")
        try:
            kept = await arrival(self.reference.future())
        except exceptions.RayError as error:
            raise ValueGone(f"{printable(self.name)} on Ray: {exception_line(error)}") from error
        return kept.open(self.name)

    def fetch_now(self) -> Any:
        """Return the value as `fetch` does, and block until it is here."""
        try:
            kept: Any = ray.get(self.reference)
        except exceptions.RayError as error:
            raise ValueGone(f"{printable(self.name)} on Ray: {exception_line(error)}") from error
        return kept.open(self.name)

    async def apply(self, fn: Callable[[Any], Any], /) -> Any:
        """Return `fn(value)` of a worker that has the value, or is near it."""
        return await self.executor.run(fn, self)


def is_ray_value(thing: Any) -> bool:
    """Return True for a value that is on the cluster."""
    return type(thing) is RayValue


class Connection:
    """That of this process to its cluster, and for whom it is there."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self.loops: WeakSet[Any] = WeakSet()  # each with the set of executors that have it there
        self.lock = Lock()
        self.thread = Thread(target=self._work, name="aiodag.ray", daemon=True)  # until the process ends
        self.ours = False  # whether it was opened here, and not by `ray.init` of somebody else
        self.held: WeakSet[RayValue] = WeakSet()

    def _work(self) -> None:
        while True:
            future, call = self.asked.get()
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - for who has asked
                future.set_exception(error)
            del future, call

    def ask(self, fn: Callable[..., Any], *args: Any) -> "Future[Any]":
        """Have something called in the thread."""
        future: Future[Any] = Future()
        with self.lock:
            if self.thread.ident is None:
                self.thread.start()
        self.asked.put((future, partial(fn, *args)))
        return future

    def stands(self, executor: Ray, loop: asyncio.AbstractEventLoop) -> bool:
        """Return True if an executor has it on a loop."""
        return executor in getattr(loop, "aiodag_ray", ()) and ray.is_initialized()

    def open(self, executor: Ray, loop: Any) -> None:
        """Make it, or see that it is the one that an executor wants. Raises `ClusterUnreachable` and `OptionError`."""
        if not ray.is_initialized():
            initialize(executor.address)
            self.ours = True
        here = ray.get_runtime_context().gcs_address
        if executor.address is not None and not same_place(executor.address, here):
            wanted = f"the cluster that this process is connected to, {here}: Ray has one for each process"
            raise OptionError("address", executor.address, wanted)
        self.loops.add(loop)
        loop.aiodag_ray = {*getattr(loop, "aiodag_ray", ()), executor}

    def close(self, executor: Ray, loop: Any) -> None:
        """End it if it was made here, and nobody has it any more."""
        loop.aiodag_ray = {*getattr(loop, "aiodag_ray", ())} - {executor}
        self.end_unused()

    def hold(self, value: RayValue) -> None:
        """Keep it for a value until nobody has that any more."""
        # Called wherever the garbage collector runs, maybe within ask(): so it takes no lock. Made first, it is called last.
        finalize(value, self.asked.put, (Future(), self.end_unused)).atexit = False
        self.held.add(value)

    def end_unused(self) -> None:
        """End it if it was made here, and nobody has it any more, or a value that is held over it."""
        if self.held:
            return
        if self.ours and not any(getattr(each, "aiodag_ray", ()) for each in self.loops if not each.is_closed()):
            self.ours = False
            ray.shutdown()


def initialize(address: str | None) -> None:
    """Connect to a cluster. Raises `ClusterUnreachable`."""
    place = address or os.environ.get("RAY_ADDRESS") or ""
    host, _, port = place.rpartition(":")
    try:
        if host and port.isdecimal():  # Ray asks for minutes
            create_connection((host, int(port)), REACHED).close()
        with unheard(logging.getLogger("ray._private.worker")):
            ray.init(address, configure_logging=False)
    except Exception as error:
        asked = ": does `ray start --head` run there?" if isinstance(error, OSError) else ""
        raise ClusterUnreachable("Ray", place or "of this machine", f"{exception_line(error)}{asked}") from error


@contextmanager
def unheard(log: logging.Logger) -> "Generator[None]":
    """Drop the warning that in a thread Ray cannot take SIGTERM for itself: that is as it should be."""

    def matters(record: logging.LogRecord) -> bool:
        return "SIGTERM handler is not set" not in record.getMessage()

    log.addFilter(matters)
    try:
        yield
    finally:
        log.removeFilter(matters)


def same_place(one: str, other: str) -> bool:
    """Return True if two addresses are those of one cluster, as far as names can tell."""
    if one in {"auto", "local", other}:
        return True
    (host, _, port), (there, _, taken) = one.rpartition(":"), other.rpartition(":")
    with suppress(OSError):
        return port == taken and gethostbyname(host) == gethostbyname(there)
    return False


CONNECTION = Connection()
