"""Make the node of a call, and of every awaitable that is passed as an edge without being a node."""

import asyncio
import sys
import threading
from asyncio import _get_running_loop
from contextvars import copy_context
from functools import partial
from inspect import iscoroutine
from sys import _getframe
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.context import NODE, RUN, SHIPPED, current_node
from aiodag._core.edges import PLAIN
from aiodag._core.elsewhere import check_place
from aiodag._core.engine import Engine
from aiodag._core.futures import follow_future
from aiodag._core.held import HeldNode
from aiodag._core.homecoming import fetching
from aiodag._core.node import Node, blank_node
from aiodag._core.options import NO_OPTIONS
from aiodag._core.rules import JUDGE
from aiodag._core.search import Search, close_coroutines
from aiodag._core.veils import unveiling, with_secrets
from aiodag.errors import ForeignLoop, LetGo, NoLoop
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.task import Task

WAITING, QUEUED = State.WAITING, State.QUEUED
new_node: Any = Node.__new__


def submit(task: "Task[..., Any]", /, *args: Any, **kwargs: Any) -> Node[Any]:
    """Make the node of a call. This is `Task.__call__`: the frame above is the caller's."""
    loop: Any = _get_running_loop()
    try:
        engine: Engine | None = loop.aiodag_engine
    except AttributeError:
        engine = None
    if engine is None:  # not inside the except: an error raised there would show that one first
        if loop is None:
            return without_loop(task, args, kwargs)  # type: ignore[no-any-return]  # in a worker process a value
        engine = engine_of(loop)
    if (len(args) != task._exactly and not task.fewest <= len(args) <= task.most) or kwargs:
        check_call(task, args, kwargs)

    node: Node[Any] = new_node(Node)
    frame: Any = _getframe(1)  # the one way to know the place of the call
    node.code = code = frame.f_code
    if code is MANY:
        frame = frame.f_back.f_back
        node.code = frame.f_code
    node.instruction = frame.f_lasti
    node.task, node.engine = task, engine
    node.args, node.kwargs = args, kwargs
    node._call_context = copy_context()
    node._downstream = node._early = None
    node.attempt = node._pending = node.driven = 0
    node._caller = NODE.get()
    node.state = WAITING
    node.run = run = RUN.get()
    if run is not None and run.loop is not loop:
        node.run = run = None  # a plain function that runs a loop of its own, in a thread with our context

    upstream: Any = ()
    try:
        for value in args:
            kind = type(value)
            if kind is Node and value.engine is engine:
                upstream = (*upstream, value)
            elif kind not in PLAIN:
                upstream = None
                break
    except TypeError:  # a class whose metaclass has no hash is none of those
        upstream = None
    if kwargs or task._special:
        upstream = None
    node._edged = bool(upstream)
    if upstream is None or (run is not None and not run._enter_plain(node, upstream)):
        return enter_node(node, upstream)
    node.kwargs = None  # not the empty dict: it would be one more object for the garbage collector
    node._plain = task.call is None
    if upstream:
        node._connect_plain(upstream)
    if not node._pending and node.state is WAITING:
        node.state = QUEUED  # as in release()
        if run is not None and upstream:
            run._moves += (node.number, QUEUED, run.clock())
        engine.ready.append(node)
        if not engine.draining:
            engine.wake()
    return node


def submit_all(task: "Task[..., Any]", calls: list[Any], constants: dict[str, Any]) -> list[Node[Any]]:
    """Make the nodes of the calls of `Task.map`: the place of each is two frames up from here."""
    nodes = []
    for args in calls:  # a loop: a comprehension would be a frame of its own on Python 3.11
        nodes.append(submit(task, *args, **constants))  # noqa: PERF401 - see above
    return nodes


MANY = submit_all.__code__


def enter_node(node: Node[Any], plain: tuple[Node[Any], ...] | None) -> Node[Any]:
    """Make the edges of a call that is of a run, or has more than plain values and nodes, and tell its run.

    `plain` has the nodes among the arguments, if these are nothing but plain values and nodes.
    """
    engine, run = node.engine, node.run
    node._plain = False
    if run is not None and run.departed:
        close_coroutines(node.args, node.kwargs)
        raise LetGo(run.id)
    upstream = search(engine, node) if plain is None else [(each, False) for each in plain]
    if run is not None:
        live = run._enter(node, upstream)
        if live is not None:
            return live
    if upstream:
        node.connect(upstream)
    if not node._pending and node.state is WAITING:
        engine.release(node)
    if node.run is not None and node.run.stopping:
        node.cancel("its run is being cancelled")
    return node


def check_call(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a call that does not fit the signature, before anything is scheduled."""
    try:
        task.check(args, kwargs)
    except TypeError:
        close_coroutines(args, kwargs)
        raise


def without_loop(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a task where no loop runs: in a worker process its body, as a plain call. Raises `NoLoop` elsewhere."""
    if not in_worker():
        close_coroutines(args, kwargs)
        body = current_node()
        raise NoLoop(task.name, "" if body is None else body.name)
    check_call(task, args, kwargs)
    value = task.fn(*args, **kwargs)
    # What has sent a function to another process waits there for its value, and cannot be given a coroutine.
    return asyncio.run(value) if iscoroutine(value) else value


def in_worker() -> bool:
    """Return True where a worker process calls what it was sent: in its main thread, or where a cluster's worker says so.

    In other threads of it a call is what it is in every process: a web server's worker may be such a process, too.
    """
    if SHIPPED.get():
        return True
    processes: Any = sys.modules.get("multiprocessing.process")
    in_child = processes is not None and processes.parent_process() is not None
    return in_child and threading.current_thread() is threading.main_thread()


def engine_of(loop: Any) -> Engine:
    """Return the engine of a loop, made for the first call on it.

    It is kept on the loop itself: a table of loops would be shared by threads, and cost a lookup for each call.
    """
    engine: Engine | None = getattr(loop, "aiodag_engine", None)
    if engine is None:
        engine = loop.aiodag_engine = Engine(loop)
    return engine


class Adopted:
    """Stands for the task of an awaitable that was passed as an edge."""

    stands_in, barrier, encloses, rule, _waits = True, False, False, None, False
    after_deps, raw, code, call = (), False, None, None
    waits, fit, firm, may_fail = "", None, False, False
    options = NO_OPTIONS

    def __init__(self, engine: Engine, awaitable: Any) -> None:
        self.engine = engine
        kind = type(awaitable)
        # Not of a done one: after an eager start get_coro() crashes on Python 3.12 (cpython issue 122332).
        coroutine = awaitable.get_coro() if issubclass(kind, asyncio.Task) and not awaitable.done() else awaitable
        # Asked of coroutines alone: an object of somebody's own class may answer anything.
        self.name = (
            getattr(coroutine, "__qualname__", kind.__name__) if hasattr(type(coroutine), "send") else kind.__name__
        )

    async def fn(self, awaitable: Any) -> Any:
        """Await what was adopted."""
        try:
            return await awaitable
        except BaseException:
            forget(self.engine, awaitable)
            raise


def search(engine: Engine, node: Node[Any]) -> list[tuple[Node[Any], bool]]:
    """Find the edges of a call that is more than plain values and nodes: each with whether it takes any outcome."""
    task = node.task
    made: dict[int, Node[Any]] = {}
    look = Search(partial(adopt, engine, made), engine.loop, engine.kinds, raw=task.raw)
    try:
        if task._special:
            check_place(task, node.run)
            node.args, node.kwargs = with_secrets(task, node.args, node.kwargs)
        for dep in task.after_deps:
            look.edge(dep)
        args = tuple([look.argument(value) for value in node.args])
        kwargs = {key: look.argument(value) for key, value in node.kwargs.items()}
    except BaseException:
        close_coroutines(node.args, node.kwargs)
        raise
    for up in made.values():  # only now: what is passed to a call that is refused must not run
        launch(engine, up)
    node.args, node.kwargs = args, kwargs
    node._edged = True
    if look.veiled:
        node.task = unveiling(task)
    if look.away:
        node.task, node._edged = fetching(node.task), False  # its arguments are filled when the values have come
    node._pending = 0 if task.rule is None else JUDGE  # which comes when the edges are there
    found = cast("list[tuple[Node[Any], bool]]", look.found)
    if found:
        node.after = tuple([up for up, _ in found])
    return found


def adopt(engine: Engine, made: dict[int, Node[Any]], awaitable: Any) -> Node[Any]:
    """Return the node that stands for an awaitable: the same object gives the same node.

    `made` collects, by the ids of their awaitables, the nodes that are new.
    """
    if type(awaitable) is Node or type(awaitable) is HeldNode:
        if awaitable.engine is not engine:
            raise ForeignLoop(awaitable, closed=awaitable.engine.loop.is_closed())
        return awaitable
    known = made.get(id(awaitable))
    if known is None and is_known_again(awaitable):
        known = engine.adopted.get(awaitable)
        if known is not None and known.state is State.CANCELLED and is_future(awaitable) and not awaitable.cancelled():
            known = None  # a run was cancelled, and the node with it; the future goes on
    if known is None:
        known = made[id(awaitable)] = stand_in_node(engine, awaitable)
    return known


def is_known_again(awaitable: Any) -> bool:
    """Return True if another call can know an awaitable again: by identity, since two that are equal are still two."""
    kind: Any = type(awaitable)
    plain = kind.__hash__ is object.__hash__ and kind.__eq__ is object.__eq__
    return plain and kind.__weakrefoffset__ != 0


def stand_in_node(engine: Engine, awaitable: Any) -> Node[Any]:
    """Make a node for a coroutine, a future or another awaitable. It does nothing before it is launched."""
    if is_future(awaitable) and awaitable.get_loop() is not engine.loop:
        raise ForeignLoop(awaitable, closed=awaitable.get_loop().is_closed())
    node = blank_node(engine, cast("Task[..., Any]", Adopted(engine, awaitable)), (awaitable,))
    run = RUN.get()
    node.run = run if run is not None and run.loop is engine.loop else None
    return node


def launch(engine: Engine, node: Node[Any]) -> None:
    """Have a stand-in run its coroutine, or follow its future."""
    (awaitable,) = node.args
    if is_known_again(awaitable):
        engine.adopted[awaitable] = node
    if node.run is not None:
        node.run._enter(node, [])
    if is_future(awaitable):
        follow_future(engine, node, awaitable)
        awaitable.add_done_callback(partial(forget, engine), context=engine.context)
    else:
        engine.release(node)


def forget(engine: Engine, awaitable: Any) -> None:
    """Forget the node of a future that has settled, or of an awaitable that has failed.

    The table holds the node, the node its exception, that its traceback, and frames in it the awaitable: none of them
    would go before the loop does. A coroutine that has succeeded has its value nowhere else, so its node is kept.
    """
    if is_known_again(awaitable):
        engine.adopted.pop(awaitable, None)


def is_future(awaitable: Any) -> bool:
    """Return True if something is a future: as `asyncio.isfuture`, but by its type and not by what it says it is."""
    return getattr(type(awaitable), "_asyncio_future_blocking", None) is not None
