"""What a stage of a kind holds: its body, what it is given by name, and the settings of its kind."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from aiodag.errors import EntryError
from aiodag.workflows.expressions.template import Template
from aiodag.workflows.files.json import Path
from aiodag.workflows.files.shapes import describe_value
from aiodag.workflows.jobs.gathering import Gathering
from aiodag.workflows.jobs.references import Within
from aiodag.workflows.jobs.stages.python_source import source_faults
from aiodag.workflows.jobs.stages.shell_source import shell_source
from aiodag.workflows.registered import Hook, resolve_hook

LONGEST_PROGRAM = 200_000  # characters of Python: what it takes a second and 100 MB to parse
SHELLS = ("bash", "sh")
MOST_TURNS = 10_000  # of `foreach`
MOST_LOOPS = 10  # of `until`, unless it says another number
BODIES = {
    "run": "a program in Python",
    "bash": "commands for bash",
    "uses": "the name of a registered function, such as tasks/load@csv",
    "trigger": "the name of a workflow",
    "foreach": f"a list, a mapping, a whole number, or an expression that gives one, for at most {MOST_TURNS:,} turns",
    "case": "a text, a number, or an expression",
    "raise": "a message",
    "echo": "a text",
}


class Form(NamedTuple):
    """One stage as it is written, and where."""

    kind: str
    given: dict[str, Any]
    path: Path
    within: Within


class StageContents:
    """Reads what stages hold, apart from other stages."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering = gathering
        self._hooks: dict[str, Hook | str] = {}
        self._scripts: dict[tuple[str, tuple[str, ...]], Sequence[str]] = {}

    def body(self, form: Form) -> Template | None:
        """Return what the key of the kind holds."""
        kind, given, path, within = form
        key = "run" if kind == "bash" and "bash" not in given else kind
        if kind in {"empty", "until", "parallel"}:
            return None
        value, where = given[key], (*path, key)
        reader = self.gathering
        if kind in {"run", "bash"}:
            return None if reader.text(value, where, BODIES[kind]) is None else self._script(form, value, where)
        if kind == "uses":
            self._check_hook(form, value, where)
            return reader.template(value, where, within) if isinstance(value, str) else None
        if kind == "sleep":
            return self._sleep(value, where, within)
        if kind == "foreach":
            turns = len(value) if isinstance(value, list | dict) else value if type(value) is int else -1
            fits = 0 <= turns <= MOST_TURNS
            if not fits and not (isinstance(value, str) and "${" in value):
                reader.fault(where, f"takes {BODIES[kind]}; this is {describe_value(value)}")
                return None
        elif kind == "case":
            if isinstance(value, dict | list) or value is None:
                reader.fault(where, f"takes {BODIES[kind]}; this is {describe_value(value)}")
                return None
        elif kind == "echo" and isinstance(value, int | float):
            return reader.template(value, where, within)
        elif reader.text(value, where, BODIES[kind]) is None:
            return None
        return reader.template(value, where, within)

    def _script(self, form: Form, value: str, where: Path) -> Template | None:
        """Return a program, in which `${...}` is the shell's own."""
        if form.kind == "run" and len(value) > LONGEST_PROGRAM:
            self.gathering.fault(
                where, f"has more than {LONGEST_PROGRAM:,} characters: put it into a module, and call it with uses"
            )
            return None
        made = self.gathering.template(value, where, form.within, environment=False)
        if made is not None and not self.gathering.recorded:
            for fault in self._faults_of_script(form.kind, made.texts):
                self.gathering.fault(where, fault)
        return made

    def _faults_of_script(self, kind: str, texts: tuple[str, ...]) -> Sequence[str]:
        """Return what is wrong with a program; of those that are written alike, once for all."""
        key = kind, texts
        if key not in self._scripts:
            self._scripts[key] = source_faults(texts) if kind == "run" else shell_source(texts).faults
        return self._scripts[key]

    def _sleep(self, value: object, where: Path, within: Within) -> Template | None:
        """Return how long a stage sleeps: a duration, or a template that gives one or a moment."""
        if is_moment(value):
            return self.gathering.template(value, where, within)
        seconds = self.gathering.duration(value, where, within)
        return seconds if isinstance(seconds, Template) else self.gathering.template(seconds, where, within)

    def names(self, value: object, path: Path, within: Within) -> Template | None:
        """Return what a stage is given by name, or its environment."""
        if isinstance(value, str) and "${{" in value:
            return self.gathering.template(value, path, within)
        return self.gathering.template(self.gathering.mapping(value, path, "names and values"), path, within)

    def _check_hook(self, form: Form, uses: object, where: Path) -> None:
        """Complain of a function that is not there, or that does not take what it is given."""
        if self.gathering.text(uses, where, BODIES["uses"]) is None or self.gathering.recorded:
            return
        name = str(uses)
        if name not in self._hooks:
            try:
                self._hooks[name] = resolve_hook(name)
            except EntryError as error:
                self._hooks[name] = str(error)
        hook = self._hooks[name]
        if isinstance(hook, str):
            self.gathering.fault(where, hook)
        elif isinstance(form.given.get("with", {}), dict):
            for fault in hook.misfits([*form.given.get("with", {})]):
                self.gathering.fault((*form.path, "with"), fault)

    def settings(self, form: Form) -> dict[str, Any]:
        """Return the settings of a kind."""
        kind, given, path, within = form
        reader = self.gathering
        found: dict[str, Any] = {}
        if kind in {"run", "bash"}:
            found |= self._program(form)
        if kind in {"foreach", "parallel"}:
            found["fail_fast"] = reader.flag(given, "fail-fast", path, usual=True)
        if kind == "foreach":
            found["concurrent"] = reader.count(given, "concurrent", path, within) or 1
        if kind == "parallel":
            found["max_workers"] = reader.count(given, "max-workers", path, within)
        if kind == "case":
            found["skip_not_match"] = reader.flag(given, "skip-not-match", path, usual=False)
        if kind == "until":
            found["max_loop"] = reader.count(given, "max-loop", path, within) or MOST_LOOPS
            found["item"] = reader.template(given.get("item"), (*path, "item"), within)
        if kind == "echo" and "sleep" in given:
            found["sleep"] = self._sleep(given["sleep"], (*path, "sleep"), within)
        return found

    def _program(self, form: Form) -> dict[str, Any]:
        """Return the settings of a program."""
        kind, given, path, within = form
        found: dict[str, Any] = {}
        wanted = SHELLS if kind == "bash" else ("python", *SHELLS)
        shell = given.get("shell", wanted[0])
        if shell not in wanted:
            self.gathering.fault((*path, "shell"), f"takes {' or '.join(wanted)}; this is {describe_value(shell)}")
        if kind == "bash":
            found["shell"] = shell
        if "workdir" in given and "working-directory" in given:
            self.gathering.fault((*path, "working-directory"), "is given besides workdir: write one of them")
        key = "workdir" if "workdir" in given else "working-directory"
        if key in given and self.gathering.text(given[key], (*path, key), "the path of a directory") is not None:
            found["workdir"] = self.gathering.template(given[key], (*path, key), within)
        return found


def is_moment(value: object) -> bool:
    """Return True for the text of a moment with its time zone."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False
