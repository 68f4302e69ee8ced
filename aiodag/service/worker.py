"""Take runs from the queues of a store, and work on them: many in one loop, until somebody stops the worker.

    look ──► take what there is room for ──► a task for each: load its code, enter it, run it
     ▲                                                    │ no code: back into the queue, with the reason
     └── something was queued, a run ended, half a second ◄──┘

Each look does for all workers of the store what is due, such as handing on the runs of one that has died. So a worker without
a free place looks, too. What is taken is owned in that transaction; the keeper of the store renews the lease while there are
runs, and the looks do while there are none.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from aiodag._core.options import check_seconds
from aiodag.errors import OptionError, StoreError
from aiodag.happenings import Happening
from aiodag.queue_defaults import DEFAULT_QUEUE, GRACE, LINGER, RUNS_AT_ONCE
from aiodag.records import Owner
from aiodag.service.loading import CodeLoader, in_daemon
from aiodag.service.outages import Messenger, Rest
from aiodag.service.parking import Parker
from aiodag.service.queues import queue_of_store
from aiodag.service.relaying import carrier_of
from aiodag.service.run_work import RunWork
from aiodag.service.scheduler import LOOK, Scheduler, patience_until
from aiodag.service.service import Service
from aiodag.service.starters import StarterNotes
from aiodag.service.submitting import checked_queue
from aiodag.stores.keeper import LEASE
from aiodag.stores.unreleased import release_again
from aiodag.stores.watch import StoreWatch, watch_store
from aiodag.submissions import Taken
from aiodag.wording import count_text, describe_seconds

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag.abc import Observer, Transport

log = logging.getLogger("aiodag.worker")
PRUNE = 3600.0  # seconds between two times that old runs are deleted


class QueueWorker(RunWork):
    """Work on the runs that are submitted to some queues of a store, at most `limit` at once.

    `stop` once: takes no more, lets what runs end for `grace` seconds, and gives the rest back to be continued elsewhere;
    twice: gives all of it back at once. With `pinned`, runs whose file has other code than when they were submitted are
    refused. `keep` is after how many seconds ended runs are deleted; None keeps them. With `once` it ends after the first run
    that it could begin. A run that only waits is let go of after `linger` seconds, sooner where others wait for its place: it
    is parked, and taken again when something has come for it. `transports`, or their addresses, are received from. It releases
    what is due of the store's schedules, unless `schedules` is False. `observers` hear of the moves of all runs. `begun` is called whenever it has taken a run, and `say`
    with lines for people: what is taken, and how it ends.

    One worker works for each process and store. Python files are imported as the records name them, each once.

    >>> import asyncio
    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> from aiodag.service.worker import QueueWorker
    >>> size = Path("days.py").write_text("async def main(day: str) -> str: return day")
    >>> service = Service("memory:worker")
    >>> run_id = service.submit("days.py", ["day=monday"])
    >>> worker = QueueWorker(service)
    >>> working = asyncio.create_task(worker.run())
    >>> await service.result(run_id)
    'monday'
    >>> worker.stop()
    >>> await working
    """

    def __init__(
        self,
        service: Service,
        queues: Collection[str] = (DEFAULT_QUEUE,),
        *,
        limit: int = RUNS_AT_ONCE,
        grace: float = GRACE,
        pinned: bool = False,
        keep: float | None = None,
        once: bool = False,
        linger: float = LINGER,
        transports: "Collection[str | Transport]" = (),
        schedules: bool = True,
        observers: "Sequence[Observer]" = (),
        begun: Callable[[], object] = bool,
        say: Callable[[str], object] = log.info,
    ) -> None:
        if type(limit) is not int or limit < 1:
            raise OptionError("limit", limit, "an int of 1 or more: the runs that go on at once")
        self.service, self.store = service, service.store
        self.queues: Sequence[str] = [checked_queue(each) for each in dict.fromkeys(queues)]
        self.limit, self.grace = limit, check_seconds("grace", grace)
        self.keep = None if keep is None else check_seconds("keep", keep)
        self.once, self._tell_begun = once, begun
        self.say, self._observers = say, observers
        self._queue = queue_of_store(self.store)
        self._owner, self._loader = Owner.here(), CodeLoader(pinned=pinned)
        self.works: dict[asyncio.Task[None], Taken] = {}
        self._entered: dict[str, Run] = {}  # by the ids of runs
        self._loading: set[asyncio.Task[None]] = set()  # works whose code is being loaded, which may block for ever
        self._stir = asyncio.Event()
        self._stops = 0
        self._hurried = False  # whether what runs is to let go at once
        self._renewed, self._rest = float("-inf"), Rest()
        self._messenger = Messenger(say, lambda: self._stops > 1)
        self._parker = Parker(check_seconds("linger", linger), self._let_go)
        self._starters = StarterNotes(self.store, self._owner)
        self._carrier = carrier_of(self.store, transports, say)
        self._scheduler = Scheduler(self.store, say) if schedules else None

    async def run(self) -> None:
        """Work until somebody calls `stop`. Raises `StoreError` for a store that cannot be used at the beginning."""
        self._loop = asyncio.get_running_loop()
        self._began = time.time()
        with watch_store(self.store) as watch:
            await asyncio.to_thread(self._enrol)
            pruning = asyncio.create_task(prune_hourly(self.service, self.keep, self.say))
            alarm = CancelAlarm(self._give_back)
            waiting = asyncio.create_task(alarm.wait())
            async with self._carrier:
                try:
                    with (
                        watch.calling(self._hear, of={Happening.QUEUED, Happening.ENDED}),
                        watch.calling(self._hear_of_schedules, of={Happening.SCHEDULED}),
                    ):
                        await self._work_on(watch)
                finally:
                    pruning.cancel()
                    alarm.disarm()
                    waiting.cancel()
                    await self._leave()

    def stop(self) -> None:
        """Take no more, and end when what runs has ended; called again, give it back at once. Called on the loop."""
        self._stops += 1
        self._parker.linger = 0.0
        self._parker.make_room()
        if self._stops == 1:
            there = count_text(len(self.works), "run")
            rest = f"; waits {describe_seconds(self.grace)} for {there} to end" if self.works else ""
            self.say(f"takes no more{rest}")
            asyncio.get_running_loop().call_later(self.grace, self._give_back)
        else:
            self._hurried = True
            self._give_back()
        self._stir.set()

    # The loop

    async def _work_on(self, watch: StoreWatch) -> None:
        announced = False
        while not self._stops or self.works:
            if self._stops and not announced:
                announced = True
                await self._messenger.tell(lambda: self._queue.dismiss(self._owner, ending=True))
            self._stir.clear()
            patience = await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._stir.wait()

    async def _look(self) -> float:
        """Take what there is room for; return for how many seconds to wait for something to happen."""
        if len(self.works) >= self.limit:
            self._parker.make_room()
        taking = self._loop.run_in_executor(None, self._take)  # no task: a loop that ends would cancel it
        try:
            taken, due = await asyncio.shield(taking)
        except StoreError as error:
            self._messenger.say_failing(error)
            return LOOK
        except asyncio.CancelledError:
            await asyncio.wait([taking])  # nobody else would know of what the thread takes
            if taking.exception() is None:
                taken, _ = taking.result()
                await self._messenger.tell(lambda: self._queue.give_back([each.claimed for each in taken]))
            raise
        self._messenger.failing = ""
        for each in taken:
            work = asyncio.create_task(self._work(each))
            self.works[work] = each
            work.add_done_callback(self._end_work)
        return patience_until(due)

    def _take(self) -> tuple[list[Taken], float | None]:
        """Do what the store needs now and then, and take runs. In a thread."""
        now = time.monotonic()
        if now - self._renewed > LEASE / 3:
            if self._stops:
                self.store.renew(self._owner, LEASE)
            else:
                self._enrol()  # again: a process that has stood still for long is not among the workers any more
        release_again(self.store, self._owner, {taken.claimed.run for taken in list(self.works.values())})
        scheduled = None if self._scheduler is None or self._stops else self._scheduler.look()
        room = 0 if self._stops or now < self._rest.until else self.limit - len(self.works)
        taken = self._queue.take_queued(self._owner, self.queues, room, lease=LEASE)
        # Of the queues only what there is room for: else a full worker would look without a pause.
        queued = None if taken or not room else self._queue.due_in()
        return taken, min([each for each in (scheduled, queued) if each is not None], default=None)

    def _enrol(self) -> None:
        self._queue.enrol(self._owner, self.queues, self.limit, at=self._began, lease=LEASE)
        self._starters.note()
        self._renewed = time.monotonic()

    def _hear(self) -> None:
        """Hear that something was queued, or that a run has ended. In any thread."""
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._look_soon)

    def _hear_of_schedules(self) -> None:
        """Hear that a schedule is another one: also a full worker releases what is due. In any thread."""
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._stir.set)

    def _look_soon(self) -> None:
        if len(self.works) >= self.limit:
            self._parker.make_room()
        elif not self._stops:
            self._stir.set()

    # What becomes of it

    def _end_work(self, work: "asyncio.Task[None]") -> None:
        taken = self.works.pop(work)
        self._entered.pop(taken.record.id, None)
        self._stir.set()
        if not work.cancelled() and work.exception() is not None:
            self._stops = max(self._stops, 1)

    # The end

    def _give_back(self) -> None:
        """Let go of all runs that have not ended."""
        self._stops = max(self._stops, 2)
        for run in list(self._entered.values()):
            self._let_go(run)
        for work in list(self._loading):
            work.cancel()

    async def _leave(self) -> None:
        """Give back what is left, also where something has gone wrong, and sign off."""
        self._stops = max(self._stops, 2)
        self._parker.stop()
        self._give_back()
        if self.works:
            await asyncio.wait(list(self.works), timeout=LEASE)
        await self._messenger.tell(lambda: self._queue.dismiss(self._owner))


async def prune_hourly(service: Service, keep: float | None, say: Callable[[str], object]) -> None:
    """Delete the runs that ended more than `keep` seconds ago, every hour; None keeps them.

    In a thread that nobody waits for: there may be very many, and meanwhile runs are taken, and the worker may be stopped.
    """
    while keep is not None:
        try:
            gone = await in_daemon(partial(service.prune, older=keep))
        except StoreError as error:
            say(f"could not delete old runs, and tries again in an hour: {error}")
        else:
            if gone:
                say(f"deleted {count_text(len(gone), 'run')} that ended more than {describe_seconds(keep)} ago")
        await asyncio.sleep(PRUNE)


class CancelAlarm(asyncio.Future[None]):
    """Calls a function as soon as the task that waits for it is cancelled, and not in that task's next step.

    A loop that ends cancels all its tasks in one go, and then they take turns: bodies may come before the worker. So it lets
    go of their runs while it is cancelled; else these would end as cancelled, by nobody.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self._call: Callable[[], object] | None = call

    async def wait(self) -> None:
        """Wait to be cancelled."""
        await self

    def disarm(self) -> None:
        """Call nothing any more."""
        self._call = None

    def cancel(self, msg: object = None) -> bool:
        """Call the function, and be cancelled."""
        call, self._call = self._call, None
        if call is not None:
            call()
        return super().cancel(msg)
