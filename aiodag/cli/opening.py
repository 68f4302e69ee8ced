"""Open the store of a command, and close it when the command ends."""

from argparse import Namespace
from collections.abc import Generator
from contextlib import contextmanager

from aiodag.service import Service


@contextmanager
def serving(args: Namespace) -> Generator[Service]:
    """Give the service of the store that was named. Raises `StoreError` for what is none."""
    service = Service(args.store)
    try:
        yield service
    finally:
        service.store.close()
