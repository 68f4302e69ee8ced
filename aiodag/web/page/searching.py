"""What people search for in a page: text of an address."""

from typing import Annotated

from aiodag.web.fastapi import Query
from aiodag.web.pydantic import AfterValidator
from aiodag.wording import is_utf8

LONGEST_SEARCH = 500  # characters


def searchable_text(text: str) -> str:
    """Return a text that a store can be asked for. Raises `ValueError`."""
    if "\0" in text or not is_utf8(text):
        msg = "has NUL or half of a surrogate pair in it, which no name has"
        raise ValueError(msg)
    return text


SearchText = Annotated[str, AfterValidator(searchable_text), Query(max_length=LONGEST_SEARCH)]
