"""End a process that a body has forked, before it goes on as its parent.

Such a process has a copy of the loop, and none of the threads: nobody writes down what it does, and nobody wakes it. What the
loop waits for is shared: closing the copy takes the selector from the parent. And what comes next in the ready queue would
run twice. So, in the fork, the engine becomes a `Forked`:

    os.fork() ──► ends by os._exit or os.execv, or runs a loop of its own     as always in Python
              └─► returns, raises or awaits: uses the parent's engine         ends here, at once

To compare process ids wherever a body ends would cost a system call for each node.
"""

import os
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

from aiodag._core.context import NODE, RUN, node_of
from aiodag.masking import masked


class Forked:
    """In a forked process, the engine of its parent's loop: any use of it ends the process."""

    def __getattribute__(self, name: str) -> Any:
        if name != "loop":  # asyncio asks every task that it knows for it, also when another loop ends
            end_fork(object.__getattribute__(self, "forked_by"))
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        end_fork(object.__getattribute__(self, "forked_by"))


def turn_engine() -> None:
    """Make the engine of the body, or of the run, that has forked this process one that cannot be used."""
    node, run = node_of(NODE.get()), RUN.get()
    if node is not None:
        engine: Any = node.engine
        forked_by = f"the body of {node.name}"
    elif run is not None:
        engine = getattr(run.loop, "aiodag_engine", None)
        forked_by = f"the code of run {run.name!r}"
    else:
        return
    if engine is None or type(engine) is Forked:
        return
    loop = engine.loop
    engine.forked_by = forked_by
    engine.__class__ = Forked
    with suppress(RuntimeError):  # debug mode, and a thread has forked: that loop takes no step here
        loop.call_soon(end_fork, forked_by)  # a body that goes on to wait for a future uses no engine


def leave_fork(engine: Any, error: BaseException | None = None) -> None:
    """End this process if a body has forked it, which has returned or raised here; else do nothing."""
    if type(engine) is not Forked:
        return
    if isinstance(error, SystemExit):
        if not isinstance(error.code, int | None):
            sys.stderr.write(f"{error.code}\n")
            end_process(1)
        end_process(error.code or 0)
    if error is not None:
        sys.stderr.write(masked("".join(traceback.format_exception(error))))
    end_fork(object.__getattribute__(engine, "forked_by"))


def end_fork(forked_by: str) -> NoReturn:
    """Say that a forked process went on as its parent, and end it."""
    sys.stderr.write(
        f"aiodag: process {os.getpid()} has been ended: it was forked by {forked_by}, and went on as if it were its parent. "
        "End a forked process with os._exit(), or start one with multiprocessing, subprocess or executor='process'\n"
    )
    end_process(1)


def end_process(code: int) -> NoReturn:
    """End this process without closing what it shares with its parent."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=turn_engine)
