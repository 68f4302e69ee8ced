"""What a value in a document is: tests of it, and the words for it in messages."""

import math
from typing import Any

from aiodag._core.options import cannot_be_name
from aiodag.workflows.files.json import cut
from aiodag.workflows.private import SECRET, WANTED, is_secret

TEXTS = frozenset({str})


def describe_value(value: object) -> str:
    """Return the type of a value, in the words of JSON.

    >>> describe_value("3"), describe_value(None), describe_value([1]), describe_value(True)
    ("the text '3'", 'null', 'a list', 'true')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {cut(value)!r}"
    if isinstance(value, dict) and SECRET in value:
        return f"an object whose {SECRET} cannot be read: it is {WANTED}, with a file next to it if that has the text"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int | float):
        return f"the number {number_text(value)}"
    return f"of the type {type(value).__name__}, which JSON does not have"


def number_text(value: float) -> str:
    """Return a number as messages show it."""
    try:
        return cut(repr(value))
    except ValueError:  # an int with more digits than Python writes
        return "of very many digits"


def is_whole(value: object) -> bool:
    """Return True if this is a whole number of 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: object) -> bool:
    """Return True if this is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_seconds(value: Any) -> bool:
    """Return True if this is a duration."""
    return is_number(value) and value >= 0


def is_positive(value: Any) -> bool:
    """Return True if this is a number above 0."""
    return is_number(value) and value > 0


def is_amount(value: Any) -> bool:
    """Return True if this is an amount of a resource: they are counted in millionths."""
    return is_number(value) and value >= 0.000001


def is_code(value: object) -> bool:
    """Return True if this is an exit code, or the number of a signal below 0."""
    return isinstance(value, int) and not isinstance(value, bool) and -128 < value < 256


def is_document_text(value: object) -> bool:
    """Return True if this is text that UTF-8 can hold, without NUL."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isascii() or encodes(value, "strict")


def is_name(value: Any) -> bool:
    """Return True if this is a name."""
    return is_document_text(value) and value != "" and not cannot_be_name(value)


def is_argument(value: object) -> bool:
    """Return True if this is text that a program can be given, or a number that stands for its text."""
    if not isinstance(value, str):
        return is_number(value)
    return "\0" not in value and (value.isascii() or encodes(value, "surrogateescape"))


def is_plain_line(value: object) -> bool:
    """Return True, quickly, for a list of texts in ASCII without NUL: of most commands no more need be asked."""
    return type(value) is list and TEXTS.issuperset(map(type, value)) and is_plain_text("".join(value))


def is_plain_text(text: str) -> bool:
    """Return True for a text in ASCII without NUL."""
    return text.isascii() and "\0" not in text


def is_line(value: object) -> bool:
    """Return True if this is a text that a program can be given, and not blank."""
    return isinstance(value, str) and is_argument(value) and not value.isspace() and value != ""


def is_stdin(value: object) -> bool:
    """Return True if this is text that becomes bytes, or names a file to read."""
    if is_secret(value):
        return True
    if isinstance(value, dict):
        return value.keys() == {"file"} and is_line(value["file"])
    return isinstance(value, str) and (value.isascii() or encodes(value, "surrogateescape"))


def encodes(value: str, errors: str) -> bool:
    """Return True if a text can be encoded."""
    try:
        value.encode("utf-8", errors)
    except UnicodeEncodeError:
        return False
    return True


def is_variable(value: Any) -> bool:
    """Return True if this names a variable of the environment."""
    return is_line(value) and "=" not in value


def is_document_value(value: object) -> bool:
    """Return True if this can be the value of a parameter."""
    return isinstance(value, bool) or is_document_text(value) or is_number(value)
