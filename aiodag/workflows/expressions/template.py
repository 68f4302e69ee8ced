"""Texts with expressions and variables in them, alone or anywhere in lists and mappings."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Names: TypeAlias = Mapping[str, Any]  # the roots of paths, such as `params`, and what they stand for
Read: TypeAlias = tuple[str, ...]  # a path that an expression reads, as far as it is known: ("params", "day")


class ExpressionFaults(ValueError):
    """Carries what is wrong with the expressions of a value to where its place is known: paths inside it, and texts."""

    def __init__(self, faults: list[tuple[tuple[str | int, ...], str]]) -> None:
        self.faults = faults
        super().__init__("; ".join(text for _, text in faults))


class Template:
    """A value of a document that has been read: plain, a text with expressions, or both in lists and mappings.

    `names` are the paths that it reads, `plain` is True where it reads nothing: its value is always the same.
    """

    __slots__ = ("names", "plain", "value")

    def __init__(self, value: object) -> None:
        self.value = value
        self.names: frozenset[Read] = frozenset()
        self.plain = True

    def render(self, scope: Names) -> Any:
        """Return the value: an expression alone keeps its type. Raises `ExpressionError`."""
        return self.value

    def fill(self, scope: Names, write: Callable[[Any], str]) -> str:
        """Return a text with what `write` gives for each expression's value: for scripts, which must not be pasted into."""
        return str(self.value)


def template_of(value: object, *, environment: bool = True) -> Template:
    """Read a value of a document; `environment` says whether `${NAME}` is expanded. Raises `ExpressionFaults`."""
    return Template(value if environment else value)
