"""The feeds of a store that somebody follows in this process: one for each run, and one for all runs."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiodag.abc import Runs
from aiodag.service.run_feed import RunFeed
from aiodag.service.runs_feed import RunsFeed
from aiodag.stores.watch import StoreWatch, watch_store

THREADS = 4  # looks at once: of their own, so that a store which hangs takes no place of others
ALL = None  # the key of the feed of all runs


@dataclass
class SharedFeed:
    """A feed and what follows for it."""

    feed: Any
    following: "asyncio.Task[None]"
    users: int = 0


class Feeds:
    """The feeds of one store, in one event loop."""

    def __init__(self, store: Runs) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aiodag-feeds")
        self._watching = ExitStack()
        self._watch: StoreWatch | None = None
        self._shared: dict[str | None, SharedFeed] = {}

    async def ask(self, question: Callable[..., Any], *args: Any) -> Any:
        """Return what is answered in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, *args)

    @asynccontextmanager
    async def of_run(self, run_id: str, ended: int = 0) -> AsyncGenerator[RunFeed]:
        """Share the feed of a run, inside: never one that is over, but that of the execution which has `ended` last."""
        async with self._share(run_id, lambda: RunFeed(self._store, run_id, self.ask), ended) as feed:
            yield feed

    @asynccontextmanager
    async def of_all(self) -> AsyncGenerator[RunsFeed]:
        """Share the feed of all runs, inside."""
        async with self._share(ALL, lambda: RunsFeed(self._store, self.ask)) as feed:
            yield feed

    @asynccontextmanager
    async def _share(self, key: str | None, build: Callable[[], Any], ended: int = 0) -> AsyncGenerator[Any]:
        shared = self._shared.get(key)
        # One that is over may still be read by others, when the run goes on again.
        if shared is None or (shared.feed.over and not (ended and shared.feed.ended == ended)):
            shared = self._shared[key] = self._begin(build())
        shared.users += 1
        try:
            yield shared.feed
        finally:
            shared.users -= 1
            if not shared.users:
                shared.following.cancel()
                if self._shared.get(key) is shared:
                    del self._shared[key]
                self._rest()

    def _begin(self, feed: Any) -> SharedFeed:
        if self._watch is None:
            self._watch = self._watching.enter_context(watch_store(self._store))
        following = asyncio.get_running_loop().create_task(feed.follow(self._watch))
        return SharedFeed(feed, following)

    def _rest(self) -> None:
        """Let go of the watch, where nobody follows anything. It waits for its thread, and so does that in another one."""
        if not self._shared and self._watch is not None:
            self._watch = None
            self._threads.submit(self._watching.pop_all().close)

    def close(self) -> None:
        """Let the threads go. Those who still read hear of nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
