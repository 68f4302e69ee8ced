"""`runs-on` of a job: its scripts run on a host by name, and answer from there."""

import asyncio
import os

import pytest

from aiodag import RunFailed, WorkflowError
from aiodag.commands.local import LocalHost
from aiodag.programs import ProgramEnd
from aiodag.workflows import loads
from aiodag.workflows.jobs.stages.elsewhere import MarkedRecord


class Elsewhere(LocalHost):
    """This machine as another one: a host has two streams, and none for answers."""

    def __init__(self, name="lab"):
        super().__init__(name=name)
        self.lines = []

    async def run(self, request, watch, /):
        self.lines.append(request.args)
        await super().run(request, watch)


def ended(text, **hosts):
    """Run a workflow of one job, and give its value."""
    values = asyncio.run(loads(text, "flow.yaml").run(hosts=hosts, store="memory:", id=os.urandom(4).hex()))
    return values["a"]


SCRIPT = """
hosts: {lab: {type: local}}
jobs:
  a:
    runs-on: lab
    env: {WORD: "x y;$(z)"}
    outputs: {rows: "${{ stages.count.outputs.rows }}", there: "${{ stages.use.outputs.stdout }}"}
    stages:
      - id: count
        bash: |
          echo "$WORD"; echo err >&2
          echo rows=3 >> "$AIODAG_OUTPUT"
      - id: use
        bash: printf 'got %s' ${{ stages.count.outputs.rows }}
"""


def test_scripts_of_a_job_run_on_its_host_with_both_streams_apart_and_their_outputs():
    lab = Elsewhere()
    value = ended(SCRIPT, lab=lab)

    assert value["outputs"] == {"rows": "3", "there": "got 3"}
    assert value["stages"]["count"]["outputs"] == {
        "return_code": 0,
        "stdout": "x y;$(z)\n",
        "stderr": "err\n",
        "rows": "3",
    }
    assert len(lab.lines) == 2


def test_a_script_that_fails_there_fails_its_stage_with_its_code():
    with pytest.raises(RunFailed, match="exit code 3"):
        ended(SCRIPT.replace("echo err >&2", "exit 3"), lab=Elsewhere())


def test_jobs_without_runs_on_run_on_the_default_host_and_local_is_always_here():
    lab = Elsewhere()
    text = "default-host: lab\nhosts: {lab: {type: local}}\njobs: {a: {stages: [{bash: 'true'}]}, b: {runs-on: local, stages: [{bash: 'true'}]}}"
    ended(text, lab=lab)

    assert len(lab.lines) == 1


def test_a_long_script_goes_there_as_well():
    lab = Elsewhere()
    text = f"hosts: {{lab: {{type: local}}}}\njobs: {{a: {{runs-on: lab, stages: [{{bash: 'echo {'x' * 120_000}'}}]}}}}"
    value = ended(text, lab=lab)

    assert len(value["stages"]["bash-1"]["outputs"]["stdout"]) == 120_001


def test_where_it_runs_is_not_what_it_is():
    async def main():
        flow = loads(SCRIPT, "flow.yaml")
        first, second = Elsewhere(), Elsewhere()
        await flow.run(hosts={"lab": first}, store="memory:runs-on", id="one")
        await flow.run(hosts={"lab": second}, store="memory:runs-on", id="one")
        return len(first.lines), len(second.lines)

    assert asyncio.run(main()) == (2, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "jobs: {a: {runs-on: lab, stages: [{run: x = 1}]}}",
            "stage 'run-1' is `run`, Python in the environment of this process",
        ),
        ("jobs: {a: {runs-on: lab, stages: [{foreach: [1], stages: [{run: x = 1}]}]}}", "is `run`, Python"),
        ("jobs: {a: {runs-on: 3, stages: [{echo: x}]}}", "takes local, or the name of a host; this is the number 3"),
        ("jobs: {a: {runs-on: windows-2022, stages: [{echo: x}]}}", "is a runner of GitHub"),
        ("hosts: [lab]\njobs: {a: {stages: [{echo: x}]}}", "$.hosts: takes an object of names and forms"),
        ("hosts: {lab: {type: shh}}\njobs: {a: {stages: [{echo: x}]}}", "$.hosts.lab.type: is 'shh'"),
    ],
)
def test_what_cannot_run_elsewhere_is_refused_where_it_is_read(text, said):
    with pytest.raises(WorkflowError) as refused:
        loads(text, "flow.yaml")

    assert said in str(refused.value)


def test_a_host_that_nobody_has_is_refused_before_a_job_runs():
    flow = loads("jobs: {a: {runs-on: lob, stages: [{echo: x}]}, b: {runs-on: lib, stages: [{echo: x}]}}", "flow.yaml")
    with pytest.raises(WorkflowError) as refused:
        asyncio.run(flow.run())

    assert [each.text.partition(";")[0] for each in refused.value.complaints] == [
        "'a' is to run on the host 'lob', and no host has that name",
        "'b' is to run on the host 'lib', and no host has that name",
    ]


def test_the_mark_is_found_wherever_chunks_end():
    text = b"rows\n\nmark of\n\nmark\nanswer\nmark\n"
    for size in range(1, len(text)):
        record = MarkedRecord(("x",), Elsewhere(), b"mark")
        for start in range(0, len(text), size):
            record.wrote("stdout", text[start : start + size])
        record.note_end(ProgramEnd(0, 0.0, 1.0))

        assert (record.finish().stdout, bytes(record.answer)) == ("rows\n\nmark of\n", b"answer\nmark\n")


def test_a_script_that_ends_its_shell_has_no_answer_and_loses_no_output():
    record = MarkedRecord(("x",), Elsewhere(), b"mark")
    record.wrote("stdout", b"rows\n\nma")
    record.note_end(ProgramEnd(1, 0.0, 1.0))

    assert (record.finish().stdout, bytes(record.answer)) == ("rows\n\nma", b"")
