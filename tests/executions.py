"""Execute durable runs, and read what is kept of them."""

import asyncio

from aiodag import Run, State
from aiodag.records import Batch, Write


def execute(store, body, run_id="r", *, runner=asyncio.run, **options):
    """Run a coroutine function in a durable run and return what it returned, values in the place of nodes."""

    async def main():
        async with Run("test", store=store, id=run_id, **options):
            made = await body()
        return made

    return runner(main())


def rows(store, run_id="r"):
    """Return name, state and attempt of every node."""
    return [(node.name, str(node.state), node.attempt) for node in store.nodes(run_id, every=True)]


def tries(store, run_id="r"):
    """Return the states of all attempts by the names of their nodes."""
    names = {node.number: node.name for node in store.nodes(run_id, every=True)}
    found = {}
    for each in store.attempts(run_id, every=True):
        found.setdefault(names[each.number], []).append(str(each.state))
    return found


def claim_one(store, claim):
    """Claim a run. Raises why it cannot be had."""
    (answer,) = store.claim_all([claim])
    if isinstance(answer, BaseException):
        raise answer
    return answer


def write_one(store, claimed, run_id, **batch):
    """Write a batch of a run. Raises why it cannot be."""
    (error,) = store.write_all([Write(claimed, run_id, Batch(**batch))])
    if error is not None:
        raise error


def row(
    number,
    *,
    key=None,
    name="fetch",
    state=State.SUCCEEDED,
    attempt=1,
    value="1",
    parent=None,
    error="",
    codec="json",
    started=6.0,
):
    """Return the row of a node, as a batch has it."""
    key = key or f"key{number}"
    return (
        number,
        key,
        name,
        "",
        f"{name}({number})",
        state,
        attempt,
        parent,
        codec,
        value,
        error,
        "etl.py:1",
        5.0,
        started,
        7.0,
        0,
        0,
    )


def incompressible(length):
    """A text of three bytes for each character, which a server finds nothing to shorten in."""
    return "".join(chr(0x4E00 + at * 7_919 % 20_000) for at in range(length))
