"""Values for the parameters of workflows, as they were typed or given by a program."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeAlias

from aiodag.errors import EntryError
from aiodag.service.binding import only_one_of, pairs_of
from aiodag.service.conversion import convert_text
from aiodag.workflows.parameters import command_text
from aiodag.workflows.params import Param
from aiodag.workflows.workflow import Workflow

Given: TypeAlias = Sequence[str] | Mapping[str, Any]


def with_parameters(workflow: Workflow, given: Given) -> Workflow:
    """Return a workflow with values of its parameters: as name=value was typed, or by names. Raises for those that do not fit.

    Of a workflow of jobs each is checked, and kept as it was given: what is missing is told when it is to run. Of one of tasks
    they take the place of the declared values.
    """
    if not given:
        return workflow
    if workflow.jobs is not None:
        values: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {**only_one_of(pairs_of(given))}
    else:
        there = declared_values(workflow)
        pairs = given if isinstance(given, Mapping) else pairs_of(given)
        values = {name: values_of(workflow.name, name, each, there) for name, each in pairs.items()}
    made = workflow.but(parameters=values)
    made.entry = {**(workflow.entry or {}), "parameters": values}
    return made


def declared_values(workflow: Workflow) -> dict[str, list[Any]]:
    """Return all values that a workflow and its tasks declare, by the names of parameters."""
    found = {name: list(values) for name, values in workflow.parameters.items()}
    for task in workflow.tasks:
        for name, values in task.parameters.items():
            found.setdefault(name, []).extend(values)
    return found


def values_of(workflow: str, name: str, given: object, there: Mapping[str, list[Any]]) -> list[Any]:
    """Return the values of one parameter of a workflow: texts as they are, the elements of a list in JSON, and all that a list has."""
    if name not in there:
        near = get_close_matches(name, list(there), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        msg = f"workflow {workflow!r} has no parameter {name!r}; {hint}it has {', '.join(there) or 'none'}"
        raise EntryError(msg)
    kinds = {type(each) for each in there[name]}
    found: list[Any] = []
    for each in given if isinstance(given, list) else [given]:
        listed = list_in(each) if isinstance(each, str) else None
        found += [like(kinds, name, each)] if listed is None else [text_like(kinds, one) for one in listed]
    return found


def list_in(text: str) -> list[Any] | None:
    """Return the list that a text is in JSON; None if it is none."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def text_like(kinds: set[Any], value: object) -> Any:
    """Return an element of a list in JSON as it is written there, where the declared values are texts."""
    return value if isinstance(value, str) or kinds != {str} else json.dumps(value)


def like(kinds: set[Any], name: str, value: object) -> Any:
    """Return a value of the type that the declared ones have, if they are all numbers, or all true or false."""
    if not isinstance(value, str) or len(kinds) != 1 or kinds & {str}:
        return value
    kind = next(iter(kinds))
    try:
        return convert_text(value, kind)
    except (ValueError, ArithmeticError, TypeError) as error:
        msg = f"parameter {name}={value!r} is not {kind.__name__}, as those that are declared: {error}"
        raise EntryError(msg) from None


def parameters_of_workflow(workflow: Workflow) -> dict[str, str]:
    """Return the parameters of a workflow, each with what it takes, as people read it."""
    if workflow.jobs is not None:
        return {name: param_shown(each) for name, each in workflow.jobs.params.items()}
    return {
        name: f"one of {', '.join(map(command_text, values))}" for name, values in declared_values(workflow).items()
    }


def param_shown(param: Param) -> str:
    """Return what a param takes.

    >>> param_shown(Param("day", "date")), param_shown(Param("n", "int", required=False, default=3, description="how many"))
    ('date, required', 'int, default 3: how many')
    """
    options = f" of {', '.join(map(str, param.options))}" if param.options else ""
    usual = "required" if param.required else f"default {param.default!r}" if param.default is not None else "optional"
    if isinstance(param.default, date):
        usual = f"default {param.default.isoformat()}"
    return f"{param.type}{options}, {usual}{f': {param.description}' if param.description else ''}"
