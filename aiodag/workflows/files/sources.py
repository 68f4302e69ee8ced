"""A file or a text as a document, in the format that its name says: YAML after .yaml and .yml, JSON after .json."""

import os
from typing import Any, NamedTuple

from aiodag.errors import Complaint
from aiodag.names import WORKFLOW_ENDINGS
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.text import decode_text, parse_text, refuse_text

YAML_ENDINGS = (".yaml", ".yml")
LARGEST_YAML = 40_000_001  # bytes: more than what is read in any encoding of that


class Source(NamedTuple):
    """A document that was read: what is in it, where, and what the parser has let pass."""

    document: Any
    places: Places
    complaints: list[Complaint]


def is_workflow_file(path: str) -> bool:
    """Return True if a path is one of a workflow file, by its ending: the one rule for it."""
    return path.lower().endswith(WORKFLOW_ENDINGS)


def is_yaml(text: str, source: str) -> bool:
    """Return True if a text is to be read as YAML: by the ending of its source, or else by its first character.

    >>> is_yaml("{}", "etl.yaml"), is_yaml("a: 1", "etl.json"), is_yaml("tasks: {}", ""), is_yaml(' {"tasks": {}}', "")
    (True, False, True, False)
    """
    if is_workflow_file(source):
        return source.lower().endswith(YAML_ENDINGS)
    return text.lstrip()[:1] not in {"{", "[", ""}


def document_in_text(text: str | bytes, source: str) -> Source:
    """Return the document in a text. Raises `WorkflowError` for one that cannot be read."""
    decoded = decode_text(text, source)
    if is_yaml(decoded, source):
        from aiodag.workflows.files.yaml import parse_yaml  # noqa: PLC0415 - it needs a package that JSON does not

        return Source(*parse_yaml(decoded, source))
    places = Places(source, decoded, os.path.dirname(source))  # noqa: PTH120 - of a text as it was given
    document, complaints = parse_text(places)
    return Source(document, places, complaints)


def document_in_file(source: str) -> Source:
    """Return the document in a file. Raises `WorkflowError`."""
    if not is_workflow_file(source):
        endings = "read from files that end in .json, .yaml or .yml"
        refuse_text(source, f"has another ending, and workflows are {endings}")
    try:
        with open(source, "rb") as file:  # noqa: PTH123 - of a text as it was given
            content = file.read(LARGEST_YAML if is_yaml("", source) else -1)
    except FileNotFoundError:
        refuse_text(source, "no such file. Give the path of a JSON or YAML file, such as etl.json")
    except (OSError, ValueError) as error:
        refuse_text(source, f"cannot be read: {error}")
    return document_in_text(content, source)
