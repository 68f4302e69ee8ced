"""Read numbers, durations and moments that are typed; what cannot be read raises what argparse makes a line of."""

import re
from argparse import ArgumentTypeError
from datetime import date, datetime

from aiodag.wording import read_duration

DIGITS = 15  # of a number that is typed: what SQLite and the clock still take


def count(text: str) -> int:
    """Return a number of 1 or more."""
    return whole_number(text, 1)


def natural(text: str) -> int:
    """Return a number of 0 or more."""
    return whole_number(text, 0)


def whole_number(text: str, least: int) -> int:
    """Return a whole number that is not below the least."""
    if text.isascii() and text.isdigit() and len(text) <= DIGITS and int(text) >= least:
        return int(text)
    shown = text if len(text) <= DIGITS else f"{text[:DIGITS]}…"
    most = f", of at most {DIGITS} digits" if shown != text else ""
    msg = f"{shown!r} is not a whole number of {least} or more{most}"
    raise ArgumentTypeError(msg)


def duration(text: str) -> float:
    """Return the seconds of a duration.

    >>> [duration(text) for text in ("90s", "15m", "1.5h", "30d")]
    [90.0, 900.0, 5400.0, 2592000.0]
    """
    seconds = read_duration(text)
    if seconds is not None:
        return seconds
    msg = f"{text!r} is not a duration: write 90s, 15m, 12h or 30d"
    raise ArgumentTypeError(msg)


def pair(text: str) -> tuple[str, str]:
    """Return the two sides of name=value.

    >>> pair("env=test"), pair("note=a=b")
    (('env', 'test'), ('note', 'a=b'))
    """
    name, separator, value = text.partition("=")
    if separator and name:
        return name, value
    msg = f"{text!r} is not NAME=VALUE"
    raise ArgumentTypeError(msg)


def named_amount(text: str) -> tuple[str, int | float]:
    """Return a resource and how much there is of it; whether that can be is for the capacity to say.

    >>> named_amount("cores=4"), named_amount("memory=1.5")
    (('cores', 4), ('memory', 1.5))
    """
    name, amount = pair(text)
    if re.fullmatch(r"\d{1,15}", amount, re.ASCII):
        return name, int(amount)
    if re.fullmatch(r"\d{1,15}\.\d{1,15}", amount, re.ASCII):
        return name, float(amount)
    msg = f"{text!r} is not RESOURCE=AMOUNT, such as cores=4 or memory=1.5"
    raise ArgumentTypeError(msg)


def integer(text: str) -> int:
    """Return a whole number, which may be below 0."""
    return -whole_number(text[1:], 0) if text.startswith("-") else whole_number(text, 0)


def moment(text: str) -> datetime:
    """Return a moment that was typed with its time zone.

    >>> moment("2026-01-31T06:00Z").isoformat()
    '2026-01-31T06:00:00+00:00'
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and found.utcoffset() is not None:
        return found
    why = "has no time zone" if found is not None else "is not a moment"
    msg = f"{text!r} {why}: write 2026-01-31T06:00Z, or with an offset 2026-01-31T06:00+01:00"
    raise ArgumentTypeError(msg)


def day_or_moment(text: str) -> date:
    """Return a day, or a moment that was typed with its time zone.

    >>> day_or_moment("2026-01-31").isoformat(), day_or_moment("2026-01-31T06:00Z").isoformat()
    ('2026-01-31', '2026-01-31T06:00:00+00:00')
    """
    try:
        return date.fromisoformat(text) if len(text) == len("2026-01-31") else moment(text)
    except ValueError:
        return moment(text)


def rate(text: str) -> tuple[int, float]:
    """Return how many, and in how many seconds.

    >>> rate("10/60s"), rate("2/1h")
    ((10, 60.0), (2, 3600.0))
    """
    number, separator, seconds = text.partition("/")
    if separator and number.isdecimal() and int(number) > 0 and duration(seconds) > 0:
        return whole_number(number, 1), duration(seconds)
    msg = f"{text!r} is not a rate: write 10/60s or 100/1h"
    raise ArgumentTypeError(msg)
