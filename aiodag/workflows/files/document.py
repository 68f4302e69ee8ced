"""From a workflow to the document that says it."""

import json
import re
import sys
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from aiodag._core.arity import shown_parameters
from aiodag._core.capacity import Capacity
from aiodag._core.task import Task
from aiodag.errors import Complaint, WorkflowError
from aiodag.names import main_name
from aiodag.secret import Secret
from aiodag.workflows.definition import Definition
from aiodag.workflows.files.forms import CALLS, OPTIONS, TASK, VALUE_OF, bare_parameter, check_arguments
from aiodag.workflows.files.hooking import form_of
from aiodag.workflows.model import Parameter, WorkflowTask
from aiodag.workflows.parameters import is_command, options_of, unused_parameters
from aiodag.workflows.private import SECRET, secret_form, stored_text

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # another one in each process
LONGEST = 1000  # characters of what stands for something that JSON does not have
FIRST = 4  # of a shell's arguments: before "$1" come its path, -c, the line, and a name
SHELL = "/bin/sh"
USUAL: Mapping[str, Any] = {
    "success": frozenset({0}),
    "skip_codes": frozenset[int](),
    "grace": 5.0,
    "keep": 2**20,
}


class Inexact(Exception):
    """Raised with what JSON cannot express."""


def document_of(workflow: Definition, *, exact: bool = False) -> dict[str, Any]:
    """Return the document of a workflow. If it was read from one, the result reads the same.

    What only Python can say (a lambda, an argument that is an object) is in it as text, to look at and to compare; with
    `exact` it raises `WorkflowError`, which lists all of that. Keys with their default values are left out.

    >>> from aiodag.commands import command
    >>> from aiodag.workflows import Workflow, document_of
    >>> flow = Workflow("hello")
    >>> greet = flow.add(command("echo", "hello", retries=2), name="greet")
    >>> document_of(flow)
    {'name': 'hello', 'tasks': {'greet': {'command': ['echo', 'hello'], 'retries': 2}}}
    """
    writing = Writing(workflow, exact=exact)
    document = head_of(workflow, writing)
    document["tasks"] = {task.name: writing.task(task) for task in workflow.tasks}
    if writing.complaints:
        raise WorkflowError(writing.complaints)
    return document


def recorded_text(workflow: Definition) -> str:
    """Return the text of the document of a workflow, as a store has it."""
    if workflow.jobs is not None:
        # Of a program, no entry has what the params were given.
        own = {"given": workflow.given} if workflow.given and workflow.entry is None else {}
        # In escapes, for a program may give half of a surrogate pair.
        return json.dumps({**workflow.jobs.document, **own}, ensure_ascii=bool(own), default=str)
    writing = Writing(workflow, exact=False)
    return stored_text(head_of(workflow, writing), ((task.name, writing.task(task)) for task in workflow.tasks))


def head_of(workflow: Definition, writing: "Writing") -> dict[str, Any]:
    """Return a document but for its tasks."""
    document: dict[str, Any] = {"name": workflow.name}
    if workflow.description is not None:
        document["description"] = workflow.description
    if workflow.tags:
        document["tags"] = dict(workflow.tags)
    if workflow.parameters:
        document["parameters"] = {name: list(values) for name, values in workflow.parameters.items()}
    if workflow.paired:
        document["paired"] = [group[0] if len(group) == 1 else list(group) for group in workflow.paired]
    without = unused_parameters(workflow)
    if without:
        document["unused"] = without
    if workflow.literals and any(task.generator for task in workflow.tasks):
        document["literals"] = dict(workflow.literals)
    if workflow.capacity is not None:
        document["capacity"] = capacity_form(workflow.capacity)
    if workflow.limit is not None:
        document["limit"] = workflow.limit
    document |= workflow.machines.forms(writing.unsaid)
    for event, hooks in workflow.hooks.items():
        forms = [writing.hook(each) for each in hooks]
        document[event] = workflow.hook_forms.get(event, forms[0] if len(forms) == 1 else forms)
    return document


def capacity_form(capacity: Capacity) -> Any:
    """Return the places of a capacity; a text for one that is limited or shared, which a document cannot say."""
    if capacity.limit is not None or capacity.shared is not None:
        return value_stand_in(capacity)
    places = [dict(each) for each in capacity.places]
    return places[0] if len(places) == 1 else places


class Writing:
    """One workflow on its way to a document."""

    def __init__(self, workflow: Definition, *, exact: bool) -> None:
        self.workflow = workflow
        self.parameters = workflow.parameters
        self.exact = exact
        self.complaints: list[Complaint] = []
        self._found: dict[str, Any] = {}
        self._calls: dict[Task[..., Any], dict[str, Any]] = {}  # of functions without arguments
        self.main: str = main_name()

    def task(self, task: WorkflowTask[Any]) -> dict[str, Any]:
        """Return the form of a task."""
        form = self._command(task) if is_command(task.task) else self._function(task)
        if task.waits_for:
            form["parents"] = list(task.after)
        if task.parameters:
            form["parameters"] = {name: list(values) for name, values in task.parameters.items()}
        if task.generator:
            form["generator"] = True
        if task.rule is not None:
            form["trigger_rule"] = task.trigger_rule
        if task.group is not None:
            form["class"] = task.group
        if task.description is not None:
            form["description"] = task.description
        return form

    def hook(self, task: Task[..., Any]) -> dict[str, Any]:
        """Return the form of a hook."""

        def written(task: Task[..., Any]) -> dict[str, Any]:
            args = () if is_command(task) else (None,)  # for what it will be told
            return self.task(Definition("hooks").put(task, args, {}, place=""))

        return form_of(task, written)

    def unsaid(self, what: str) -> None:
        """Complain of what the workflow as a whole has and JSON does not, if the document is to be read again."""
        if self.exact:
            self.complaints.append(Complaint("", f"has {what}, which a document cannot say"))

    def _inexact(self, task: WorkflowTask[Any], text: str) -> None:
        """Complain, if the document is to be read again."""
        if self.exact:
            self.complaints.append(Complaint(task.place, f"{task.name!r} {text}"))

    def _command(self, task: WorkflowTask[Any]) -> dict[str, Any]:
        """Return the form of a program, or of a line."""
        command: Any = task.task
        body = command.fn
        form: dict[str, Any] = (
            {"command": list(map(document_argument, body.args))} if body.line is None else {"shell": body.line}
        )
        if body.line is not None:
            form |= {"executable": body.args[0]} if body.args[0] != SHELL else {}
            form |= {} if body.strict else {"strict": False}
        if body.env:
            form["environment"] = {name: document_argument(value) for name, value in body.env.items()}
        if body.cwd is not None:
            form["cwd"] = str(body.cwd)
        if body.stdin is not None:
            content = body.stdin.decode("utf-8", "surrogateescape") if isinstance(body.stdin, bytes) else body.stdin
            form["stdin"] = {"file": str(content)} if isinstance(content, PurePath) else document_argument(content)
        for key, usual in USUAL.items():
            value = getattr(body, key)
            if value != usual:
                form[key] = sorted(value) if isinstance(value, frozenset) else value
        if any(type(each) is Secret and each.get for each in (*body.args, *body.env.values(), body.stdin)):
            self._inexact(task, "has a secret with get=, a function, which JSON does not have")
        if isinstance(body.host, str):
            form["host"] = body.host
        elif body.host is not None:
            self._inexact(
                task,
                f"runs on the host {body.host.name!r}, an object: name it in Workflow(hosts={{...}}), and write host=NAME",
            )
        if body.on_output is not None or body.on_end is not None:
            self._inexact(task, "has functions that hear of it, which JSON does not have")
        self._arguments(task, form, () if body.line is None else body.args[FIRST:])
        self._options(task, form, {**options_of(command).given, "version": command.given_version}, {"version": None})
        return form

    def _function(self, task: WorkflowTask[Any]) -> dict[str, Any]:
        """Return the form of a call of a function; of many calls without arguments it is made once."""
        if task.args or task.kwargs or task.written is not None or self.exact:
            return self._call(task)
        known = self._calls.get(task.task)
        if known is None:
            known = self._calls[task.task] = self._call(task)
        return {**known}

    def _call(self, task: WorkflowTask[Any]) -> dict[str, Any]:
        fn = task.task.fn
        module, name = getattr(fn, "__module__", ""), getattr(fn, "__qualname__", type(fn).__qualname__)
        found = self._find_imported(f"{module}:{name}")
        # Of a script as if it had been imported: who reads this is another program.
        spelled = f"{self.main if module == '__main__' else module}:{name}"
        if task.written is None and getattr(found, "fn", found) is not fn:
            self._inexact(
                task,
                f"calls {value_stand_in(fn)}, which cannot be imported as {spelled}: write it outside of functions",
            )
        form: dict[str, Any] = {"task": task.written or spelled}
        self._arguments(task, form, ())
        self._options(task, form, task.task.options.given, found.options.given if isinstance(found, Task) else {})
        return form

    def _find_imported(self, spelled: str) -> Any:
        """Return what has a name in a module that is imported already, or None."""
        if spelled not in self._found:
            module, _, qualname = spelled.partition(":")
            found: Any = sys.modules.get(module)
            for part in qualname.split("."):
                found = getattr(found, part, None)
            self._found[spelled] = found
        return self._found[spelled]

    def _arguments(self, task: WorkflowTask[Any], form: dict[str, Any], first: tuple[str, ...]) -> None:
        """Add the arguments of a call; as a text, which nobody can read back, if JSON does not have them."""
        args, kwargs = (*first, *task.args), task.kwargs
        if not args and not kwargs:
            return
        try:
            if args and kwargs:
                args, kwargs = (), by_name(task.task, task.args, kwargs)
            places = set[str]() if is_command(task.task) else {*self.parameters, *task.parameters}
            given = plain_argument(kwargs or list(args), places)
            if any(check_arguments(given)):
                raise Inexact("numbers and depths that JSON does not have")
            form["arguments"] = given
        except Inexact as error:
            shown = [*map(value_stand_in, args), *(f"{name}={value_stand_in(value)}" for name, value in kwargs.items())]
            form["arguments"] = f"({', '.join(shown)})"
            self._inexact(task, f"is called with {form['arguments']}, and a document cannot say {error}")

    def _options(
        self, task: WorkflowTask[Any], form: dict[str, Any], given: Mapping[str, Any], own: Mapping[str, Any]
    ) -> None:
        """Add the options that a task has besides its own."""
        for option, value in given.items():
            if option == "name" or (option in own and same(value, own[option])):
                continue
            shown = value.total_seconds() if isinstance(value, timedelta) else value
            exact = option in (*OPTIONS, *CALLS) and not any(TASK[option](shown))
            if option in OPTIONS or exact:
                form[option] = shown if exact else value_stand_in(shown)
            if not exact:
                self._inexact(task, f"has the option {option}={value_stand_in(value)}, which a document cannot say")


def same(one: object, other: object) -> bool:
    """Return True if two values of an option are the same, whatever they are."""
    return one is other or (type(one) is type(other) and isinstance(one, str | int | float | dict) and one == other)


def by_name(task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with their names. Raises `Inexact` for those that have none."""
    parameters = shown_parameters(task.fn)[: len(args)]
    if len(parameters) < len(args) or any(each.kind is not each.POSITIONAL_OR_KEYWORD for each in parameters):
        raise Inexact("arguments both by position and by name")
    return {**{each.name: value for each, value in zip(parameters, args, strict=True)}, **kwargs}


def plain_argument(value: Any, parameters: Collection[str]) -> Any:
    """Return an argument as JSON has it. Raises `Inexact`, also for texts which stand for parameters there."""
    kind = type(value)
    if kind is WorkflowTask:
        return {VALUE_OF: value.name}
    if kind is Parameter:
        return f"{{{{{value.name}}}}}"
    if kind is Secret and value.get is None:
        return secret_form(value)
    if kind is list:
        return [plain_argument(each, parameters) for each in value]
    if kind is dict:
        if VALUE_OF in value or SECRET in value or not all(isinstance(key, str) for key in value):
            raise Inexact(f"an object with the keys {value_stand_in(list(value))}")
        return {key: plain_argument(each, parameters) for key, each in value.items()}
    if kind is str and bare_parameter(value) != value and bare_parameter(value) in parameters:
        raise Inexact(f"the text {value!r}, which stands for a parameter")
    if value is None or kind in {str, int, float, bool}:
        return value
    raise Inexact(f"a value of the type {kind.__name__}")


def document_argument(value: object) -> Any:
    """Return what a document has of an argument, a variable or a stdin of a command."""
    return secret_form(value) if type(value) is Secret else value


def value_stand_in(value: object) -> str:
    """Return what stands for a value, the same in every process as far as its class has it."""
    try:
        text = ADDRESS.sub("", repr(value))
    except Exception:  # noqa: BLE001 - of a class that somebody wrote
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
