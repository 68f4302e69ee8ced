"""Bodies for the tests of executors, which worker processes import by name."""

import asyncio
import os
import threading
import time
from pathlib import Path

from aiodag import Skip, current_node, task

LONG = 60.0  # seconds after which something hangs


def squared(x):
    return x * x


def shown(*args, **kwargs):
    return args, kwargs


def fails(x):
    raise LookupError(f"no {x}")


def exits(code):
    raise SystemExit(code)


def skips():
    raise Skip("no new rows")


def stops():
    raise StopIteration


def returns_what_cannot_travel():
    return threading.Lock()


class Picky(Exception):
    """Cannot be made again of what it was made of."""

    def __init__(self, one, two):
        super().__init__(one)


def raises_what_cannot_travel():
    raise Picky("one", "two")


def note(folder, text):
    """Append a line to what the bodies of a test have done."""
    with Path(folder, "notes").open("a") as file:
        file.write(f"{text}\n")


def noted(folder):
    """Return what the bodies have done so far."""
    try:
        return Path(folder, "notes").read_text().split()
    except FileNotFoundError:
        return []


def wait_for(path):
    """Wait in a worker until a file is there."""
    end = time.monotonic() + LONG
    while not Path(path).exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)  # real time: another process makes it


def fails_before(folder, count):
    """Fail until it was called so many times."""
    note(folder, "called")
    if len(noted(folder)) < count:
        raise TimeoutError
    return len(noted(folder))


def held_up(folder, name="body"):
    """Begin, wait for the file `go`, and end."""
    note(folder, f"{name}-begins")
    wait_for(Path(folder, "go"))
    note(folder, f"{name}-ends")
    return name


async def held_up_async(folder):
    """Begin, wait for ever, and say how it ended."""
    note(folder, "begins")
    try:
        await asyncio.sleep(LONG)  # real time: it is cancelled in another process
    except asyncio.CancelledError:
        note(folder, "cancelled")
        raise


def one_at_a_time(folder):
    """Note whether another one runs meanwhile."""
    lock = Path(folder, "lock")
    lock.mkdir()
    time.sleep(0.02)  # real time: for another to begin in it
    lock.rmdir()


def dies_once(folder):
    """Kill the process that runs it, the first time."""
    note(folder, "called")
    if len(noted(folder)) == 1:
        os.kill(os.getpid(), 9)
    return len(noted(folder))


@task
def doubled(x):
    return 2 * x


@task
async def doubled_async(x):
    await asyncio.sleep(0)
    return 2 * x


def calls_tasks(x):
    """Call tasks as the plain functions that they are in a worker."""
    return doubled(x) + doubled_async(x)


async def awaits_tasks(x):
    return await doubled(x) + await doubled_async(doubled_async(x))


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    @task
    def times(self, x):
        return self.factor * x

    @classmethod
    def name(cls):
        return cls.__name__


def where():
    return os.getpid(), current_node()


class ReadableThere:
    """A large value that only the process that made it can read."""

    def __init__(self):
        self.content = bytes(200_000)

    def __reduce__(self):
        return read_there, (os.getpid(), self.content)


def read_there(pid, content):
    if os.getpid() != pid:
        raise RuntimeError("this is another process")
    return content


class Leaving:
    """Ends whoever writes it."""

    def __reduce__(self):
        raise SystemExit(3)
