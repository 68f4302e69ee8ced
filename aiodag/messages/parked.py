"""For tests of code that waits: park a run at every wait, so that what a body does outside of nodes is seen to be done again."""

import asyncio
import time
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from aiodag._core.parking import holders
from aiodag._core.run import Run
from aiodag._core.submit import engine_of
from aiodag._core.task import Task, task
from aiodag.errors import LetGo
from aiodag.faces import publish
from aiodag.happenings import Happening
from aiodag.mail import Delivered, Incoming
from aiodag.messages.local import local_inbox
from aiodag.messages.recorded_values import time_of_day
from aiodag.stores.memory import Memory
from aiodag.stores.watch import end_wait, watch_store

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
R = TypeVar("R")

SLACK = 0.5  # seconds
PATIENCE = 5.0  # seconds of real time after which nobody will hear of a message any more
WAKES = frozenset({Happening.WOKEN, Happening.QUEUED})


async def park_at_every_wait(entry: "Callable[P, Awaitable[R]]", /, *args: "P.args", **kwargs: "P.kwargs") -> R:
    """Run a task as a worker would that parks it whenever it only waits, and return its value.

    It runs in a store in memory. As soon as all that is unfinished waits for messages, moments or runs, this lets go of it;
    when something of that has come, the bodies are entered again, from the top. Whatever they do outside of nodes is done
    once more each time: a test sees here what a user would see in production.

    Messages come by `aiodag.testing.deliver` as ever, those that came before included. Raises what the run raises, such as
    `RunFailed`.

    >>> from aiodag import task
    >>> from aiodag.messages import message, sleep
    >>> from aiodag.testing import deliver, park_at_every_wait, run
    >>> entered = []
    >>> @task
    ... async def charge(order):
    ...     entered.append("charge")
    >>> @task
    ... async def order(key):
    ...     entered.append("order")
    ...     await charge(key)
    ...     await sleep(3600)
    ...     return await message("PAYMENT", key=key)
    >>> async def main():
    ...     deliver("PAYMENT", "A17", 5)
    ...     return await park_at_every_wait(order, "A17")
    >>> run(main()), entered
    (5, ['order', 'charge', 'order'])
    """
    given: Any = entry
    called: Task[..., R] = given if type(given) is Task else task(given)
    loop = asyncio.get_running_loop()
    with Yard.of(loop) as yard:
        run_id = f"{called.name}-{next(yard.numbers)}"
        while True:
            run = Run(called.name, store=yard.store, id=run_id)
            try:
                async with run:
                    assert run.journal is not None
                    run.journal.registered = partial(park_if_idle, run, yard.store)
                    return await called(*args, **kwargs)
            except LetGo:
                if not run.departed:
                    raise
            await yard.woken(run_id)


def park_if_idle(run: Run, store: Memory) -> None:
    """Let go of a run if it only waits. Called when something of it is written: its bodies have their turn first."""
    run.loop.call_soon(let_go_if_idle, run, store)


def let_go_if_idle(run: Run, store: Memory) -> None:
    """Let go of a run if it only waits."""
    if run.departed or run.journal is None or holders(run):
        return
    # Its store is on real time, and a moment that has come on this clock may be a little later on that one.
    moments = moments_of(store, run.id)
    if (not moments or min(moments) > time_of_day(run.loop) + SLACK) and run.journal.may_park():
        run.let_go()
    elif run.journal.waits_for_world():
        run.loop.call_later(SLACK, let_go_if_idle, run, store)  # nothing may be left to write, which would call this


def moments_of(store: Memory, run_id: str) -> list[float]:
    """Return when the waits of a run are over that have an end, in seconds since the epoch."""
    return [each.due_at.timestamp() for each in store.waits(run_id=run_id) if each.due_at is not None]


class Yard:
    """Where the parked runs of a loop stand: a store in memory, as long as there are any."""

    def __init__(self, loop: "AbstractEventLoop") -> None:
        self.loop = loop
        self.store = Memory()
        self.numbers = count(1)
        self.users = 0

    @classmethod
    def of(cls, loop: Any) -> "Yard":
        """Return that of a loop, made when somebody asks for it: with the messages that have come before."""
        yard: Yard | None = getattr(loop, "aiodag_yard", None)
        if yard is None:
            yard = loop.aiodag_yard = cls(loop)
            yard.store.deliver(local_inbox(loop).shelf.give_up_kept())
        return yard

    def __enter__(self) -> Self:
        self.users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if not self.users:
            loop: Any = self.loop
            loop.aiodag_yard = None
            self.store.close()

    def deliver(self, incoming: Incoming) -> Delivered:
        """Deliver a message; the clock of a test stands still until it is heard of, for the store is on real time."""
        (delivered,) = self.store.deliver([incoming])
        if delivered.outcome == "taken":
            engine_of(self.loop).real_time.begin()
            self._wait_for_ears(time.monotonic() + PATIENCE)
        return delivered

    def _wait_for_ears(self, end: float) -> None:
        if time.monotonic() < end and any(each.settled for each in self.store.waits()):
            self.loop.call_soon(self._wait_for_ears, end)
        else:
            engine_of(self.loop).real_time.end()

    async def woken(self, run_id: str) -> None:
        """Wait until something has come that a run waits for."""
        woken: asyncio.Future[bool] = self.loop.create_future()

        def wake() -> None:
            self.loop.call_soon_threadsafe(end_wait, woken, True)

        with ExitStack() as stack:
            watch = stack.enter_context(watch_store(self.store))
            stack.enter_context(watch.calling(wake, of=WAKES))
            waits, moments = self.store.waits(run_id=run_id), moments_of(self.store, run_id)
            if not waits or any(each.settled for each in waits):
                return
            if moments:
                left = min(moments) - time_of_day(self.loop)
                stack.callback(self.loop.call_later(max(left, 0.0), end_wait, woken, True).cancel)
            await woken


def yard_of(loop: Any) -> Yard | None:
    """Return where the runs stand that are parked on a loop, if there are any."""
    yard: Yard | None = getattr(loop, "aiodag_yard", None)
    return yard


publish("aiodag.testing", globals(), __name__)
