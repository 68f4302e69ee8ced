"""What runs in a worker process: one call after the other, until its owner lets it go, or is gone itself.

It leads a session of its own, for what its bodies start: who ends a worker ends its process group. Ctrl-C in a terminal
does not reach it: what runs is ended, or waited for, by the owner alone.

An owner that is killed ends nothing. There are two signs of it, and neither does for both cases:

    the pipe from the owner closes     not while a fork of the owner lives, which has inherited its end
    its process is gone (pidfd)        a thread sees it, which has to wait for native code that holds the interpreter lock

So a thread waits for both, and where the system can (Linux), it kills the group by itself when the pipe closes.
"""

import os
import signal
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any

from aiodag.executors.letters import answer_letter

READY, BEGUN = "ready", "begun"


def serve(connection: "Connection[Any, Any]", owner: int) -> None:
    """Answer calls until there will be none any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # also one that came while it could not be heard
    if hasattr(os, "setsid"):
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # for what its bodies start, which would ignore it, too
    end_with(owner)
    worker = os.getpid()
    with suppress(EOFError, OSError):  # the owner has let it go
        connection.send(READY)
        while True:
            call = connection.recv()
            connection.send(BEGUN)
            outcome = answer_letter(call)
            if os.getpid() != worker:
                # A fork that a body has made, and that has come out of the body. The pipe is not its own: what it sends
                # would be taken for the value of this call, or of the next one.
                os._exit(1)
            connection.send(outcome)
            del call, outcome


def end_with(owner: int) -> None:
    """Have this process end when another has, and all in its group."""
    parent = parent_process()
    assert parent is not None
    signs: list[Any] = [parent.sentinel]
    with suppress(AttributeError, OSError):
        signs.append(os.pidfd_open(owner))
    with suppress(ImportError, AttributeError, OSError):
        kill_on_close(parent.sentinel)
    if os.getppid() != owner:  # it was gone before we looked, and its number may be another's
        end()
    Thread(target=end_after, args=(signs,), name="aiodag.owner", daemon=True).start()


def kill_on_close(pipe: int) -> None:
    """Have the system kill this process group when the other end of a pipe is closed. Raises where it cannot."""
    import fcntl  # noqa: PLC0415 - not on Windows

    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)  # type: ignore[attr-defined, unused-ignore]  # on Linux alone
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def end_after(signs: list[Any]) -> None:
    """Wait for the end of the owner, and end."""
    wait(signs)
    end()


def end() -> None:
    """End this process and all in its group, at once."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
