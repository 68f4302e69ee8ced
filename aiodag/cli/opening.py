"""Open the store of a command, and close it when the command ends; take what may be given once for each name."""

from argparse import Namespace
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TypeVar

from aiodag.errors import OptionError
from aiodag.service import Service

Value = TypeVar("Value")


@contextmanager
def serving(args: Namespace) -> Generator[Service]:
    """Give the service of the store that was named. Raises `StoreError` for what is none."""
    service = Service(args.store)
    try:
        yield service
    finally:
        service.store.close()


def only_once(option: str, given: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Return what was given by names. Raises `OptionError` for a name that was given twice."""
    found: dict[str, Value] = {}
    for name, value in given:
        if name in found:
            raise OptionError(option, f"{name}={value}", f"given once for {name!r}; there is {name}={found[name]}")
        found[name] = value
    return found
