"""What a body may not ask Python for if it is entered again: the moment, chance, an id. Recorded, they stay what they were."""

import asyncio
import random as chance
import time
import uuid as unique
from collections.abc import Callable
from datetime import UTC, datetime

from aiodag._core.task import task


@task
async def now() -> datetime:
    """Return the moment of the first execution that came here, in UTC.

    A body that waits is entered again when it goes on. `datetime.now()` would be another moment then; this is recorded, and
    recalled. In a run without a store it is the moment of the call. On a virtual clock it goes on with that.

    >>> from datetime import UTC
    >>> from aiodag.messages import now
    >>> (await now()).tzinfo is UTC
    True
    """
    return datetime.fromtimestamp(time_of_day(asyncio.get_running_loop()), UTC)


def time_of_day(loop: asyncio.AbstractEventLoop) -> float:
    """Return what time it is in seconds since the epoch: on a virtual clock, by that."""
    virtual: Callable[[], float] = getattr(loop, "time_of_day", time.time)
    return virtual()


@task
async def random() -> float:
    """Return a number from 0 up to, not including, 1 by chance, and the same one in each execution of a run.

    >>> from aiodag.messages import random
    >>> 0 <= await random() < 1
    True
    """
    return chance.random()  # noqa: S311 - nobody's secret: as `random.random`


@task
async def uuid() -> unique.UUID:
    """Return a random id (UUID, version 4), and the same one in each execution of a run.

    >>> from aiodag.messages import uuid
    >>> (await uuid()).version
    4
    """
    return unique.uuid4()
