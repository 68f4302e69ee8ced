"""What a document of a workflow may hold: each key, and what its value must be. `schema.json` says the same."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from aiodag._core.rules import NAMES
from aiodag.workflows.files.json import DEEPEST, Fault, cut
from aiodag.workflows.files.shapes import (
    describe_value,
    is_amount,
    is_argument,
    is_code,
    is_document_text,
    is_document_value,
    is_line,
    is_name,
    is_number,
    is_plain_line,
    is_positive,
    is_seconds,
    is_stdin,
    is_variable,
    is_whole,
)
from aiodag.workflows.machines import check_named_forms
from aiodag.workflows.parameters import command_text
from aiodag.workflows.private import SECRET, WANTED, is_secret

Check = Callable[[Any], Iterable[Fault]]  # what is wrong with a value, with paths from that value on
Test = Callable[[Any], bool]

VALUE_OF = "$value_of"  # the key of an object that stands for the value of a task, among arguments

PLAIN = frozenset({str, int, bool, type(None)})

# What people who know other programs write.
WORDS = {
    "after": "parents",
    "args": "arguments",
    "cmd": "command",
    "dependencies": "parents",
    "depends_on": "parents",
    "dir": "cwd",
    "env": "environment",
    "function": "task",
    "group": "class",
    "max_retries": "retries",
    "needs": "parents",
    "script": "shell",
    "run_if": "trigger_rule",
    "skip_on_exit_code": "skip_codes",
    "trigger": "trigger_rule",
    "upstream": "parents",
    "downstream": "children",
}


def one(test: Test, wanted: str) -> Check:
    """Check a single value."""

    def check(value: object) -> Iterable[Fault]:
        return () if test(value) else [((), f"takes {wanted}; this is {describe_value(value)}")]

    return check


def check_hidden(test: Test, wanted: str) -> Check:
    """Check a single value that no message shows, since it may be a secret."""

    def check(value: object) -> Iterable[Fault]:
        what = "text that cannot be" if isinstance(value, str) else describe_value(value)
        return () if test(value) else [((), f"takes {wanted}; this is {what}")]

    return check


def each(test: Test, wanted: str, *, least: int = 0) -> Check:
    """Check a list."""

    def check(value: object) -> Iterator[Fault]:
        if not isinstance(value, list) or len(value) < least:
            yield (), f"takes a list{' that is not empty' * least} of {wanted}; this is {told_size(value)}"
            return
        for place, element in enumerate(value):
            if not test(element):
                yield (place,), f"takes {wanted}; this is {describe_value(element)}"

    return check


def every(name: Test, names: str, test: Test, wanted: str, single: Callable[[Test, str], Check] = one) -> Check:
    """Check an object whose keys are free."""

    def check(value: object) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield (), f"takes an object of {names} and {wanted}; this is {describe_value(value)}"
            return
        for key, element in value.items():
            if not name(key):
                yield (cut(str(key)),), f"is a key that cannot be: keys here are {names}"
            else:
                yield from (((key,), fault) for _, fault in check_single(element))

    check_single = single(test, wanted)
    return check


def told_size(value: object) -> str:
    """Return the type of a value, and of a list whether it is empty."""
    return "an empty list" if value == [] else describe_value(value)


def check_command(value: Any) -> Iterable[Fault]:
    """Check an argument list."""
    return () if is_plain_line(value) and value and value[0] else faults_of_command(value)


def faults_of_command(value: object) -> Iterator[Fault]:
    """Yield what is wrong with an argument list."""
    if isinstance(value, str) and value:
        text = cut(f'write {json.dumps(value.split())}, or "shell": {json.dumps(value)}')
        yield (), f"takes a list of a program and its arguments; this is {describe_value(value)}: {text}"
        return
    yield from each(lambda given: is_argument(given) or is_secret(given), "text without NUL, or numbers", least=1)(
        value
    )
    if isinstance(value, list) and value and (value[0] == "" or not isinstance(value[0], str)):
        yield (0,), f"takes the name or the path of a program; this is {describe_value(value[0])}"


def check_arguments(value: object) -> Iterator[Fault]:
    """Check the arguments of a call: anything that JSON has, not too deep."""
    if not isinstance(value, dict | list):
        yield (), f"takes a list of arguments, or an object of their names and values; this is {describe_value(value)}"
        return
    open_ones: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while open_ones:
        path, container = open_ones.pop()
        if len(path) > DEEPEST:
            yield path, f"is nested deeper than {DEEPEST} levels"
            return
        is_object = isinstance(container, dict)
        members: Iterable[tuple[Any, Any]] = container.items() if is_object else enumerate(container)
        for key, element in members:
            if not is_object and type(element) in PLAIN:
                continue  # quickly: there may be millions
            if is_object and not isinstance(key, str):
                yield path, f"has the key {cut(repr(key))}, and keys are text"
            elif key == SECRET and not is_secret(container):
                yield path, f'takes {WANTED}, and a "file" next to it if that has the secret'
            elif key == VALUE_OF and not (is_name(element) and len(container) == 1):
                yield (*path, key), f"takes the name of a task, alone in its object; this is {describe_value(element)}"
            elif isinstance(element, dict | list):
                open_ones.append(((*path, key), element))
            elif not (element is None or isinstance(element, str | int) or is_number(element)):
                yield (*path, key), f"takes what JSON has; this is {describe_value(element)}"


def check_parameters(name_in: Callable[[str], str]) -> Check:
    """Check parameters: texts, in which `name_in` finds the names, and lists of values."""

    def check(value: object) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield (
                (),
                f'takes an object of names and lists, such as {{"DATE": ["d1", "d2"]}}; this is {describe_value(value)}',
            )
            return
        seen: dict[str, str] = {}
        for key, values in value.items():
            if not (is_name(key) and is_name(name := name_in(key))) or set(name) & set("{}"):
                text = "cannot name a parameter: names are text without braces, such as DATE, or {{DATE}}"
                yield (cut(str(key)),), text
                continue
            if name in seen:
                yield (key,), f"is given twice, as {seen[name]} and as {key}"
            seen[name] = key
            for path, fault in check_values(values):
                yield (key, *path), fault

    return check


def check_values(values: Any) -> Iterator[Fault]:
    """Check the values of a parameter."""
    wrong = tuple(each(is_document_value, "text, numbers, true or false")(values))
    yield from wrong
    right: list[Any] = [] if wrong else values
    seen: dict[str, int] = {}
    for place, text in enumerate(map(command_text, right)):
        if text in seen:
            yield (place,), f"is {cut(text)!r}, as [{seen[text]}] is: a value is there once"
        seen[text] = place


def bare_parameter(name: str) -> str:
    """Return the name of a parameter without the braces of its template."""
    return name[2:-2] if name.startswith("{{") and name.endswith("}}") else name


def parameters_of(values: Mapping[str, Any], name_in: Callable[[str], str] = bare_parameter) -> dict[str, list[Any]]:
    """Return the parameters in an object that has been checked."""
    return {name_in(name): each for name, each in values.get("parameters", {}).items()}


def check_tags(value: object) -> Iterable[Fault]:
    """Check tags: an object, or a list of those that have no value."""
    if isinstance(value, list):
        return each(is_document_text, "text")(value)
    return every(is_document_text, "text", is_document_text, "text")(value)


def tags_in(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags in an object that has been checked."""
    given = values.get("tags", {})
    return dict.fromkeys(given, "") if isinstance(given, list) else given


def check_capacity(value: object) -> Iterator[Fault]:
    """Check a capacity: one place, or several."""
    if not isinstance(value, list):
        yield from amounts(value)
        return
    if not value:
        yield (), "takes at least one place; this is an empty list"
    for place, element in enumerate(value):
        for path, fault in amounts(element):
            yield (place, *path), fault


def check_hooks(value: object) -> Iterator[Fault]:
    """Check that hooks are an object, or a list of them. What is in them is looked at when they are made."""
    for place, form in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(form, dict):
            path = (place,) if isinstance(value, list) else ()
            yield (
                path,
                f'takes an object, such as {{"url": "https://..."}}, or a list of them; this is {describe_value(form)}',
            )


amounts = every(is_name, "names of resources", is_amount, "numbers above 0, a millionth or more")
parameters = check_parameters(bare_parameter)
count = one(is_whole, "a whole number, 0 or more")
seconds = one(is_seconds, "seconds, 0 or more")
name = one(is_name, "text that is not empty, without control characters and half surrogates")
flag = one(lambda value: isinstance(value, bool), "true or false")
text = one(is_document_text, "text without NUL and half surrogates")
names = each(is_name, "names of tasks or classes")
names_of_parameters = each(is_name, "names of parameters")

# Of a task, by what it is: a program, a line for a shell, a function.
KINDS = ("command", "shell", "task")
OPTIONS = ("retries", "lost_retries", "backoff", "timeout", "priority", "version", "resources")
CALLS = ("executor",)  # options of functions alone
CODES = "exit codes from 0 to 255, or -15 for signal 15"
PROGRAM: dict[str, Check] = {
    "environment": every(
        is_variable,
        "names of variables, without '='",
        lambda value: value is None or is_argument(value) or is_secret(value),
        "text without NUL, a number, or null, which takes the variable away",
        check_hidden,
    ),
    "cwd": one(is_line, "the path of a directory"),
    "stdin": check_hidden(is_stdin, 'text, or {"file": "the path of a file"}'),
    "success": each(is_code, CODES, least=1),
    "skip_codes": each(is_code, CODES),
    "grace": seconds,
    "keep": count,
    "host": one(is_name, 'the name of a host, such as one of "hosts"'),
}
SCRIPT: dict[str, Check] = {  # of a line for a shell alone
    "executable": one(is_line, "the path of a shell"),
    "strict": flag,
}
TASK: dict[str, Check] = {
    "command": check_command,
    "shell": one(is_line, "a line for a shell"),
    "task": one(is_line, 'a function, such as "file.py:function" or "module:function"'),
    **PROGRAM,
    **SCRIPT,
    "arguments": check_arguments,
    "parents": names,
    "children": names,
    "executor": one(is_name, 'the name of an executor, such as one of "executors"'),
    "retries": count,
    "lost_retries": count,
    "backoff": seconds,
    "timeout": one(is_positive, "seconds above 0"),
    "priority": one(lambda value: type(value) is int, "a whole number, also below 0"),
    "version": one(lambda value: is_document_text(value) or is_whole(value), "text or a whole number"),
    "parameters": parameters,
    "resources": amounts,
    "generator": flag,
    "trigger_rule": one(lambda value: isinstance(value, str) and value in NAMES, f"one of {', '.join(NAMES)}"),
    "class": name,
    "description": text,
}
ITEM: dict[str, Check] = {
    **TASK,
    "id": name,
    "name": name,
}
MACHINES: dict[str, Check] = {  # where tasks run
    "hosts": check_named_forms("hosts"),
    "default_host": TASK["host"],
    "executors": check_named_forms("executors"),
    "executor": TASK["executor"],
}
WORKFLOW: dict[str, Check] = {
    "$schema": one(lambda value: isinstance(value, str), "the address of the schema"),
    "name": name,
    "description": text,
    "tags": check_tags,
    "parameters": parameters,
    "paired": each(
        lambda value: is_name(value) or (isinstance(value, list) and value != [] and all(map(is_name, value))),
        "names of parameters, or lists of such that walk together",
    ),
    "unused": names_of_parameters,
    "literals": every(is_document_text, "texts", is_name, "names of parameters"),
    "capacity": check_capacity,
    "limit": one(lambda value: is_whole(value) and value > 0, "a whole number, 1 or more"),
    "on_start": check_hooks,
    "on_success": check_hooks,
    "on_failure": check_hooks,
    **MACHINES,
    "tasks": one(lambda value: isinstance(value, dict | list), "an object or a list of tasks"),
}
FRAGMENT = {key: WORKFLOW[key] for key in ("$schema", "description", "parameters", "tasks")}


class Hints:
    """Return what may have been meant, for as many unknown names as it is cheap to compare with all known ones."""

    def __init__(self, comparisons: int = 50_000) -> None:
        self.left = comparisons

    def near(self, wrong: str, *known: Collection[str]) -> str:
        """Return `; did you mean 'this'?`, or nothing."""
        self.left -= sum(map(len, known))
        if self.left < 0 or len(wrong) > 1000:
            return ""
        choices = [each for names in known for each in names]
        found = [WORDS[wrong]] if WORDS.get(wrong) in choices else get_close_matches(wrong, choices, n=1)
        return f"; did you mean {found[0]!r}?" if found else ""


def check_object(
    value: object, checks: Mapping[str, Check], hints: Hints, faults: list[Fault], path: tuple[Any, ...]
) -> Mapping[str, Any]:
    """Check an object, key by key; add to the faults, and return what is right."""
    if not isinstance(value, dict):
        faults.append((path, f"takes an object; this is {describe_value(value)}"))
        return {}
    unfit: set[Any] = set()
    for key, given in value.items():
        check = checks.get(key)
        if check is None:
            listed = f". The keys here are {', '.join(checks)}" if len(value) <= 2 * len(checks) else ""
            text = f"is a key that is not known here{hints.near(str(key), checks) or listed}"
            wrong: Iterable[Fault] = [((), text)]
        else:
            wrong = tuple(check(given))
        if wrong:
            faults.extend(((*path, str(key), *inner), fault) for inner, fault in wrong)
            unfit.add(key)
    return {key: given for key, given in value.items() if key not in unfit} if unfit else value
