"""The hosts and executors that a workflow names, and those that its tasks have without naming any."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from aiodag._core.doors import open_door
from aiodag._core.elsewhere import NOWHERE, Elsewhere
from aiodag._core.named import EXECUTORS, LOCAL, NamedExecutor
from aiodag.errors import AiodagError, OptionError
from aiodag.typed_forms import Fault, describe_given, near_words, placed_form, refuse_name

NONE: Mapping[str, Any] = MappingProxyType({})
ALWAYS = {"hosts": (LOCAL,), "executors": EXECUTORS}  # names that every run has
Faults: TypeAlias = Iterator[Fault]


class Machines(NamedTuple):
    """What a workflow says of where it runs: hosts and executors by name, as objects or as the forms of a file."""

    hosts: Mapping[str, Any] = NONE
    default_host: Any = None
    executors: Mapping[str, Any] = NONE
    executor: Any = None

    def changed(self, given: Mapping[str, Any]) -> "Machines":
        """Return them with what is asked for in place of what is written; names come in addition."""
        found = {name: value for name, value in given.items() if value is not None}
        for names in ("hosts", "executors"):
            if names in found:
                found[names] = {**getattr(self, names), **found[names]}
        return self._replace(**found)

    def options(self, tasks: Iterable[Any] = ()) -> dict[str, Any]:
        """Return the options of a run with these tasks. Raises what making an executor does that one of them names."""
        if self == Machines():
            return {}
        made = {
            names: {name: made_of(names, name, each) for name, each in getattr(self, names).items()}
            for names in ("hosts", "executors")
        }
        if self.executors:
            # Made now: values that stay with an executor know it as what it is, and not by what stands for it.
            used = {name_among(each.task.options.executor) for each in tasks} | {name_among(self.executor)}
            for name in used & made["executors"].keys():
                found = made["executors"][name]
                made["executors"][name] = found.made() if isinstance(found, Later) else found
        return {**made, "default_host": self.default_host, "executor": self.executor}

    def elsewhere(self) -> Elsewhere:
        """Return what its run will have."""
        options = self.options()
        return Elsewhere(**options) if options else NOWHERE

    def forms(self, unsaid: Callable[[str], object]) -> dict[str, Any]:
        """Return what a document says of them; `unsaid(what)` is called with what JSON cannot say."""
        found: dict[str, Any] = {}
        for names in ("hosts", "executors"):
            if getattr(self, names):
                found[names] = {name: machine_form(name, each, unsaid) for name, each in getattr(self, names).items()}
        for key in ("default_host", "executor"):
            value = getattr(self, key)
            name = name_among(value)
            if name is not None:
                found[key] = name
            elif value is not None:
                unsaid(f"{key}={type(value).__name__}")
        return found


class Later:
    """Stands for a host or an executor that a file describes, and is made when it is used: a run without it needs nothing of it."""

    def __init__(self, names: str, name: str, form: str) -> None:
        self.name = name
        self._names, self._form = names, form
        self._found: Any = None

    def made(self) -> Any:
        """Return what the form stands for. Raises `WorkflowError` and `MissingExtra`."""
        if self._found is None:
            self._found = open_door("settings_hosts").made_once(self._names, self.name, self._form, "")
            self.name = getattr(self._found, "name", self.name)
        return self._found

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run a program or a function there."""
        return await self.made().run(*args, **kwargs)

    async def close(self) -> None:
        """Let go of its connections, if there are any."""
        if self._found is not None and hasattr(self._found, "close"):
            await self._found.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.made(), name)


@lru_cache(maxsize=256)
def made_later(names: str, name: str, form: str) -> Later:
    """Return what stands for a form: the same object for all runs of this process."""
    return Later(names, name, form)


def made_of(names: str, name: str, given: Any) -> Any:
    """Return what a run is given for a name: an object as it is, and for a form what is made of that when it is used."""
    if isinstance(given, Mapping):
        return made_later(names, name, json.dumps(dict(given), sort_keys=True))
    return given


def machine_form(name: str, given: Any, unsaid: Callable[[str], object]) -> Any:
    """Return the form of a host or an executor."""
    if isinstance(given, Mapping | str):
        return given
    write = getattr(given, "form", None)
    if write is None:
        unsaid(f"{name}={type(given).__name__}")
        return {"type": type(given).__name__}
    return dict(write())


def machines_of(hosts: object, default_host: object, executors: object, executor: object) -> Machines:
    """Check what a workflow is given. Forms are checked with the rest of its file, or when they are made."""
    for option, given in (("hosts", hosts), ("executors", executors)):
        if given is not None and not isinstance(given, Mapping):
            raise OptionError(option, given, "a dict of names, such as {'hpc': ...}")
    checked: Any = {"hosts": hosts or NONE, "executors": executors or NONE}
    for option, names in checked.items():
        wrong = [name for name in names if refuse_name(name, ALWAYS[option])]
        if wrong:
            raise OptionError(
                option,
                names,
                f"names that are not taken, and {wrong[0]!r:.100} {refuse_name(wrong[0], ALWAYS[option])}",
            )
    return Machines(checked["hosts"], default_host, checked["executors"], executor)


# In a file


def check_named_forms(option: str) -> Callable[[Any], Faults]:
    """Return the check of an object of names and forms."""

    def check(value: object) -> Faults:
        if not isinstance(value, Mapping):
            yield (
                (),
                f'takes an object of names and forms, such as {{"hpc": {{"type": ...}}}}; this is {describe_given(value)}',
            )
            return
        for name, form in value.items():
            why = refuse_name(name, ALWAYS[option])
            if why:
                yield (str(name)[:100],), why
            else:
                yield from (((name, *path), text) for path, text in form_faults_of(option, form))

    return check


def form_faults_of(option: str, form: object) -> Faults:
    """Return what is wrong with a form. The door is opened for those who write one."""
    if option == "hosts":
        return open_door("host_forms").host_faults(form)  # type: ignore[no-any-return]  # of a door
    return open_door("executor_forms").executor_faults(form)  # type: ignore[no-any-return]  # of a door


def placed_forms(option: str, forms: Mapping[str, Any], directory: str) -> dict[str, Any]:
    """Return forms that are right, with their paths as those of the directory of their file."""
    if not directory:
        return dict(forms)
    door, types = {"hosts": ("host_forms", "HOST_TYPES"), "executors": ("executor_forms", "EXECUTOR_TYPES")}[option]
    known = getattr(open_door(door), types)
    return {
        name: form if isinstance(form, str) else placed_form(form, known, Path(directory))
        for name, form in forms.items()
    }


def missing_name(
    option: str, name: str, own: Mapping[str, Any], settings: Collection[str], *, hint: bool = True
) -> str:
    """Return that nothing has a name, with what has one, or that it cannot be used; nothing if the run has it, or the settings."""
    always = ALWAYS[option]
    if name in always:
        return ""
    if name not in own and name not in settings:
        known = f"; {near_words(name, dict.fromkeys([*always, *own, *settings]))}" if hint else ""
        return f"{describe_given(name)}, and no {option[:-1]} has that name{known}"
    try:
        others = open_door("settings_hosts")
        found = made_of(option, name, own[name]) if name in own else others.made_from_settings(option, name)
        if isinstance(found, Later):
            found.made()
    except AiodagError as error:
        return f"{describe_given(name)}, which cannot be used: {'; '.join(str(error).splitlines())}"
    return ""


def name_among(given: object) -> str | None:
    """Return the name that stands for a host or an executor; None for an object, and for nothing."""
    if isinstance(given, NamedExecutor):
        return given.name
    return given if isinstance(given, str) else None
