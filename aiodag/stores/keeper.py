"""The thread that writes a run to its store, keeps its lease, and hears who wants it cancelled.

A thread and not the loop: a commit must not block the loop, and a body that blocks the loop must not lose the run.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from aiodag.abc import Store
from aiodag.records import Batch, Claim, Claimed
from aiodag.states import State

LISTEN = 0.25  # seconds between two looks for a cancellation
Told = Callable[[BaseException | None], None]


class Keeper:
    """Write batches one after the other; tell the loop when each is committed, or why it cannot be."""

    def __init__(self, store: Store, claim: Claim, *, written: Told, wanted: Callable[[], None], ours: bool) -> None:
        self.store = store
        self._ours = ours  # to be closed in the end: in the thread, for that may have to wait
        self.claim = claim
        self._loop = asyncio.get_running_loop()
        self._written = written
        self._wanted = wanted
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._renewed_at = claim.at
        self._looked_at = 0.0
        self._ending = False
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def open(self) -> Claimed:
        """Claim the run in the thread, and start to listen. Raises what the store raises."""
        opened: asyncio.Future[Claimed] = self._loop.create_future()
        threading.Thread(target=self._work, args=(opened,), name=f"aiodag {self.claim.id}", daemon=True).start()
        return await opened

    def write(self, batch: Batch) -> None:
        """Have a batch written."""
        self._queue.put(batch)

    def end(self) -> None:
        """Have the thread end when all is written."""
        self._ending = True
        self._queue.put(None)

    async def ended(self) -> None:
        """Wait for the thread to end."""
        await self._ended

    def _work(self, opened: "asyncio.Future[Claimed]") -> None:
        try:
            self._own(opened)
        finally:
            if self._ours:
                self.store.close()
            self._tell(settle, self._ended, None, None)

    def _own(self, opened: "asyncio.Future[Claimed]") -> None:
        try:
            claimed = self.store.claim(self.claim)
            if claimed.execution > 1:
                claimed = claimed._replace(functions=self.store.functions(self.claim.id))
            if self.claim.definition is not None and claimed.execution > 1:
                claimed = claimed._replace(tried=self.store.tried(self.claim.id))
            if self._ending:  # nobody waits for it any more
                self.store.write(claimed, Batch(state=State.CANCELLED, at=time.time()), self._until(), self.claim.id)
                return
        except BaseException as error:  # noqa: BLE001 - it is raised where the run is opened
            self._tell(settle, opened, error, None)
            return
        self._tell(settle, opened, None, claimed)
        while not self._loop.is_closed() and self._turn(claimed):
            pass

    def _turn(self, claimed: Claimed) -> bool:
        """Write one batch, or listen; return whether there is more to come."""
        try:
            batch = self._queue.get(timeout=LISTEN)
        except Empty:
            self._listen(claimed)
            return True
        if batch is None:
            return False
        try:
            self.store.write(claimed, batch, self._until(), self.claim.id)
        except BaseException as error:  # noqa: BLE001 - it ends the run, on the loop
            self._tell(self._written, error)
        else:
            self._tell(self._written, None)
        if batch.state is None and time.monotonic() - self._looked_at > LISTEN:
            self._listen(claimed)
        return True

    def _listen(self, claimed: Claimed) -> None:
        self._looked_at = time.monotonic()
        try:
            if self.store.wants_cancel(claimed, self.claim.id):
                self._tell(self._wanted)
            if time.time() - self._renewed_at > self.claim.lease / 3:
                self.store.renew(claimed, self._until(), self.claim.id)
        except BaseException as error:  # noqa: BLE001 - it ends the run, on the loop
            self._tell(self._written, error)

    def _until(self) -> float:
        self._renewed_at = time.time()
        return self._renewed_at + self.claim.lease

    def _tell(self, told: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(told, *args)
        except RuntimeError:
            if not self._loop.is_closed():
                raise


def settle(future: "asyncio.Future[Any]", error: BaseException | None, value: Any) -> None:
    """Give a future its outcome, on its loop."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
