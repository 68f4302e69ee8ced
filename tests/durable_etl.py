"""An ETL of nine nodes in a durable run, for tests that kill it: `python durable_etl.py STORE EFFECTS`.

Each body writes a line when it begins and one when it ends, with the node's key and attempt. The one that `HANGS` names ends
when the standard input does.
"""

import asyncio
import os
import sys
from pathlib import Path

from aiodag import Run, current_node, task


def effect(word, what):
    node = current_node()
    line = f"{word} {what} {node.key} {node.attempt}\n".encode()
    with Path(os.environ["EFFECTS"]).open("ab", buffering=0) as log:
        log.write(line)


async def work(what):
    effect("begin", what)
    if what == os.environ.get("HANGS"):
        await asyncio.to_thread(sys.stdin.read)
    await asyncio.sleep(float(os.environ.get("PAUSE", "0.01")))
    effect("end", what)


@task
async def fetch(name):
    await work(f"fetch-{name}")
    return [name, len(name)]


@task
async def clean(rows):
    await work(f"clean-{rows[0]}")
    return rows * 2


@task
async def combine(*tables):
    await work("combine")
    return sorted(str(cell) for table in tables for cell in table)


@task(version=os.environ.get("UPLOAD_VERSION", "1"))
async def upload(rows):
    await work("upload")
    return len(rows)


@task
async def notify(count):
    await work("notify")
    return f"{count} rows"


async def etl():
    tables = [clean(fetch(name)) for name in ("a", "bb", "ccc")]
    return await notify(upload(combine(*tables)))


async def main(store):
    async with Run("etl", store=store, id="etl"):
        answer = await etl()
    sys.stdout.write(answer + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
