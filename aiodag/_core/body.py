"""Run a body in the asyncio task that is its node."""

import os
import sys
from asyncio import CancelledError, get_running_loop
from contextlib import suppress
from typing import Any
from weakref import ref

from aiodag._core.cancels import as_failure, is_asked
from aiodag._core.context import NODE
from aiodag._core.failure import Exited
from aiodag._core.node import Node, on_done
from aiodag._core.search import check_returned


async def drive_body(node: Node[Any], call: Any, args: Any, kwargs: Any) -> Any:
    """Run a body in the asyncio task that is its node, and settle the node with it.

    Settled here, in the last step of the asyncio task, success costs no callback of the loop. Whatever else ends the
    attempt is settled by a callback, when the asyncio task knows its exception.
    """
    NODE.set(ref(node))
    try:
        body = call(*args, **kwargs) if kwargs else call(*args)  # an empty ** would cost a dict
        del args, kwargs  # the body's from here on
        value = await body
        # The usual values are looked at here: a call for each of them would cost a twentieth of a node.
        if value is not None and type(value) is not int and type(value) is not str:
            check_returned(node, value)
    except CancelledError as error:
        engine, name = node.engine, node.name
        on_done(node, engine.ended, context=engine.context)
        asked = is_asked(node, error)
        del node  # as below
        if asked:
            raise
        raise as_failure(name, error) from error
    except BaseException as error:
        engine = node.engine
        on_done(node, engine.ended, context=engine.context)
        # The traceback keeps this frame: with the node in it, the node would keep itself, and its report would
        # wait for the garbage collector.
        del node
        if isinstance(error, SystemExit):
            leave_fork(error)
            # An asyncio task that raises it stops the loop, and with it all that has nothing to do with this body.
            raise Exited(error) from None
        raise
    engine = node.engine
    if node._must_cancel:  # type: ignore[attr-defined]  # noqa: SLF001 - it cancelled itself: asyncio drops the value
        on_done(node, engine.ended, context=engine.context)
        return value
    engine.alive.discard(node)
    engine.succeed(node)
    return value


def leave_fork(error: SystemExit) -> None:
    """End this process as its body asks for if the body has forked it; else do nothing.

    Not by raising: on its way out asyncio would close the loop, and take what it waits for from the parent, with which a
    fork shares the selector.
    """
    try:
        get_running_loop()
    except RuntimeError:  # the loop that runs is the parent's
        pass
    else:
        return
    code = error.code
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(1 if not isinstance(code, int | None) else code or 0)
