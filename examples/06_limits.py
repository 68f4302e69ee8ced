"""Be kind to a server: so many calls at once, so many per second, and again after a failure.

`limit=3` is a limit of one task. A `Limit` object is shared by every task that names it, and may have a rate.
`retries` are the attempts after the first, `backoff` the pause before each, `retry_on` says which failures are
worth it, and `timeout` ends an attempt. While a node pauses it holds no place of the limit.

Output:

    12 calls, at most 3 at once, sum 66
    2 tasks share a limit: 10 calls, at most 2 at once
    50 a second: 6 calls took at least 0.1 s
    pauses: 0.01 s, 0.02 s, 0.04 s
    'page 1' after 4 attempts
    gave up after 3 attempts: fetch(2) failed: Busy
    attempt 2 of slow took longer than 0.01 s
"""

import asyncio
import time

from aiodag import Backoff, Limit, Run, task


class Server:
    """Count what a server would see."""

    def __init__(self):
        self.inside = self.most = 0
        self.starts = []

    async def answer(self, value, seconds=0.02):
        self.starts.append(time.perf_counter())
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.inside -= 1
        return value


async def at_once():
    server = Server()
    async with Run("at once"):
        pages = task(server.answer, limit=3).map(range(12))
    print(f"12 calls, at most {server.most} at once, sum {sum(page.result() for page in pages)}")


async def shared():
    server = Server()
    connections = Limit(2)
    read = task(server.answer, name="read", limit=connections)
    write = task(server.answer, name="write", limit=connections)
    async with Run("shared"):
        write.map(read.map(range(5)))
    print(f"2 tasks share a limit: {len(server.starts)} calls, at most {server.most} at once")


async def per_second():
    server = Server()
    began = time.perf_counter()
    async with Run("per second"):
        task(server.answer, limit=Limit(rate=50)).map(range(6))
    seconds = server.starts[-1] - began
    print(f"50 a second: 6 calls took {'at least' if seconds > 0.095 else 'less than'} 0.1 s")


class Busy(Exception):
    """The server says: come back later."""


def flaky(failures):
    """Return a function that fails so many times before it answers."""
    left = iter(range(failures))

    async def fetch(page):
        for _ in left:
            raise Busy
        return f"page {page}"

    return fetch


async def again():
    backoff = Backoff(first=0.01, factor=2, maximum=1, jitter=0)
    print(f"pauses: {', '.join(f'{backoff(attempt):g} s' for attempt in (1, 2, 3))}")
    fetch = task(flaky(3), retries=5, backoff=backoff, retry_on=Busy)
    node = fetch(1)
    print(f"{await node!r} after {node.attempt} attempts")

    stubborn = task(flaky(9), retries=2, backoff=backoff)(2)
    try:
        await stubborn
    except Busy:
        print(f"gave up after {stubborn.attempt} attempts: {stubborn.failure}")

    slow = task(Server().answer, name="slow", timeout=0.01, retries=1)("never", seconds=60)
    try:
        await slow
    except TimeoutError as error:
        print(error)


async def main():
    await at_once()
    await shared()
    await per_second()
    await again()


if __name__ == "__main__":
    asyncio.run(main())
