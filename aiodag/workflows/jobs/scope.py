"""What the expressions of a stage can read: roots such as `params` and `stages`, and how far its job has come."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Status(NamedTuple):
    """What `success()`, `failure()`, `cancelled()` and `always()` give in a condition."""

    success: bool = True
    failure: bool = False
    cancelled: bool = False
    always: bool = True


class Scope(Mapping[str, Any]):
    """The roots that expressions begin with. It never changes: `with_` makes another.

    >>> from aiodag.workflows.jobs.scope import Scope
    >>> scope = Scope(params={"day": "monday"})
    >>> sorted(scope.with_(item=1)), sorted(scope)
    (['item', 'params', 'status'], ['params', 'status'])
    """

    __slots__ = ("_roots",)

    def __init__(self, **roots: Any) -> None:
        self._roots = {"status": Status(), **roots}

    def with_(self, **roots: Any) -> "Scope":
        """Return this scope with other roots, or more of them."""
        return Scope(**{**self._roots, **roots})

    def __getitem__(self, name: str) -> Any:
        return self._roots[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._roots)

    def __len__(self) -> int:
        return len(self._roots)

    def __repr__(self) -> str:
        return f"<Scope of {', '.join(self)}>"  # never its values: there may be secrets
