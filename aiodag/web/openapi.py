"""Describe the API as OpenAPI has it: what FastAPI knows of the routes, and what all of them share."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from aiodag.web.fastapi import FastAPI
from aiodag.web.problems import MEDIA
from aiodag.web.schemas import ProblemAnswer

ABOUT = (
    "What a service can be asked: each answer is the document that the command line prints with `--json`. Moments are ISO 8601, "
    "UTC. Ids and names in an address are percent-encoded: a `/` in one is `%2F`."
)
PROBLEM = {"$ref": "#/components/responses/Problem"}
FREE = {"/live", "/ready"}  # which want no token
DESCRIBING = threading.Lock()  # FastAPI fails where several threads have it describe the same routes for the first time
OPERATION_METHODS = ("get", "put", "post", "delete", "patch")


def openapi_document(application: FastAPI, root_path: str = "") -> dict[str, Any]:
    """Return the description of all routes of the API."""
    with DESCRIBING:
        return add_all_shared(application.openapi(), root_path)


def add_all_shared(found: dict[str, Any], root_path: str) -> dict[str, Any]:
    """Add to a description what FastAPI does not know: where the server is, its tokens, and its problems."""
    document: dict[str, Any] = {
        **found,
        "info": {**found["info"], "description": ABOUT},
        "servers": [{"url": root_path or "/"}],
    }
    components: dict[str, Any] = {name: dict(each) for name, each in document.get("components", {}).items()}
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= own_schemas()
    problem = {
        "description": "What is wrong.",
        "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}},
    }
    components["responses"] = {"Problem": problem}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    paths: dict[str, Any] = {path: dict(each) for path, each in document["paths"].items()}
    for path, operation in operations_of(paths):
        add_shared(path, operation)
    return {**document, "paths": paths, "components": components, "security": [{"token": []}]}


def own_schemas() -> dict[str, Any]:
    """Return the schemas of problems, as components."""
    whole = ProblemAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    inner: Mapping[str, Any] = whole.pop("$defs", {})
    return {"ProblemAnswer": whole, **inner}


def operations_of(paths: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation with its path."""
    for path, each in paths.items():
        for method in OPERATION_METHODS:
            if method in each:
                yield path, each[method]


def add_shared(path: str, operation: dict[str, Any]) -> None:
    """Add to an operation what all of them share: problems, and that some want no token."""
    answers = {code: each for code, each in operation["responses"].items() if code != "422"}
    operation["responses"] = {**answers, "default": PROBLEM}
    if path in FREE:
        operation["security"] = []
