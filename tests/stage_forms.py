"""Stages alone for tests: the nodes of their forms, and values that would do harm."""

from aiodag._core.options import TaskOptions
from aiodag._core.task import Task
from aiodag.workflows.files.json import Places
from aiodag.workflows.jobs.reading import read_jobs
from aiodag.workflows.jobs.scope import Scope
from aiodag.workflows.jobs.stages.leaves import LEAVES

# What would do harm where it is pasted into Python or into a shell, in quotes or out of them.
HOSTILE = [
    "'; import os; z='",
    '"; import os; z="',
    "'''",
    '"""',
    "\\",
    "\\'",
    "a b  c",
    "*",
    "$(touch pwned)",
    "`touch pwned`",
    "${HOME}",
    "$HOME",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "\n touch pwned\n",
    "EOF\ntouch pwned\n",
    "# not a comment",
    "{x}",
    "%s",
    "${{ params.other }}",
    "_aiodag_value_1_",
    "AIODAG_VALUE_1",
    "größer ☃",
    "-n",
    "",
]


def stage_of(form, **top):
    document = {"name": "flow", **top, "jobs": {"job": {"stages": [form]}}}
    (job,) = read_jobs(document, Places("flow.yaml"), name="flow", recorded=True).jobs.values()
    return job.stages[0]


def node_of(form, scope=None, params=(), secrets=(), **options):
    """Return the node of one stage, of a workflow with the params and secrets of the scope."""
    scope = {"env": {}, **(scope or {})}
    top = {"params": dict.fromkeys(scope.get("params", {}), "str"), "secrets": list(scope.get("secrets", {}))}
    stage = stage_of(form, **{key: value for key, value in top.items() if value})
    leaf = LEAVES[stage.kind]
    given = leaf.arguments(stage, Scope(**scope))
    return Task(leaf.body, (), TaskOptions(name=stage.id, limit=leaf.limit, **options))(**given)


async def outputs(form, **scope):
    return await node_of(form, scope)


async def run_outputs(source, params=None, **form):
    return await outputs({"run": source, **form}, params=params or {})


async def bash_outputs(script, params=None, **form):
    return await outputs({"bash": script, **form}, params=params or {})


def written_by(store, run, stream="stdout"):
    return b"".join(each.bytes for each in store.output(run.id) if each.stream == stream).decode()
