"""Write a nightly report over a git history: pull the log, extract three things at once, join them, render a page.

    cd REPOSITORY; python 11_nightly_report.py              (writes nightly/report.html)
    aiodag run 11_nightly_report.py:nightly                 (the same, recorded: kill it, resume it)
    aiodag run 11_nightly_report.json                       (the same page, by commands alone)

Values flow from task to task here; the commands of the JSON file leave theirs in files. The bytes of the page are the same.
"""

import asyncio
import sys
from collections import Counter
from html import escape
from pathlib import Path

from aiodag import RunFailed, task
from aiodag.commands import command
from aiodag.workflows import Workflow

PLACE = Path("nightly")
FORMAT = "%ad%x09%aN%x09%s"  # day, author, subject, with tabs between them
MOST = 10  # lines of each part


@task
def count(log, column):
    """Count what is in a column of the log: days, authors, or the first words of the subjects."""
    rows = [line.split("\t", 2) for line in log.stdout.removesuffix("\n").split("\n") if line]
    return dict(Counter(row[column].split(" ")[0] if column == 2 else row[column] for row in rows))


@task
def join(**parts):
    """Return the largest counts of each part, equal ones in the order of their names' bytes."""
    return {
        name: sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))[:MOST]
        for name, counts in parts.items()
    }


@task
def render(parts):
    """Write the page; return its path."""
    lines = ['<!doctype html><meta charset="utf-8"><title>Nightly report</title>']
    for name, counts in parts.items():
        lines += [f"<h2>{name}</h2>", "<table>"]
        lines += [f"<tr><td>{count}<td>{escape(key, quote=False)}" for key, count in counts]
        lines += ["</table>"]
    PLACE.mkdir(exist_ok=True)
    page = PLACE / "report.html"
    page.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return page


nightly = Workflow("nightly", tags={"kind": "report"})
log = nightly.add(command("git", "log", "--no-merges", "--date=short", f"--format={FORMAT}", keep=2**26), name="pull")
days = nightly.add(count, log, 0, name="days")
authors = nightly.add(count, log, 1, name="authors")
words = nightly.add(count, log, 2, name="words")
joined = nightly.add(join, days=days, authors=authors, words=words)
page = nightly.add(render, joined)


async def main():
    try:
        values = await nightly.run()
    except RunFailed as failed:
        print(failed.message, file=sys.stderr)
        return 1
    print(f"{values[page]}: {sum(values[days].values())} commits of {len(values[authors])} authors")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
