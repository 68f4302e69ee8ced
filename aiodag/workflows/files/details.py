"""Tasks with `details`, as DaggyR writes them: its names of keys, its parameters as texts, and what they are here.

A file in which a task has `details` is in DaggyR's form, and so is the output of a generator. In that form the key of a
parameter is a text, and it is replaced wherever it stands in a command or a variable. Reading turns it into a place:

    "DATE": ["d1", "d2"]   and   ["echo", "x-DATE"]   become   "DATE"   and   ["echo", "x-{{DATE}}"]
"""

import os
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from aiodag.workflows.files.forms import (
    PROGRAM,
    TASK,
    WORKFLOW,
    Check,
    Hints,
    check_object,
    check_parameters,
    count,
    every,
    flag,
    one,
    seconds,
)
from aiodag.workflows.files.json import Fault, Path
from aiodag.workflows.files.shapes import is_amount, is_name

LOCAL = ("local", "default")  # pools of a server that stand for this machine
NOTHING = ["true"]  # what a structural task runs

# What they call keys of ours.
OURS = {
    "is_generator": "generator",
    "isGenerator": "generator",
    "max_retries": "retries",
    "maxRetries": "retries",
    "env": "environment",
}
NO_EFFECT = ("task_type", "pool", "run_id", "instance", "expansion_values")


def refuse_key(text: str) -> Check:
    """Refuse a key, whatever its value is."""
    return lambda _: [((), text)]


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
    "pool": one(
        lambda value: value in LOCAL,
        "local or default, for everything runs on this machine: leave it out, and write the resources that the task takes",
    ),
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
    "user": refuse_key("names a user of Slurm, and tasks run as the user of this process: leave it out"),
    "jwt_token": refuse_key("is a token for Slurm, which is not used here: leave it out"),
    "logdir": refuse_key("is where Slurm writes; outputs are recorded here, see `aiodag log`: leave it out"),
    "min_cpus": refuse_key('is of Slurm: write "resources": {"cores": 1}'),
    "min_memory_mb": refuse_key('is of Slurm: write "resources": {"memory_mb": 200}'),
    "min_tmp_disk_mb": refuse_key('is of Slurm: write "resources": {"tmp_disk_mb": 100}, and a "capacity" that has it'),
    "priority": refuse_key("is of Slurm, and tasks begin in the order of the file here: leave it out"),
    "time_limit_seconds": refuse_key('is of Slurm: write "timeout", in seconds'),
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
        if values.get("task_type") == "Structural" and "command" not in self.keys:
            values["command"] = NOTHING
            self.keys.add("command")
        if values.get("timeout") == 0:
            self.forget("timeout")
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
    """Return what this machine has of the resources that DaggyR's tasks ask for: cores, and memory in MB."""
    found: dict[str, float] = {"cores": os.cpu_count() or 1}
    try:
        found["memory_mb"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**6
    except (AttributeError, OSError, ValueError):  # a system that does not say: nothing is refused
        found["memory_mb"] = 10**9
    return found
