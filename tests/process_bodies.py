"""Bodies for worker processes, which import them by name."""

import asyncio
import os
import pathlib
import subprocess
import sys
import threading
import time
import warnings
from functools import partial

from aiodag import OptionError, task


def squared(x):
    return x * x


def combined(a, *rest, key=None):
    return a, rest, key


def fails(x):
    raise LookupError(f"no {x}")


def pid():
    return os.getpid()


def dies():
    os._exit(3)


def forks():
    """Fork, and return from the body in both processes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a process with threads forks
        child = os.fork()
    if not child:
        return "child"
    os.waitpid(child, 0)
    return "parent"


def dies_once(path):
    """End the worker on the first attempt; a file remembers that it was made."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return os.getpid()
    os._exit(3)


def reads(path):
    """Wait until somebody has written to a pipe."""
    with pathlib.Path(path).open(encoding="utf-8") as pipe:
        return pipe.read()


def holds(path, how="sleeps"):
    """Hold a pipe open, in a child of this process, too, and never end."""
    pipe = os.open(path, os.O_WRONLY)
    subprocess.Popen(["sleep", "1000"], stdout=pipe)
    os.write(pipe, b"begun\n")
    if how == "sleeps":
        time.sleep(1000)  # real time: until it is ended
    sum(range(10**15))  # native code, which lets no other thread run


def exits(code):
    sys.exit(code)


def stops():
    return next(iter([]))


def cancels():
    raise asyncio.CancelledError


class Unmakeable(Exception):
    """Pickles, but cannot be made again: __init__ takes more than it passes on."""

    def __init__(self, told, code):
        super().__init__(told)
        self.code = code


def raises_unmakeable():
    raise Unmakeable("no answer", 7)


class Impostor(Exception):
    """Pickles, and arrives as something that nobody can raise."""

    def __reduce__(self):
        return str, ("not an exception",)


def raises_impostor():
    raise Impostor


class Broken:
    """Pickles, and raises where it arrives."""

    def __reduce__(self):
        return int, ("broken",)


def broken():
    return Broken()


def lock():
    return threading.Lock()


def ignores(x):
    return "never"


def forbids():
    raise OptionError("limit", 0, "an int of 1 or more")


@task(executor="process")
def decorated(x):
    return x + 1


def length_of(text):
    return len(text)


class Scale:
    """Something with methods that are tasks."""

    def __init__(self, factor):
        self.factor = factor

    def __eq__(self, other):
        return type(other) is Scale and other.factor == self.factor

    __hash__ = None

    @task(executor="process")
    def times(self, x):
        return self.factor * x, os.getpid()

    @task
    @classmethod
    def named(cls, x):
        return cls.__name__, x

    @task
    @staticmethod
    def bare(x):
        return x

    @task
    async def later(self, x):
        await asyncio.sleep(0)
        return self.factor * x


@task
def halved(x):
    return x / 2


@task(retries=1)
async def doubled(x):
    await asyncio.sleep(0)
    return 2 * x


twice_doubled = doubled.with_options(retries=2)
halved_later = task(partial(halved, 8))


@task
async def doubles_all(xs):
    return [await each for each in doubled.map(xs)]


def calls_tasks(x):
    """Call tasks where no loop runs, and on a loop of its own."""

    async def on_a_loop():
        return await doubled(x)

    return halved(x), doubled(x), asyncio.run(on_a_loop())
