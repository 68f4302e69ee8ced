"""Workflows of jobs for tests, from YAML."""

from textwrap import dedent

from aiodag.workflows import Workflow, hook
from aiodag.workflows.files.yaml import parse_yaml
from aiodag.workflows.jobs.building import workflow_of_jobs
from aiodag.workflows.jobs.reading import read_jobs


def flow_of(text, /, **given):
    """The workflow of a jobs form, with values of its params."""
    document, places, complaints = parse_yaml(dedent(text), "flow.yaml")
    assert not complaints
    return workflow_of_jobs(Workflow, read_jobs(document, places, name="flow"), given)


def shown(run):
    """The nodes of a run, each as the path of names that leads to it, with its state; without what only joins edges."""
    nodes = {node.id: node for node in run.graph().nodes}

    def path(node):
        return [*(path(nodes[node.parent]) if node.parent is not None else []), node.name]

    return {"/".join(path(node)): str(node.state) for node in nodes.values() if not node.barrier}


def calls_noted():
    """Register a hook, test/call@1, and return the list in which it notes the names that it is called with."""
    calls = []

    @hook("test/call@1")
    async def call(name="", fails=False, gives=None):
        calls.append(name)
        if fails:
            raise ValueError(name)
        return {"name": name} if gives is None else gives

    return calls
