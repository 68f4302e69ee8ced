"""What can be asked over HTTP, as rows for people: read out of the description of the API."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aiodag.web.openapi import operations_of

GROUPS = {
    "runs": "Runs",
    "workflows": "Workflows",
    "schedules": "Schedules and backfills",
    "queues": "Queues and workers",
    "messages": "Messages and waits",
    "events": "Events",
    "audit": "Audit",
    "records": "Records",
    "server": "The server itself",
}
PART_OF_NAME = "#/components/schemas/"


class AskedField(NamedTuple):
    """A parameter of an operation, or a field of its body."""

    name: str
    place: str
    kind: str
    about: str
    required: bool


class ApiOperation(NamedTuple):
    """One thing that can be asked."""

    method: str
    path: str
    name: str
    about: str
    group: str
    fields: list[AskedField]
    answer: str


def api_operations(document: Mapping[str, Any]) -> dict[str, list[ApiOperation]]:
    """Return what can be asked, by the headings of its groups."""
    found: dict[str, list[ApiOperation]] = {heading: [] for heading in GROUPS.values()}
    for path, operation in operations_of(document["paths"]):
        row = operation_row(path, operation, document)
        found.setdefault(row.group, []).append(row)
    return {heading: rows for heading, rows in found.items() if rows}


def operation_row(path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> ApiOperation:
    """Return one operation."""
    method = next(name for name, each in document["paths"][path].items() if each is operation)
    group = next(iter(operation.get("tags", ())), "server")
    about = operation.get("description") or operation.get("summary", "")
    fields = [*parameter_fields(operation), *body_fields(operation)]
    return ApiOperation(
        method.upper(), path, operation["operationId"], about, GROUPS.get(group, group), fields, answer_words(operation)
    )


def parameter_fields(operation: Mapping[str, Any]) -> Iterator[AskedField]:
    """Yield what stands in the address and in the head of a request."""
    for each in operation.get("parameters", ()):
        about = each.get("description") or each["schema"].get("description", "")
        yield AskedField(each["name"], each["in"], kind_words(each["schema"]), about, bool(each.get("required")))


def body_fields(operation: Mapping[str, Any]) -> Iterator[AskedField]:
    """Yield the fields of a body."""
    content = operation.get("requestBody", {}).get("content", {})
    for media, each in content.items():
        schema = each.get("schema", {})
        properties = schema.get("properties")
        if properties is None:
            yield AskedField("", media, "text", schema.get("description", ""), required=True)
            continue
        for name, field in properties.items():
            required = name in schema.get("required", ())
            yield AskedField(name, "body", kind_words(field), field.get("description", ""), required)


def kind_words(schema: Mapping[str, Any]) -> str:
    """Return what a value may be, in words.

    >>> kind_words({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]})
    'moment'
    >>> kind_words({"type": "array", "items": {"enum": ["a", "b"]}})
    'list of a, b'
    """
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_words(each) for each in schema["anyOf"] if each.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(PART_OF_NAME).removesuffix("Answer").lower()
    if schema.get("type") == "array":
        return f"list of {kind_words(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        return "moment"
    words = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "object": "object"}
    return words.get(schema.get("type", ""), "any JSON")


def answer_words(operation: Mapping[str, Any]) -> str:
    """Return what is answered when all goes well: the status, and what comes with it."""
    code, answer = next((code, each) for code, each in operation["responses"].items() if code.startswith("2"))
    content = answer.get("content", {})
    schema = content.get("application/json", {}).get("schema")
    told = kind_words(schema) if schema else " or ".join(content)
    return f"{code} {told}".strip()
