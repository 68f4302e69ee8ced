"""Tell a store what messages begin, as far as this process knows: what the files say that it has imported."""

import logging
import sys
from typing import TYPE_CHECKING, Any

from aiodag.errors import EntryError
from aiodag.mail import Starter
from aiodag.messages.topics import declared_topics
from aiodag.service.children import place_of_function
from aiodag.service.messages import inbox_of_store

if TYPE_CHECKING:
    from aiodag.abc import Runs
    from aiodag.messages.starters import Beginning
    from aiodag.records import Owner

log = logging.getLogger("aiodag.worker")


class StarterNotes:
    """What a worker has told its store of starters: it tells them again when there are others, or when it has more code."""

    def __init__(self, store: "Runs", owner: "Owner") -> None:
        self._store, self._owner = store, owner
        self._noted: list[Starter] = []
        self._modules = 0  # how many were imported when that was noted

    def note(self) -> None:
        """Have the store know what messages begin. Blocks."""
        found, modules = starters_here(), list(sys.modules.values())
        if (found, len(modules)) == (self._noted, self._modules):
            return
        # A store of others may have no inbox, and needs none for what it is not told.
        if found or callable(getattr(self._store, "put_starters", None)):
            files = {getattr(module, "__file__", None) or "" for module in modules} - {""}
            inbox_of_store(self._store).put_starters(self._owner, found, files)
        self._noted, self._modules = found, len(modules)


def starters_here() -> list[Starter]:
    """Return what messages begin in the code that this process has imported."""
    found: list[Starter] = []
    for topic in declared_topics():
        for beginning in list(topic.begins.values()):
            try:
                found.append(starter_of(topic.name, beginning))
            except EntryError as error:
                log.warning("messages of %s begin nothing in workers: %s", topic.name, error)
    return found


def starter_of(topic: str, beginning: "Beginning") -> Starter:
    """Return what a store knows of a task that begins with messages. Raises `EntryError`."""
    file, name = place_of_function(beginning.entry)
    entry: dict[str, Any] = {"file": file, "task": name, "parameters": {}}
    return Starter(topic, f"{file}:{name}", entry, beginning.entry.name, *beginning[1:])
