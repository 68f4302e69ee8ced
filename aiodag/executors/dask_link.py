"""The connection of one loop to a Dask cluster, and the calls that go over it.

All calls of one turn of the loop are one message to the scheduler, and small values come home many at a time. A call stays
a task of its own there: it is scheduled, fails and is cancelled alone.

    _send            the calls of this turn go to the scheduler, each under its label
    _outcome         the scheduler says that one has ended: with an error of Dask's own, or with
      KeptValue        a value that stays there, of which we keep the future
      bytes            an `Answer`, which is fetched, with all others that have ended meanwhile
    stop             on a cancel: Dask forgets the call, and the workers are asked whether it still runs
"""

import asyncio
import pickle
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError as RevokedError
from concurrent.futures import Future as LeftBehind
from contextlib import suppress
from typing import Any
from uuid import uuid4
from weakref import finalize

from aiodag._core.failure import exception_line
from aiodag._core.submit import engine_of
from aiodag.errors import AttemptLost, ValueGone
from aiodag.executors.cluster_places import ClusterGate
from aiodag.executors.crew import abandon
from aiodag.executors.shipping import ClusterUnreachable, KeptValue, ShippedCall, open_answer, pack_call
from aiodag.held_values import HeldValue
from aiodag.wording import printable

MARK = "-aiodag-"  # in the keys of our tasks
OTHERS = re.compile(r"[^A-Za-z0-9_.]+")  # what does not belong into the name of a group of tasks
TOGETHER = 4 << 20  # bytes of calls in one message: of larger graphs Dask warns
LARGE = 1 << 20  # bytes of a call that goes to a worker without the scheduler reading it
PAUSE, LONGEST_PAUSE = 0.1, 1.0  # for more values to come home together: a share of what is to come, and seconds
RECENT = 50  # calls that the time between two of them is taken from
LAST_WORD = 0.2  # seconds for Dask to send what is left when the loop ends
PATIENCE = 1.0  # seconds for workers to say what has become of cancelled calls


class DaskValue(HeldValue):
    """A value that stays on the cluster, for as long as somebody holds this."""

    def __init__(self, link: "DaskLink", future: Any, name: str, size: int) -> None:
        super().__init__(link.executor, size)
        self.link = link
        self.future = future
        self.name = name
        link.hold(self)

    async def fetch(self) -> Any:
        """Bring the value home. Raises `ValueGone` if the cluster does not have it any more."""
        with self.link.real_time:
            return (await self.link.fetching.fetch(self.future)).open(self.name)

    async def apply(self, fn: Callable[[Any], Any], /) -> Any:
        """Return `fn(value)`, called by a worker that has the value."""
        call = pack_call(self.name, fn, (self,), {}, is_held=self.link.holds)
        with self.link.real_time:
            return await self.link.call(DaskCall(self.link, self.name, call, 0))


class DaskCall:
    """One call on its way through the cluster."""

    __slots__ = ("content", "future", "held", "label", "name", "priority", "sent")

    def __init__(self, link: "DaskLink", name: str, shipped: ShippedCall, priority: int) -> None:
        self.name = name
        self.content: Any = shipped.content
        self.held = tuple(each.future for each in shipped.held)  # Dask's, too: it brings them to the worker
        self.priority = priority
        self.label = f"{OTHERS.sub('_', name)[:80] or '_'}{MARK}{uuid4().hex}"
        self.future: Any = None  # Dask's
        self.sent: asyncio.Future[None] = link.loop.create_future()


class StoppedCall:
    """A call that is to end: whether it still runs somewhere, and what is done when it does not."""

    def __init__(self, call: DaskCall, loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self.known: asyncio.Future[bool] = loop.create_future()
        self.left: LeftBehind[None] = LeftBehind()

    def end(self) -> None:
        """Note that nothing of it runs any more."""
        if not self.known.done():
            self.known.set_result(False)
        if not self.left.done():
            self.left.set_result(None)


class Fetching:
    """Values on their way home from a cluster, many at a time."""

    def __init__(self, link: "DaskLink") -> None:
        self.link = link
        self.under_way: set[DaskCall] = set()
        self.interval = 0.0  # seconds between two calls that end, of late
        self.ended_at = 0.0
        self.wanted: dict[str, tuple[Any, asyncio.Future[Any]]] = {}  # by label

    def begin(self, call: DaskCall) -> None:
        """Note a call, whose value is to come."""
        if not self.under_way:
            self.ended_at = self.link.loop.time()
        self.under_way.add(call)

    async def fetch(self, future: Any) -> Any:
        """Return what a future stands for, with all others that are asked for meanwhile."""
        wanted: asyncio.Future[Any] = self.link.loop.create_future()
        now = self.link.loop.time()
        self.interval += (now - self.ended_at - self.interval) / RECENT
        self.ended_at = now
        if not self.wanted:
            self.link.work(self._collect())
        self.wanted[future.key] = (future, wanted)
        return await wanted

    async def _collect(self) -> None:
        while self.wanted:
            # Each fetch costs the scheduler and the workers as much as some tasks: where many are under way, it waits for more.
            await asyncio.sleep(min(PAUSE * len(self.under_way) * self.interval, LONGEST_PAUSE))
            batch = dict(self.wanted)
            try:
                found = await self.link.client.gather(
                    {label: future for label, (future, _) in batch.items()}, errors="skip"
                )
            except Exception as error:  # noqa: BLE001 - for those that wait for it
                found = dict.fromkeys(
                    batch, ClusterUnreachable("Dask", self.link.executor.address, exception_line(error))
                )
            for label, (_, wanted) in batch.items():
                self.wanted.pop(label)
                if wanted.done():
                    continue
                if isinstance(found[label], bytes | KeptValue):
                    wanted.set_result(found[label])
                else:
                    wanted.set_exception(found[label] or ValueGone("the workers that had it have died"))


class DaskLink:
    """The connection of one loop to a cluster."""

    def __init__(self, executor: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.executor = executor
        self.loop = loop
        self.real_time = engine_of(loop).real_time
        self.opening = loop.create_task(self._open())
        self.client: Any = None
        self.closing: asyncio.Future[None] = loop.create_future()
        self.keeper: asyncio.Task[None] | None = None
        self.gate = ClusterGate(loop, self._threads)
        self.waiting: list[DaskCall] = []  # for the end of this turn
        self.fetching = Fetching(self)
        self.unwanted: list[StoppedCall] = []  # for the end of this turn, too
        self.working: set[asyncio.Task[Any]] = set()
        self.held = 0  # values that stay on the cluster as long as this stands
        self.unused = False  # nobody runs anything here any more

    @property
    def broken(self) -> bool:
        """True if nothing can go through it any more."""
        if not self.opening.done():
            return False
        return self.opening.cancelled() or self.opening.exception() is not None or self.client.status != "running"

    async def opened(self) -> None:
        """Wait until it stands. Raises `ClusterUnreachable` and `WorkerDiffers`."""
        if not self.opening.done():
            with self.real_time:
                await asyncio.wait([self.opening])  # and whoever is cancelled leaves it to the others
        self.opening.result()

    async def _open(self) -> None:
        self.client = await self.executor.connect()
        # Nothing that stays refers to this: an executor that nobody has any more ends its connection.
        self.keeper = self.loop.create_task(keep_open(self.client, self.closing, self.working))
        kept = engine_of(self.loop).fetching
        kept.add(self.keeper)  # the loop holds it weakly
        self.keeper.add_done_callback(kept.discard)
        finalize(self, close_soon, self.loop, self.closing).atexit = False

    def hold(self, value: DaskValue) -> None:
        """Stay open for a value until nobody has it any more."""
        self.held += 1
        finalize(value, self._tell_released).atexit = False

    def _tell_released(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and the connection with it
            self.loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self.held -= 1
        if self.unused and not self.held:
            self.work(self.close())

    async def leave(self) -> None:
        """End the connection, when nobody has a value any more that is held over it."""
        self.unused = True
        if not self.held or self.broken:
            await self.close()

    async def close(self) -> None:
        """End the connection; what still runs on the cluster is forgotten there."""
        if not self.opening.done():
            self.opening.cancel()
            await asyncio.wait([self.opening])
        if not self.closing.done():
            self.closing.set_result(None)
        if self.keeper is not None and not self.keeper.done():
            await asyncio.wait([self.keeper])

    async def _threads(self) -> int:
        with self.real_time:
            return sum((await self.client.nthreads()).values())

    def holds(self, thing: Any) -> bool:
        """Return True for a value that is on the cluster. Raises `ValueGone` for one of a connection that is closed."""
        if not isinstance(thing, DaskValue):
            return False
        if thing.link is not self:
            raise ValueGone(f"{self.executor!r} has let go of it with the connection over which it was held")
        return True

    async def call(self, call: DaskCall) -> Any:
        """Return what comes of a call: its value, or a `DaskValue`. Cancelled, it ends it or leaves it behind."""
        try:
            self.fetching.begin(call)
            if len(call.content) > LARGE:
                call.content = await self._scattered(call.content)
            if not self.waiting:
                self.loop.call_soon(self._send)
            self.waiting.append(call)
            await call.sent
            return await self._outcome(call)
        except asyncio.CancelledError:
            if call.future is not None and not call.future.done():
                await self._leave(call)
            raise
        finally:
            self.fetching.under_way.discard(call)
            del call  # a failure's traceback holds this frame, and it the future

    async def _scattered(self, content: bytes) -> Any:
        """Have a worker take a large call, and wait for one where there is none. Raises `ClusterUnreachable`."""
        while True:
            try:
                return await self.client.scatter(content, hash=False)
            except TimeoutError:  # there is no worker
                await self.client.wait_for_workers(1)
            except Exception as error:
                raise ClusterUnreachable("Dask", self.executor.address, exception_line(error)) from error

    def _send(self) -> None:
        """Give the calls of this turn to the scheduler."""
        calls, self.waiting = [call for call in self.waiting if not call.sent.done()], []
        for together in batches_of(calls):
            held = [call.held for call in together]
            try:
                futures = self.client.map(
                    self.executor.answer,
                    [call.content for call in together],
                    *([held] if any(held) else ()),  # each argument costs Dask time, for every call
                    key=[call.label for call in together],
                    keep_from=self.executor.keep_from,
                    priority=together[0].priority,
                    resources=self.executor.resources or None,
                    pure=False,
                )
            except Exception as error:  # noqa: BLE001 - for those that wait for it
                for call in together:
                    call.sent.set_exception(ClusterUnreachable("Dask", self.executor.address, exception_line(error)))
            else:
                for call, future in zip(together, futures, strict=True):
                    call.content, call.held, call.future = b"", (), future
                    call.sent.set_result(None)

    async def _outcome(self, call: DaskCall) -> Any:
        failed = await call.future.exception()
        if failed is not None:
            raise self._failure(call.name, failed) from failed
        if call.future.status != "finished":
            await self._raise_gone(call)
        if call.future.type is KeptValue:
            sizes = await self.client.nbytes([call.label], summary=False)
            return DaskValue(self, call.future, call.name, sizes.get(call.label, 0))
        answer = pickle.loads(await self.fetching.fetch(call.future))  # noqa: S301 - from our own worker
        if answer.what == "lost":
            raise AttemptLost(f"the worker of {printable(call.name)} was sent away", reason="worker left")
        return open_answer(call.name, answer)

    def _failure(self, name: str, failed: BaseException) -> Exception:
        """Return the error for a call that Dask could not run."""
        worker = getattr(failed, "last_worker", None)
        if worker is not None:  # it is a KilledWorker
            why = f"the worker of {printable(name)}, {worker.address}, has died"
            return AttemptLost(why, reason="worker died")
        return ClusterUnreachable("Dask", self.executor.address, exception_line(failed))

    async def _raise_gone(self, call: DaskCall) -> None:
        """Raise for a call that Dask has dropped, when nothing of it runs any more."""
        reason = "unknown"
        try:
            await call.future
        except RevokedError as error:
            reason = getattr(error, "reason", reason)
        link = await self.executor.link()
        stopped = link.stop(call)
        await asyncio.wait([stopped.known])
        if stopped.known.result():
            await asyncio.wrap_future(stopped.left)
        raise AttemptLost(f"Dask has dropped {printable(call.name)}: {reason}", reason="connection")

    async def _leave(self, call: DaskCall) -> None:
        """Have a call end on the cluster, or abandon it."""
        stopped = self.stop(call)
        try:
            await asyncio.wait([stopped.known], timeout=PATIENCE)
        finally:
            if not stopped.known.done() or stopped.known.result():
                abandon(stopped.left)

    def stop(self, call: DaskCall) -> StoppedCall:
        """Have a call end, with all others that are to end in this turn."""
        stopped = StoppedCall(call, self.loop)
        if not self.unwanted:
            self.loop.call_soon(lambda: self.work(self._stop()))
        self.unwanted.append(stopped)
        return stopped

    async def _stop(self) -> None:
        unwanted, self.unwanted = {each.call.label.rpartition(MARK)[2]: each for each in self.unwanted}, []
        try:
            await self.client.cancel([each.call.future for each in unwanted.values()])
            told = await self.client.run(self.executor.stop_there, list(unwanted), on_error="ignore")
        except Exception:  # noqa: BLE001 - the cluster is gone: nobody can say any more
            told = {}
        running = {label: worker for worker, labels in told.items() for label in labels}
        for label, stopped in unwanted.items():
            if label in running:
                stopped.known.set_result(True)
                self.work(self._wait_for(label, running[label], stopped))
            else:
                stopped.end()

    async def _wait_for(self, label: str, worker: str, stopped: StoppedCall) -> None:
        """Wait for the end of what runs on a worker, or of the worker."""
        try:
            await self.client.run(self.executor.wait_there, label, workers=[worker], on_error="ignore")
        except Exception:  # noqa: BLE001, S110 - the cluster is gone, as above
            pass
        finally:
            stopped.end()

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done for this connection."""
        task = self.loop.create_task(work)
        self.working.add(task)
        task.add_done_callback(self.working.discard)


async def keep_open(client: Any, closing: asyncio.Future[None], working: Iterable[asyncio.Task[Any]]) -> None:
    """Close a connection when it is let go of, or with the loop, which cancels all tasks before it closes."""
    try:
        await closing
    except asyncio.CancelledError:
        # What Dask just sends is cancelled, too. Its sender then ends without the word that a close waits for.
        if client.scheduler_comm is not None:
            asyncio.get_running_loop().call_later(LAST_WORD, client.scheduler_comm.stopped.set)
        raise
    finally:
        for task in working:
            task.cancel()
        await client.close()


def close_soon(loop: asyncio.AbstractEventLoop, closing: asyncio.Future[None]) -> None:
    """Have a connection closed whose executor nobody has any more. In any thread."""
    with suppress(RuntimeError):  # the loop is closed, and the connection with it
        loop.call_soon_threadsafe(closing.cancel)


def batches_of(calls: Iterable[DaskCall]) -> Iterator[list[DaskCall]]:
    """Yield calls of one priority that go to the scheduler together."""
    batch: list[DaskCall] = []
    size = 0
    for call in calls:
        own = len(call.content) if isinstance(call.content, bytes) else 0
        if batch and (size + own > TOGETHER or call.priority != batch[0].priority):
            yield batch
            batch, size = [], 0
        batch.append(call)
        size += own
    if batch:
        yield batch
