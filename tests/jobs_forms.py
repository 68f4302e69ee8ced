"""Workflows of jobs for tests, from YAML."""

from textwrap import dedent

from aiodag.workflows import Workflow
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
