"""Keep pictures of runs that have ended, which change no more."""

from collections import OrderedDict
from typing import NamedTuple

KEPT_LARGEST = 2**25  # bytes of pictures that are kept


class Picture(NamedTuple):
    """The graph of a run in one form. Equal marks are those of equal pictures; a run that goes on has none."""

    mark: str
    content: bytes


class Pictures:
    """Pictures of ended runs, those that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._size = 0

    def find(self, mark: str) -> Picture | None:
        """Return the picture of a mark."""
        found = self._kept.get(mark)
        if found is not None:
            self._kept.move_to_end(mark)
        return found

    def keep(self, picture: Picture) -> None:
        """Keep a picture, and forget those that nobody has asked for in the longest time."""
        if not picture.mark or picture.mark in self._kept:
            return
        self._kept[picture.mark] = picture
        self._size += len(picture.content)
        while self._size > KEPT_LARGEST:
            self._size -= len(self._kept.popitem(last=False)[1].content)
