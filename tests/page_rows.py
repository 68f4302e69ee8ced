"""The tables of pages whose rows are run: each row is a method, known by the text of its first cell."""

import re

from programs import ROOT


def rows(page):
    """Give the first cells of a page's table whose rows are run; other tables have tests of their own."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition("Each row below is run by a test")[2]
    text = text.partition("\n## Over HTTP\n")[0]  # whose rows test_from_servers.py asks of a server
    cells = re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)
    return [cell for cell in cells if cell]


def name_of(row):
    return re.sub(r"\W+", "_", row).strip("_")


def promises(kind):
    """Give the names of the methods that are rows."""
    return {name for name in vars(kind) if not name.startswith("_") and name != "written"}
