"""Runs that begin runs, for the tests of children: what they did stands in a file."""

from asyncio import CancelledError
from pathlib import Path

from aiodag import current_node, current_run, task
from aiodag.messages import begin, begin_again, first_of, message, sleep


def note(file, text):
    with Path(file).open("a", encoding="utf-8") as lines:
        lines.write(f"{text}\n")


def lines_in(file):
    """What was noted, in order."""
    return Path(file).read_text(encoding="utf-8").split("\n")[:-1] if Path(file).exists() else []


@task
async def charge(file: str, name: str) -> int:
    note(file, f"charge {name}")
    return len(name)


async def order(file: str, name: str) -> str:
    paid = await charge(file, name)
    return f"{name} for {paid} by {current_run().id}"


async def failing(file: str, name: str) -> str:
    await charge(file, name)
    if not Path(f"{file}.truck").exists():
        raise OSError("no truck")
    return f"{name} shipped"


async def waiting(file: str, name: str) -> str:
    try:
        await message("SHIPPED", key=name)
    except CancelledError:
        note(file, f"{name} cancelled")
        raise
    return f"{name} shipped"


async def day(file: str, names: list[str], child: str = "order") -> list[str]:
    orders = [begin(globals()[child], file, name, id=f"order-{name}") for name in names]
    return [await each for each in orders]


async def impatient(file: str) -> str:
    first = await first_of(shipped=begin(waiting, file, "A17", id="order-A17"), late=message("LATE"))
    note(file, first.name)
    return await message("AFTERWARDS")


async def grandmother(file: str) -> list[str]:
    return await begin(day, file, ["A17"], id="day-1")


async def letting_go(file: str) -> str:
    return await begin(order, file, "later", id="later", on_parent="detach")


@task
async def pay(file: str, month: int) -> int:
    node = current_node()
    note(file, f"{month} {node.key if node else ''}")
    return month


async def months(file: str, month: int = 1, last: int = 12) -> int:
    paid = await pay(file, month)
    await sleep(0)
    if month < last:
        begin_again(file=file, month=month + 1, last=last)
    return paid
