"""A program with every kind of node, recorded by one version and resumed by another: `python journey.py STORE`.

It prints what ran and what came of it, as JSON. `v1.2.0-py3.11.db` and its like were made by it in a directory of its own,
with PYTHONPATH naming a copy of that version, and a `socket.gethostname` that says "here".
"""

import asyncio
import json
import logging
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from uuid import UUID

from aiodag import Run, RunFailed, Skip, current_node, settled, task
from aiodag.workflows import Workflow, load

try:
    from aiodag.commands import command, shell
except ImportError:  # 1.3.0
    from aiodag.executors.command import command, shell

RAN = []
log = logging.getLogger("journey")


class Colour(Enum):
    RED = "r"
    BLUE = "b"


class Right(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Source:
    name: str
    since: date = date(2026, 1, 1)

    @task
    async def read(self, table):
        RAN.append("Source.read")
        return f"{self.name}.{table}"

    @task
    @classmethod
    async def made(cls, name):
        RAN.append("Source.made")
        return cls(name)

    @task
    @staticmethod
    async def still(x):
        RAN.append("Source.still")
        return x


class Row(NamedTuple):
    id: int
    price: Decimal


@dataclass(frozen=True)
class Scale:
    by: int

    async def __call__(self, x):
        RAN.append("Scale")
        return self.by * x


@task
async def fetch(name, *more, **options):
    RAN.append("fetch")
    log.warning("fetched %s", name)
    return [name, *more, *sorted(options)]


@task
def blocking(x):
    RAN.append("blocking")
    return x + 1


@task
async def identity(value):
    RAN.append("identity")
    return value


@task
async def kind(value):
    RAN.append("kind")
    return type(value).__name__


@task
async def roll():
    RAN.append("roll")
    return RAN.count("roll")


@task(retries=2)
async def flaky(x):
    RAN.append("flaky")
    if current_node().attempt == 1:
        raise ConnectionError(f"no answer for {x}")
    return await identity(x)


@task
async def parent(x):
    RAN.append("parent")
    first, second = fetch(x), fetch(x)
    return len(await join(first, second))


@task
async def join(*tables, named=()):
    RAN.append("join")
    return [cell for table in [*tables, *named] for cell in table]


@task(raw=True)
async def raw(future):
    RAN.append("raw")
    return future.result()


@task
async def look(node, rows):
    RAN.append("look")
    return [str(node.state), rows]


@task(journal=False)
async def clock():
    return 12


@task(key=lambda session, url: url)
async def get(session, url):
    RAN.append("get")
    return f"<{url}>"


@task(key="one", version=3, name="my own: name")
async def own(x):
    RAN.append("own")
    return "own"


@task(codec="pickle")
async def pickled(x):
    RAN.append("pickled")
    return {x: 1.5}


@task
async def decline(x):
    RAN.append("decline")
    raise ValueError(f"declined {x}")


@task
async def nothing_to_do():
    RAN.append("nothing_to_do")
    raise Skip("no new rows")


@task
async def careful(x):
    RAN.append("careful")
    try:
        await decline(x)
    except ValueError as error:
        return str(error)


@task(cache=True, name="square of")
async def square(x):
    RAN.append("square")
    return x * x


def double_of(x):
    return 2 * x


ARGUMENTS = [
    None, True, 1, -(2**70), 1.5, float("inf"), 2j, "text", "\x00\n'\"", "Größe 東京", "\U00031350", b"\x00bytes", [1, [2]], (1, "a"),
    {"b": 1, "a": (2,)}, {1: 2}, {3, 1, 2}, frozenset({"x"}), range(3), date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC),
    timedelta(seconds=1.5), Decimal("1.10"), Fraction(1, 3), UUID(int=7), PurePosixPath("a/b"), Path("c"), Colour.RED,
    Right.READ | Right.WRITE, Source("s"), Row(1, Decimal(2)),
]  # fmt: skip
NAMED = [Path, Colour, Source, len, fetch, double_of, Path("d").joinpath]


async def functions():
    """Call everything that is known by its arguments."""

    async def opened():
        return 5

    @task
    async def inner(x):
        RAN.append("inner")
        return -x

    async with Run("functions", store=STORE, id="functions", tags={"kind": "test"}) as run:
        a, b = fetch("a"), fetch("b", "more", key=1, other=[2])
        nodes = [a, b, join(a, b), join(named=[a, b]), join.after(a)(b), blocking(1), roll(), roll(), flaky("f")]
        nodes += [parent("p"), parent("q"), raw(a), look(settled(a), {"rows": [b, 3]}), join(await_value(a))]
        nodes += [get(object(), "u"), own(object()), pickled(3), careful("c"), identity(opened()), identity(clock())]
        nodes += [Source("s").read("t"), Source("z").read("t"), Source.made("m"), Source.still(4)]
        nodes += [task(Scale(3))(2), task(partial(blocking.fn, 8))(), task(partial(fetch.fn, name="k"))(z=1), inner(2)]
        nodes += [identity(value) for value in ARGUMENTS] + [kind(value) for value in NAMED]
        nodes += [square(number) for number in (2, 3)]
    return run, [node.result() for node in nodes]


@task(name="await value")
async def await_value(table):
    RAN.append("await value")
    return table


async def failing():
    """Call what fails: that runs again, and nothing else."""
    try:
        async with Run("failing", store=STORE, id="failing") as run:
            bad = decline(fetch("good"))
            join(bad, fetch("other"))
            join(nothing_to_do())
    except RunFailed:
        pass
    return run, []


def doubled(rows):
    RAN.append("doubled")
    return rows * 2


def more(count):
    RAN.append("more")
    return {"tasks": {f"n{number}": {"command": ["echo", str(number)]} for number in range(count)}}


async def workflow():
    """Run a workflow of Python: functions, commands, parameters, a generator."""
    flow = Workflow("flow", tags={"env": "test"}, parameters={"DAY": ["mon", "tue"]})
    pull = flow.add(command("echo", "{{DAY}}"), name="pull")
    line = flow.add(shell("cat; echo oops >&2", stdin="{{DAY}} in"), name="line", after=pull)
    text = flow.add(joined, pull, line)
    flow.add(doubled, text, name="twice")
    flow.add(more, 2, name="more", generator=True)
    flow.add(identity, "end", name="end", after="more")
    values = await flow.run(store=STORE, id="workflow")
    return values.run, [values["joined"], values["twice"], values["n1"].stdout]


@task
async def joined(ended, lines):
    RAN.append("joined")
    return "".join(each.stdout for each in ended + lines)


async def document():
    """Run a workflow of a file."""
    values = await load("journey.json").run(store=STORE, id="document")
    return values.run, [values["sum"].stdout]


async def cached():
    """Take values that another run has computed."""
    async with Run("cached", store=STORE, id=f"cached-{len(sys.argv)}") as run:
        nodes = [square(2), square(3)]
    return run, [node.result() for node in nodes]


PARTS = [functions, failing, workflow, document, cached]


def main():
    answers = {}
    for part in PARTS:
        RAN.clear()
        run, values = asyncio.run(part())
        answers[part.__name__] = {"state": str(run.state), "ran": sorted(RAN), "values": ascii(values)}
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    STORE = f"sqlite:///{sys.argv[1]}"
    main()
