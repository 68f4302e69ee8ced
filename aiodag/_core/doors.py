"""Reach a layer from the core, which knows none: the one table of where they are, opened when somebody asks."""

from importlib import import_module
from types import MappingProxyType
from typing import Any

DOORS = MappingProxyType(
    {
        "agents": "aiodag.commands.agents",
        "child_workflows": "aiodag.service.child_workflows",
        "children": "aiodag.service.children",
        "commands": "aiodag.commands.alike",
        "dask": "aiodag.executors.dask",
        "executor_forms": "aiodag.executors.forms",
        "host_forms": "aiodag.commands.forms",
        "local": "aiodag.commands.local",
        "places": "aiodag.stores.places",
        "pool": "aiodag.commands.pool",
        "process": "aiodag.executors.process",
        "ray": "aiodag.executors.ray",
        "remote": "aiodag.service.remote",
        "schedules": "aiodag.schedules.forms",
        "settings": "aiodag.service.settings",
        "settings_hosts": "aiodag.service.hosts",
        "slurm": "aiodag.commands.slurm",
        "ssh": "aiodag.commands.ssh",
        "svg": "aiodag.pictures.svg",
        "thread": "aiodag.executors.thread",
        "traces": "aiodag.traces.opentelemetry",
        "value_places": "aiodag.stores.value_places",
        "waits": "aiodag.messages.waits",
        "web": "aiodag.web.serving",
        "workflows": "aiodag.workflows",
    }
)


def open_door(name: str) -> Any:
    """Return the module that a door leads to, imported now."""
    return import_module(DOORS[name])
