"""Values of parameters: which a task uses, what its nodes are called, and how they come into arguments and commands."""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from aiodag._core.options import TaskOptions
from aiodag._core.task import Task
from aiodag.errors import OptionError
from aiodag.secret import Secret
from aiodag.wording import is_utf8
from aiodag.workflows.model import KEEP, Parameter, WorkflowTask, replace_leaves

if TYPE_CHECKING:
    from aiodag.workflows.definition import Definition
    from aiodag.workflows.model import Value

Given = Mapping[str, Any]
Choice = Mapping[str, "Value"]
PLACE = re.compile(r"\{\{([^{}]*)\}\}")
PLAIN_TEXT = re.compile(r'[^\s,=\[\]"\\]+')
VALUES = (str, int, float, bool)
CLOSE = 0.75  # of `get_close_matches`
SHORT = 0.66  # the same for names of three letters: two that agree, so that {{DYA}} is found where DAY is meant
LONGEST = 200  # characters of a name that is compared with others: it takes the square of the time


def declared_parameters(workflow: "Definition", task: WorkflowTask[Any]) -> Given:
    """Return the parameters that a task could use: those of the workflow, then its own; its own come before others."""
    if not task.parameters and not workflow.given:
        return workflow.parameters
    merged = {**workflow.parameters, **task.parameters}
    return {name: workflow.given.get(name, values) for name, values in merged.items()}


def is_command(task: Task[..., Any]) -> bool:
    """Return True if a task is a command: its body can be given with other texts."""
    return hasattr(type(task), "with_body")


def options_of(task: Task[..., Any]) -> TaskOptions:
    """Return the options of a task but for its name and version, without making one of many alike a whole."""
    pattern: Task[..., Any] = getattr(task, "pattern", task)
    return pattern.options


def places(task: WorkflowTask[Any]) -> set[str]:
    """Return what stands between `{{` and `}}` in a command and its arguments."""
    if not is_command(task.task):
        return set()
    found: set[str] = set()

    def look(text: object) -> Any:
        if type(text) is Secret:
            text.rename_with(look)
        elif type(text) is str:
            found.update(PLACE.findall(text))
        return text

    body: Any = task.task.fn
    body.change_texts(look)
    replace_leaves((task.args, task.kwargs), look)
    return found


def unused_parameters(workflow: "Definition") -> list[str]:
    """Return the parameters of a workflow that no task uses; none where a generator may give one that does."""
    left = dict.fromkeys(workflow.parameters)
    for task in workflow.tasks:
        if not left or task.generator:
            return []
        for name in {*places(task), *task.used}.intersection(left).difference(task.parameters):
            del left[name]
    return list(left)


def standing_bare(workflow: "Definition") -> Iterator[tuple[WorkflowTask[Any], str]]:
    """Yield parameters that no task uses and that are words of a command, with its task: a place was meant."""
    for name in unused_parameters(workflow):
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        for task in workflow.tasks:
            if is_command(task.task) and any(map(word.search, texts_of(task))):
                yield task, name
                break


def texts_of(task: WorkflowTask[Any]) -> list[str]:
    """Return the texts in a command and its arguments, without the places in them."""
    found: list[str] = []

    def look(text: object) -> Any:
        if type(text) is str:
            found.append(PLACE.sub("", text))
        return text

    body: Any = task.task.fn
    body.change_texts(look)
    replace_leaves((task.args, task.kwargs), look)
    return found


def fold(name: str) -> str:
    """Return what a name has in common with others that only differ in spaces at the ends and in capitals."""
    return name.strip().casefold()


def nearest_parameter(name: str, known: Given) -> str | None:
    """Return the parameter that was meant by a name with some other letters, if any was."""
    cutoff = SHORT if len(name) == 3 else CLOSE
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), None) if len(name) <= LONGEST else None


def command_text(value: "Value") -> str:
    """Return a value as a command gets it: numbers, true and false as in JSON."""
    if isinstance(value, str):
        return value
    return repr(value) if type(value) is int else json.dumps(value)


def is_parameter_value(value: object) -> bool:
    """Return True if a parameter can have a value: text that a program and a store can be given, a number, true or false."""
    if isinstance(value, str):
        return "\0" not in value and is_utf8(value)
    return isinstance(value, VALUES) and (not isinstance(value, float) or math.isfinite(value))


def name_with(name: str, choice: Choice) -> str:
    """Return the name of a node: its task's, with parameters and values. No two nodes get the same.

    >>> name_with("pull", {"DAY": "d1", "TEXT": "a, b"})
    'pull[DAY=d1,TEXT="a, b"]'
    """
    return f"{name}[{','.join(f'{quote_for_name(key)}={quote_for_name(command_text(value))}' for key, value in choice.items())}]"


def quote_for_name(text: str) -> str:
    """Return a text as it stands in a name: in quotes if it could be taken for something else."""
    return text if PLAIN_TEXT.fullmatch(text) and text.isprintable() else json.dumps(text, ensure_ascii=False)


def whole_command(task: Task[..., Any], choice: Choice, name: str) -> Task[..., Any]:
    """Return a command with values in its places, if it has such, under the name of its node then."""
    command: Any = task
    if choice:
        return command.with_body(command.fn.change_texts(changer(choice)), name=name)  # type: ignore[no-any-return]  # a task
    return command.whole()  # type: ignore[no-any-return]  # as above


def changer(choice: Choice) -> Callable[[str], str]:
    """Return what puts values into a text; in one go, so that nothing in a value is taken for a place."""
    texts = {name: command_text(value) for name, value in choice.items()}

    def change(text: str) -> str:
        return PLACE.sub(lambda place: texts.get(place[1], place[0]), text) if "{{" in text else text

    return change


def fill_argument(value: Any, choice: Choice, *, texts: bool, stands_for: Callable[[WorkflowTask[Any]], Any]) -> Any:
    """Return an argument with values in place of parameters and tasks; for a command, in its texts, too."""
    if type(value) is Parameter:  # quickly: of many nodes it is all there is
        return choice[value.name]
    change = changer(choice) if texts else None

    def leaf(each: Any) -> Any:
        kind = type(each)
        if kind is WorkflowTask:
            return stands_for(each)
        if kind is Parameter:
            return choice[each.name]
        if change is not None and kind is Secret:
            return each.rename_with(change)
        return change(each) if change is not None and kind is str else KEEP

    return replace_leaves(value, leaf)


# What a program cannot be given is found before anything runs, and not by making each instance.


class Shown:
    """Stands for the value of a task that no program can be given, in messages."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def doubtful(names: Collection[str], known: Given) -> Iterator[Choice]:
    """Yield some combinations of values, so that a command takes all if it takes these.

    A text is refused for a character in it, whatever stands next to it, or because nothing is in it: the shortest values
    come together, and each that is not plain text or a number once.
    """
    if not all(len(known[name]) for name in names):
        return
    shortest: Choice = {name: min(known[name], key=lambda value: len(command_text(value))) for name in names}
    yield shortest
    for name in names:
        for value in known[name]:
            if not is_plain_parameter(value):
                yield {**shortest, name: value}


def is_plain_parameter(value: "Value") -> bool:
    """Return True if every program takes a value."""
    return value.isascii() and value.isprintable() if isinstance(value, str) else not isinstance(value, bool)


def is_simple(argument: Any) -> bool:
    """Return True if it is quickly seen that a program takes an argument; others need a closer look."""
    kind = type(argument)
    return is_plain_parameter(argument) if kind is str else kind is int or kind is float


def misfit(task: WorkflowTask[Any], choice: Choice, stands_for: Callable[[WorkflowTask[Any]], Any]) -> str:
    """Return what in a command and the arguments of its call no program can take; nothing if it can take all."""
    command: Any = task.task
    try:
        if choice:
            command.fn.change_texts(changer(choice))
        args = [fill_argument(each, choice, texts=bool(choice), stands_for=stands_for) for each in task.args]
        kwargs = {
            key: fill_argument(each, choice, texts=bool(choice), stands_for=stands_for)
            for key, each in task.kwargs.items()
        }
        command.fn.check_call(args, kwargs)
    except OptionError as error:
        return str(error)
    return ""
