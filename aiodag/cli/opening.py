"""Open the store of a command, and close it when the command ends; take what may be given once for each name."""

from argparse import Namespace
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TypeVar

from aiodag.errors import OptionError
from aiodag.service import Service
from aiodag.service.remote_address import is_server_address, server_refused

Value = TypeVar("Value")


@contextmanager
def serving(args: Namespace) -> Generator[Service]:
    """Give the service of the store that was named. Raises `StoreError` for what is none."""
    service = Service(args.store)
    try:
        yield service
    finally:
        service.store.close()


@contextmanager
def serving_store(args: Namespace, what: str) -> Generator[Service]:
    """Give the service of a store for what works on it here. Raises `AiodagError` for the address of a server."""
    with serving(args) as service:
        if is_server_address(service.place):
            raise server_refused(service.place, what, "give the address of that store")
        yield service


def only_once(option: str, given: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Return what was given by names. Raises `OptionError` for a name that was given twice."""
    found: dict[str, Value] = {}
    for name, value in given:
        if name in found:
            raise OptionError(option, f"{name}={value}", f"given once for {name!r}; there is {name}={found[name]}")
        found[name] = value
    return found
