"""What there is, what tasks ask for, and where they are."""

from collections.abc import Mapping
from typing import assert_type

from aiodag import Capacity, Node, Run, current_node, task

one = Capacity({"cores": 8, "license": 1})
several = Capacity([{"cores": 8}, {"cores": 2.5, "gpu": 1}], limit=5)
limited = Capacity(limit=5)
assert_type(several.places, tuple[Mapping[str, float], ...])
assert_type(several.limit, int | None)


@task(resources={"cores": 2, "license": 1})
async def solve(x: int) -> str:
    node = current_node()
    assert node is not None
    assert_type(node.place, int | None)
    return str(x)


async def main(asked: dict[str, int], none: None) -> None:
    async with Run(capacity=one), Run("etl", capacity=several, limit=3), Run(capacity=none):
        assert_type(solve(1), Node[str])
        assert_type(solve.with_options(resources=asked)(1), Node[str])
        assert_type(solve.with_options(resources=None)(1), Node[str])
