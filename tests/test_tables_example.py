"""The example of a metadata-driven load does what its page says: every command of the page, typed in a copy of its folder."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from programs import ROOT, SECONDS

EXAMPLE = ROOT / "examples" / "15_tables"
PAGE = (ROOT / "docs" / "metadata-driven.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def typed(line, directory):
    """Type a line in a directory; return what it prints and its exit code."""
    aiodag = f"{sys.executable} -m aiodag "
    outside = {key: value for key, value in os.environ.items() if not key.startswith("AIODAG_")}
    done = subprocess.run(
        re.sub(r"^aiodag ", aiodag, line),
        shell=True,
        cwd=directory,
        env={**outside, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout + done.stderr, done.returncode


def commands():
    """Give each command of the page with what it prints there."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, printed = part.partition("\n")
            yield line, printed.splitlines()


def test_every_command_of_the_page_does_what_the_page_says(tmp_path):
    directory = shutil.copytree(EXAMPLE, tmp_path / "tables")
    for line, expected in commands():
        # A worker goes on until it is told to stop: here each takes one of the three runs.
        for each in [f"{line} --once"] * 3 if line == "aiodag worker" else [line]:
            printed, code = typed(each, directory)
            assert all(text in printed for text in expected), f"{each}\n{printed}"
            assert code == (1 if any("failed" in text for text in expected) else 0), f"{each}\n{printed}"

    with closing(sqlite3.connect(directory / "warehouse.db")) as warehouse:
        loaded = {
            table: warehouse.execute(f"select day, count(*) from {table} group by day order by day").fetchall()
            for table in ("customers", "products", "orders")
        }
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert loaded == {
        "customers": list(zip(days, [2, 3, 3], strict=True)),
        "products": list(zip(days, [2, 2, 2], strict=True)),
        "orders": list(zip(days, [2, 3, 4], strict=True)),
    }


@pytest.mark.parametrize("block", blocks("yaml"))
def test_what_the_page_shows_is_in_the_example(block):
    assert block in (EXAMPLE / "conf" / "load-tables.yaml").read_text(encoding="utf-8")
