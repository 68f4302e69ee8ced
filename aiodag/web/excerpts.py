"""Read one page of what is recorded of a run. These block: a desk asks them."""

from collections.abc import Iterable
from typing import Any

from aiodag.errors import StoreError
from aiodag.records import OutputRecord
from aiodag.service import Service
from aiodag.service.documents import Document, log_document, node_documents, plain_value, readable_value
from aiodag.service.look import one_node, without_barriers
from aiodag.web.listings import NodeQuery, OutputQuery, PageQuery

OUTPUT_LARGEST = 2**22  # bytes of the parts of one page; the first is there however large it is


def read_nodes(service: Service, run_id: str, query: NodeQuery) -> tuple[list[Document], int | None]:
    """Return the nodes of a page, and the number behind which there are more, or None."""
    run = service.head(run_id)
    numbers = numbers_asked(service, run.id, query)
    some = numbers[: query.limit]
    nodes = without_barriers(service.store.nodes(run.id, numbers=some)) if some else []
    return node_documents(service, run, nodes), some[-1] if len(numbers) > len(some) else None


def numbers_asked(service: Service, run_id: str, query: NodeQuery) -> list[int]:
    """Return the numbers of the nodes that meet all conditions, from the place of a page on. Values are not read."""
    called = None if query.task is None else {each.number for each in service.matching(run_id, query.task)}
    return sorted(
        each.number
        for each in service.store.last_moves(run_id)
        if (query.state is None or each.state == query.state)
        and (query.after is None or each.number > query.after)
        and (called is None or each.number in called)
    )


def read_node(service: Service, run_id: str, node: str) -> Document:
    """Return one node with its attempts. Raises `StoreError`."""
    run = service.head(run_id)
    (document,) = node_documents(service, run, [one_node(service, run.id, node)])
    return document


def read_plain_value(service: Service, run_id: str, node: str) -> Any:
    """Return the value of a node as JSON can say it. Raises `StoreError`."""
    try:
        return plain_value(readable_value(service, service.head(run_id), node))
    except RecursionError:
        msg = f"the value of {node!r} has containers too deep in each other for JSON"
        raise StoreError(msg) from None


def read_output_page(service: Service, run_id: str, query: OutputQuery) -> tuple[list[OutputRecord], int | None]:
    """Return the parts of a page, and the part behind which there are more, or None."""
    run = service.head(run_id)
    after = max(query.after or 0, 0)
    found = service.store.output(run.id, query.node, query.attempt, after, limit=query.limit + 1)
    page = found[: query.limit]
    kept = page[: fitting_parts(page)]
    last = kept[-1].part if len(found) > len(kept) else None
    return [each for each in kept if query.stream in {None, each.stream}], last


def fitting_parts(parts: Iterable[OutputRecord]) -> int:
    """Return how many parts go into one page."""
    count = size = 0
    for each in parts:
        size += len(each.bytes)
        if count and size > OUTPUT_LARGEST:
            break
        count += 1
    return count


def read_lines(service: Service, run_id: str, query: PageQuery) -> tuple[list[Document], int | None]:
    """Return the logged lines of a page, and the part behind which there are more, or None."""
    run = service.head(run_id)
    found = service.store.logs(run.id, max(query.after or 0, 0), limit=query.limit + 1)
    page = found[: query.limit]
    numbers = {each.number for each in page if each.number is not None}
    labels = {each.number: each.label for each in service.store.nodes(run.id, every=True, numbers=numbers)}
    documents = [log_document(each, labels) | {"part": each.part} for each in page]
    return documents, page[-1].part if len(found) > len(page) else None


def cancel_one(service: Service, run_id: str) -> Document:
    """Ask for a run to be cancelled, and return what `aiodag cancel --json` prints. Raises `UnknownRun`."""
    asked = service.cancel(run_id)
    return {"id": run_id, "asked": asked, "state": str(service.head(run_id).state)}


def delete_one(service: Service, run_id: str) -> None:
    """Delete the run of an id, and never those of a name. Raises `UnknownRun`, and `StoreError` for one that goes on."""
    service.delete(service.head(run_id).id)
