"""What a plain text of YAML stands for: by the core schema of YAML 1.2, in which `on`, `yes` and dates are text.

A number with zeros in front, such as the postcode 01067, is text, too: the schema would drop them.
"""

import re
from collections.abc import Mapping
from typing import Any

from aiodag.workflows.files.json import cut, fault_of

WORDS_OF_YAML: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
BEGINS_NUMBER = frozenset("-+.0123456789")
WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FRACTION = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
LONGEST_OTHER = 1000  # digits


class NumberRefused(Exception):
    """Why a number cannot be read, as a complaint says it."""


def scalar_value(text: str) -> Any:
    """Return what a plain text stands for. Raises `NumberRefused`.

    >>> [scalar_value(each) for each in ("on", "true", "~", "12", "0x1F", "1e3", "012", "1_000", "12:30", "2026-01-31")]
    ['on', True, None, 12, 31, 1000.0, '012', '1_000', '12:30', '2026-01-31']
    """
    if text in WORDS_OF_YAML:
        return WORDS_OF_YAML[text]
    return number_in(text) if text[0] in BEGINS_NUMBER else text


def number_in(text: str) -> int | float | str:
    """Return the number that a text is, or else the text."""
    if NO_NUMBER.fullmatch(text):
        msg = f"is {text}, which JSON does not have, and what a store keeps is JSON"
        raise NumberRefused(msg)
    if OTHER_BASE.fullmatch(text):
        if len(text) > LONGEST_OTHER:
            msg = f"is {cut(text)}, a number that nothing here can hold"
            raise NumberRefused(msg)
        return int(text, 0)
    if not FRACTION.fullmatch(text):
        return text
    fault = fault_of(text.removeprefix("+"))
    if fault:
        raise NumberRefused(fault)
    return int(text) if WHOLE.fullmatch(text) else float(text)
