"""What stands behind `if` and `until`: an expression that says yes or no."""

from aiodag.workflows.expressions.template import Names, Read


class Condition:
    """A condition that has been read. `uses_status` is True where it calls success(), failure(), always() or cancelled().

    These ask `scope["status"]`, an object with four bools of those names.
    """

    __slots__ = ("names", "source", "uses_status")

    def __init__(self, source: str | bool) -> None:
        self.source = source
        self.names: frozenset[Read] = frozenset()
        self.uses_status = False

    def holds(self, scope: Names) -> bool:
        """Return whether it holds. Raises `ExpressionError`."""
        return bool(self.source)


def condition_of(value: object) -> Condition:
    """Read a condition, with or without `${{ }}` around it. Raises `ExpressionFaults`."""
    return Condition(value if isinstance(value, bool) else str(value))
