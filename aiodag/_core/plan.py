"""The graph before anything runs."""

import asyncio
import inspect
from collections.abc import Callable
from contextvars import copy_context
from threading import Thread
from typing import Any

from aiodag._core.arity import real_signature
from aiodag._core.callables import innermost, is_async
from aiodag._core.capacity import Anything
from aiodag._core.engine import Engine
from aiodag._core.graph import Graph
from aiodag._core.ledger import Ledger
from aiodag._core.run import Run
from aiodag._core.search import close_coroutines
from aiodag._core.task import Task
from aiodag._core.veils import unveiled_call, with_secrets

TURNS = 100  # turns of the loop that fn may take without waiting for anything


def plan(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Graph:
    """Return the graph that `fn(*args, **kwargs)` makes, as far as it gets without waiting; no task runs.

    `fn` is the function that calls the tasks: async, plain, or itself a task. It runs up to its first real wait (a node,
    a sleep, I/O), on a loop of its own in a thread of its own, so that `plan` works with and without a running loop. No
    other body runs. A task that calls no others by then is a graph of one node, and so is a task of a plain function,
    whose body does not run at all.
    Raises what `fn` raises, and `TypeError` for what cannot be called and arguments that do not fit.

    >>> from aiodag import plan, task
    >>> @task
    ... async def fetch(name): ...
    >>> @task
    ... async def load(*tables): ...
    >>> async def etl():
    ...     await load(fetch("a1"), fetch("a2"))
    >>> [node.label for node in plan(etl).order()]
    ["fetch('a1')", "fetch('a2')", 'load']
    """
    try:
        check_plannable(fn, args, kwargs)
    except TypeError:
        close_coroutines(fn, args, kwargs)
        raise
    answer: list[Any] = [None, None]
    context = copy_context()
    # A daemon: a function that never gives way cannot be stopped, and must not keep the process from its end.
    thread = Thread(target=context.run, args=(_plan, fn, args, kwargs, answer), name="aiodag.plan", daemon=True)
    thread.start()
    thread.join()
    graph, error = answer
    if error is not None:
        raise error
    return graph  # type: ignore[no-any-return]  # the thread's answer


def check_plannable(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse what cannot be planned."""
    if not callable(fn):
        msg = f"plan() got {fn!r}, which is not callable. Pass the function and its arguments: plan(etl, 'a1')"
        raise TypeError(msg)
    inner = innermost(fn)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        msg = f"plan() got {fn!r}, a generator function, which calling does not run. Pass an async or plain function"
        raise TypeError(msg)
    signature = real_signature(fn.fn if isinstance(fn, Task) else fn)
    if signature is not None:
        signature.bind(*args, **kwargs)


def _plan(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], answer: list[Any]) -> None:
    loop: Any = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # nothing here was meant to run
    try:
        answer[0] = loop.run_until_complete(_collect(loop, fn, args, kwargs))
    except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
        answer[1] = error
    finally:
        loop.close()


async def _collect(loop: Any, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
    engine = loop.aiodag_engine = Engine(loop)
    engine.draining = True  # for ever: nodes are queued and nothing starts them
    ledger = loop.aiodag_ledger = Ledger(getattr(fn, "__name__", "plan"), loop.time())
    run = Run(ledger.name, grace=0, capacity=Anything())
    await run.__aenter__()
    body = asyncio.create_task(_call(fn, args, kwargs))
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if body.done() or getattr(body, "_fut_waiter", None) is not None:
            break
    error = body.exception() if body.done() and not body.cancelled() else None
    if error is None and isinstance(fn, Task) and not ledger.count:
        fn(*args, **kwargs)  # its body calls no others: then it is a node itself
    graph = ledger.graph(loop.time())
    await _discard(body, run, engine)
    if error is not None:
        raise error
    return graph


async def _call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if isinstance(fn, Task):
        if not is_async(fn.fn):
            return
        args, kwargs = with_secrets(fn, args, kwargs)
        fn = fn.fn
    value = await unveiled_call(fn, args, kwargs)
    if inspect.iscoroutine(value):
        await value


async def _discard(body: "asyncio.Task[None]", run: Run, engine: Engine) -> None:
    """Drop what was planned: coroutine objects are closed, never awaited."""
    for node in list(engine.adopted.values()):
        if inspect.iscoroutine(node.args and node.args[0]):
            node.args[0].close()
    run.stop()
    for other in asyncio.all_tasks() - {asyncio.current_task()}:
        other.cancel()
    await asyncio.wait([body], timeout=1)
