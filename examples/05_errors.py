"""Decide what a failure stops: nothing, a branch, or the run.

A failed node raises its own exception where it is awaited, and what needs it is skipped without running.
`settled(node)` as an argument accepts any outcome and passes the node itself; `@task(raw=True)` does that for all
arguments of a task. `raise Skip` says that there is nothing to do. What nobody took, the run reports when it ends.

Output:

    a failure arrives where it is awaited, as itself:
      ValueError: invalid literal for int() with base 10: 'free'
      double skipped: price('plum') failed: ValueError: invalid literal for int() with base 10: 'free'
    an outcome is a value too:
      price succeeded, price failed
      0, 4
    a skip is no failure, and what needs it is skipped:
      skipped, succeeded, the run has succeeded
    what nobody took, the run reports; the other branches went on:
      2 succeeded, 2 failed, 3 skipped
      price('plum') failed: ValueError: invalid literal for int() with base 10: 'free'
        skipped because of it: 2
      price('kiwi') failed: KeyError: 'kiwi'
        skipped because of it: 1
      6
    fail_fast cancels the rest; except* takes single types:
      KeyError('kiwi'), and double was cancelled
"""

import asyncio

from aiodag import Run, RunFailed, Skip, settled, task

PRICES = {"apple": "3", "pear": "4", "plum": "free"}


@task
async def price(fruit):
    """Fail with KeyError for an unknown fruit, with ValueError for a price that is not a number."""
    await asyncio.sleep(0.01)
    return int(PRICES[fruit])


@task
async def double(amount):
    return amount * 2


@task
async def report(nodes):
    """Take every outcome: the nodes arrive settled, and asking them raises what they raised."""
    return ", ".join(f"{node.name} {node.state}" for node in nodes)


@task(raw=True)
async def or_zero(node):
    """Take any outcome of the one argument: `raw=True` is `settled` for all of them."""
    return 0 if node.exception() else node.result()


@task
async def sale(amount):
    if amount < 5:
        raise Skip("too cheap to put on sale")
    return amount - 1


async def main():
    print("a failure arrives where it is awaited, as itself:")
    node = double(price("plum"))
    try:
        await node
    except ValueError as error:
        print(f"  {type(error).__name__}: {error}")
        print(f"  {node.failure}")

    print("an outcome is a value too:")
    print(f"  {await report([settled(price(fruit)) for fruit in ('apple', 'plum')])}")
    print(f"  {await or_zero(price('plum'))}, {await or_zero(price('pear'))}")

    print("a skip is no failure, and what needs it is skipped:")
    async with Run("sales") as run:
        cheap, dear = sale(price("apple")), sale(double(price("pear")))
        double(cheap)
    print(f"  {cheap.state}, {dear.state}, the run has {run.state}")

    print("what nobody took, the run reports; the other branches went on:")
    try:
        async with Run("prices") as run:
            kept = double(price("apple"))
            double(double(price("plum")))
            double(price("kiwi"))
    except RunFailed as failed:
        print(f"  {', '.join(f'{count} {state}' for state, count in run.graph().counts().items())}")
        for failure in failed.failures:
            print(f"  {failure}")
            print(f"    skipped because of it: {len(failure.skipped)}")
    print(f"  {kept.result()}")

    print("fail_fast cancels the rest; except* takes single types:")
    try:
        async with Run("prices", fail_fast=True) as run:
            price("kiwi")
            slow = double(task(asyncio.sleep)(60, 1))
    except* KeyError as failed:
        print(f"  {failed.exceptions[0]!r}, and {slow.name} was {slow.state}")


if __name__ == "__main__":
    asyncio.run(main())
