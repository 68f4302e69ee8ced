"""What a definition that comes over HTTP may name: it is somebody's wish, and no file of this machine.

Whoever may operate may run programs. What they cannot do in that way: read the environment and the files of workers as if
they had written the settings, connect to machines that nobody has named there, and import a file by a path that they write
down. A `trigger` stage that computes its name is not looked at, except where commands are barred.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from aiodag.errors import DefinitionRefused, WorkflowError
from aiodag.service.targets import file_in
from aiodag.workflows.files.json import Path, Places, cut
from aiodag.workflows.jobs.model import stages_of
from aiodag.workflows.private import SECRET
from aiodag.workflows.workflow import Workflow

PROGRAMS = ("command", "shell", "task", "generator", "url")
HOOKS = ("on_start", "on_success", "on_failure")
MACHINES = ("hosts", "executors")
PROGRAM_STAGES = frozenset({"run", "bash", "uses"})
CODE = frozenset({"run", "bash"})  # the bodies of these stages are nobody's templates
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)")
NO_COMMANDS = "runs code, and this server takes no definitions that do (--no-commands)"
LISTED = "is a variable that this server does not list: --env {} does"
NOT_A_FILE = "is a file, and what comes over HTTP names a function as module:function, or a registered workflow"
ELSEWHERE = "says how a machine is reached: over HTTP a workflow names those of the settings"


class Narrowing(NamedTuple):
    """What a server takes of definitions that come over HTTP.

    They may read the variables that `environment` names, and no others. With `no_commands` none may run code, be it a program,
    a line of a shell, Python or a function. With `only_registered` none are taken at all.

    >>> Narrowing(no_commands=True).only_registered
    False
    """

    environment: tuple[str, ...] = ()
    no_commands: bool = False
    only_registered: bool = False

    def refuse_any(self) -> None:
        """Refuse definitions where only registered workflows may run. Raises `DefinitionRefused`."""
        if self.only_registered:
            raise DefinitionRefused

    def refuse_form(self, form: Any, places: Places, known: frozenset[str] = frozenset()) -> None:
        """Refuse what a form names, before it is read and its functions imported. Raises `WorkflowError`.

        The functions of files that are `known` were in the definition before.
        """
        faults = [*machines_in(form), *files_in_form(form, known), *secrets_in(form, self.environment)]
        if self.no_commands and isinstance(form, dict) and "tasks" in form:
            faults += [(path, NO_COMMANDS) for path in programs_in(form)]
        complain(places, faults)

    def refuse_jobs(self, workflow: Workflow, places: Places) -> None:
        """Refuse what a workflow of jobs runs, and the variables that it reads. Raises `WorkflowError`."""
        if workflow.jobs is None:
            return
        stages = list(stages_of(workflow.jobs.jobs.values()))
        faults: list[tuple[Path, str]] = []
        for stage in stages:
            body = None if stage.body is None else stage.body.body
            if stage.kind == "trigger" and isinstance(body, str) and file_in(body)[0]:
                faults.append(((*stage.path, "trigger"), f"is {cut(body)!r}: it {NOT_A_FILE}"))
            elif self.no_commands and (
                stage.kind in PROGRAM_STAGES or (stage.kind == "trigger" and not is_plain(stage))
            ):
                faults.append(((*stage.path, stage.kind), NO_COMMANDS))
        code = {(*stage.path, stage.kind) for stage in stages if stage.kind in CODE}
        for path, text in texts_of_document(workflow.jobs.document):
            unlisted = set() if path in code else set(VARIABLE.findall(text)) - set(self.environment)
            faults += [(path, f"{cut(name)!r} {LISTED.format(name)}") for name in sorted(unlisted)]
        complain(places, faults)


class Unnarrowed(Narrowing):
    """What takes all that a file may name."""

    def refuse_form(self, form: Any, places: Places, known: frozenset[str] = frozenset()) -> None:
        """Refuse nothing."""

    def refuse_jobs(self, workflow: Workflow, places: Places) -> None:
        """Refuse nothing."""


ANYTHING = Unnarrowed()


def is_plain(stage: Any) -> bool:
    """Return True for a stage that begins a workflow by a name that is written there."""
    return stage.body is not None and bool(stage.body.plain)


def complain(places: Places, faults: Iterable[tuple[Path, str]]) -> None:
    """Raise `WorkflowError` with faults, if there are any."""
    complaints = places.complaints(list(faults))
    if complaints:
        raise WorkflowError(complaints)


def programs_in(form: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the places of what tasks and hooks run."""
    tasks = form["tasks"]
    named: Any = tasks.items() if isinstance(tasks, dict) else enumerate(tasks) if isinstance(tasks, list) else ()
    holders: list[tuple[Path, Any]] = [(("tasks", name), task) for name, task in named]
    for event in HOOKS:
        hooks = form.get(event, [])
        every = enumerate(hooks) if isinstance(hooks, list) else [(0, hooks)]
        holders += [((event, place), hook) for place, hook in every]
    for path, holder in holders:
        inside = holder.get("details") if isinstance(holder, dict) else None
        for keys, each in (((), holder), (("details",), inside)):
            if isinstance(each, dict):
                yield from ((*path, *keys, key) for key in PROGRAMS if key in each)


def machines_in(form: Any) -> Iterator[tuple[Path, str]]:
    """Yield what says how hosts and executors are reached."""
    for key in MACHINES if isinstance(form, dict) else ():
        if form.get(key):
            yield (key,), ELSEWHERE


def files_in_form(form: Any, known: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Yield functions of files that nobody knows."""
    for path, text in texts_of_document(form):
        if path[-1] == "task" and ".py:" in text and text not in known:
            yield path, f"is {cut(text)!r}: it {NOT_A_FILE}"


def functions_of_files(form: Any) -> frozenset[str]:
    """Return the functions of files that a form names already."""
    return frozenset(text for path, text in texts_of_document(form) if path[-1] == "task" and ".py:" in text)


def secrets_in(form: Any, listed: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """Yield secrets that are read from files, or from variables that are not listed."""
    there = set(listed)
    for path, holder in mappings_in(form):
        if SECRET in holder:
            yield from secret_faults(path, holder.get(SECRET), holder.get("file"), there)
    given = form.get("secrets") if isinstance(form, dict) and "tasks" not in form else None
    if isinstance(given, list):
        for place, name in enumerate(given):
            yield from secret_faults(("secrets", place), name, None, there)
    for name, source in given.items() if isinstance(given, dict) else ():
        holder = source if isinstance(source, dict) else {"env": name if source is None else source}
        yield from secret_faults(("secrets", name), holder.get("env", name), holder.get("file"), there)


def secret_faults(path: Path, name: object, file: object, listed: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with where a secret comes from."""
    if file is not None:
        yield (
            path,
            "is read from a file, and what comes over HTTP names no files: name a variable that this server lists",
        )
    elif isinstance(name, str) and name not in listed:
        yield path, f"{cut(name)!r} {LISTED.format(name)}"


def texts_of_document(document: Any) -> Iterator[tuple[Path, str]]:
    """Yield each text of a document with its path; iteratively, for somebody may nest deeply."""
    left: list[tuple[Path, Any]] = [((), document)]
    while left:
        path, value = left.pop()
        if isinstance(value, str) and path:
            yield path, value
        elif isinstance(value, dict):
            left += [((*path, str(key)), each) for key, each in value.items()]
        elif isinstance(value, list):
            left += [((*path, place), each) for place, each in enumerate(value)]


def mappings_in(document: Any) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield each mapping of a document with its path."""
    left: list[tuple[Path, Any]] = [((), document)]
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            yield path, value
            left += [((*path, str(key)), each) for key, each in value.items()]
        elif isinstance(value, list):
            left += [((*path, place), each) for place, each in enumerate(value)]


RISKY = frozenset({"task", "uses", "digest", "generator", "hosts", "executors"})  # keys for which something is imported
MANY = frozenset({"parameters", "strategy"})  # keys by which a task has many instances
LARGEST = 65_536  # characters of what is thought through in the server


def is_harmless(document: Any, *, expanding: bool = False) -> bool:
    """Return True for a document that can be read without importing, or reading, anything else. Others are read elsewhere.

    With `expanding` each instance of a task becomes a node: few keys may stand for millions.
    """
    risky = RISKY | MANY if expanding else RISKY
    return all(risky.isdisjoint(map(str, holder)) for _, holder in mappings_in(document))
