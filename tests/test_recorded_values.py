"""The moment, chance and ids that a body asks for: the same ones each time that it is entered."""

import asyncio
import random as chance
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from aiodag import Run, RunFailed, task
from aiodag.messages import now, random, uuid
from aiodag.testing import run


async def test_they_are_what_python_gives():
    before = datetime.now(UTC)
    assert before <= await now() <= datetime.now(UTC)
    assert 0 <= await random() < 1
    assert isinstance(await uuid(), UUID)


async def test_a_body_that_is_entered_again_is_given_the_same_ones(store):
    seen = []

    @task(name="roll")
    async def roll():
        seen.append((await now(), await random(), await uuid(), await random()))
        if len(seen) == 1:
            raise OSError("cut off")

    with pytest.raises(RunFailed):
        async with Run("dice", store=store, id="r"):
            roll()
    chance.seed(0)
    async with Run("dice", store=store, id="r"):
        roll()

    assert seen[0] == seen[1]
    assert seen[0][1] != seen[0][3]


async def test_two_calls_are_two_ids():
    assert await uuid() != await uuid()


def test_on_a_virtual_clock_the_moment_goes_on_with_it():
    async def main():
        before = await now()
        await asyncio.sleep(timedelta(days=30).total_seconds())
        return await now() - before

    assert run(main()) >= timedelta(days=30)
    assert run(main()) < timedelta(days=31)
