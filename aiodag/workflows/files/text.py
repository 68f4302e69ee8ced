"""A text of JSON as a document, with what the parser lets pass."""

import json
from math import isfinite
from typing import Any, NoReturn

from aiodag.errors import Complaint, WorkflowError
from aiodag.workflows.files.json import Places

EMPTY = 'is empty: a workflow is at least {"tasks": {}}'


def refuse_text(source: str, text: str) -> NoReturn:
    """Raise the one complaint about a text that cannot be read."""
    raise WorkflowError([Complaint(source, text)]) from None


def decode_text(text: str | bytes, source: str) -> str:
    """Return text, without the mark that some editors write first."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            wrong = (
                f"is not valid UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}. Save it as UTF-8"
            )
            refuse_text(Places(source).at(line), wrong)
    return text.removeprefix("\ufeff")


def parse_text(places: Places) -> tuple[Any, list[Complaint]]:
    """Return the document in a text, and what the parser lets pass. Raises `WorkflowError` for what is not JSON."""
    text = places.text or ""
    if not text.strip():
        refuse_text(places.source, EMPTY)
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
        refuse_text(places.at(error.lineno), f"is not valid JSON: {error.msg}, at column {error.colno}")
    except (RecursionError, ValueError) as error:  # too deep; an int of too many digits
        raise WorkflowError(places.faults_of_text() or [Complaint(places.source, str(error))]) from None
    return document, places.faults_of_text() if suspicious else []
