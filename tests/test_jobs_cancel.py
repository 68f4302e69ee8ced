"""Runs of jobs that are cancelled: what runs ends, what was asked for cleans up, and the run goes on later."""

import asyncio

import pytest
from jobs_forms import calls_noted, flow_of, shown

from aiodag import RunCancelled
from aiodag.workflows import hook

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("hooks_forgotten")]


@pytest.fixture
def ran():
    """What the stages of a test have called, in that order."""
    return calls_noted()


class Waiting:
    """A hook, test/wait@1, that waits until it may go on."""

    def __init__(self):
        self.begun, self.go_on = asyncio.Semaphore(0), asyncio.Event()
        hook("test/wait@1")(self.wait)

    async def wait(self):
        self.begun.release()
        await self.go_on.wait()


async def test_a_cancel_from_outside_ends_what_runs_and_lets_it_clean_up(ran, store):
    waiting = Waiting()
    flow = flow_of("""
        jobs:
          a:
            stages:
              - {id: x, uses: test/wait@1}
              - {id: y, uses: test/call@1, with: {name: never}}
              - {id: z, if: cancelled(), uses: test/call@1, with: {name: "undone after ${{ stages.x.result }}"}}
          m:
            strategy: {matrix: {t: [p, q]}}
            stages:
              - {id: x, uses: test/wait@1}
              - {id: z, always: true, uses: test/call@1, with: {name: "${{ matrix.t }} undone"}}
          b: {needs: a, stages: [{echo: never}]}
        """)
    runs = []
    going = asyncio.ensure_future(flow.run(store, "it", opened=runs.append))
    for _ in range(3):
        await waiting.begun.acquire()
    await asyncio.to_thread(store.cancel, "it")

    with pytest.raises(RunCancelled):
        await going

    assert sorted(ran) == ["p undone", "q undone", "undone after cancelled"]
    assert store.run("it").state == "cancelled"
    states = shown(runs[0])
    assert (states["a"], states["m"], states["m/m[t=p]"], states["b"]) == ("cancelled",) * 4


async def test_a_cancelled_run_goes_on_where_it_was(ran, store):
    waiting = Waiting()
    flow = flow_of("""
        jobs:
          a:
            stages:
              - {id: x, uses: test/call@1, with: {name: x}}
              - {id: y, uses: test/wait@1}
              - {id: z, uses: test/call@1, with: {name: z}}
        """)
    going = asyncio.ensure_future(flow.run(store, "it"))
    await waiting.begun.acquire()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    waiting.go_on.set()

    await flow.run(store, "it")

    assert ran == ["x", "z"]


async def test_a_run_that_is_drained_lets_the_stages_end_that_run_and_begins_no_others(ran):
    waiting, runs = Waiting(), []
    flow = flow_of("""
        jobs:
          a:
            strategy: {matrix: {t: [p, q]}}
            stages: [{id: x, uses: test/wait@1}, {id: y, uses: test/call@1, with: {name: never}}]
          b: {needs: a, stages: [{echo: never}]}
        """)
    going = asyncio.ensure_future(flow.run(opened=runs.append))
    for _ in range(2):
        await waiting.begun.acquire()
    runs[0].drain()
    waiting.go_on.set()
    await going

    states = shown(runs[0])
    assert [states[f"a/a[t={each}]/x"] for each in "pq"] == ["succeeded", "succeeded"]
    assert (states["a"], states["b"], ran) == ("cancelled", "cancelled", [])
