"""Answer with the documents that the command line prints with `--json`."""

import json
from collections.abc import Mapping

from aiodag.web.fastapi import Message, Response

STREAM = b"text/event-stream"
PRIVATE = {"Cache-Control": "no-store"}  # what needs a token is kept by nobody


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that has a document of `service.documents`."""
    body = json.dumps(document).encode()
    return Response(body, status, media_type="application/json", headers={**PRIVATE, **(headers or {})})


def is_stream(start: Message) -> bool:
    """Return True for the start of an answer that is a stream of events."""
    return any(name.lower() == b"content-type" and value.startswith(STREAM) for name, value in start["headers"])
