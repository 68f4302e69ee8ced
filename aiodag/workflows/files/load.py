"""Workflows from files and texts."""

import json
import os
from collections.abc import Iterable, Mapping
from math import isfinite
from os import PathLike
from typing import Any, NoReturn

from aiodag.errors import Complaint, WorkflowError
from aiodag.workflows.builder import Workflow
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.reading import Reading
from aiodag.workflows.files.shapes import is_name

__all__ = ["fragment_of", "load", "loads", "workflow_of"]

NO_LITERALS: Mapping[str, str] = {}
EMPTY = 'is empty: a workflow is at least {"tasks": {}}'


def is_workflow_file(path: str) -> bool:
    """Return True if a path is one of a workflow file, by its ending: the one rule for it."""
    return path.lower().endswith(".json")


def load(path: "str | PathLike[str]", *, capacity: Any = None) -> Workflow:
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
        refuse(source, "has another ending than .json, and workflows are read from JSON files")
    try:
        with open(source, "rb") as file:  # noqa: PTH123 - of a text as it was given
            content = file.read()
    except FileNotFoundError:
        refuse(source, "no such file. Give the path of a JSON file, such as etl.json")
    except (OSError, ValueError) as error:
        refuse(source, f"cannot be read: {error}")
    workflow = loads(content, source, capacity=capacity)
    workflow.entry = {"file": os.path.abspath(source), "task": "", "parameters": {}}  # noqa: PTH100 - without links
    return workflow


def loads(text: str | bytes, source: str = "", *, capacity: Any = None) -> Workflow:
    """Return the workflow in a text in JSON. `source` is the path it came from: for messages, and to find files beside it.

    Raises `WorkflowError` with all that is wrong.

    >>> from aiodag.workflows import loads
    >>> flow = loads('{"name": "hello", "tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> [task.name for task in flow]
    ['greet']
    """
    places = Places(source, decoded(text, source), os.path.dirname(source))  # noqa: PTH120 - as above
    document, complaints = parsed(places)
    return Reading(places, complaints).workflow(document, stem(source), capacity)


def workflow_of(
    document: Mapping[str, Any],
    name: str = "workflow",
    places: Places | None = None,
    *,
    capacity: Any = None,
    recorded: bool = False,
) -> Workflow:
    """Return the workflow that a document says, which JSON text has become already. Raises `WorkflowError`.

    One that was `recorded`, when fewer things were refused, may have parameters that no task uses.
    """
    return Reading(places or Places()).workflow(document, name, capacity, recorded=recorded)


def fragment_of(
    given: "str | bytes | Mapping[str, Any] | list[Any]",
    source: str,
    declared: Iterable[str] = (),
    literals: Mapping[str, str] = NO_LITERALS,
    giver: str = "",
) -> Workflow:
    """Return the tasks that a generator gave, as a workflow that is not yet checked as a whole.

    They may be the object or the list of a document's "tasks", alone or with "parameters" in a document. Their parents
    may be names that are not among them, and `declared` names parameters that it has beside its own. `literals` are
    names of parameters by the texts that stand for them in tasks with details, and `giver` is the generator's node.
    """
    if not isinstance(given, str | bytes):
        return Reading(Places(source)).fragment(given, source, declared, literals, giver)
    places = Places(source, decoded(given, source))
    document, complaints = parsed(places)
    return Reading(places, complaints).fragment(document, source, declared, literals, giver)


def stem(source: str) -> str:
    """Return the name of a file without its ending, if it is one that a workflow can have."""
    name = os.path.splitext(os.path.basename(source))[0]  # noqa: PTH119, PTH122 - as above
    return name if is_name(name) else "workflow"


def refuse(source: str, text: str) -> NoReturn:
    """Raise the one complaint about a text that cannot be read."""
    raise WorkflowError([Complaint(source, text)]) from None


def decoded(text: str | bytes, source: str) -> str:
    """Return text, without the mark that some editors write first."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            wrong = (
                f"is not valid UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}. Save it as UTF-8"
            )
            refuse(Places(source).at(line), wrong)
    return text.removeprefix("\ufeff")


def parsed(places: Places) -> tuple[Any, list[Complaint]]:
    """Return the document in a text, and what the parser lets pass. Raises `WorkflowError` for what is not JSON."""
    text = places.text or ""
    if not text.strip():
        refuse(places.source, EMPTY)
    suspicious = False

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal suspicious
        made = dict(given)
        suspicious = suspicious or len(made) < len(given)
        return made

    def number(token: str) -> float:
        """Return a float; in place of what is none, a number that raises no further complaint."""
        nonlocal suspicious
        value = float(token)
        suspicious = suspicious or not isfinite(value)
        return value if isfinite(value) else 1

    try:
        document = json.loads(text, object_pairs_hook=pairs, parse_float=number, parse_constant=number)
    except json.JSONDecodeError as error:
        refuse(places.at(error.lineno), f"is not valid JSON: {error.msg}, at column {error.colno}")
    except (RecursionError, ValueError) as error:  # too deep; an int of too many digits
        raise WorkflowError(places.faults_of_text() or [Complaint(places.source, str(error))]) from None
    return document, places.faults_of_text() if suspicious else []
