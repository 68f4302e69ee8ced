"""Find what is recorded of a task under another name: of an earlier version, of another module, or of a former place.

started with `python etl.py`, resumed by who imports it      the module counted as none, and counts now; or the reverse
written by version 1.2.0                                     functions of one name had one key, text was printed otherwise
`@task(former="old:load")`                                   the author says so
a function of `old` is now one of `new`                      nobody says so: refused, or all of it would run again in silence
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from aiodag._core.task import Task
from aiodag.errors import TaskMoved
from aiodag.names import MAIN, MODULES_IN_KEYS, find_named
from aiodag.records import FunctionRow
from aiodag.stores.arguments import FORMERLY, TODAY, Style
from aiodag.stores.identity import Mark, innermost_function, is_main

EVER = (TODAY, *FORMERLY)


class Candidate(NamedTuple):
    """What a node may have been known by: its task, that task's version, and how its arguments were written."""

    identity: str
    version: str
    styles: Sequence[Style]
    moved: str = ""  # where its function was, if that is to be told rather than taken


class Former:
    """What the tasks of a run may have been known by in earlier executions."""

    def __init__(self, home: str) -> None:
        self.home = home
        self._recorded: dict[str, list[tuple[str, bool]]] = {}  # modules by the names of functions
        self._first: dict[
            str, str
        ] = {}  # of functions of one name the first: what 1.2.0 has recorded is taken to be its

    def know(self, functions: Iterable[FunctionRow]) -> None:
        """Learn what earlier executions have called."""
        for name, module, main in functions:
            self._recorded.setdefault(name, []).append((module, main))

    def candidates(self, task: Any, identity: str) -> Iterator[Candidate]:
        """Yield what a task may have been known by before it got this identity."""
        version = task.options.version
        for former in task.options.former:
            yield Candidate(self._as(task, identity, *split(former)), version, EVER)
            yield Candidate(former, version, EVER)
        if task.options.name:
            if not self._is_functions(task.name):
                yield Candidate(task.name, version, FORMERLY)
            if hasattr(task, "around_module"):
                yield Candidate(identity, self._other_version(task), EVER)
            return
        if isinstance(task.fn, partial):
            yield from self._partial(task, identity)
        module = module_of_task(task)
        here = "" if is_main(module, self.home) else module
        name = name_in_module(task, identity)
        plain = join_name(here, task.name)
        marked = identity != plain
        first = self._first.setdefault(plain, identity) == identity and not (marked and self._is_functions(plain))
        if first and not (marked and leads(module, task.name)):
            yield Candidate(plain, version, FORMERLY)
        there = self.home if here == "" else ""
        if self._is_other_self(name, here or self.home, main=here != ""):
            yield Candidate(self._as(task, identity, there, task.name), version, EVER)
            if first:
                yield Candidate(join_name(there, task.name), version, FORMERLY)
        for other, main in self._recorded.get(name, ()):
            if other not in {module, self.home, here} and not leads(other, name):
                place = "" if main else other
                yield Candidate(self._as(task, identity, place, task.name), version, EVER, join_name(place, task.name))

    def _as(self, task: Any, identity: str, module: str, name: str) -> str:
        """Return the identity that a task would have in another module."""
        own = module_of_task(task)
        here = "" if is_main(own, self.home) else own
        mark = "\2" in identity and f"\2{Mark(self.home, {here: module}).of(innermost_function(task.fn), task.name)}"
        return f"{join_name(module, name)}{mark or ''}"

    def _partial(self, task: Any, identity: str) -> Iterator[Candidate]:
        """Yield what a partial was known by where its function's module counted, and counts no longer, or the reverse."""
        fn = innermost_function(task.fn)
        here = "" if is_main(fn.__module__, self.home) else fn.__module__
        there = self.home if here == "" else ""
        place = Mark(self.home, {here: there}).place(fn.__module__, fn.__qualname__)
        plain, _, _ = identity.partition("\2")
        yield Candidate(f"{plain}\2{place}", task.options.version, EVER)

    def _is_functions(self, plain: str) -> bool:
        """Return True if a later version than 1.2.0 has recorded a function that its name alone leads to."""
        module, _, name = plain.rpartition(":")
        return any((main and not module) or other == module for other, main in self._recorded.get(name, ()))

    def _is_other_self(self, name: str, module: str, *, main: bool) -> bool:
        """Return True if a function was recorded as that of the same module when the run began in that, or did not.

        Version 1.2.0 did not say in which module a run began: there the name must lead to nothing in the one of now.
        """
        recorded = self._recorded.get(name, ())
        if recorded:
            return (module, main) in recorded
        return not main or not leads(self.home, name.partition(".<locals>")[0])

    def _other_version(self, task: Any) -> str:
        """Return the version of a task of a workflow as it is where its module counts, or counts no longer."""
        before, after = task.around_module
        module = getattr(innermost_function(task.fn), "__module__", None) or ""
        counts = task.options.version != " ".join([*before, *after])
        return " ".join([*before, *([] if counts else [self.home if module in MAIN else module]), *after])


def module_of_task(task: object) -> str:
    """Return the module of a task."""
    module = getattr(task, "__module__", None) or ""
    return "" if module == Task.__module__ else MODULES_IN_KEYS.get(module, module)


def name_in_module(task: Any, identity: str) -> str:
    """Return the name of a task's function in its module: that of an inner one says where it is written."""
    name = getattr(innermost_function(task.fn), "__qualname__", task.name) if "\2" in identity else task.name
    return str(name)


def join_name(module: str, name: str) -> str:
    """Return the name of a function with its module, where that counts."""
    return f"{module}:{name}" if module else name


def split(name: str) -> tuple[str, str]:
    """Return the module and the name of a function."""
    module, _, own = name.rpartition(":")
    return module, own


def leads(module: str, name: str) -> bool:
    """Return True if a name leads to something among the loaded modules."""
    return any(thing is not None for thing in find_named(f"{module}:{name}"))


def refuse_moved(task: Any, candidate: Candidate) -> None:
    """Refuse to run what is recorded elsewhere. Raises `TaskMoved`."""
    if candidate.moved:
        raise TaskMoved(task.name, candidate.moved, module_of_task(task))
