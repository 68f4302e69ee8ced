"""What a run begins with, and what a recorded one continues with.

An entry can be run again by another process: it is a file, a name in it, and parameters as JSON has them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from aiodag.names import WORKFLOW_ENDINGS

if TYPE_CHECKING:
    from aiodag.workflows.workflow import Workflow

ADDED = ("release", "host", "executor")  # fields that older versions do not know: left out where they say nothing


class Entry(NamedTuple):
    """What a run begins with: a file, a task or a workflow in it, and its parameters as text or JSON values.

    `task` is empty where the file itself is a workflow, and the name of one where it has several. `release` says of which moment of which schedule it is: a mapping with
    `logical_date` (ISO 8601, UTC), `schedule` and `kind`; None for what nobody scheduled. `host` and `executor` are the names of
    where its commands and its functions run that name none, if that was asked for when it began.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("pull.py").write_text("async def main(day: str) -> str: return day")
    >>> service = Service("memory:entry")
    >>> await service.start(service.target("pull.py", ["day=monday"]), run_id="first")
    'monday'
    >>> service.entry("first").task
    'main'
    """

    file: str
    task: str
    parameters: Mapping[str, Any]
    release: Mapping[str, Any] | None = None
    host: str | None = None
    executor: str | None = None

    def recorded(self) -> dict[str, Any]:
        """Return the entry as a store has it: that of older versions, where there is no release, no host and no executor."""
        return {key: value for key, value in self._asdict().items() if key not in ADDED or value is not None}

    def code(self) -> tuple[str, str, Mapping[str, Any]]:
        """Return what it runs: another moment, or another host, is still the same."""
        return self.file, self.task, self.parameters


Target: TypeAlias = "Entry | Workflow"


class Again(NamedTuple):
    """What a recorded run continues with: its id, an entry of a task or a workflow, and the tags that it will have.

    >>> from pathlib import Path
    >>> from aiodag.service import Service
    >>> size = Path("hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    >>> service = Service("memory:again")
    >>> values = await service.start(service.target("hello.json"), run_id="monday")
    >>> again = service.again("monday")
    >>> again.id, again.target.name
    ('monday', 'hello')
    """

    id: str
    target: Target
    tags: Mapping[str, str]


def needs_its_file(entry: Mapping[str, Any] | None, definition: str | None) -> bool:
    """Return True if a run goes on with what its file has: one of a workflow file, or of none, has its definition on record.

    >>> needs_its_file({"file": "etl.yaml"}, "{}"), needs_its_file({"file": "etl.py"}, "{}"), needs_its_file(None, None)
    (False, True, False)
    """
    if entry is None:
        return False
    file = str(entry["file"])
    return definition is None or not (file == "" or file.lower().endswith(WORKFLOW_ENDINGS))


def describe_entry(entry: Entry | None) -> str:
    """Return what a run begins with.

    >>> describe_entry(Entry("etl.py", "main", {"day": ["1", "2"], "to": "x"})), describe_entry(Entry("etl.json", "", {}))
    ('etl.py:main day=1 day=2 to=x', 'etl.json')
    """
    if entry is None:
        return "a workflow of a program"
    pairs = [(name, given if isinstance(given, list) else [given]) for name, given in entry.parameters.items()]
    parameters = "".join(f" {name}={value}" for name, values in pairs for value in values)
    where = [f" --{key} {value}" for key in ("host", "executor") if (value := getattr(entry, key))]
    return f"{entry.file}{entry.task and f':{entry.task}'}{parameters}{''.join(where)}"


def parse_target(target: str) -> tuple[str, str | None]:
    """Split FILE[:NAME]: a Python file and a task, or a file of workflows and one of them.

    >>> parse_target("etl.py:main"), parse_target("etl.yaml:nightly"), parse_target("etl.py")
    (('etl.py', 'main'), ('etl.yaml', 'nightly'), ('etl.py', None))
    """
    file, separator, name = target.rpartition(":")
    if separator and (file.endswith(".py") or file.lower().endswith(WORKFLOW_ENDINGS)):
        return file, name
    return target, None
