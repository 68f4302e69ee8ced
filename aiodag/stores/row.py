"""The row of a node: a list in the order of the columns, which its journal fills as the node moves."""

from typing import Any

from aiodag.records import ROW_COLUMNS

Row = list[Any]
RECORDED = "recorded"  # in place of a codec: the row in the store is an outcome that is to be taken

place_of = ROW_COLUMNS.index
NUMBER = place_of("number")
KEY = place_of("key")
NAME = place_of("name")
VERSION = place_of("version")
LABEL = place_of("label")
STATE = place_of("state")
ATTEMPT = place_of("attempt")
PARENT = place_of("parent")
CODEC = place_of("codec")
VALUE = place_of("value")
ERROR = place_of("error")
SITE = place_of("site")
STARTED = place_of("started_at")
ENDED = place_of("ended_at")
FAILURES = place_of("failures")
TURN = place_of("turn")
