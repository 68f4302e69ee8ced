"""Random forms of jobs: which stages run again after a failure, and after an edit, held against a few lines that say so."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodag import RunFailed
from aiodag.stores import Memory
from aiodag.workflows import Workflow, hook
from aiodag.workflows.files.json import Places
from aiodag.workflows.jobs.building import workflow_of_jobs
from aiodag.workflows.jobs.reading import read_jobs

pytestmark = pytest.mark.usefixtures("hooks_forgotten")


class Form:
    """Jobs that need some of those before them, each with stages, and perhaps a matrix or a loop around these."""

    def __init__(self, jobs):
        self.jobs = jobs  # (needs, number of stages, combinations, turns)

    def parts(self, job):
        """The places in which the stages of a job run: one for each combination and turn."""
        _, _, combinations, turns = self.jobs[job]
        return [f"{c}{t}" for c in range(combinations or 1) for t in range(turns or 1)]

    def stages(self):
        return {
            f"{job}.{part}.{place}"
            for job in range(len(self.jobs))
            for part in self.parts(job)
            for place in range(self.jobs[job][1])
        }

    def document(self, edited):
        jobs = {}
        for job, (needs, count, combinations, turns) in enumerate(self.jobs):
            part = ("${{ matrix.c }}" if combinations else "0") + ("${{ item }}" if turns else "0")
            stages = [
                {
                    "id": f"s{place}",
                    "uses": "test/call@1",
                    "with": {"name": f"{job}.{part}.{place}", "edition": edited.get((job, place), 0)},
                }
                for place in range(count)
            ]
            if turns:
                stages = [{"id": "turns", "foreach": list(range(turns)), "stages": stages}]
            jobs[f"j{job}"] = {"needs": [f"j{each}" for each in needs], "stages": stages}
            if combinations:
                jobs[f"j{job}"]["strategy"] = {
                    "fail-fast": False,
                    "max-parallel": 1,
                    "matrix": {"c": list(range(combinations))},
                }
        return {"jobs": jobs}

    def flow(self, edited):
        return workflow_of_jobs(
            Workflow, read_jobs(self.document(edited), Places("random.yaml", None, ""), name="random")
        )

    def after(self, stage):
        """A stage, those that follow it where it runs, and all of the jobs that come after its own."""
        job, part, place = stage.split(".")
        reached = {int(job)}
        for each, (needs, *_) in enumerate(self.jobs):
            if reached.intersection(needs):
                reached.add(each)
        later = reached - {int(job)}
        return {each for each in self.stages() if int(each.split(".")[0]) in later} | {
            each for each in self.stages() if each.split(".")[:2] == [job, part] and each.split(".")[2] >= place
        }


@st.composite
def forms(draw):
    jobs = []
    for job in range(draw(st.integers(1, 4))):
        needs = draw(st.sets(st.integers(0, job - 1), max_size=2)) if job else set()
        jobs.append((sorted(needs), draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(0, 2))))
    return Form(jobs)


class Calls:
    def __init__(self):
        self.ran, self.failing = [], set()

        @hook("test/call@1")
        async def call(name, edition=0):
            self.ran.append(name)
            if name in self.failing:
                raise ValueError(name)

    async def run(self, form, store, edited=()):
        self.ran.clear()
        try:
            await form.flow(dict(edited)).run(store, "it")
        except RunFailed:
            assert self.failing
        return sorted(self.ran)


@pytest.fixture
def calls():
    return Calls()


@given(forms(), st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_failures_what_has_succeeded_runs_never_again_and_all_else_once(calls, form, data):
    async def main():
        store = Memory()
        calls.failing = data.draw(st.sets(st.sampled_from(sorted(form.stages())), max_size=3))
        succeeded = [each for each in await calls.run(form, store) if each not in calls.failing]
        assert len(succeeded) == len(set(succeeded))
        calls.failing = (
            data.draw(st.sets(st.sampled_from(sorted(calls.failing)), max_size=1)) if calls.failing else set()
        )
        succeeded += [each for each in await calls.run(form, store) if each not in calls.failing]
        calls.failing = set()
        succeeded += await calls.run(form, store)

        assert sorted(succeeded) == sorted(form.stages())
        assert await calls.run(form, store) == []

    asyncio.run(main())


@given(forms(), st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_an_edit_the_stage_runs_and_what_follows_it_and_nothing_else(calls, form, data):
    async def main():
        store, edited = Memory(), {}
        await calls.run(form, store)
        for edition in (1, 2):
            job = data.draw(st.integers(0, len(form.jobs) - 1))
            place = data.draw(st.integers(0, form.jobs[job][1] - 1))
            edited[job, place] = edition
            expected = set().union(*(form.after(f"{job}.{part}.{place}") for part in form.parts(job)))

            assert await calls.run(form, store, edited) == sorted(expected)
            assert await calls.run(form, store, edited) == []

    asyncio.run(main())
