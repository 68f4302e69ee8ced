"""What the stages of a job do that have no stages in them: `run`, `bash`, `uses`, `echo`, `raise` and `sleep`."""

import asyncio
import os
import sys

import pytest

from aiodag import Run, Secret, StageFailed
from aiodag._core.options import TaskOptions
from aiodag._core.task import Task
from aiodag.commands import CommandFailed
from aiodag.workflows.files.json import Places
from aiodag.workflows.jobs.reading import read_jobs
from aiodag.workflows.jobs.scope import Scope
from aiodag.workflows.jobs.stages.leaves import LEAVES


def stage_of(form, **top):
    document = {"name": "flow", **top, "jobs": {"job": {"stages": [form]}}}
    (job,) = read_jobs(document, Places("flow.yaml", None), name="flow").jobs.values()
    return job.stages[0]


async def perform(form, top=None, **roots):
    """Return the outputs of one stage."""
    stage = stage_of(form, **(top or {}))
    leaf = LEAVES[stage.kind]
    task = Task(leaf.body, (), TaskOptions(name=stage.id, limit=leaf.limit))
    return await task(**leaf.arguments(stage, Scope(**{"env": {}, **roots})))


async def test_run_returns_the_variables_that_json_can_hold():
    found = await perform(
        {
            "run": "import math\nrows = [1, 2]\ntotal = sum(rows)\nroot = math.sqrt(4)\nopen_file = open('/dev/null')\n_own = 1\ndef f(): pass"
        }
    )

    assert found == {"rows": [1, 2], "total": 3, "root": 2.0}
