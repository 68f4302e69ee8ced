"""Tell the definitions of a run apart: what each has changed, added and removed."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Change(NamedTuple):
    """What a definition changed from some execution of a run on: names of tasks, and how many tasks it has.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> file, service = Path("hello.json"), Service("memory:change")
    >>> size = file.write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> values = await service.start(service.target("hello.json"), run_id="monday")
    >>> size = file.write_text('{"tasks": {"greet": {"command": ["echo", "goodbye"]}}}')
    >>> values = await service.resume("monday", source="hello.json")
    >>> [(change.execution, change.changed) for change in service.changes("monday")]
    [(1, []), (2, ['greet'])]
    """

    execution: int
    tasks: int
    changed: list[str]
    added: list[str]
    removed: list[str]


def definition_changes(definitions: Iterable[tuple[int, str]]) -> list[Change]:
    """Return what each definition of a run has changed in the one before it, by the names of tasks."""
    found: list[Change] = []
    before: Mapping[str, Any] = {}
    for execution, text in definitions:
        tasks = tasks_in(text)
        changed = [
            name for name, task in tasks.items() if name in before and effect_of(before[name]) != effect_of(task)
        ]
        added = [name for name in tasks if name not in before] if found else []
        removed = [name for name in before if name not in tasks]
        found.append(Change(execution, len(tasks), changed, added, removed))
        before = tasks
    return found


def effect_of(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task of a definition without what is there for people alone."""
    from aiodag.workflows.private import stored_task  # noqa: PLC0415 - few runs have two definitions, and this loads workflows

    return {key: value for key, value in stored_task(task).items() if key != "description"}  # 1.2.0 hid nothing


def tasks_in(text: str) -> Mapping[str, Any]:
    """Return the tasks of a definition by their names, or its jobs."""
    try:
        document: Any = json.loads(text)
    except ValueError:  # a row that somebody, or a disk, has written over
        return {}
    tasks: Any = document.get("tasks", document.get("jobs")) if isinstance(document, dict) else None
    return tasks if isinstance(tasks, dict) else {}
