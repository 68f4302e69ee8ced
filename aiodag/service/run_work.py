"""Work on one run that was taken from its queue: load its code, enter it, and see to it that it ends, or goes on elsewhere."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from aiodag._core.run import Run
from aiodag.errors import LeaseLost, LetGo, RunCancelled, RunFailed, StoreError
from aiodag.records import Batch, Write
from aiodag.service.entry import Again
from aiodag.service.loading import CodeLoader, Refusal
from aiodag.service.outages import Messenger, Rest
from aiodag.service.starting import BeginOptions, begin_target
from aiodag.states import State
from aiodag.stores.outcomes import record_exception
from aiodag.stores.taken import TakenRun
from aiodag.submissions import Taken
from aiodag.wording import describe_seconds

if TYPE_CHECKING:
    from aiodag.abc import Observer, Queue, Runs
    from aiodag.service.parking import Parker

HURRY = 0.5  # seconds that a body has to let go when the worker is to stop at once


class RunWork:
    """What a worker does with each run that it has taken."""

    store: "Runs"
    say: Callable[[str], object]
    once: bool
    _queue: "Queue"
    _loader: CodeLoader
    _messenger: Messenger
    _rest: Rest
    _observers: "Sequence[Observer]"
    _tell_begun: Callable[[], object]
    _entered: dict[str, Run]  # by the ids of runs
    _loading: "set[asyncio.Task[None]]"  # works whose code is being loaded, which may block for ever
    _parker: "Parker"
    _stops: int
    _hurried: bool  # whether what runs is to let go at once

    async def _work(self, taken: Taken) -> None:
        record = taken.record
        self._tell_begun()
        self.say(f"{record.id}: {'begins' if taken.claimed.execution == 1 else 'goes on'}")
        began = time.monotonic()
        try:
            found = await self._load(taken)
            options = BeginOptions(
                id=record.id, observers=self._observers, limit=None, fail_fast=False, tags=found.tags
            )
            if self._stops > 1:
                raise LetGo(record.id)
            await begin_target(cast("Runs", TakenRun(self.store, taken)), found.target, self._note_run, None, **options)
        except Refusal as why:
            await self._refuse(taken, str(why))
            return
        except LetGo:
            await self._return(taken)
            parked = record.id in self._entered and self._entered[record.id].parks
            self.say(f"{record.id}: {'parked, until something comes' if parked else 'given back, to be continued'}")
        except LeaseLost as error:
            self.say(f"{record.id}: {error}")
        except BaseException as error:
            if record.id not in self._entered and isinstance(error, asyncio.CancelledError):
                await self._return(taken)  # by its loop, that is: a run is cancelled when it is entered
            elif record.id not in self._entered:
                await self._fail(taken, error)
            elif isinstance(error, StoreError):
                self._rest.begin()
            self.say(f"{record.id}: {how_it_ended(error)}, after {describe_seconds(time.monotonic() - began)}")
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
        else:
            self._rest.seconds = 0.0
            self.say(f"{record.id}: succeeded, after {describe_seconds(time.monotonic() - began)}")
        if self.once:
            self._stops = max(self._stops, 1)

    async def _load(self, taken: Taken) -> Again:
        """Return what a run continues with. Raises `LetGo` when the worker is to stop meanwhile."""
        this = cast("asyncio.Task[None]", asyncio.current_task())
        self._loading.add(this)
        try:
            return await self._loader.load(taken)
        except asyncio.CancelledError:
            if self._stops > 1 and this.uncancel() == 0:
                raise LetGo(taken.record.id) from None
            raise
        finally:
            self._loading.discard(this)

    def _note_run(self, run: Run) -> None:
        self._entered[run.id] = run
        self._parker.note(run)
        if self._stops > 1:
            self._let_go(run)

    async def _refuse(self, taken: Taken, why: str) -> None:
        """Give a run back whose code is not here: this worker is not asked for that code again."""
        self.say(f"{taken.record.id}: given back, since its code cannot be loaded here: {why}")
        await self._messenger.tell(lambda: self._queue.give_back([taken.claimed], refusal=why))

    async def _return(self, taken: Taken) -> None:
        """Give a run back that was never entered: one that was has gone back when it was left."""
        if taken.record.id not in self._entered:
            await self._messenger.tell(lambda: self._queue.give_back([taken.claimed]))

    async def _fail(self, taken: Taken, error: BaseException) -> None:
        """Fail a run that cannot be entered, such as one whose row somebody has edited."""
        batch = Batch(state=State.FAILED, error=record_exception(error), at=time.time())
        await self._messenger.tell(lambda: self.store.write_all([Write(taken.claimed, taken.record.id, batch)]))

    def _let_go(self, run: Run) -> None:
        if run.state is State.RUNNING and not run.departed:
            if self._hurried:
                run.grace = min(run.grace, HURRY)
            run.let_go()


def how_it_ended(error: BaseException) -> str:
    """Return how a run ended, in a line."""
    if isinstance(error, RunCancelled | asyncio.CancelledError):
        return "cancelled"
    text = str(error.message) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}"
    return "failed: " + " ".join(text.split())
