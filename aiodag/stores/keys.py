"""Know a node by what it is: its key, the same in every execution of a run.

A key is a digest of the task's name and version, the call's plain arguments, the keys of the upstream nodes and the key
of the enclosing node; a counter tells equal calls apart. When a node ran, and what ran beside it, plays no part.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from aiodag._core.edges import Opaque, Settled
from aiodag._core.node import Node
from aiodag._core.search import Template
from aiodag.masking import by_names
from aiodag.secret import Veiled
from aiodag.stores.classes import further_attributes
from aiodag.stores.codec import fingerprint

if TYPE_CHECKING:
    from asyncio import Future

SCALARS = frozenset({str, int, bool, type(None)})
PRINTED = 4000  # bits of an int that is sure to be printed: Python refuses thousands of digits
BUILTIN = frozenset({"builtins", "collections", "functools", "types"})
DIGEST = 16  # bytes: 10^9 nodes collide with a probability of 10^-21


class Keys:
    """Give the nodes of one execution their keys."""

    def __init__(self, home: str = "") -> None:
        self._equals: dict[str, int] = {}
        self._home = home  # the module that the run begins in

    def key(self, node: Node[Any], upstream: Sequence[tuple[Node[Any], bool]], enclosing: str, attempt: int) -> str:
        """Return the key of a new node. Raises `NoFingerprint` for an argument by which it cannot be known again."""
        digest = digest_of(node, upstream, enclosing, self._home)
        # Each attempt of the enclosing node counts anew: it calls the same again.
        place = f"{digest} {attempt}"
        count = self._equals.get(place, 0)
        self._equals[place] = count + 1
        return f"{digest}.{count}" if count else digest


def digest_of(node: Node[Any], upstream: Sequence[tuple[Node[Any], bool]], enclosing: str, home: str) -> str:
    """Return what equal calls have in common, in one place of a run or, with nothing enclosing, in all runs."""
    task = node.task
    exogenous = "".join([key_of(up) for up, _ in upstream[: len(task.after_deps)]]) if task.after_deps else ""
    text = f"{enclosing}\0{origin(task, home)}{task.name}\0{task.options.version}\0{by_names(arguments(node))}\0{exogenous}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).hexdigest()


def origin(task: Any, home: str) -> str:
    """Return the module of a task, unless it is named by its author or in the file that the run begins with.

    Functions of one name in two modules are two tasks; a program may be renamed, and run by its file or as a module.
    """
    module = getattr(task, "__module__", "")
    return "" if task.options.name or module in {"__main__", home, "aiodag._core.task"} else f"{module}:"


def arguments(node: Node[Any]) -> str:
    """Return the text of a call's arguments, or of what the task's `key` makes of them."""
    task = node.task
    if task.stands_in:
        return ""  # a coroutine object or a future: known by its name and its place alone
    key = task.options.key
    if key is not None:
        return f"key {text_of(key(*node.args, **node.kwargs) if callable(key) else key, task.name)}"
    bound = "" if type(task.fn) is FunctionType else text_of(bound_to(task.fn), task.name)
    args = node.args
    if not node.kwargs and SCALARS.issuperset(map(type, args)):
        try:
            return f"{bound}{args!r}"
        except ValueError:  # an int of more digits than Python prints
            pass
    texts = [text_of(value, task.name) for value in args]
    texts += [f"{name}={text_of(node.kwargs[name], task.name)}" for name in sorted(node.kwargs)]
    return f"{bound}({', '.join(texts)})"


def bound_to(fn: Any) -> Any:
    """Return what a callable carries beside the call's own arguments: of a partial, a method, an object."""
    if isinstance(fn, partial):
        return bound_to(fn.func), fn.args, fn.keywords
    if isinstance(fn, MethodType):
        return fn.__self__
    return None if isinstance(fn, FunctionType | BuiltinFunctionType | type) else fn


def text_of(value: Any, task: str = "") -> str:
    """Return the text of one argument: an edge stands for the key of its upstream, not for its value."""
    kind = type(value)
    if kind in SCALARS and (kind is not int or value.bit_length() < PRINTED):
        return repr(value)
    if kind is Node:
        return key_of(value)
    if kind is Template:
        return text_of_template(value, task)
    if kind is Veiled:
        return f"secret {value.secret.name!r}"
    if kind is Settled:
        return f"settled {key_of(value.dep)}"
    if kind is Opaque:
        return text_of(plain(value.value), task)
    return fingerprint(value, task)


def text_of_template(template: Template, task: str) -> str:
    """Return the text of a container that holds edges."""
    shape, kind = template.shape, template.kind
    texts = [text_of(item, task) for item in template.items]
    if shape.pairs:  # all keys, then all values
        half = len(texts) // 2
        texts = [f"{key}: {text}" for key, text in zip(texts[:half], texts[half:], strict=True)]
    names = shape.names(template.copy)
    if names:
        counted = compared(kind)
        texts = [
            f"{name}={text}" for name, text in zip(names, texts, strict=True) if counted is None or name in counted
        ]
    if not shape.ordered:
        texts.sort()
    further = beside(template.copy, names)
    texts += [f"{name}={text_of(further[name], task)}" for name in sorted(further)]
    return f"{text_of_kind(kind, task)}[{', '.join(texts)}]"


def text_of_kind(kind: type, task: str) -> str:
    """Return the name of a container's type: its own alone for those of Python, else one that leads to it."""
    return kind.__name__ if kind.__module__ in BUILTIN else fingerprint(kind, task)


def compared(kind: type) -> frozenset[str] | None:
    """Return the fields by which a dataclass compares its instances; None if `kind` is none."""
    fields = getattr(kind, "__dataclass_fields__", None)
    return None if type(fields) is not dict else frozenset(name for name, field in fields.items() if field.compare)


def beside(container: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return what a container has beside its items, in which a body could tell it from others."""
    if isinstance(container, type):
        return {}  # of exactly this type, which has nothing else
    found = further_attributes(container, type(container), names)
    for name in ("default_factory", "maxlen"):  # of a defaultdict, of a deque
        setting = getattr(container, name, None) if isinstance(container, defaultdict | deque) else None
        if setting is not None:
            found[name] = setting
    return found


def plain(value: Any) -> Any:
    """Return what a raw task gets as a done future; any other value as it is."""
    future: Future[Any] = value
    return future.result() if type(value).__name__ == "Future" and future.done() else value


def key_of(node: Node[Any]) -> str:
    """Return the key of an upstream node; one of outside the run is known by its task alone."""
    return f"@{node.key or node.name}"
