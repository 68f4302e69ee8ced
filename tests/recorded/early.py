"""A program of version 1.1, which had no workflows and no commands: `python early.py STORE`.

It prints what ran and what came of it, as JSON. `v1.1.0-py3.11.db` and its like were made by it as the stores of `journey.py` were.
"""

import asyncio
import json
import logging
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import NamedTuple
from uuid import UUID

from aiodag import Run, RunFailed, Skip, current_node, settled, task

RAN = []
log = logging.getLogger("early")


class Colour(Enum):
    RED = "r"


@dataclass(frozen=True)
class Source:
    name: str
    since: date = date(2026, 1, 1)


class Row(NamedTuple):
    id: int
    price: Decimal


@task
async def fetch(name, *more, **options):
    RAN.append("fetch")
    log.warning("fetched %s", name)
    return [name, *more, *sorted(options)]


@task
async def identity(value):
    RAN.append("identity")
    return value


@task
async def join(*tables, named=()):
    RAN.append("join")
    return [cell for table in [*tables, *named] for cell in table]


@task
async def parent(x):
    RAN.append("parent")
    return await join(fetch(x), fetch(x))


@task(retries=2)
async def flaky(x):
    RAN.append("flaky")
    if current_node().attempt == 1:
        raise ConnectionError(f"no answer for {x}")
    return x


@task(codec="pickle")
async def pickled(x):
    RAN.append("pickled")
    return {x: 1.5}


@task(cache=True)
async def square(x):
    RAN.append("square")
    return x * x


@task
async def decline(x):
    RAN.append("decline")
    raise ValueError(f"declined {x}")


@task
async def nothing_to_do():
    RAN.append("nothing_to_do")
    raise Skip("no new rows")


@task
async def look(outcome):
    RAN.append("look")
    return str(outcome.state)


VALUES = [
    None, True, 1, -(2**70), 1.5, float("inf"), 2j, "text", "\x00\n'\"", "Größe 東京", b"\x00bytes", [1, [2]], (1, "a"),
    {"b": 1, "a": (2,)}, {1: 2}, {3, 1, 2}, frozenset({"x"}), range(3), date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC),
    timedelta(seconds=1.5), Decimal("1.10"), Fraction(1, 3), UUID(int=7), PurePosixPath("a/b"), Colour.RED, Source("s"),
    Row(1, Decimal(2)),
]  # fmt: skip


async def good(store):
    """Call what succeeds."""
    async with Run("good", store=store, id="good"):
        a, b = fetch("a"), fetch("b", "more", key=1)
        nodes = [a, b, join(a, b), join(named=[a, b]), parent("p"), flaky("f"), pickled(3), look(settled(a))]
        nodes += [identity(value) for value in VALUES] + [square(2), square(3)]
    return [node.result() for node in nodes]


async def bad(store):
    """Call what fails, or is skipped: that runs again, and nothing else."""
    try:
        async with Run("bad", store=store, id="bad"):
            join(decline(fetch("good")), fetch("other"))
            join(nothing_to_do())
    except RunFailed as error:
        return [str(cause) for cause in error.exceptions] if hasattr(error, "exceptions") else []
    return []


def main(store):
    values = asyncio.run(good(store))
    asyncio.run(bad(store))
    sys.stdout.write(json.dumps({"ran": sorted(RAN), "values": ascii(values)}))


if __name__ == "__main__":
    main(f"sqlite:///{sys.argv[1]}")
