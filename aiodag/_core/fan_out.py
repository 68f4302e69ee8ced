"""The calls that `Task.map` makes: all of them checked before the first."""

import itertools
from operator import length_hint
from typing import TYPE_CHECKING, Any

from aiodag._core.edges import is_awaitable
from aiodag._core.search import close_coroutines
from aiodag._core.submit import check_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiodag._core.task import Task


def calls_of(task: "Task[..., Any]", iterables: "tuple[Iterable[Any], ...]", constants: dict[str, Any]) -> list[Any]:
    """Return the arguments of each call by position, checked before anything is scheduled."""
    taken: list[Any] = []
    try:
        if not iterables:
            msg = f"{task.name}.map() got nothing to iterate over. Pass iterables by position: {task.name}.map([1, 2])"
            raise TypeError(msg)
        for each in iterables:
            check_iterable(task.name, each)
        calls = list(in_step(task.name, [keep_items(each, taken) for each in iterables]))
        for args in calls:
            check_call(task, args, constants)
    except BaseException:
        close_coroutines(taken, iterables, constants)
        raise
    return calls


def keep_items(items: "Iterable[Any]", taken: list[Any]) -> "Iterator[Any]":
    """Yield items, and keep them in `taken`: what a generator has given would be lost when the call is refused."""
    for item in items:
        taken.append(item)
        yield item


def check_iterable(name: str, items: object) -> None:
    """Refuse what nobody can go through now, or to its end. Raises `TypeError` or `ValueError`."""
    if not hasattr(items, "__iter__") or is_awaitable(items):
        msg = f"{name}.map() got {items!r}, which cannot be iterated now. Await a node first, or pass a list"
        raise TypeError(msg)
    if is_endless(items):
        msg = f"{name}.map() got {items!r}, which never ends. {constant_hint(name)}"
        raise ValueError(msg)


def is_endless(items: object) -> bool:
    """Return True for an iterator of `itertools` that never ends."""
    if isinstance(items, itertools.repeat):
        return length_hint(items, -1) < 0  # without a number of times it has none
    return isinstance(items, itertools.count | itertools.cycle)


def in_step(name: str, iterators: "list[Iterator[Any]]") -> "Iterator[tuple[Any, ...]]":
    """Yield one item of each at a time. Raises `ValueError` where one ends before another."""
    ended = object()
    for count in itertools.count():
        row = tuple([next(each, ended) for each in iterators])
        lasting = [number for number, item in enumerate(row, 1) if item is not ended]
        if not lasting:
            return
        if len(lasting) < len(row):
            short = next(number for number, item in enumerate(row, 1) if item is ended)
            msg = (
                f"{name}.map() got iterables of different lengths: number {short} ended after {count} items, "
                f"number {lasting[0]} has more. {constant_hint(name)}"
            )
            raise ValueError(msg)
        yield row


def constant_hint(name: str) -> str:
    """Return how a value that all calls share is passed."""
    return f"Pass a value that is the same for all calls by keyword: {name}.map(items, option=value)"
