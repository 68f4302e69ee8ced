"""An order whose charge is declined and refunded, for tests that kill it: `python durable_order.py STORE EFFECTS [WHEN]`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiodag import Run, current_node, task

STORE, EFFECTS, WHEN = (*sys.argv[1:], "")[:3]


class DeclinedError(Exception):
    pass


def effect(word):
    with Path(EFFECTS).open("a", encoding="utf-8") as log:
        log.write(f"{word}\n")


def has_happened(word):
    return Path(EFFECTS).exists() and word in Path(EFFECTS).read_text(encoding="utf-8").split()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


@task
async def charge():
    effect("charge")
    if not has_happened("refund"):
        raise DeclinedError("card expired")


@task
async def refund():
    effect("refund")


@task
async def ship():
    effect("ship")


@task
async def written(attempt):
    """Succeed: then all that was before is in the store."""


@task(retries=2, backoff=0)
async def tell():
    effect("tell")
    await written(current_node().attempt)
    if WHEN == "retried" and current_node().attempt == 3:
        die()
    if current_node().attempt < 4:
        raise ConnectionError("no printer")
    return current_node().attempt


@task
async def order():
    try:
        await charge()
    except DeclinedError:
        await refund()
        if WHEN == "refunded":
            die()
        return "refunded"
    await ship()
    return "shipped"


async def main():
    async with Run("order", store=STORE, id="order"):
        told = await order()
        if WHEN == "retried" or has_happened("tell"):
            told += f" after {await tell()} tries"
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    asyncio.run(main())
