"""What an earlier agent with the same directory has started is gone before a new one answers.

Its warden ends its programs. That may take their grace; and somebody may have killed the warden, too. So each program has
a variable of the directory, by which a new agent finds what is left.
"""

import asyncio
import fcntl
import os
import signal
import sys
import time
from hashlib import blake2b
from pathlib import Path

from aiodag.commands.warden import groups_of, send_signal
from aiodag.errors import AiodagError, OptionError

VARIABLE = "AIODAG_AGENT"
PAUSE = 0.05  # seconds between two looks at all processes
PATIENCE = 5.0  # seconds for programs that were asked to end, where no warden is there to wait longer


class AgentDirectory:
    """The directory of an agent: for it alone, while it holds the lock."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except (OSError, ValueError) as error:
            raise OptionError("--directory", str(path), f"a directory in which files can be made ({error})") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            msg = f"another agent uses the directory {path}: give this one its own with --directory"
            raise AiodagError(msg) from None
        self.path = path.resolve()

    @property
    def mark(self) -> str:
        """What the variable of its programs says."""
        return blake2b(os.fsencode(self.path), digest_size=16).hexdigest()

    def close(self) -> None:
        """Leave it to another agent."""
        os.close(self._lock)


def marked_sessions(mark: str) -> set[int]:
    """Return the sessions that have a process with the variable of an agent."""
    if sys.platform != "linux":
        return set()
    entry = f"\0{VARIABLE}={mark}\0".encode()
    found: set[int] = set()
    for each in os.listdir("/proc"):  # noqa: PTH208 - thousands of them
        if each.isdigit():
            try:
                with open(f"/proc/{each}/environ", "rb") as file:  # noqa: PTH123 - thousands of them
                    if entry in b"\0" + file.read():
                        found.add(os.getsid(int(each)))
            except OSError:
                continue
    return found - {os.getsid(0)}


async def end_ghosts(mark: str, patience: float = PATIENCE) -> int:
    """End what an earlier agent has left, and wait until it is gone. Return how many programs those were."""
    sessions = await asyncio.to_thread(marked_sessions, mark)
    count = len(sessions)
    kill_at = time.monotonic() + patience
    number = signal.SIGTERM
    while sessions:
        for groups in groups_of(sessions).values():
            for group in groups:
                send_signal(group, number)
        if number == signal.SIGTERM:
            number = signal.SIGCONT  # once is enough; one that is stopped would not hear
        if time.monotonic() >= kill_at:
            number = signal.SIGKILL
        await asyncio.sleep(PAUSE)  # real time: other processes are waited for
        sessions = await asyncio.to_thread(marked_sessions, mark)
    return count
