"""Bodies for worker processes, which import them by name."""

import os
import pathlib

from aiodag import task


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


@task(executor="process")
def decorated(x):
    return x + 1
