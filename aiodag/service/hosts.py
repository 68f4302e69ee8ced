"""The hosts and executors that a file with settings names: one object for each name and form, for all runs of a process."""

import json
from functools import lru_cache
from typing import Any

from aiodag._core.doors import open_door
from aiodag._core.options import executor_of
from aiodag.commands.forms import host_of_form
from aiodag.service.settings import settings


def names_in_settings(key: str) -> list[str]:
    """Return the names of "hosts" or "executors". Raises `SettingsError` for a file that cannot be read."""
    return list(getattr(settings(), key))


def made_from_settings(key: str, name: str) -> Any:
    """Return the host or executor of a name, or None. Raises `SettingsError`, `WorkflowError` and `MissingExtra`."""
    row = getattr(settings(), key).get(name)
    if row is None:
        return None
    return made_once(key, name, json.dumps(row.value, sort_keys=True, default=str), row.origin)


@lru_cache(maxsize=256)
def made_once(key: str, name: str, form: str, origin: str) -> Any:
    """Return what a form stands for: the same object each time, since it counts what runs there."""
    if key == "hosts":
        return host_of_form(json.loads(form), name, origin)
    return executor_of(open_door("executor_forms").executor_of_form(json.loads(form), origin))
