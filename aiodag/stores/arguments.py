"""Write the arguments of a call as the text that enters its key: an edge stands for the key of its upstream."""

import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.edges import Opaque, Settled
from aiodag._core.held import HeldNode
from aiodag._core.node import Node
from aiodag._core.search import ContainerCopy
from aiodag.codec.classes import further_attributes
from aiodag.codec.fingerprint import Canonical, NamedBefore313, NamedIn313, fingerprint
from aiodag.codec.printing import printed_by, python_text
from aiodag.secret import Veiled

if TYPE_CHECKING:
    from asyncio import Future

SCALARS = frozenset({str, int, bool, type(None)})
PRINTED = 4000  # bits of an int that is sure to be printed: Python refuses thousands of digits
BUILTIN = frozenset({"builtins", "collections", "functools", "types"})
# What stands for itself in the text of a key; whatever else a name holds, it is written as JSON, which nothing else here is.
# By what it lacks, for a class of all other letters takes 7 ms to compile: this one has ASCII letters, digits, _ and all else.
PLAIN_KEYWORD = re.compile(r"[^\0-/:-@\[-^`{-\x7f]+")
PLAIN_NAME = re.compile(r"[^\0-\x1f\x7f:@,]*")


class Style(NamedTuple):
    """How arguments are written for a key."""

    printed: Callable[[Any], str]
    form: type[Canonical]
    keyword: Callable[[str], str]
    outside: Callable[[str], str]  # the name of a node of another run


def plain_keyword(name: str) -> str:
    """Return the name of an argument, which may be any text: `f(**{"a=1, b": 2})`."""
    return name if PLAIN_KEYWORD.fullmatch(name) else json.dumps(name)


def plain_name(name: str) -> str:
    """Return the name that an author has given, so that it is not taken for `module:function` or for two names."""
    return name if PLAIN_NAME.fullmatch(name) else f"\1{json.dumps(name)}"


TODAY = Style(python_text, Canonical, plain_keyword, plain_name)
# As version 1.2.0 wrote, on each Python that it ran on.
FORMERLY = [
    Style(printed_by(python), form, str, str)
    for python, form in (("3.11", NamedBefore313), ("3.12", NamedBefore313), ("3.13", NamedIn313))
]


def arguments(node: Node[Any], style: Style = TODAY) -> str:
    """Return the text of a call's arguments, or of what the task's `key` makes of them."""
    task = node.task
    if task.stands_in:
        return ""  # a coroutine object or a future: known by its name and its place alone
    key = task.options.key
    if key is not None:
        return f"key {argument_text(key(*node.args, **node.kwargs) if callable(key) else key, task.name, style)}"
    bound = "" if type(task.fn) is FunctionType else argument_text(bound_to(task.fn), task.name, style)
    args = node.args
    if not args and not node.kwargs:
        return f"{bound}()"
    if not node.kwargs and SCALARS.issuperset(map(type, args)):
        try:
            return f"{bound}{style.printed(args)}"
        except ValueError:  # an int of more digits than Python prints
            pass
    texts = [argument_text(value, task.name, style) for value in args]
    texts += [
        f"{style.keyword(name)}={argument_text(node.kwargs[name], task.name, style)}" for name in sorted(node.kwargs)
    ]
    return f"{bound}({', '.join(texts)})"


def bound_to(fn: object) -> Any:
    """Return what a callable carries besides the call's own arguments: of a partial, a method, an object."""
    if isinstance(fn, partial):
        return bound_to(fn.func), fn.args, fn.keywords
    if isinstance(fn, MethodType):
        return fn.__self__
    return None if isinstance(fn, FunctionType | BuiltinFunctionType | type) else fn


def argument_text(value: Any, task: str = "", style: Style = TODAY) -> str:
    """Return the text of one argument: an edge stands for the key of its upstream, not for its value."""
    kind = type(value)
    if kind in SCALARS and (kind is not int or value.bit_length() < PRINTED):
        return style.printed(value)
    if kind is Node or kind is HeldNode:
        return key_of_upstream(value, style)
    if kind is ContainerCopy:
        return text_of_template(value, task, style)
    if kind is Settled:
        return f"settled {key_of_upstream(value.dep, style)}"
    if kind is Veiled:
        return f"secret {value.secret.known_as!r}"
    if kind is Opaque:
        return argument_text(unwrap_raw(value.value), task, style)
    return fingerprint(value, task, style.form)


def text_of_template(template: ContainerCopy, task: str, style: Style) -> str:
    """Return the text of a container that holds edges."""
    shape, kind = template.shape, template.kind
    texts = [argument_text(item, task, style) for item in template.items]
    if shape.pairs:  # all keys, then all values
        half = len(texts) // 2
        texts = [f"{key}: {text}" for key, text in zip(texts[:half], texts[half:], strict=True)]
    names = shape.names(template.copy)
    if names:
        counted = compared_fields(kind)
        texts = [
            f"{name}={text}" for name, text in zip(names, texts, strict=True) if counted is None or name in counted
        ]
    if not shape.ordered:
        texts.sort()
    further = beside(template.copy, names)
    texts += [f"{name}={argument_text(further[name], task, style)}" for name in sorted(further)]
    return f"{text_of_kind(kind, task, style)}[{', '.join(texts)}]"


def text_of_kind(kind: type, task: str, style: Style) -> str:
    """Return the name of a container's type: its own alone for those of Python, else one that leads to it."""
    return kind.__name__ if kind.__module__ in BUILTIN else fingerprint(kind, task, style.form)


def compared_fields(kind: type) -> frozenset[str] | None:
    """Return the fields by which a dataclass compares its instances; None if `kind` is none."""
    fields = getattr(kind, "__dataclass_fields__", None)
    return None if type(fields) is not dict else frozenset(name for name, field in fields.items() if field.compare)


def beside(container: object, names: Sequence[str]) -> dict[str, Any]:
    """Return what a container has besides its items, by which a body could tell it from others."""
    if isinstance(container, type):
        return {}  # of exactly this type, which has nothing else
    found = further_attributes(container, type(container), names)
    for name in ("default_factory", "maxlen"):  # of a defaultdict, of a deque
        setting = getattr(container, name, None) if isinstance(container, defaultdict | deque) else None
        if setting is not None:
            found[name] = setting
    return found


def unwrap_raw(value: Any) -> Any:
    """Return what a raw task gets as a done future; any other value as it is."""
    future: Future[Any] = value
    return future.result() if type(value).__name__ == "Future" and future.done() else value


def key_of_upstream(node: Node[Any], style: Style = TODAY) -> str:
    """Return the key of an upstream node; one of outside the run is known by its task alone."""
    return f"@{getattr(node, 'known_by', '') or style.outside(node.name)}"
