"""Names that stand in a source for the values of its expressions, so that a value is never a part of the source."""

from collections.abc import Sequence

PREFIX = "_aiodag_value_"
RESERVED = f"names that begin with {PREFIX} stand for values. Choose another name"


def name_of_value(number: int) -> str:
    """Return the name of a value in a source, counted from 1."""
    return f"{PREFIX}{number}_"


def source_with_names(texts: Sequence[str]) -> str:
    """Return a source with names in the places of its expressions, of the texts around these.

    >>> source_with_names(["print(", ")"])
    'print(_aiodag_value_1_)'
    """
    parts = [texts[0]]
    for number, text in enumerate(texts[1:], 1):
        parts += [name_of_value(number), text]
    return "".join(parts)


def has_reserved_name(texts: Sequence[str]) -> bool:
    """Return True if somebody has written such a name."""
    return any(PREFIX in text for text in texts)
