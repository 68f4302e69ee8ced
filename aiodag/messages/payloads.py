"""What every way in checks of a message, whoever sends it: its payload, its topic, its keys, its id."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from math import isinf
from typing import Any, Never

from aiodag._core.options import cannot_be_name
from aiodag.errors import OptionError, PayloadRefused, SecretInValue
from aiodag.mail import NO_HEADERS
from aiodag.masking import secret_in
from aiodag.messages.plain import DEEPEST, as_plain, json_text
from aiodag.wording import is_utf8, printable

MESSAGE_LARGEST = 2**20  # bytes
LONGEST = 1_000  # characters of a topic, a key, an id
LARGEST_NAME = 1_300  # bytes of one of those: two are in an index, of which a PostgreSQL server takes some 2,700
MOST_HEADERS = 100
LONGEST_HEADERS = 10_000  # characters of all of them

# Texts are skipped, for they may hold brackets. Possessive: what never ends must not be tried again from each of its places.
BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def payload_text(value: object) -> str:
    """Return a value as the payload of a message: plain JSON in ASCII.

    Raises `PayloadRefused` for what JSON has no form for or is too large, and `SecretInValue`.

    >>> from datetime import UTC, datetime
    >>> from aiodag.messages.payloads import payload_text
    >>> payload_text({"amount": 5, "at": datetime(2030, 1, 1, tzinfo=UTC)})
    '{"amount":5,"at":"2030-01-01T00:00:00+00:00"}'
    """
    plain = as_plain(value)
    try:
        text = json_text(plain)
    except ValueError as error:  # of digits: Python refuses to write thousands of them
        raise PayloadRefused(f"it cannot become JSON: {error}") from None
    check_size(len(text))
    check_depth(text)
    check_texts(plain)
    secret = secret_in(text)
    if secret is not None:
        raise SecretInValue("send", secret)
    return text


def read_payload(payload: str | bytes) -> Any:
    """Return the plain value of a payload that somebody has sent. Raises `PayloadRefused`.

    It is strict JSON in UTF-8, of at most `MESSAGE_LARGEST` bytes, at most `DEEPEST` containers deep.

    >>> from aiodag.messages.payloads import read_payload
    >>> read_payload('{"amount": 5}')
    {'amount': 5}
    >>> read_payload("[" * 1000)
    Traceback (most recent call last):
    aiodag.PayloadRefused: the payload of a message cannot be taken: it is nested more than 100 deep
    """
    check_size(len(payload))
    try:
        text = payload.decode() if isinstance(payload, bytes) else payload
        check_size(len(text.encode()))
    except UnicodeError as error:
        raise PayloadRefused(f"it is not text in UTF-8: {error}") from None
    check_depth(text)
    try:
        plain = json.loads(text, parse_constant=refuse_number, parse_float=float_of_text)
    except PayloadRefused:
        raise
    except ValueError as error:  # of digits, too: Python refuses to read thousands of them
        raise PayloadRefused(f"it is not JSON: {error}") from None
    check_texts(plain)
    return plain


def check_size(size: int) -> None:
    """Refuse a payload that is too large, before anything else is done with it."""
    if size > MESSAGE_LARGEST:
        raise PayloadRefused(
            f"it takes {size:,} bytes, and {MESSAGE_LARGEST:,} are the most: store it elsewhere, and send where it is"
        )


def check_depth(text: str) -> None:
    """Refuse JSON that is nested too deep, before it is read: a parser would run out of stack."""
    depth = 0
    for found in BRACKETS.finditer(text):
        mark = found[0]
        depth += (mark in "[{") - (mark in "]}")
        if depth > DEEPEST:
            raise PayloadRefused(f"it is nested more than {DEEPEST} deep")


def check_texts(plain: object) -> None:
    """Refuse halves of surrogate pairs, which are in no encoding."""
    if not is_utf8(json.dumps(plain, ensure_ascii=False)):
        raise PayloadRefused("it has half of a surrogate pair in a text")


def refuse_number(name: str) -> Never:
    """Refuse what Python reads as a number, and JSON has not."""
    raise PayloadRefused(f"it has {name}, and JSON has finite numbers only")


def float_of_text(text: str) -> float:
    """Return a number. Raises `PayloadRefused` for one that is beyond what a float can hold."""
    number = float(text)
    if isinf(number):
        raise PayloadRefused(f"it has {text:.20}, which is larger than any float")
    return number


def checked_topic(name: object) -> str:
    """Return the name of a topic. Raises `OptionError`."""
    return checked_name("topic", name, least=1)


def checked_id(given: object) -> str:
    """Return the id of a message. Raises `OptionError`."""
    return checked_name("id", given, least=1)


def checked_keys(key: "str | Iterable[str]") -> tuple[str, ...]:
    """Return the keys of a message, each once: one, or several in a list. Raises `OptionError`."""
    given: Any = key
    if isinstance(given, str):
        return (checked_name("key", given),)
    if not isinstance(given, list | tuple) or not given:
        raise OptionError("key", given, "a string, or a list of at least one: whom the message is for")
    return tuple(dict.fromkeys(checked_name("key", each) for each in given))


def checked_message_key(key: object) -> str:
    """Return the one key that somebody waits for. Raises `OptionError`."""
    return checked_name("key", key)


def checked_headers(given: object) -> Mapping[str, str]:
    """Return the headers of a message. Raises `OptionError` for what is not text by name, or is too much of it."""
    if given is None:
        return NO_HEADERS
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise OptionError("headers", given, "texts by name, as in {'source': 'shop'}")
    if any(not name or cannot_be_name(name) or cannot_be_name(text) for name, text in given.items()):
        raise OptionError("headers", given, "names and texts without control characters and half surrogates")
    if len(given) > MOST_HEADERS or sum(len(name) + len(text) for name, text in given.items()) > LONGEST_HEADERS:
        wanted = f"at most {MOST_HEADERS} texts, {LONGEST_HEADERS:,} characters in all: put more into the payload"
        raise OptionError("headers", f"{len(given)} texts", wanted)
    return dict(given)


def storable_name(text: str) -> str:
    """Return a text of anybody as one that every store can hold, cut short where it is too long: two are two all the same."""
    shown = printable(text)
    if len(shown.encode()) <= LARGEST_NAME:
        return shown
    return f"{shown[:100]}...{hashlib.sha256(shown.encode()).hexdigest()[:16]}"


def checked_name(option: str, given: Any, least: int = 0) -> str:
    """Return a text by which a message is found. Raises `OptionError`."""
    if isinstance(given, str) and least <= len(given) <= LONGEST and not cannot_be_name(given):
        if len(given.encode()) <= LARGEST_NAME:
            return given
        raise OptionError(option, f"{given[:40]}...", f"a string of at most {LARGEST_NAME:,} bytes in UTF-8")
    shown = f"{given[:40]}..." if isinstance(given, str) and len(given) > LONGEST else given
    raise OptionError(
        option, shown, f"a string of {least} to {LONGEST:,} characters, without control characters and half surrogates"
    )
