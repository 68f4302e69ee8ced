"""What a run may be given: each option checked, before anything runs."""

from collections.abc import Mapping
from inspect import iscoroutinefunction
from os import urandom
from typing import Any

from aiodag.abc import Observer
from aiodag.errors import OptionError


def observers_of(given: Any) -> tuple[Observer, ...]:
    """Check observers."""
    observers = tuple(given) if hasattr(given, "__iter__") else (given,)
    methods = [getattr(each, "moved", None) for each in observers]
    if hasattr(given, "__iter__") and all(map(callable, methods)) and not any(map(iscoroutinefunction, methods)):
        return observers
    raise OptionError("observers", given, "a list of objects with a plain method moved(move), not an async one")


def id_of(given: Any, name: str) -> str:
    """Return the id of a run: as given, or its name, as far as an id may have that, and something random."""
    if given is None:
        text = "".join(each if each.isprintable() else "_" for each in name).lstrip("-")
        return f"{text or 'run'}-{urandom(4).hex()}"
    if isinstance(given, str) and given and given.isprintable() and not given.startswith("-"):
        return given
    raise OptionError("id", given, "a string of printable characters that does not begin with -")


def tags_of(given: Any) -> dict[str, str]:
    """Check tags, and return a copy."""
    if given is None:
        return {}
    if isinstance(given, Mapping) and all(isinstance(each, str) for pair in given.items() for each in pair):
        return dict(given)
    raise OptionError("tags", given, "a dict of strings, such as {'env': 'test'}")
