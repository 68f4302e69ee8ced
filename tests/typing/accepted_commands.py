"""Commands, as the checkers see them. Never runs."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import assert_type

from aiodag import Limit, Node, Secret, Task, task
from aiodag.commands.task import CommandFailed, CommandTask, Finished, command, shell


@task
async def rows() -> str:
    return "rows"


@task
async def count(finished: Finished) -> int:
    return len(finished.stdout)


def hear(stream: str, chunk: bytes) -> None:
    print(stream, chunk)


variables: Mapping[str, str | None] = {"A": "1", "B": None}
sync = command("sync", "--fast", 1, 0.5, Path("a"), env=variables, cwd=Path("b"), stdin=b"c", retries=2, limit=Limit(3))
sort = shell('sort "$1"', "a", env={"A": 1}, success=[0, 1], grace=timedelta(seconds=1), on_output=hear, timeout=5)
piped = shell("a | b", shell=Path("/bin/bash"), strict=False, skip_codes=[75])
secret = command("sync", Secret("A"), env={"A": Secret("A"), "B": "b"}, stdin=Secret("A"))


async def main() -> None:
    assert_type(sync, Task[..., Finished])
    node = sync("a", rows(), stdin=rows(), env={"A": rows()})
    assert_type(node, Node[Finished])
    assert_type(secret(Secret("A"), env={"A": Secret("A")}, stdin=Secret("A")), Node[Finished])
    assert_type(await sort.with_options(name="b")(node), Finished)
    # A finished command is a value like any other.
    assert_type(await count(node), int)
    try:
        await node
    except CommandFailed as failed:
        assert_type(failed.finished, Finished | None)
        assert_type(failed.signal, str | None)


# What takes definitions apart and makes others of them.
if isinstance(sync, CommandTask):
    assert_type(sync.fn.line, str | None)
    assert_type(sync.with_body(sync.fn.change_texts(str.upper), name="b"), CommandTask)
