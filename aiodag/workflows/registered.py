"""Functions that workflow files call by a name: `uses: tasks/get-api@requests`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True, slots=True)
class Hook:
    """A registered function, plain or async, or a task."""

    path: str
    name: str
    tag: str
    function: Callable[..., Any]

    def misfits(self, names: Iterable[str]) -> list[str]:
        """Return what is wrong with the names of its arguments; nothing if they fit."""
        return []


def resolve_hook(uses: str) -> Hook:
    """Return the hook of a name such as "tasks/get-api@requests". Raises `EntryError`, with near misses."""
    return refuse_hook(uses, {})


def refuse_hook(uses: str, known: Mapping[str, Hook]) -> NoReturn:
    """Raise for a name that no hook has."""
    raise LookupError(uses, known)
