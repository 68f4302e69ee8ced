"""End an async body in a worker of a cluster that can do no more than interrupt the main thread.

That waits for the body, in C, until the loop of the worker has it. An interrupt that comes as a signal would wake it. One
that another thread makes does not, but it writes a byte where `signal.set_wakeup_fd` says:

    cancel ─► interrupt_main() ─► a byte ─► a thread here cancels the body ─► the main thread goes on, and is interrupted
                                                      └─► and ends the worker, if the body has not ended by then: GRACE
"""

import os
import signal
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from socket import MSG_DONTWAIT, MSG_PEEK, socketpair
from threading import Lock, Thread

from aiodag.executors.shipped import BODIES

GRACE = 5.0  # seconds for an async body to end by itself when it is cancelled
GONE = 1  # the code with which a worker ends whose body did not


class HeardInterrupts:
    """Hears of interrupts in this process, for the call that runs in the main thread."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.label = ""  # of the call that is interrupted; "" between two
        self.heard, self.written = socketpair()
        self.written.setblocking(False)
        Thread(target=self.listen, name="aiodag.interrupts", daemon=True).start()

    def begin(self, label: str) -> None:
        """Hear for a call from now on: what came for an earlier one is not meant for it."""
        with self.lock:
            self.taken()
            self.label = label
        signal.set_wakeup_fd(self.written.fileno(), warn_on_full_buffer=False)

    def end(self) -> None:
        """Hear for none."""
        with self.lock:
            self.label = ""

    def taken(self) -> bool:
        """Return True if there was an interrupt, and forget it."""
        with suppress(BlockingIOError):
            return bool(self.heard.recv(4096, MSG_DONTWAIT))
        return False

    def listen(self) -> None:
        """Cancel what is interrupted. In a thread, until the worker ends."""
        while self.heard.recv(1, MSG_PEEK):
            with self.lock:
                label = self.label if self.taken() else ""
            body = BODIES.running.get(label)
            if body is not None:
                BODIES.stop([label])
                end_unless(body.ended)


def end_unless(ended: "Future[None]") -> None:
    """End this worker if a body does not end in time."""
    try:
        ended.result(GRACE)
    except TimeoutError:
        os._exit(GONE)


@cache
def interrupts_here() -> HeardInterrupts:
    """Return what hears of interrupts in this process."""
    return HeardInterrupts()


@contextmanager
def interruptible(label: str) -> "Generator[None]":
    """Have an interrupt cancel the async body of this call. In the main thread."""
    interrupts = interrupts_here()
    interrupts.begin(label)
    try:
        yield
    finally:
        interrupts.end()
