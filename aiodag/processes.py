"""Know whether a process has ended, of which an id was written down: the system may have given that to another one since."""

import os
from functools import cache
from pathlib import Path

UNSEEN = "unseen"  # in place of when a process began: there is one, and no more can be known


@cache
def surroundings() -> list[str]:
    """Return where ids of processes are those that this process sees: boot and namespace; nothing if that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return [boot, str(Path("/proc/self/ns/pid").readlink())]
    except OSError:
        return []


def began_at(pid: int) -> str:
    """Return when a process began, empty if there is none: a number of a process may be given out again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no /proc, or one that shows the processes of others to nobody
        return UNSEEN if alive(pid) else ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # a zombie has ended, and waits to be looked at


def alive(pid: int) -> bool:
    """Return True if a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
