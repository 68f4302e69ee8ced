"""What the checkers do not see, said here so that a change is noticed. Never runs."""

from typing import TypeVar, assert_type

from aiodag import Node, opaque, settled, task

T = TypeVar("T")


@task
async def same(x: T) -> T:
    return x


@task
async def add(x: int, y: int = 0) -> int:
    return x + y


async def main() -> None:
    n = add(1)
    # A generic function takes the node itself for its argument.
    assert_type(same(1), Node[int])
    assert_type(same(n), Node[Node[int]])
    # A body that gets the node itself, where it says it takes a value.
    add(settled(n))
    add(opaque(n))
    # What follows the iterables of a map is written as a keyword; a positional constant is seen at run time only.
    add.map([1, 2], 3)
