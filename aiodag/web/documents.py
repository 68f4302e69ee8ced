"""Read what a request brings: JSON that is small and plain enough for everything behind the door.

Nothing behind it meets NaN, a number of thousands of digits, half of a surrogate pair, NUL, a key that stands twice, or lists in
lists without end.
"""

import json
from collections.abc import Iterator
from typing import Any

from aiodag.complaint import Complaint
from aiodag.web.problems import KEY_SHOWN, MOST_COMPLAINTS, Problem

DEEPEST = 100  # containers in each other


def parsed_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises `Problem`: 400 for what is not JSON, 422 for what nothing here can take."""
    try:
        found = json.loads(body, parse_constant=refuse_number_word, object_pairs_hook=unique_keys)
    except RecursionError:
        raise Problem(400, f"the body has lists and objects more than {DEEPEST} deep") from None
    except ValueError as error:  # bytes that are not UTF-8 and numbers that are too long, too
        raise Problem(400, f"the body is not valid JSON: {str(error)[:200]}") from None
    refuse_unfit(found)
    return found


def refuse_number_word(text: str) -> object:
    """Refuse NaN and Infinity, which JSON does not have."""
    msg = f"{text} is not a number of JSON"
    raise ValueError(msg)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys differ. Raises `ValueError`: readers of JSON do not agree on which value such a key has."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add gives None
        msg = f"the key {twice[:KEY_SHOWN]!r} stands twice in one object"
        raise ValueError(msg)
    return found


def refuse_unfit(document: object) -> None:
    """Refuse a document that is too deep, or has text that no store can keep. Raises `Problem`."""
    wrong: list[Complaint] = []
    for place, depth, value in walk_document(document):
        if depth > DEEPEST:
            raise Problem(400, f"the body has lists and objects more than {DEEPEST} deep")
        if isinstance(value, str) and len(wrong) < MOST_COMPLAINTS and (why := unfit_text(value)):
            wrong.append(Complaint(place.encode("utf-8", "replace").decode().replace("\0", "?"), why))
    if wrong:
        raise Problem(422, "the body has text that cannot be kept", complaints=wrong)


def walk_document(document: object) -> Iterator[tuple[str, int, object]]:
    """Yield each value of a document and each key, with its place and how deep it is, without recursion."""
    left: list[tuple[str, int, object]] = [("$", 1, document)]
    while left:
        place, depth, value = left.pop()
        yield place, depth, value
        if isinstance(value, dict):
            for key, each in value.items():
                inner = f"{place}.{key[:KEY_SHOWN]}"
                yield inner, depth, key
                left.append((inner, depth + 1, each))
        elif isinstance(value, list):
            left.extend((f"{place}[{index}]", depth + 1, each) for index, each in enumerate(value))


def unfit_text(text: str) -> str:
    """Return why no store can keep a text; empty for one that it can."""
    if "\0" in text:
        return "has a NUL character"
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair"
    return ""
