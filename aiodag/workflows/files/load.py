"""Workflows from files and texts."""

import os
from collections.abc import Mapping
from os import PathLike
from typing import Any

from aiodag.workflows.files.json import Places
from aiodag.workflows.files.reading import Reading
from aiodag.workflows.files.shapes import is_name
from aiodag.workflows.files.text import decode_text, parse_text, refuse_text
from aiodag.workflows.workflow import Workflow

__all__ = ["load", "loads", "workflow_from_document"]


def is_workflow_file(path: str) -> bool:
    """Return True if a path is one of a workflow file, by its ending: the one rule for it."""
    return path.lower().endswith(".json")


def load(path: "str | PathLike[str]", *, capacity: object = None) -> Workflow:
    """Return the workflow in a JSON file. Its name is that of the file, unless the file says one.

    `capacity` is what there will be when it runs, if that is not what the file says.

    Raises `WorkflowError` with all that is wrong, each with its line and path. The file is read as a whole; its functions
    are imported, and nothing of it runs.

    >>> from pathlib import Path
    >>> from aiodag.workflows import load
    >>> size = Path("hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> load("hello.json").name
    'hello'
    """
    source = os.fspath(path)
    if not is_workflow_file(source):
        refuse_text(source, "has another ending than .json, and workflows are read from JSON files")
    workflow = loads(text_in(source), source, capacity=capacity)
    workflow.entry = {"file": os.path.abspath(source), "task": "", "parameters": {}}  # noqa: PTH100 - without links
    return workflow


def loads(text: str | bytes, source: str = "", *, capacity: object = None) -> Workflow:
    """Return the workflow in a text in JSON. `source` is the path it came from: for messages, and to find files next to it.

    Raises `WorkflowError` with all that is wrong.

    >>> from aiodag.workflows import loads
    >>> flow = loads('{"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> [task.name for task in flow]
    ['greet']
    """
    places = Places(source, decode_text(text, source), os.path.dirname(source))  # noqa: PTH120 - as above
    document, complaints = parse_text(places)
    return Reading(places, complaints).workflow(Workflow, document, workflow_stem(source), capacity)


def text_in(source: str) -> str:
    """Return the text of a file. Raises `WorkflowError`."""
    try:
        with open(source, "rb") as file:  # noqa: PTH123 - of a text as it was given
            content = file.read()
    except FileNotFoundError:
        refuse_text(source, "no such file. Give the path of a JSON file, such as etl.json")
    except (OSError, ValueError) as error:
        refuse_text(source, f"cannot be read: {error}")
    return decode_text(content, source)


def workflow_from_document(
    document: Mapping[str, Any],
    name: str = "workflow",
    places: Places | None = None,
    *,
    capacity: object = None,
    recorded: bool = False,
) -> Workflow:
    """Return the workflow that a document says, which JSON text has become already. Raises `WorkflowError`.

    One that was `recorded`, when fewer things were refused, may have parameters that no task uses.
    """
    return Reading(places or Places()).workflow(Workflow, document, name, capacity, recorded=recorded)


def workflow_stem(source: str) -> str:
    """Return the name of a file without its ending, if it is one that a workflow can have."""
    name = os.path.splitext(os.path.basename(source))[0]  # noqa: PTH119, PTH122 - as above
    return name if is_name(name) else "workflow"
