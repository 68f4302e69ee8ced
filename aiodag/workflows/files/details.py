"""Tasks with `details`, as DaggyR writes them: its names of keys, its parameters as texts, and what they are here.

A file in which a task has `details` is in DaggyR's form, and so is the output of a generator. In that form the key of a
parameter is a text, and it is replaced wherever it stands in a command or a variable. Reading turns it into a place:

    "DATE": ["d1", "d2"]   and   ["echo", "x-DATE"]   become   "DATE"   and   ["echo", "x-{{DATE}}"]
"""

import getpass
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from aiodag.workflows.files.forms import (
    PROGRAM,
    TASK,
    WORKFLOW,
    Check,
    Hints,
    check_hidden,
    check_object,
    check_parameters,
    count,
    every,
    flag,
    one,
    seconds,
)
from aiodag.workflows.files.json import Fault, Path, cut
from aiodag.workflows.files.shapes import describe_value, is_amount, is_line, is_name

HERE = ("local", "default")  # pools of a server that stand for this machine
NOTHING = ["true"]  # what a structural task runs

# What they call keys of ours.
OURS = {
    "is_generator": "generator",
    "isGenerator": "generator",
    "max_retries": "retries",
    "maxRetries": "retries",
    "env": "environment",
}
NO_EFFECT = ("task_type", "pool", "run_id", "instance", "expansion_values", "user", "jwt_token", "logdir")
ASKED = {"min_cpus": "cores", "min_memory_mb": "memory_mb", "min_tmp_disk_mb": "tmp_disk_mb"}  # what Slurm is asked for


def check_user(value: object) -> Iterator[Fault]:
    """Check the user of a job: it is submitted by the user of this process."""
    if not isinstance(value, str):
        yield (), f"takes the name of a user; this is {describe_value(value)}"
    elif value != user_here():
        yield (
            (),
            f"is {cut(value)!r}, and jobs are submitted by the user of this process, {user_here()}: leave it out, or run as that user",
        )


def user_here() -> str:
    """Return the name of the user of this process."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # nobody has given it a name
        return str(os.getuid())


def none_or(test: Any, value: Any) -> bool:
    """Return True for 0, and for what passes a test."""
    return (type(value) in {int, float} and value == 0) or bool(test(value))


DETAILS: dict[str, Check] = {
    "details": one(lambda value: value is None or isinstance(value, dict), "an object with the keys of a task")
}
BESIDE: dict[str, Check] = {
    "is_generator": flag,
    "isGenerator": flag,
    "max_retries": count,
    "maxRetries": count,
    "task_type": one(lambda value: value in ("Normal", "Structural"), "Normal or Structural"),
    "pool": one(is_name, "the name of a pool, which is that of a host here"),
    "run_id": count,
    "instance": count,
    "expansion_values": one(lambda value: value == [], "an empty list: a file has tasks that are not yet expanded"),
}
INSIDE: dict[str, Check] = {
    **TASK,
    **BESIDE,
    "env": PROGRAM["environment"],
    "timeout": seconds,
    "resources": every(is_name, "names of resources", lambda value: none_or(is_amount, value), "numbers, 0 or more"),
    "user": check_user,
    "jwt_token": check_hidden(lambda value: isinstance(value, str), "text"),
    "logdir": one(is_line, "the path of a directory"),
    **dict.fromkeys(ASKED, count),
    "time_limit_seconds": count,
}


def is_detailed(tasks: object) -> bool:
    """Return True for tasks in DaggyR's form: one of them has `details`."""
    listed: Any = tasks.values() if isinstance(tasks, dict) else tasks if isinstance(tasks, list) else ()
    return any(isinstance(each, dict) and "details" in each for each in listed)


# Keys


class Flat(NamedTuple):
    """A task whose details are among its keys, under the names that they have here."""

    values: Mapping[str, Any]  # what is right
    keys: AbstractSet[str]  # all that are there
    places: Mapping[str, Path]  # of those that stand elsewhere in the task


class Flattening:
    """One task on its way there."""

    def __init__(self, beside: Mapping[str, Any], inside: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        details = beside.get("details") or {}
        self.values = {**inside, **{key: value for key, value in beside.items() if key != "details"}}
        self.keys = {*map(str, given), *map(str, details)} - ({"details"} & beside.keys())
        self.places: dict[str, Path] = {key: ("details", key) for key in details if key not in given}

    def forget(self, key: str) -> None:
        """Leave a key out."""
        self.keys.discard(key)
        self.values.pop(key, None)
        self.places.pop(key, None)

    def take(self, ours: str, value: object, theirs: str) -> None:
        """Give a key of ours the value that stands under one of theirs."""
        self.values[ours] = value
        self.keys.add(ours)
        self.places.setdefault(ours, self.places.get(theirs, (theirs,)))

    def rename(self) -> Iterator[Fault]:
        """Give keys the names that they have here; yield those that are given under both."""
        for theirs, ours in OURS.items():
            if theirs not in self.keys:
                continue
            place = self.places.get(theirs, (theirs,))
            if ours in self.keys:
                yield place, f"is {ours!r} here, and that is given, too"
            elif theirs in self.values:
                self.values[ours] = self.values[theirs]
            self.forget(theirs)
            self.keys.add(ours)
            self.places.setdefault(ours, place)

    def settle(self) -> None:
        """Leave out what is without effect, and 0 where it stands for none."""
        values = self.values
        if "pool" in values and values["pool"] not in HERE and values.get("task_type") != "Structural":
            self.take("host", values["pool"], "pool")
        if values.get("task_type") == "Structural" and "command" not in self.keys:
            values["command"] = NOTHING
            self.keys.add("command")
        if values.get("time_limit_seconds") and not values.get("timeout"):
            self.take("timeout", values["time_limit_seconds"], "time_limit_seconds")
        self.forget("time_limit_seconds")
        if values.get("timeout") == 0:
            self.forget("timeout")
        asked = {ours: values[theirs] for theirs, ours in ASKED.items() if theirs in values}
        if asked:
            first = next(theirs for theirs in ASKED if theirs in values)
            self.take("resources", {**asked, **values.get("resources", {})}, first)
        for theirs in ASKED:
            if theirs in values:
                self.forget(theirs)
        if "resources" in values:
            values["resources"] = {name: amount for name, amount in values["resources"].items() if amount}
        for key in NO_EFFECT:
            if key in values:
                self.forget(key)


def flatten_details(
    given: Mapping[str, Any], checks: Mapping[str, Check], hints: Hints, faults: list[Fault], path: Path
) -> Flat:
    """Check a task with details, and flatten it; `checks` are of the keys next to them."""
    beside = check_object(given, {**checks, **BESIDE, **DETAILS}, hints, faults, path)
    details = beside.get("details") or {}
    flat = Flattening(beside, check_object(details, INSIDE, hints, faults, (*path, "details")), given)
    # Of a task that a server has told of, `retries` are those that it has had.
    had = {"retries"} if "retries" in given and flat.keys & {"max_retries", "maxRetries"} else set[str]()
    for key in had:
        flat.forget(key)
    twice = sorted((given.keys() & details.keys()) - had)
    faults.extend(((*path, "details", key), "is given here and next to details") for key in twice)
    faults.extend(((*path, *place), text) for place, text in flat.rename())
    flat.settle()
    return Flat(flat.values, flat.keys, flat.places)


# Parameters


def name_in_braces(text: str) -> str:
    """Return the name of a parameter by its text, which may have braces.

    >>> name_in_braces("{{DATE}}"), name_in_braces("{DATE}"), name_in_braces("$DATE")
    ('DATE', 'DATE', '$DATE')
    """
    return text.replace("{", "").replace("}", "")


DETAILED: dict[str, Check] = {**WORKFLOW, "parameters": check_parameters(name_in_braces)}


class Literals:
    """Puts places where the texts of parameters stand. `names` are their names by these texts.

    Of two texts that could stand at a place the longer one does, and what was replaced is not looked at again: DATE2 is
    not DATE with a 2 behind it, and a value that holds the text of a parameter stays as it is.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = {**{f"{{{{{name}}}}}": name for name in names.values()}, **names}
        longest_first = sorted(self.names, key=len, reverse=True)
        self._texts = re.compile("|".join(map(re.escape, longest_first))) if names else None

    def place(self, value: object) -> Any:
        """Return a text with places in it; anything else as it is."""
        if self._texts is None or not isinstance(value, str):
            return value
        return self._texts.sub(lambda found: f"{{{{{self.names[found[0]]}}}}}", value)

    def with_places(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a task with places in its command, its line and its variables."""
        if self._texts is None:
            return values
        made = {**values}
        if "command" in made:
            made["command"] = [self.place(each) for each in made["command"]]
        if "shell" in made:
            made["shell"] = self.place(made["shell"])
        if "environment" in made:
            made["environment"] = {key: self.place(each) for key, each in made["environment"].items()}
        return made


def machine() -> dict[str, float]:
    """Return what this machine has of the resources that DaggyR's tasks ask for: cores, memory and room for files in MB."""
    found: dict[str, float] = {"cores": os.cpu_count() or 1}
    try:
        found["memory_mb"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**6
    except (AttributeError, OSError, ValueError):  # a system that does not say: nothing is refused
        found["memory_mb"] = 10**9
    try:
        found["tmp_disk_mb"] = shutil.disk_usage(tempfile.gettempdir()).free // 10**6
    except OSError:
        found["tmp_disk_mb"] = 10**9
    return found
