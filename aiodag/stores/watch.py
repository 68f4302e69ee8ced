"""Wake those who wait for something to happen in a store: a worker for runs, whoever wants a result, a follower for lines.

Waiting comes in three steps, in this order, or what happens between a look and the wait is missed:

    ticket = watch.ticket()                    what has been heard of so far
    ... look at the store ...
    await watch.changed(ticket, patience)      ends at once if anything has been heard of since the ticket

News comes from two sides. Whoever commits in this process says what it was, and wakes at once. What others commit is heard by
the listener of the store, in a thread: a server tells, a file is looked at. All of it is a hint: a wake-up may be for nothing,
and where a server cannot tell, none comes. So nobody waits without an end: each looks again after a timeout of its own.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Collection, Generator, Hashable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from aiodag.errors import StoreError
from aiodag.happenings import EVERYTHING, Happening

if TYPE_CHECKING:
    from aiodag.abc import Listener, Runs

log = logging.getLogger("aiodag.stores")
AGAIN = (1.0, 5.0)  # seconds until a listener that has failed is made anew: the first time, and at most
ENDING = 0.2  # seconds that the last one who waits gives the thread to let go of its connection


class StoreWatch:
    """Hears of what happens in one store, for all who wait in this process."""

    def __init__(self) -> None:
        self._news = threading.Condition(threading.Lock())
        self._heard = 0  # how often something was heard of
        self._last = dict.fromkeys(EVERYTHING, 0)  # by what it was: the number of the last time
        self._calls: dict[Callable[[], None], frozenset[Happening]] = {}
        self.users = 0  # under the lock of the table

    def ticket(self) -> int:
        """Return how much was heard of so far: to be taken before a look."""
        return self._heard

    def news(self, ticket: int) -> frozenset[Happening]:
        """Return what has been heard of since a ticket was taken."""
        return frozenset(each for each in EVERYTHING if self._last[each] > ticket)

    async def changed(self, ticket: int, patience: float, *, of: Collection[Happening] = EVERYTHING) -> bool:
        """Wait until something has happened since a ticket was taken; return False after so many seconds without."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[bool] = loop.create_future()

        def wake() -> None:
            with suppress(RuntimeError):  # of a loop that has been closed: nobody waits any more
                loop.call_soon_threadsafe(end_wait, woken, True)

        with self.calling(wake, of=of):
            # In this order: what happens between the two calls, too.
            if self._is_new(ticket, of):
                return True
            timer = loop.call_later(patience, end_wait, woken, False)
            try:
                return await woken
            finally:
                timer.cancel()

    def wait(self, ticket: int, patience: float, *, of: Collection[Happening] = EVERYTHING) -> bool:
        """Do the same in a thread, which it blocks."""
        with self._news:
            return self._news.wait_for(lambda: self._is_new(ticket, of), patience)

    def _is_new(self, ticket: int, of: Collection[Happening]) -> bool:
        return any(self._last[each] > ticket for each in of)

    @contextmanager
    def calling(self, call: Callable[[], None], *, of: Collection[Happening] = EVERYTHING) -> Generator[None]:
        """Have something called whenever something happens, inside: in the thread that has heard of it, and must not wait."""
        with self._news:
            self._calls[call] = frozenset(of)
        try:
            yield
        finally:
            with self._news:
                del self._calls[call]

    def note(self, what: Collection[Happening]) -> None:
        """Wake those who wait for what has happened. Called in any thread, after the commit."""
        with self._news:
            self._heard += 1
            for each in what:
                self._last[each] = self._heard
            calls = [call for call, of in self._calls.items() if not of.isdisjoint(what)]
            self._news.notify_all()
        for call in calls:
            call()


class ListenerThread:
    """Passes on to a watch what the listener of its store hears."""

    def __init__(self, store: "Runs", watch: StoreWatch) -> None:
        self._store = store
        self._watch = watch
        self._lock = threading.Lock()
        self._listener: Listener | None = None
        self._pause = AGAIN[0]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"aiodag watch of {store}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have the thread end, soon."""
        self._ended.set()
        with self._lock:
            if self._listener is not None:
                self._listener.interrupt()
        self._thread.join(ENDING)

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen()
            except (StoreError, OSError) as error:
                # Whoever waits looks by itself meanwhile, and raises what is wrong with the store.
                log.debug("nothing is heard of %s: %s", self._store, error)
                self._ended.wait(self._pause)
                self._pause = min(2 * self._pause, AGAIN[1])

    def _listen(self) -> None:
        """Listen until the end. Raises `StoreError` when nothing can be heard any more."""
        listener = self._store.listener()
        if listener is None:  # nothing to hear, and no thread that a test would have to wait for
            self._ended.set()
            return
        try:
            with self._lock:
                self._listener = listener
            self._pause = AGAIN[0]
            # What has happened until it listened, it has not heard of.
            self._watch.note(EVERYTHING)
            while not self._ended.is_set():
                what = listener.wait()
                if what:
                    self._watch.note(what)
        finally:
            with self._lock:
                self._listener = None
            listener.close()


WATCHES: dict[Hashable, tuple[StoreWatch, ListenerThread]] = {}  # of this process, by the place of their store
watches_lock = threading.Lock()
inherited_watches: list[
    object
] = []  # of a forked process: to let go of a listener of its parent's would close its connection


@contextmanager
def watch_store(store: "Runs") -> Generator[StoreWatch]:
    """Hear of what happens in a store, inside. All who do so in this process share a thread and a connection."""
    place = store.place
    with watches_lock:
        found = WATCHES.get(place)
        if found is None:
            watch = StoreWatch()
            found = WATCHES[place] = watch, ListenerThread(store, watch)
        watch, thread = found
        watch.users += 1
    try:
        yield watch
    finally:
        with watches_lock:
            watch.users -= 1
            last = not watch.users and WATCHES.get(place) is found
            if last:
                del WATCHES[place]
        if last:
            thread.end()


def note_happening(place: Hashable, what: Collection[Happening]) -> None:
    """Wake those in this process who wait for what was committed to a store."""
    found = WATCHES.get(place)
    if found is not None and what:
        found[0].note(what)


def describe_listening(store: "Runs") -> str:
    """Return whether a server tells what others do in a store; empty for a store without a server."""
    if not str(store).startswith("postgresql:"):
        return ""
    try:
        listener = store.listener()
    except StoreError as error:
        return f"unknown: {error}"
    if listener is None:
        return "none through this pooler: the store is looked at once a second"
    listener.close()
    return "from the server"


def end_wait(woken: "asyncio.Future[bool]", changed: bool) -> None:
    """Wake one, who may have gone or have been woken already."""
    if not woken.done():
        woken.set_result(changed)


def forget_watches() -> None:
    """Forget, in a forked process, what the parent waits for: its threads are not here."""
    global watches_lock  # another thread of the parent may have held it
    watches_lock = threading.Lock()
    inherited_watches.extend(WATCHES.values())
    WATCHES.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_watches)
