"""Carry a fault from inside a value to the function that knows what the value is for."""

from collections.abc import Callable


class RefusedType(Exception):
    """Raised with the type at fault, and why."""

    def __init__(self, kind: type, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def check_comes_back(kind: type, again: Callable[[], bool]) -> None:
    """Refuse a value whose own JSON, when it is read `again`, is not the same."""
    try:
        same = again()
    except Exception as error:
        raise RefusedType(kind, f"is not read back from its own JSON: {type(error).__name__}: {error}") from error
    if not same:
        raise RefusedType(kind, "does not come back equal from its own JSON, which leaves out or changes something")
