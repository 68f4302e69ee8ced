"""The modules that workflow files take hooks and filters from: as settings name them, imported once."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from aiodag._core.doors import open_door
from aiodag.errors import AiodagError, EntryError
from aiodag.names import describe_import_error, import_file, import_named

SETTINGS = {"hooks": "registry", "filters": "registry_filters"}


def registry_setting(kind: str) -> Any:
    """Return the setting that names the modules with "hooks" or "filters". Raises `SettingsError`."""
    return getattr(open_door("settings").settings(), SETTINGS[kind])


def registry_names(kind: str) -> tuple[str, ...]:
    """Return the names of the modules with "hooks" or "filters". Raises `SettingsError`."""
    return tuple(registry_setting(kind).value)


def import_registries(kind: str) -> list[ModuleType]:
    """Import the modules with "hooks" or "filters". Raises `EntryError` and `SettingsError`."""
    names, origin, folder = registry_setting(kind)
    return [import_registry(name, origin, folder) for name in names]


def import_registry(name: str, origin: str, folder: Path) -> ModuleType:
    """Import a module, or a file. Raises `EntryError`: what it raises is said there."""
    try:
        return import_file(name) if name.endswith(".py") else import_beside(name, folder)
    except AiodagError as error:
        why = str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything
        why = describe_import_error(error)
    msg = f"{origin} names {name!r}, which cannot be loaded: {why}"
    raise EntryError(msg)


def import_beside(name: str, folder: Path) -> ModuleType:
    """Import a module, also from a directory: a program that was installed does not look where it is started."""
    try:
        return import_named(name, "")
    except ModuleNotFoundError as error:
        here = str(folder.absolute())
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
        msg = f"{registry_setting('hooks').origin} names {package!r}, of which {name} cannot be loaded: {describe_import_error(error)}"
        raise EntryError(msg) from error
