"""Know a node by what it is: its key, the same in every execution of a run.

A key is a digest of what the task runs, its version, the call's plain arguments, the keys of the upstream nodes and the key
of the enclosing node; a counter tells equal calls apart. When a node ran, and what ran at the same time, plays no part.

A key once recorded stays what it is, for somebody else may know it. So where a key is made in another way than it was, a
node for which nothing is recorded is looked for under its former keys, and keeps the one that is found.
"""

from collections.abc import Collection, Sequence
from functools import partial
from hashlib import blake2b
from types import FunctionType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from aiodag._core.node import Node
from aiodag._core.task import Task
from aiodag.errors import NoIdentity
from aiodag.masking import by_names
from aiodag.names import key_name
from aiodag.stores.arguments import TODAY, Style, arguments, key_of_upstream, plain_name
from aiodag.stores.former import Former, module_of_task, refuse_moved
from aiodag.stores.identity import CALLABLE, Mark, are_one, closed_over, innermost_function, is_found, is_main

if TYPE_CHECKING:
    from aiodag.records import FunctionRow
    from aiodag.stores.past import Remembered

DIGEST = 16  # bytes: 10^9 nodes collide with a probability of 10^-21


class Keys:
    """Give the nodes of one execution their keys."""

    def __init__(self, home: str = "") -> None:
        # Of each call the digest, and of those that came again how often: as bytes, for there may be ten million.
        self._called: set[bytes] = set()
        self._equals: dict[bytes, int] = {}
        self._home = home  # the module that the run begins in
        self._found: dict[str, Any] = {}  # functions of modules and classes, by the names that lead to them
        self.former = Former(home)
        self.new_functions: list[FunctionRow] = []  # to be recorded
        self._noted: set[tuple[str, str]] = set()
        # Marks of inner functions, with what these held: to make one takes longer than all else here.
        self._marks: WeakKeyDictionary[FunctionType, tuple[tuple[Any, ...], str]] | None = None
        self._alike: dict[str, Any] = {}  # the first function of equal calls, weakly, where there may be two
        self._named: dict[str, Any] = {}  # the first function of each name that an author gave
        self._several: set[str] = set()  # names that more than one function has
        self._shared: dict[str, Any] = {}  # by the place of a call, the function, where several have its name

    def key(
        self,
        node: Node[Any],
        upstream: Sequence[tuple[Node[Any], bool]],
        enclosing: str,
        attempt: int,
        known: "Remembered | Collection[str]" = (),
    ) -> str:
        """Return the key of a new node: a former one if only that is known.

        Raises `NoFingerprint` for an argument, and `NoIdentity` for a function, by which it cannot be known again.
        """
        identity = self.identity(node.task)
        digest = digest_of_call(identity, node, upstream, enclosing, TODAY)
        count = self._count(digest, attempt)
        if "\2" in identity and not node.task.options.key:
            self._tell_apart(node.task, f"{digest} {attempt}", count)
        elif node.task.options.name and type(node.task) is Task and not node.task.options.key:
            self._tell_named_apart(node.task, f"{digest} {attempt}", count)
        key = f"{digest}.{count}" if count else digest
        if not known or key in known:
            return key
        return self._former_key(node, upstream, enclosing, attempt, known, identity, digest) or key

    def _former_key(
        self,
        node: Node[Any],
        upstream: Sequence[tuple[Node[Any], bool]],
        enclosing: str,
        attempt: int,
        known: "Remembered | Collection[str]",
        identity: str,
        digest: str,
    ) -> str:
        """Return the former key of a node under which something is recorded; empty if there is none."""
        task, seen = node.task, {digest}
        for candidate in () if task.stands_in else self.former.candidates(task, identity):
            for style in candidate.styles:
                former = digest_of_call(candidate.identity, node, upstream, enclosing, style, candidate.version)
                if former in seen:
                    continue
                seen.add(former)
                count = self._count(former, attempt)
                counted = f"{former}.{count}" if count else former
                if counted in known:
                    refuse_moved(task, candidate)
                    return counted
        return ""

    def _count(self, digest: str, attempt: int) -> int:
        """Count equal calls. Each attempt of the enclosing node counts anew: it calls the same again."""
        place = bytes.fromhex(digest)
        if attempt > 1:  # with nothing around it there is none, and what is called in a body has another digest
            place += b"%d" % attempt
        if place not in self._called:
            self._called.add(place)
            return 0
        count = self._equals.get(place, 1)
        self._equals[place] = count + 1
        return count

    def identity(self, task: Any) -> str:
        """Return what a task is known by. Raises `NoIdentity` where it could be taken for another one."""
        name: str = task.name
        if task.options.name:
            return plain_name(name)
        fn = task.fn
        plain = f"{origin_of_task(task, self._home)}{name}"
        if type(fn) is not FunctionType:
            if task.stands_in:
                return plain
            fn = innermost_function(fn)
        if self._found.get(plain) is fn:
            return plain
        mark = self._mark(task, fn)
        if mark:
            return f"{plain}\2{mark}"
        if isinstance(task.fn, partial):  # whose module is that of `partial`
            return f"{plain}\2{Mark(self._home).place(fn.__module__, fn.__qualname__)}"
        self._note(task, name)
        if self._found.setdefault(plain, fn) is not fn:
            raise NoIdentity(name, "is the name of another function that this run has called before")
        return plain

    def _mark(self, task: object, fn: object) -> str:
        """Return what tells a function from others of its name; empty for one that its name leads to."""
        if not isinstance(fn, FunctionType) or (fn.__closure__ is None and "<locals>" not in fn.__qualname__):
            return "" if is_found(fn) else self._made_mark(task, fn)
        held = tuple(closed_over(fn)) if fn.__closure__ else ()
        if self._marks is None:
            self._marks = WeakKeyDictionary()
        known = self._marks.get(fn)
        if known is not None and (
            known[0] is held or (len(known[0]) == len(held) and all(map(is_same, known[0], held)))
        ):
            return known[1]
        mark = "" if is_found(fn) else self._made_mark(task, fn)
        if not any(isinstance(value, CALLABLE) for _, value in held):  # which may hold something else the next time
            self._marks[fn] = held, mark
        return mark

    def _made_mark(self, task: Any, fn: Any) -> str:
        self._note(task, getattr(fn, "__qualname__", task.name))
        return Mark(self._home).of(fn, task.name)

    def _note(self, task: object, name: str) -> None:
        """Note the module of a function, by which a later execution sees that it has moved."""
        module = module_of_task(task)
        if (name, module) not in self._noted:
            self._noted.add((name, module))
            main = is_main(module, self._home)
            self.new_functions.append((name, self._home if main else module, main))

    def _tell_named_apart(self, task: Any, place: str, count: int) -> None:
        """Refuse equal calls of two functions to which their authors gave one name."""
        fn = innermost_function(task.fn)
        first = self._named.setdefault(task.name, fn)
        if first is fn and task.name not in self._several:
            return
        self._several.add(task.name)
        # A call whose function was not noted was made when the name had only one.
        other = self._shared.setdefault(place, fn) if not count else self._shared.get(place, first)
        if count and not are_one(fn, other):
            raise NoIdentity(task.name, "is the name of two functions that are called with equal arguments")

    def _tell_apart(self, task: Any, place: str, count: int) -> None:
        """Refuse equal calls of two functions that nothing tells apart: which is which would be known by their order."""
        fn = innermost_function(task.fn)
        first = self._alike.get(place)
        other = None if first is None else first()
        if count and other is not None and not are_one(fn, other):
            raise NoIdentity(
                task.name, "is called twice with equal arguments, as two functions that differ in what they hold"
            )
        if other is None and isinstance(fn, FunctionType) and (fn.__closure__ or fn.__defaults__ or fn.__kwdefaults__):
            self._alike[place] = ref(fn)


def is_same(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    """Return True if a closure holds the same object."""
    return one[1] is other[1]


def digest_of_call(
    identity: str,
    node: Node[Any],
    upstream: Sequence[tuple[Node[Any], bool]],
    enclosing: str,
    style: Style,
    version: str | None = None,
) -> str:
    """Return what equal calls have in common, in one place of a run or, with nothing enclosing, in all runs."""
    task = node.task
    exogenous = ""
    if task.after_deps:
        exogenous = "".join([key_of_upstream(up, style) for up, _ in upstream[: len(task.after_deps)]])
    version = task.options.version if version is None else version
    text = f"{enclosing}\0{identity}\0{version}\0{by_names(arguments(node, style))}\0{exogenous}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).hexdigest()


def origin_of_task(task: Any, home: str) -> str:
    """Return the module of a task, unless it is named by its author or in the file that the run begins with.

    Functions of one name in two modules are two tasks; a program may be renamed, and run by its file or as a module.
    """
    module = getattr(task, "__module__", "")
    return "" if task.options.name or is_main(module, home) or module == Task.__module__ else key_name(f"{module}:")
