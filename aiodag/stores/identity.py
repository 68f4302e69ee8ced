"""Know which function a task runs: by its name, where that leads to it, and else by more.

A function at the top level of a module or of a class has a name that leads to it. A lambda, an inner function, what a
decorator without `wraps` returns, or what another definition of the same name has replaced, share their names with others.
They are told apart by where they are written, by the constants that they hold (in closures and defaults), and, where even
that may be shared, by their text.

    def scaled(by):                     two tasks of one name:
        @task
        async def scale(x):                 scaled.<locals>.scale, by 2
            return by * x                   scaled.<locals>.scale, by 3
        return scale

What tells nothing apart, such as a session in a closure, is compared when two calls are equal.
"""

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from aiodag._core.task import Task
from aiodag.codec.fingerprint import fingerprint
from aiodag.codec.kinds import KINDS
from aiodag.errors import NoFingerprint, NoIdentity
from aiodag.names import MAIN, import_name, key_name, walk_path
from aiodag.stores.written import changing, outermost, says_enough, text_of_code

NO_MODULES: Mapping[str, str] = MappingProxyType({})
CONSTANT = frozenset({int, str, bool, type(None), bytes, float, *KINDS}) - {bytearray}
CALLABLE = (Task, FunctionType, BuiltinFunctionType, MethodType, partial, classmethod, staticmethod)
DEPTH = 8  # of functions in the closures of functions, and of what stands for a function


def innermost_function(fn: object) -> Any:
    """Return what a task runs in the end: below partials, methods and tasks; of an object with `__call__` its class."""
    while True:
        if isinstance(fn, partial):
            fn = fn.func
        elif isinstance(fn, Task):
            fn = fn.fn
        elif isinstance(fn, MethodType | classmethod | staticmethod):
            fn = fn.__func__
        else:
            return fn if isinstance(fn, FunctionType | BuiltinFunctionType | type) else type(fn)


def is_found(fn: object) -> bool:
    """Return True if the name of a function or a class leads to it, or to a task that runs it."""
    if isinstance(fn, BuiltinFunctionType) and not isinstance(fn.__self__, ModuleType | None):
        return False  # a method of a value
    thing = walk_path(sys.modules.get(getattr(fn, "__module__", None) or "builtins"), getattr(fn, "__qualname__", ""))
    for _ in range(DEPTH):
        if thing is fn:
            return True
        if isinstance(thing, Task):
            thing = thing.fn
        elif isinstance(thing, partial):
            thing = thing.func
        else:
            thing = getattr(thing, "__func__", None) or getattr(thing, "__wrapped__", None)
    return False


def is_main(module: str | None, home: str) -> bool:
    """Return True if a module is the one that the run begins in, under whatever name."""
    return module in MAIN or module == home


class Mark:
    """What tells functions of one name apart: the text of one function, and of what it holds.

    `home` is the module that the run begins in, which counts as none.
    """

    def __init__(self, home: str, modules: Mapping[str, str] = NO_MODULES) -> None:
        self.home = home
        self.modules = modules  # as something else than they are called: what they were when something was recorded
        self.inside: list[Any] = []

    def of(self, fn: Any, task: str) -> str:
        """Return the mark of the function of a task. Raises `NoIdentity`."""
        if isinstance(fn, BuiltinFunctionType):
            return f"{fn.__qualname__} of {fingerprint(fn.__self__, task)}"
        if not isinstance(fn, FunctionType):
            return self.place(fn.__module__, fn.__qualname__)
        parts = [self.function(fn)]
        outer = outermost(fn)
        hidden = "<locals>" not in fn.__qualname__ and not is_found(fn) and fn.__qualname__ == fn.__code__.co_qualname
        if hidden or not (says_enough(fn.__code__, outer) or outer is fn.__code__):
            text = text_of_code(fn.__code__)
            if text is None:
                raise NoIdentity(task, "its name leads to no function, and there is no source to tell it from others")
            parts.append(text)
        return "\2".join(parts)

    def place(self, module: str | None, name: str) -> str:
        """Return where something is written."""
        here = "" if is_main(module, self.home) else module or ""
        return key_name(f"{self.modules.get(here, here)}:{name}")

    def function(self, fn: FunctionType) -> str:
        """Return where a function is written, and the constants that it holds."""
        if fn in self.inside or len(self.inside) == DEPTH:
            return "..."
        self.inside.append(fn)
        held = [f"{name}={text}" for name, value in self.held_values(fn) if (text := self.constant(value)) is not None]
        self.inside.pop()
        return self.place(fn.__globals__.get("__name__"), fn.__code__.co_qualname) + "".join(
            f"\2{each}" for each in held
        )

    def held_values(self, fn: FunctionType) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of defaults and of the closure, but for what is set after the function was made."""
        yield from defaults(fn)
        if fn.__closure__:
            state = changing(fn.__code__, outermost(fn))
            yield from ((name, value) for name, value in closed_over(fn) if name not in state)

    def constant(self, value: Any) -> str | None:
        """Return the text of what a closure holds, or None for what may change or has none."""
        kind = type(value)
        if isinstance(value, type):
            return self.place(value.__module__, value.__qualname__)
        if isinstance(value, CALLABLE):
            return self.callable(value)
        if isinstance(value, ModuleType):
            return value.__name__
        if kind is tuple or kind is frozenset:
            texts = [self.constant(item) or "" for item in value]
            return f"({', '.join(texts if kind is tuple else sorted(texts))})"
        if kind not in CONSTANT and not isinstance(value, Enum):
            return None
        try:
            return fingerprint(value)
        except NoFingerprint:  # of an Enum in a function
            return f"{key_name(import_name(kind))} {value.name}"

    def callable(self, value: object) -> str:
        """Return the text of a function or task that another one holds."""
        fn = innermost_function(value)
        bound = ""
        if isinstance(value, partial):
            held = [*value.args, *(item for pair in sorted(value.keywords.items()) for item in pair)]
            bound = f"({', '.join(self.constant(item) or '' for item in held)})"
        if not isinstance(fn, FunctionType):
            return f"{self.place(fn.__module__, fn.__qualname__)}{bound}"
        text = (
            ""
            if says_enough(fn.__code__, outer := outermost(fn)) or outer is fn.__code__
            else text_of_code(fn.__code__)
        )
        return f"{self.function(fn)}{bound}{text or ''}"


def defaults(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a function's defaults."""
    code, given = fn.__code__, fn.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(given) : code.co_argcount], given, strict=False)
    yield from sorted((fn.__kwdefaults__ or {}).items())


def closed_over(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a closure, without those that are not set yet."""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue


def are_one(fn: object, other: object, depth: int = DEPTH) -> bool:
    """Return True if two functions of one mark are one: of the same code, with the same in their closures and defaults."""
    if fn is other or not (isinstance(fn, FunctionType) and isinstance(other, FunctionType)):
        return bool(fn is other or fn == other)
    one, two = ({**dict(closed_over(each)), **dict(defaults(each))} for each in (fn, other))
    alike = all(are_alike(one[name], two[name], depth - 1) for name in one.keys() & two.keys())
    return fn.__code__ is other.__code__ and alike


def are_alike(value: object, other: object, depth: int) -> bool:
    """Return True if two closures hold the same: one object, equal constants, functions that are one."""
    if value is other or not depth:
        return True
    if isinstance(value, CALLABLE) and type(value) is type(other):
        bound = [getattr(each, "__self__", None) for each in (value, other)]
        held = [(*each.args, *each.keywords.values()) if isinstance(each, partial) else () for each in (value, other)]
        return (
            bound[0] is bound[1]
            and len(held[0]) == len(held[1])
            and all(are_alike(one, two, depth - 1) for one, two in zip(*held, strict=True))
            and are_one(innermost_function(value), innermost_function(other), depth)
        )
    return type(value) is type(other) and type(value) in CONSTANT | {tuple, frozenset} and bool(value == other)
