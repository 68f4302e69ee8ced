"""What a run may be given: each option checked, before anything runs."""

from collections.abc import Mapping
from inspect import iscoroutinefunction
from os import PathLike, fspath, urandom
from typing import Any

from aiodag._core.doors import open_door
from aiodag._core.limits import Limit
from aiodag.abc import Observer
from aiodag.errors import OptionError
from aiodag.wording import is_utf8


def observers_of(given: Any) -> tuple[Observer, ...]:
    """Check observers."""
    observers = tuple(given) if hasattr(given, "__iter__") else (given,)
    methods = [getattr(each, "moved", None) for each in observers]
    if hasattr(given, "__iter__") and all(map(callable, methods)) and not any(map(iscoroutinefunction, methods)):
        return observers
    raise OptionError("observers", given, "a list of objects with a plain method moved(move), not an async one")


def threads_of(given: object) -> Limit | None:
    """Check how many plain functions may run at once, and return the limit."""
    if given is None or (type(given) is int and given >= 1):
        return None if given is None else Limit(given)
    raise OptionError("threads", given, "an int of 1 or more: the plain functions that may run at once")


def name_of_run(given: object) -> str:
    """Check the name of a run."""
    if not isinstance(given, str):
        raise OptionError("name", given, "a string")
    if not is_utf8(given):
        raise OptionError("name", given, "text that can be written as UTF-8: it has half of a surrogate pair")
    return given


def limit_of_run(given: object) -> int | None:
    """Check how many nodes may run at once."""
    if given is None or (type(given) is int and given >= 1):
        return given
    raise OptionError("limit", given, "an int of 1 or more: the nodes that may run at once")


def id_of(given: object, name: str) -> str:
    """Return the id of a run: as given, or its name, as far as an id may have that, and some random bytes."""
    if given is None:
        text = name if name.isprintable() else "".join(each if each.isprintable() else "_" for each in name)
        # Six bytes, so that a million runs of one name have ids of their own: a second claim of an id resumes its run.
        return f"{text.lstrip('-') or 'run'}-{urandom(6).hex()}"
    if isinstance(given, str) and given and given.isprintable() and not given.startswith("-"):
        return given
    raise OptionError("id", given, "a string of printable characters that does not begin with -")


def tags_of(given: object) -> dict[str, str]:
    """Check tags, and return a copy."""
    if given is None:
        return {}
    if isinstance(given, Mapping) and all(isinstance(each, str) for pair in given.items() for each in pair):
        wrong = [each for pair in given.items() for each in pair if not is_utf8(each)]
        if not wrong:
            return dict(given)
        raise OptionError(
            "tags", given, f"text that can be written as UTF-8: {wrong[0]!r} has half of a surrogate pair"
        )
    raise OptionError("tags", given, "a dict of strings, such as {'env': 'test'}")


def large_values_of(place: Any, least: object, store: object) -> tuple[str | None, int | None]:
    """Check where large values are kept, and from how many bytes on."""
    if place is not None and (not isinstance(place, str | PathLike) or store is None):
        raise OptionError("values", place, "with store=, a directory or an address such as 'file:///shared/values'")
    if least is not None and (type(least) is not int or least < 0):
        raise OptionError("values_from", least, "an int: the bytes from which on a value is kept in a place of its own")
    return None if place is None else open_door("value_places").checked_place(fspath(place)), least
