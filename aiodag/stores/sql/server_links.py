"""The connections to servers that all stores of a process share, and what is in doubt of their commits."""

import os
import threading
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakSet, WeakValueDictionary

from aiodag.stores.sql.addresses import ServerAddress
from aiodag.stores.sql.postgres import ServerLink


class Doubt(NamedTuple):
    """A commit of which the outcome may be lost."""

    token: str
    answer: object
    act: object
    committed: bool = False  # whether it is known that it came to be


class ServerLinks:
    """The connections of a process to one store: one writes and keeps leases, one is for everybody who looks."""

    def __init__(self, address: ServerAddress) -> None:
        self.writer = ServerLink(address)
        self.reader = ServerLink(address)
        self.users: WeakSet[Any] = WeakSet()
        self.committing = threading.Lock()  # from the look at what is in doubt to the end of a commit
        self.doubts: dict[Hashable, Doubt] = {}  # under that lock, by what was committed
        self.are_pooled = False  # whether there is a pooler in between that passes on no notices

    def leave(self, user: object) -> None:
        """Note that somebody needs them no longer; the last one closes them."""
        self.users.discard(user)
        if not self.users:
            self.close()

    def close(self) -> None:
        """Close both, when nobody uses them at the moment."""
        for link in (self.writer, self.reader):
            with link.lock:
                link.close()

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be ending
            self.writer.close()
            self.reader.close()


LINKS: WeakValueDictionary[ServerAddress, ServerLinks] = WeakValueDictionary()
links_lock = threading.Lock()


def join_links(address: ServerAddress, user: object) -> ServerLinks:
    """Return the connections to an address, which all who use it share: not with another password, if it is the same place."""
    with links_lock:
        links = LINKS.get(address)
        if links is None:
            links = LINKS[address] = ServerLinks(address)
        links.users.add(user)
        return links


def abandon_links() -> None:
    """Let go, in a forked process, of all connections of the parent."""
    global links_lock  # another thread of the parent may have held it
    links_lock = threading.Lock()
    for links in list(LINKS.values()):
        links.writer.disown()
        links.reader.disown()
        links.committing = threading.Lock()
        links.doubts.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=abandon_links)
