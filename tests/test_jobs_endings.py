"""How jobs end before their time: by a timeout, by a cancel, by a failure elsewhere; and what runs even then."""

import asyncio

import pytest
from jobs_forms import calls_noted, flow_of, shown

from aiodag import RunFailed

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual, pytest.mark.usefixtures("hooks_forgotten")]


@pytest.fixture
def ran():
    """What the stages of a test have called, in that order."""
    return calls_noted()


async def ended(flow, error=RunFailed, **options):
    runs = []
    with pytest.raises(error) as caught:
        await flow.run(opened=runs.append, **options)
    return runs[0], caught.value


async def test_a_stage_ends_when_its_time_is_over(ran):
    run, error = await ended(
        flow_of("""
        jobs:
          a:
            stages:
              - {id: x, sleep: 1h, timeout: 5m}
              - {id: y, echo: never}
              - {id: z, always: true, uses: test/call@1, with: {name: "${{ stages.x.result }}"}}
        """)
    )

    assert asyncio.get_running_loop().time() == pytest.approx(300, abs=1)
    assert ran == ["failed"]
    assert shown(run)["a/x"] == "failed"
    assert isinstance(error.exceptions[0], TimeoutError)


async def test_a_stage_has_its_time_in_each_of_its_attempts(ran):
    await ended(flow_of("jobs: {a: {stages: [{id: x, sleep: 1h, timeout: 60, retry: 2}]}}"))

    assert asyncio.get_running_loop().time() == pytest.approx(180, abs=1)


async def test_a_job_ends_when_its_time_is_over_and_cleans_up(ran):
    run, error = await ended(
        flow_of("""
        jobs:
          a:
            timeout-minutes: 5
            stages:
              - {id: x, sleep: 1h}
              - {id: y, echo: never}
              - {id: z, if: always(), uses: test/call@1, with: {name: "${{ stages.x.result }}"}}
          b: {needs: a, if: always(), stages: [{uses: test/call@1, with: {name: "${{ needs.a.result }}"}}]}
        """)
    )

    assert shown(run) == {
        "a": "failed",
        "b": "succeeded",
        "a/x": "cancelled",
        "a/x/sleep": "cancelled",
        "a/z": "succeeded",
        "b/uses-1": "succeeded",
    }
    assert ran == ["cancelled", "failed"]
    assert isinstance(error.exceptions[0], TimeoutError)


async def test_each_combination_has_the_time_of_the_job(ran):
    run, _ = await ended(
        flow_of("""
        params: {seconds: {type: int, default: 60}}
        jobs:
          a:
            timeout: "${{ params.seconds }}"
            strategy: {fail-fast: false, max-parallel: 1, matrix: {t: [40, 3600]}}
            stages: [{id: x, sleep: "${{ matrix.t }}"}]
        """)
    )

    assert shown(run)["a/a[t=40]"] == "succeeded"
    assert shown(run)["a/a[t=3600]"] == "failed"
    assert asyncio.get_running_loop().time() == pytest.approx(100, abs=1)
