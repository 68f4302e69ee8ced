"""What stands in an address: ids and names, which may be any text.

The gate gives routes the path as it was sent, still percent-encoded, so `%2F` in an id does not become a slash. Each part of it is
decoded here: a route that takes an id as plain `str` would get it encoded.
"""

from typing import Annotated
from urllib.parse import quote, unquote_to_bytes

from aiodag.web.documents import unfit_text
from aiodag.web.fastapi import Path
from aiodag.web.pydantic import AfterValidator, BeforeValidator

PREFIX = "/api/v1"  # of the API
LONGEST = 500  # characters of an id or a name


def decoded_part(text: object) -> str:
    """Return one part of a path as the text that it stands for. Raises `ValueError`."""
    try:
        found = unquote_to_bytes(str(text)).decode()
    except UnicodeDecodeError:
        raise ValueError("must be percent-encoded UTF-8") from None
    if "\0" in found:
        raise ValueError("must not have a NUL character")
    return found


def path_part(text: str) -> str:
    """Return any text as one part of a path.

    >>> path_part("a/b c?")
    'a%2Fb%20c%3F'
    """
    return quote(text, safe="")


def keepable_text(text: str) -> str:
    """Return text that every store can look for. Raises `ValueError`."""
    if why := unfit_text(text):
        raise ValueError(why)
    return text


PlainText = Annotated[str, AfterValidator(keepable_text)]
AnyText = BeforeValidator(decoded_part)

RunId = Annotated[str, AnyText, Path(min_length=1, max_length=LONGEST, description="The id of a run.")]
NodeName = Annotated[
    str, AnyText, Path(min_length=1, max_length=LONGEST, description="The number, task or label of a node.")
]
BackfillNumber = Annotated[int, Path(ge=1, lt=2**63, description="The number of a backfill.")]
AnyName = Annotated[str, AnyText, Path(min_length=1, max_length=LONGEST, description="The name of it.")]
