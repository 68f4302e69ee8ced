"""Functions that workflow files call by a name: `uses: tasks/get-api@requests`."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from aiodag.errors import EntryError, OptionError
from aiodag.names import import_name
from aiodag.workflows.expressions.lexemes import cut_part
from aiodag.workflows.registries import import_registries, import_registry_part, registry_names

F = TypeVar("F", bound=Callable[..., Any])
USES = re.compile(r"((?:[\w.-]+/)+)([\w.-]+)@([\w.-]+)")
LONGEST_USES = 500  # characters
FORM = '"path/name@tag", such as "tasks/get-api@requests"'


@dataclass(frozen=True, slots=True)
class Hook:
    """A registered function, plain or async, or a task: `path` is where a file finds it, or the whole path of its module."""

    path: str
    name: str
    tag: str
    function: Callable[..., Any]

    @property
    def uses(self) -> str:
        """How a workflow file calls it."""
        return f"{self.path}/{self.name}@{self.tag}"

    def misfits(self, names: Iterable[str]) -> list[str]:
        """Return what is wrong with the names of arguments; nothing if they fit, or if the function says nothing of them."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return []
        given = list(names)
        known = [each.name for each in parameters if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}]
        needed = [each.name for each in parameters if each.name in known and each.default is each.empty]
        any_name = any(each.kind is each.VAR_KEYWORD for each in parameters)
        wrong = [] if any_name else [name for name in given if name not in known]
        faults = [f"{self.name} takes no {cut_part(name)!r}{hint_among(name, known)}" for name in wrong]
        return faults + [f"{self.name} needs {name!r}" for name in needed if name not in given]


HOOKS: dict[tuple[str, str], list[Hook]] = {}  # by name and tag: each of another path


def hook(uses: str) -> Callable[[F], F]:
    """Register a function, plain or async, or a task, for stages of workflow files: `uses: tasks/get-api@requests`.

    A stage gives it what stands under `with`, by name. Its module is named in `AIODAG_REGISTRY`, unless it is imported anyway.
    Raises `OptionError` for a name of another form, or that another function has.

    >>> from aiodag.workflows import hook
    >>> @hook("tasks/get-api@requests")
    ... async def get_api(url, retries=3):
    ...     return {"rows": 2}
    """
    given: Any = uses
    match = USES.fullmatch(given) if isinstance(given, str) and len(given) <= LONGEST_USES else None
    if match is None:
        raise OptionError("uses", given, FORM)

    def register(function: F) -> F:
        remember_hook(Hook(match[1].rstrip("/"), match[2], match[3], function))
        return function

    return register


def tag(name: str, alias: str | None = None) -> Callable[[F], F]:
    """Register a function under the path of its module: in `etl/tasks.py`, `@tag("requests", alias="get-api")` is for
    `uses: tasks/get-api@requests`.

    Without an alias its name is that of the function, with - for _. Where `AIODAG_REGISTRY` names the package `etl`, its module
    `tasks` is imported when a file asks for it. Raises `OptionError` as `hook` does.

    >>> from aiodag.workflows import tag
    >>> @tag("requests", alias="get-rows")
    ... def get_rows(url):
    ...     return []
    """

    def register(function: F) -> F:
        own = alias or function.__name__.replace("_", "-")
        path = import_name(function).partition(":")[0].replace(".", "/")
        if not USES.fullmatch(f"{path}/{own}@{name}"):
            raise OptionError("tag", f"{own}@{name}", "letters, digits, - and _ on both sides of @")
        remember_hook(Hook(path, own, name, function))
        return function

    return register


def remember_hook(new: Hook) -> None:
    """Register a hook, in the place of the same function as it was. Raises `OptionError` where another one has the name."""
    same = HOOKS.setdefault((new.name, new.tag), [])
    for place, known in enumerate(same):
        if known.path == new.path:
            if import_name(known.function) != import_name(new.function):
                raise OptionError("uses", new.uses, f"one that is free: {import_name(known.function)} has it")
            same[place] = new
            return
    same.append(new)


def resolve_hook(uses: str) -> Hook:
    """Return the hook of a name such as "tasks/get-api@requests". Raises `EntryError`, with near misses."""
    match = USES.fullmatch(uses) if len(uses) <= LONGEST_USES else None
    if match is None:
        msg = f"{cut_part(uses)!r} is not the name of a hook: {FORM}"
        raise EntryError(msg)
    path, name, kind = match[1].rstrip("/"), match[2], match[3]
    found = [*hooks_at(path, name, kind)]
    if not found:
        import_registries("hooks")
        for package in registry_names("hooks"):
            import_registry_part(package, path.replace("/", "."))
        found = [*hooks_at(path, name, kind)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise EntryError(unknown_hook(uses))
    several = " and ".join(import_name(each.function) for each in found)
    msg = f"{uses!r} is the name of several hooks: {several}. A longer path, such as {found[0].uses}, says which"
    raise EntryError(msg)


def hooks_at(path: str, name: str, kind: str) -> Iterator[Hook]:
    """Yield the hooks of a name, at a path or at one that ends with it."""
    for each in HOOKS.get((name, kind), ()):
        if each.path == path or each.path.endswith(f"/{path}"):
            yield each


def unknown_hook(uses: str) -> str:
    """Return the message for a name that no hook has."""
    known = [each.uses for same in HOOKS.values() for each in same]
    short = {each: "/".join(each.split("/")[-2:]) for each in known}  # as files call those of modules
    near = hint_among(uses, [*short.values(), *known])
    named = registry_names("hooks")
    where = f"AIODAG_REGISTRY names {', '.join(named)}" if named else "AIODAG_REGISTRY names no module to look in"
    return f"there is no hook {uses!r}{near or f'. {where}'}"


def hint_among(name: str, known: Iterable[str]) -> str:
    """Return which of some names was meant, as the end of a message; nothing where none is near."""
    near = get_close_matches(name, known, n=1) if len(name) <= LONGEST_USES else []
    return f"; did you mean {near[0]!r}?" if near else ""
