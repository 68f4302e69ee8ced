"""What people search for in a page: text of an address."""

from typing import Annotated

from aiodag.web.fastapi import Query
from aiodag.web.paths import LONGEST, PlainText

SearchText = Annotated[PlainText, Query(max_length=LONGEST)]
