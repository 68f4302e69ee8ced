"""Runs of jobs that only wait: they are parked, woken by their moment on any worker, and do nothing twice."""

from textwrap import dedent

import pytest
from jobs_forms import calls_noted
from test_queue import Moments
from test_worker import Working
from worker_processes import until

from aiodag import State

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("hooks_forgotten")]

FLOW = """
    jobs:
      a:
        strategy: {matrix: {t: [p, q]}}
        stages:
          - {id: before, uses: test/call@1, with: {name: "before ${{ matrix.t }}"}}
          - id: poll
            until: "${{ loop.number == 2 }}"
            stages:
              - {id: ask, uses: test/call@1, with: {name: "ask ${{ matrix.t }} ${{ loop.number }}"}}
              - {id: pause, sleep: 1h}
          - {id: after, uses: test/call@1, with: {name: "after ${{ matrix.t }}"}}
      b: {needs: a, stages: [{uses: test/call@1, with: {name: b}}]}
    """


@pytest.fixture
def ran():
    """What the stages of a test have called, in that order."""
    return calls_noted()


@pytest.fixture
def moments(monkeypatch):
    return Moments(monkeypatch)


async def in_state(service, run_id, state):
    await until(lambda: service.run(run_id).state is state, f"{run_id} is {state}")


async def test_loops_that_sleep_are_parked_and_woken_and_do_nothing_twice(ran, store, service_at, tmp_path, moments):
    service = service_at(store)
    (tmp_path / "flow.yaml").write_text(dedent(FLOW))
    run_id = service.submit(str(tmp_path / "flow.yaml"))

    async with Working(service, linger=0.0):
        await in_state(service, run_id, State.PARKED)
    assert sorted(ran) == ["ask p 1", "ask q 1", "before p", "before q"]
    ran.clear()
    moments.advance(3601)
    async with Working(service, linger=0.0):
        await until(lambda: len(ran) == 2, "both ask again")
        await in_state(service, run_id, State.PARKED)
    moments.advance(7202)
    async with Working(service, linger=0.0):
        await in_state(service, run_id, State.SUCCEEDED)

    assert sorted(ran) == ["after p", "after q", "ask p 2", "ask q 2", "b"]
