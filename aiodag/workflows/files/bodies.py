"""What runs: the task of a core for a program, a line for a shell, or a function, as a document says it."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import takewhile
from pathlib import Path as FilePath
from typing import Any, TypeAlias

from aiodag._core.doors import open_door
from aiodag._core.task import Task, make
from aiodag.errors import AiodagError
from aiodag.names import import_file, import_named
from aiodag.workflows.files.forms import CALLS, KINDS, OPTIONS, PROGRAM, SCRIPT
from aiodag.workflows.files.json import Path, cut
from aiodag.workflows.files.shapes import is_argument, is_plain_line
from aiodag.workflows.private import is_secret, read_secrets, secret_from_form

ON_CALL = {"environment": "env", "executable": "shell"}  # keys of a document that a command calls otherwise
SETTINGS = frozenset({*PROGRAM, *SCRIPT, *OPTIONS})  # keys that are the same for many
WHAT = {"command": "command", "task": "function"}

Call: TypeAlias = tuple[Task[..., Any], tuple[Any, ...], dict[str, Any]]


class BodyRefused(Exception):
    """Carry what is wrong with a task to where its place is known."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.path: Path = (key,) if key else ()
        self.text = text


@lru_cache(maxsize=256)
def body_kind(given: tuple[str, ...]) -> str:
    """Return which kind of task this is by its keys, right or wrong. Raises `Refused`."""
    kinds = [kind for kind in KINDS if kind in given]
    if len(kinds) != 1:
        what = f"has {' and '.join(kinds)}" if kinds else "has nothing to run"
        raise BodyRefused("", f"{what}: it takes one of command, shell or task")
    (kind,) = kinds
    foreign = [key for key in PROGRAM if key in given and kind == "task"]
    if foreign:
        instead = ': write "executor"' if foreign[0] == "host" else ""
        raise BodyRefused(foreign[0], f"is a key of programs, and this task is a function{instead}")
    foreign = [key for key in CALLS if key in given and kind != "task"]
    if foreign:
        raise BodyRefused(
            foreign[0], f'is a key of functions, and this task is a {WHAT.get(kind, "shell line")}: write "host"'
        )
    foreign = [key for key in SCRIPT if key in given and kind != "shell"]
    if foreign:
        raise BodyRefused(foreign[0], f"is a key of shell lines, and this task is a {WHAT[kind]}")
    return kind


class Bodies:
    """Makes tasks. Files of functions are looked for in `directory`; each function is looked for once."""

    def __init__(self, directory: str = "") -> None:
        self.directory = directory
        self._functions: dict[str, Task[..., Any] | str] = {}
        self._fit: dict[Any, str] = {}

    def call(self, name: str, kind: str, values: Mapping[str, Any]) -> Call:
        """Return a task and the arguments of its call. Raises `Refused`."""
        arguments = values.get("arguments", ())
        args = () if isinstance(arguments, dict) else tuple(arguments)
        kwargs = arguments if isinstance(arguments, dict) else {}
        if kind == "task":
            task = self.function(values["task"], {key: values[key] for key in (*OPTIONS, *CALLS) if key in values})
            self._check(task, values["task"], args, kwargs)
            return task, args, kwargs
        plain = tuple(takewhile(is_argument, args))
        task = self._command(name, kind, values, plain)
        if kwargs:
            self._check(task, "a program", (), kwargs)
        return task, args[len(plain) :], kwargs

    def _command(self, name: str, kind: str, values: Mapping[str, Any], args: tuple[Any, ...]) -> Task[..., Any]:
        given = {key: value for key, value in values.items() if key in SETTINGS}
        settings = f"{kind} {given!r}" if given else kind
        if kind == "shell":
            line = [values["shell"], *args]
        else:
            program = values["command"]
            line = [*(program if is_plain_line(program) else read_secrets(program)), *args]
        try:
            known: Task[..., Any] | None = self._patterns.task_like(settings, line, name)
            if known is not None:
                return known
            made: Task[..., Any] = self._patterns.new(settings, line, name, options_in(given), script=kind == "shell")
        except (AiodagError, RuntimeError) as error:
            raise BodyRefused("", str(error)) from None
        return made

    @cached_property
    def _patterns(self) -> Any:
        return open_door("commands").Patterns()

    def function(self, spelled: str, options: dict[str, Any]) -> Task[..., Any]:
        """Return the task of a function, with the options that the document adds."""
        known = self._functions.get(spelled)
        if known is None:
            known = self._functions[spelled] = found_as(spelled, self.directory)
        if isinstance(known, str):
            raise BodyRefused("task", known)
        try:
            return known.with_options(**options) if options else known
        except AiodagError as error:
            raise BodyRefused("", str(error)) from None

    def _check(self, task: Task[..., Any], spelled: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse arguments that do not fit; those of the same names fit alike."""
        shape = (spelled, len(args), *kwargs)
        fault = self._fit.get(shape)
        if fault is None:
            try:
                task.check(args, kwargs)
                fault = ""
            except TypeError as error:
                fault = str(error)
            self._fit[shape] = fault
        if fault:
            raise BodyRefused("arguments", f"does not fit: {fault}")


def options_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command, as it calls them."""
    options = {ON_CALL.get(key, key): value for key, value in given.items()}
    stdin = options.get("stdin")
    if isinstance(stdin, dict):
        options["stdin"] = secret_from_form(stdin) if is_secret(stdin) else FilePath(stdin["file"])
    if "env" in options:
        options["env"] = read_secrets(options["env"])
    return options


def found_as(spelled: str, directory: str) -> Task[..., Any] | str:
    """Return the task of a function, written as `file.py:function` or `module:function`; or what is wrong."""
    where, _, qualname = spelled.rpartition(":")
    if not where or not qualname:
        return f'takes a function, such as "file.py:function" or "module:function"; this is {cut(spelled)!r}'
    try:
        module = (
            import_file(str(FilePath(directory, where))) if where.endswith(".py") else import_named(where, qualname)
        )
    except Exception as error:  # noqa: BLE001 - an import can raise anything
        hint = "" if where.endswith(".py") else f". A file next to this one is written as {where}.py:{qualname}"
        told = str(error) if isinstance(error, AiodagError) else f"importing it raised {type(error).__name__}: {error}"
        return f"{cut(spelled)!r} cannot be loaded: {told}{hint}"
    found: Any = module
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except Exception:  # noqa: BLE001 - of a property, for one
            near = get_close_matches(part, [name for name, value in vars(module).items() if callable(value)], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            return f"{where} has no function {qualname!r}{hint}"
    try:
        return found if isinstance(found, Task) else make(found, (), {})
    except AiodagError as error:
        return str(error)
