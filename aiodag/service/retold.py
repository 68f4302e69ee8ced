"""Raise here what was raised elsewhere: an error of aiodag by its name, with its finished text."""

from collections.abc import Iterable

from aiodag import errors
from aiodag.errors import AiodagError, Complaint, NotFound, WorkflowError, remade


def retold_error(
    name: str, text: str, complaints: Iterable[tuple[str, str]] = (), near: str | None = None
) -> AiodagError | None:
    """Return the error of a name with its text, or its complaints, each with a place; None if there is none of that name.

    >>> retold_error("StoreError", "the store is full"), retold_error("Exception", "no")
    (StoreError('the store is full'), None)
    """
    kind = getattr(errors, name, None)
    if not isinstance(kind, type) or not issubclass(kind, AiodagError):
        return None
    told = [Complaint(place, each) for place, each in complaints]
    if issubclass(kind, WorkflowError) and told:
        return WorkflowError(told)
    found = remade(kind, (text,))
    assert isinstance(found, AiodagError)
    if isinstance(found, NotFound):
        found.near = near
    return found
