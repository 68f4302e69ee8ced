"""Find the task or the workflow of an entry in its file, and bind its arguments to what people typed."""

import inspect
import os
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from inspect import Parameter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiodag._core.arity import real_signature, shown_parameters, shown_signature, signature_text
from aiodag._core.node import Node
from aiodag._core.task import Task
from aiodag.errors import EntryError
from aiodag.names import import_file
from aiodag.secret import Secret
from aiodag.service.conversion import convert_text
from aiodag.service.entry import Entry, parse_target
from aiodag.service.folders import folders_of_definitions
from aiodag.workflows.files.load import load as load_workflow
from aiodag.workflows.files.sources import is_workflow_file
from aiodag.workflows.workflow import Workflow


def in_file(target: str) -> tuple[str, str]:
    """Return the path of a file, and which of its names is meant. Raises `EntryError`, with the candidates."""
    file, name = parse_target(target)
    if is_workflow_file(file):
        return str(Path(file).absolute()), name or ""  # not resolved: a link may have a better name for a workflow
    module = import_file(file)
    name = name or only_one(file, module)
    find(file, module, name)
    return str(Path(file).resolve()), name


def entry_of(target: str, given: Sequence[str] = ()) -> Entry:
    """Return the entry that people typed: FILE.py[:TASK] and name=value for each parameter of a task.

    Raises `EntryError`, with the candidates, for a file without that task, and for parameters that do not fit.
    """
    file, name = in_file(target)
    entry = Entry(file, name, only_one_of(pairs_of(given)))
    bind(entry, load_entry(entry))
    return entry


def pairs_of(given: Sequence[str]) -> dict[str, list[str]]:
    """Return what was typed as name=value: each name with all its values. Raises `EntryError`."""
    values: dict[str, list[str]] = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator:
            msg = f"parameter {each!r}: write name=value"
            raise EntryError(msg)
        values.setdefault(name, []).append(value)
    return values


def only_one_of(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the value of each parameter of a task. Raises `EntryError` where there are two."""
    for name, each in values.items():
        if len(each) > 1:
            msg = f"parameter {name!r} is given twice: {each[0]!r} and {each[1]!r}"
            raise EntryError(msg)
    return {name: each[0] for name, each in values.items()}


def candidates(module: types.ModuleType) -> list[str]:
    """Return the workflows, the tasks and the coroutine functions that a file defines."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, Workflow)
        or (
            getattr(value, "__module__", None) == module.__name__
            and (isinstance(value, Task) or (inspect.iscoroutinefunction(value) and not name.startswith("_")))
        )
    ]


def only_one(file: str, module: types.ModuleType) -> str:
    """Return what is meant in a file when nobody said it: `main`, the only workflow, or the only one there is."""
    names = candidates(module)
    if "main" in names:
        return "main"
    workflows = [name for name in names if isinstance(getattr(module, name), Workflow)]
    for found in (workflows, names):
        if len(found) == 1:
            return found[0]
    msg = f"{file} has {', '.join(names) or 'no task'}: " + (
        f"say which, such as {file}:{names[0]}" if names else "decorate an async function with @task"
    )
    raise EntryError(msg)


def find(file: str, module: types.ModuleType, name: str) -> Any:
    """Return a workflow, a task or a coroutine function. Raises `EntryError` that lists what there is."""
    found = getattr(module, name, None)
    if isinstance(found, Workflow | Task) or inspect.iscoroutinefunction(found):
        return found
    names = candidates(module)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    msg = f"{file} has no task {name!r}; {hint}it has {', '.join(names) or 'none'}"
    raise EntryError(msg)


def load_entry(entry: Entry, capacity: Mapping[str, float] | None = None) -> Any:
    """Return the workflow, the task or the function of an entry. Raises `EntryError` when its code is gone."""
    if is_workflow_file(entry.file):
        return load_workflow(entry.file, name=entry.task or None, capacity=capacity, folders=folders_of_definitions())
    return find(entry.file, import_file(entry.file), entry.task)


def bind(entry: Entry, found: object) -> dict[str, Any]:
    """Return the arguments of an entry, converted as its annotations say. Raises `EntryError`."""
    fn = found.fn if isinstance(found, Task) else found
    check_names(entry, fn)
    hints, secrets = hints_of(fn), secret_parameters(fn)
    arguments: dict[str, Any] = {}
    for name, value in entry.parameters.items():
        if isinstance(value, str) and name in secrets:
            arguments[name] = secret_named(name, value)
            continue
        try:
            arguments[name] = converted(name, value, hints.get(name, Any))
        except (ValueError, ArithmeticError, TypeError) as error:
            wanted = inspect.formatannotation(hints.get(name, Any))
            msg = f"parameter {name}={value!r} of {entry.task} is not {wanted}: {error}"
            raise EntryError(msg) from None
    return arguments


def converted(name: str, value: object, hint: Any) -> Any:
    """Return a parameter as its annotation says: of a text, and of a JSON object that stands for one of a class."""
    if isinstance(value, str):
        return convert_text(value, hint)
    if isinstance(value, dict) and isinstance(hint, type) and not issubclass(hint, Mapping) and hint is not object:
        from aiodag.messages.fitting import fitter_of  # noqa: PLC0415 - slow to load, and few parameters are of a class

        return fitter_of(hint)(value, name)
    return value


def check_names(entry: Entry, fn: object) -> None:
    """Refuse parameters that no function has, or too few of them. Raises `EntryError`."""
    shown = {each.name: each for each in shown_parameters(fn)}
    signature = real_signature(fn)
    if signature is None:
        return
    try:
        signature.bind(**entry.parameters)
        # A decorator takes whatever comes; a name that what is below it does not have either is a mistake.
        variable = {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
        known = shown.keys() | {each.name for each in signature.parameters.values() if each.kind not in variable}
        if not any(each.kind is each.VAR_KEYWORD for each in shown.values()):
            for name in entry.parameters.keys() - known:
                raise TypeError(f"got an unexpected keyword argument {name!r}")
    except TypeError as error:
        text = signature_text(shown_signature(fn)) if shown else signature
        msg = f"{entry.task}{text}: {error}. Parameters are given as -p name=value"
        raise EntryError(msg) from None


def parameters_shown(found: object) -> dict[str, str]:
    """Return the parameters of a task or a function, each with its type and its default, as people read them."""
    shown: dict[str, str] = {}
    fn = found.fn if isinstance(found, Task) else found
    for each in shown_parameters(fn):
        if each.kind in {each.VAR_POSITIONAL, each.VAR_KEYWORD}:
            continue
        kind = "" if each.annotation is each.empty else inspect.formatannotation(each.annotation)
        default = "required" if each.default is each.empty else f"default {each.default!r}"
        shown[each.name] = ", ".join(filter(None, [kind, default]))
    return shown


def hints_of(fn: Any) -> dict[str, Any]:
    """Return the annotations of a function that can be read: some may exist for type checkers alone."""
    with suppress(Exception):
        return typing.get_type_hints(fn, include_extras=True)
    names = getattr(inspect.unwrap(fn), "__globals__", {})
    hints: dict[str, Any] = {}
    for each in shown_parameters(fn):
        if each.annotation is each.empty:
            continue
        with suppress(Exception):
            alone = SimpleNamespace(__annotations__={each.name: each.annotation})
            hints.update(typing.get_type_hints(alone, names, include_extras=True))
    return hints


def secret_parameters(fn: Any) -> set[str]:
    """Return the names of the parameters that are secrets."""
    hints = hints_of(fn)
    return {each.name for each in shown_parameters(fn) if declares_secret(each, hints.get(each.name))}


def refuse_unlisted_secrets(entry: Entry, given: Mapping[str, Any], listed: Sequence[str]) -> None:
    """Refuse secrets that somebody names from elsewhere, but for variables that are listed. Raises `EntryError`.

    Here a secret may be any variable, or any file: whoever chooses those of another machine could read what nobody has shown them.
    """
    found = load_entry(entry)
    secrets = (
        set() if isinstance(found, Workflow) else secret_parameters(found.fn if isinstance(found, Task) else found)
    )
    for name in sorted(secrets & given.keys()):
        if given[name] not in listed:
            msg = f"parameter {name} is a secret: over HTTP it takes the name of a variable that this server lists, and --env lists {', '.join(listed) or 'none'}"
            raise EntryError(msg)


def declares_secret(parameter: Parameter, hint: object) -> bool:
    """Return True for a parameter with the annotation `Secret` or `Annotated[str, Secret]`, or with a secret as default."""
    if type(parameter.default) is Secret:
        return True
    if hint is None:  # it cannot be read, and what it says must not be lost
        return "Secret" in str(parameter.annotation)
    parts = [part for each in (hint, *typing.get_args(hint)) for part in (each, *typing.get_args(each))]
    return any(part is Secret or type(part) is Secret for part in parts)


def secret_named(name: str, text: str) -> Secret:
    """Return the secret that a parameter is given: by a variable of the environment, or @FILE. Raises `EntryError`.

    Never by its text: what is typed is recorded, and stands in the shell's history and in the system's list of processes.
    """
    if text in os.environ:
        return Secret(text)
    if text.startswith("@") and os.path.isfile(text[1:]):  # noqa: PTH113 - raises for nothing
        return Secret(name, file=os.path.abspath(text[1:]))  # noqa: PTH100 - of a text
    msg = (
        f"parameter {name} is a secret, and what it is given names no variable of the environment and no file. Write "
        f"-p {name}=NAME with the variable that has its text, or -p {name}=@FILE; the text itself is never typed"
    )
    raise EntryError(msg)


def call(entry: Entry, found: object) -> Node[Any]:
    """Make the node of an entry in the run that is entered here.

    It is not recalled, for an entry runs at every execution: what it calls is.
    """
    made = as_task(found)
    node: Node[Any] = made(**bind(entry, found))
    node.code, node.instruction = made.code, 0  # it was called by its name: its place is where it is written
    return node


def as_task(found: Any) -> Any:
    """Return what was found as a task that always runs."""
    return entered_task(found) if isinstance(found, types.FunctionType | Task) else make_entered(found)


def make_entered(found: Any) -> Any:
    """Make the task that stands for an entry."""
    made = found if isinstance(found, Task) else Task(found)
    return made.with_options(journal=False)


entered_task = lru_cache(maxsize=64)(make_entered)  # a worker enters the same few again and again
