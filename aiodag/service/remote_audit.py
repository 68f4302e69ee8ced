"""The audit lines of a server's store, read page by page."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiodag.access import AuditRecord
from aiodag.service.remote_http import api_path

if TYPE_CHECKING:
    from aiodag.service.remote_http import WebLink

PAGE = 500  # lines that are asked for at once


def audit_lines(link: "WebLink", before: int | None, wanted: Mapping[str, str]) -> Iterator[AuditRecord]:
    """Yield audit lines below a number, newest first."""
    while True:
        asked = {**wanted, "limit": PAGE} | ({} if before is None else {"before": before})
        page = link.look(api_path("audit"), asked).value(link.place)
        yield from map(audit_of_document, page)
        if len(page) < PAGE:
            return
        before = page[-1]["number"]


def audit_of_document(document: Mapping[str, Any]) -> AuditRecord:
    """Return an audit line, of its document."""
    words = {name: document[name] or "" for name in ("who", "role", "what", "about", "address")}
    return AuditRecord(
        document["number"],
        datetime.fromisoformat(document["at"]),
        **words,
        details=document["details"] or {},
        outcome=document["outcome"],
        damaged=document.get("damaged") or "",
    )
