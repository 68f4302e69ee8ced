"""The modules that workflow files take hooks and filters from: named in the environment or by settings, imported once."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from aiodag.errors import AiodagError, EntryError
from aiodag.names import describe_import_error, import_file, import_named

VARIABLES = {"hooks": "AIODAG_REGISTRY", "filters": "AIODAG_REGISTRY_FILTERS"}
NAMED: dict[str, tuple[str, ...]] = {}  # what settings have said, instead of the environment


def name_registries(*, hooks: Iterable[str], filters: Iterable[str]) -> None:
    """Set the modules with hooks and filters, such as `etl.tasks` or `tasks.py`; without it the environment names them."""
    NAMED.update(hooks=tuple(hooks), filters=tuple(filters))


def registry_names(kind: str) -> tuple[str, ...]:
    """Return the names of the modules with "hooks" or "filters"."""
    if kind in NAMED:
        return NAMED[kind]
    names = os.environ.get(VARIABLES[kind], "").split(",")
    return tuple(name.strip() for name in names if name.strip())


def import_registries(kind: str) -> list[ModuleType]:
    """Import the modules with "hooks" or "filters". Raises `EntryError`."""
    return [import_registry(name, VARIABLES[kind]) for name in registry_names(kind)]


def import_registry(name: str, variable: str) -> ModuleType:
    """Import a module, or a file. Raises `EntryError`: what it raises is said there."""
    try:
        return import_file(name) if name.endswith(".py") else import_beside(name)
    except AiodagError as error:
        why = str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything
        why = describe_import_error(error)
    msg = f"{variable} names {name!r}, which cannot be loaded: {why}"
    raise EntryError(msg)


def import_beside(name: str) -> ModuleType:
    """Import a module, also from the working directory: a program that was installed does not look there."""
    try:
        return import_named(name, "")
    except ModuleNotFoundError as error:
        here = str(Path.cwd())
        if error.name != name.partition(".")[0] or here in sys.path:
            raise
    sys.path.insert(0, here)
    return import_named(name, "")


def import_registry_part(package: str, part: str) -> None:
    """Import a module of a package that is a registry, if it is there: `tasks` of `etl`. Raises `EntryError`."""
    there = sys.modules.get(package)
    name = f"{package}.{part}"
    if name in sys.modules or getattr(there, "__path__", None) is None:
        return
    try:
        import_named(name, "")
    except (Exception, SystemExit) as error:
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name is not None
            and f"{name}.".startswith(f"{error.name}.")
        ):
            return
        msg = (
            f"{VARIABLES['hooks']} names {package!r}, of which {name} cannot be loaded: {describe_import_error(error)}"
        )
        raise EntryError(msg) from error
