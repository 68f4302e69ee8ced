"""The guard: a process that kills an agent which stands still while its programs go on.

An owner that hears nothing of its agent takes a program for ended once its lease is over, since the agent ends it then. One that
is stopped, or whose loop is stuck, ends nothing. So it tells its guard by when the first lease is over, and its guard kills
it if that has passed and no later moment has come. Then the warden ends all programs, as it does for an agent that died.

Both have one clock, `time.monotonic()`. This file is the program, too, which imports nothing of aiodag.
"""

import math
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from struct import Struct

MOMENT = Struct("d")
NEVER = math.inf
# Seconds after a lease, in which a busy agent may still end what that was for; its clients wait for longer.
MARGIN = 3.0
PATIENCE = 1.0  # seconds for the guard to end


class AgentGuard:
    """The guard of this process, as it sees it."""

    def __init__(self) -> None:
        self._due_at = NEVER
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, due_at: float) -> None:
        """Tell by when the first lease is over. Starts it, if it is not there."""
        self._due_at = due_at
        for _ in range(2):  # somebody may have killed it
            if self._process is None:
                with suppress(OSError):  # no room for another process: it is tried again the next time
                    self._process = start_guard()
            if self._process is None or self._has_heard(self._process, due_at):
                return
            self.close()

    def _has_heard(self, process: "subprocess.Popen[bytes]", due_at: float) -> bool:
        assert process.stdin is not None
        try:
            os.write(process.stdin.fileno(), MOMENT.pack(due_at))
        except BlockingIOError:
            pass  # it is slow, and will hear the next one
        except BrokenPipeError:
            return False
        return True

    def tell_earlier(self, due_at: float) -> None:
        """Tell by when a lease is over, if that is the first."""
        if due_at < self._due_at:
            self.tell(due_at)

    def close(self) -> None:
        """Let it end: nothing is to be guarded any more."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start_guard() -> "subprocess.Popen[bytes]":
    """Start the guard of this process."""
    made = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-I", "-S", __file__, str(os.getpid())],
        cwd="/",
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert made.stdin is not None
    os.set_blocking(made.stdin.fileno(), False)
    return made


def guard(agent: int) -> None:
    """Kill the agent when it has not minded a lease; end with it."""
    due_at = NEVER
    while True:
        rest = None if due_at == NEVER else max(0.0, due_at + MARGIN - time.monotonic())
        if select.select([0], [], [], rest)[0]:
            told = os.read(0, 2**16 // MOMENT.size * MOMENT.size)
            if not told:
                return
            (due_at,) = MOMENT.unpack(told[-MOMENT.size :])
        elif os.getppid() == agent:
            os.kill(agent, signal.SIGKILL)
            return
        else:
            return


if __name__ == "__main__":
    guard(int(sys.argv[1]))
