"""Have workers know the hooks and filters of whoever put a schedule: they may be started elsewhere, with other settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiodag.service.settings import settings
from aiodag.workflows.registries import import_registry

KEY = "registries"  # of a release, as it is recorded


def registries_here() -> dict[str, Any]:
    """Return the modules that the settings name here, each with the folder in which it is looked for; nothing if there are none."""
    found = settings()
    modules = [
        [name, str(each.folder.absolute())] for each in (found.registry, found.registry_filters) for name in each.value
    ]
    return {KEY: modules} if modules else {}


def import_kept_registries(release: Mapping[str, Any] | None) -> None:
    """Import the modules that were named where a schedule was put. Raises `EntryError`."""
    for name, folder in (release or {}).get(KEY, ()):
        import_registry(name, "the schedule", Path(folder))
