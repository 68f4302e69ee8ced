"""Pages of a list: where the next one begins, in a header `Link` as RFC 8288 has it.

A cursor is a place in the order of the list, and not a number of rows: what comes meanwhile moves no page. It names a run, and when
that was made, so that it holds if somebody deletes the run.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlencode

from aiodag.complaint import Complaint
from aiodag.records import RunRecord
from aiodag.web.fastapi import Request
from aiodag.web.problems import Problem

CURSOR_LONGEST = 4_000  # characters
IN_PATHS = "/%-._~:@!$&'()*+,;="  # what stands there as it is: the path is encoded already


class RunCursor(NamedTuple):
    """A place in the list of all runs: behind a run."""

    run_id: str
    made_at: datetime


def cursor_behind(run: RunRecord) -> str:
    """Return the cursor behind a run."""
    text = json.dumps([run.id, run.created_at.isoformat()])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def run_cursor(text: str) -> RunCursor:
    """Return the place that a cursor stands for. Raises `Problem`."""
    try:
        run_id, made_at = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        found = RunCursor(run_id, datetime.fromisoformat(made_at))
        if isinstance(run_id, str) and "\0" not in run_id and found.made_at.tzinfo is not None:
            return found
    except (ValueError, TypeError, RecursionError, binascii.Error):
        pass
    wrong = Complaint("query.after", "is not a cursor of this server: take the one of the `Link` header")
    raise Problem(422, str(wrong), complaints=[wrong])


def next_page(request: Request, **changed: object) -> Mapping[str, str]:
    """Return the header that says where the next page is: this address with another query."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name not in changed]
    return {
        "Link": f'<{quote(request.scope["path"], safe=IN_PATHS)}?{urlencode([*query, *changed.items()])}>; rel="next"'
    }
