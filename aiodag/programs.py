"""What passes between a command and the host that its program runs on."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

NOTHING_CHANGED: Mapping[str, str | None] = MappingProxyType({})
NOTHING_ASKED: Mapping[str, float] = MappingProxyType({})


class ProgramRequest(NamedTuple):
    """What a host is to run: a program as it was written, with nothing of a machine in it.

    `args` is the program and its arguments. `env` adds to the variables that the host has, and None takes one away. `cwd`
    and a path as `stdin` are those of the host; without a `stdin` there is nothing to read. `grace` is the time in seconds
    between asking the program to end and ending it.

    `resources` is what the task asks for: `cores`, `memory_mb`, `gpus`, `tmp_disk_mb`, and names of your own. `time_limit` is
    the time in seconds after which the attempt is ended anyway, so that a host can tell its queue. `label` is text that no
    other attempt has, in printable ASCII: a host that names its jobs by it finds one that it could not note.

    >>> from aiodag.programs import ProgramRequest
    >>> ProgramRequest(("sync", "--fast")).args
    ('sync', '--fast')
    """

    args: tuple[str, ...]
    env: Mapping[str, str | None] = NOTHING_CHANGED
    cwd: Path | None = None
    stdin: bytes | Path | None = None
    grace: float = 5.0
    resources: Mapping[str, float] = NOTHING_ASKED
    time_limit: float | None = None
    label: str = ""


class ProgramEnd(NamedTuple):
    """How a program ended, as far as its host knows. Moments are seconds since 1970.

    `code` is its exit code, or -15 if signal 15 ended it. `left` counts the process groups that no signal has ended.
    `host` is the machine that ran it, where the name of the host does not say so already. CPU seconds and memory are 0 where
    nobody knows them.

    >>> from aiodag.programs import ProgramEnd
    >>> ProgramEnd(code=-15, started_at=0.0, ended_at=2.5).pid
    0
    """

    code: int
    started_at: float
    ended_at: float
    pid: int = 0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    left: int = 0
    host: str = ""


class ProgramWatch(Protocol):
    """What a host tells of one program, on the loop: its start, what it writes, its end.

    >>> from aiodag.commands import command
    >>> from aiodag.programs import ProgramEnd
    >>> class Quiet:
    ...     name = "quiet"
    ...     async def run(self, request, watch, /):
    ...         watch.note_start({"job": 7})
    ...         watch.wrote("stderr", b"nothing to do")
    ...         watch.note_end(ProgramEnd(code=0, started_at=0.0, ended_at=1.0))
    >>> (await command("sync", host=Quiet())()).stderr
    'nothing to do'
    """

    def note_start(self, facts: Mapping[str, object], /) -> None:
        """Record how the host finds the program again, as plain JSON: a pid, the number of a job."""
        ...

    def wrote(self, stream: str, chunk: bytes, /) -> None:
        """Take what came on "stdout" or "stderr"."""
        ...

    def note_end(self, end: ProgramEnd, /) -> None:
        """Take how the program ended. The last call, made for a cancelled program too."""
        ...


class ProgramNotStarted(Exception):
    """Raised by a host that could not start a program; the message says why, and what would help.

    >>> from aiodag.programs import ProgramNotStarted
    >>> from aiodag.commands import CommandFailed, command
    >>> class Full:
    ...     name = "full"
    ...     async def run(self, request, watch, /):
    ...         raise ProgramNotStarted("did not start: the queue is full")
    >>> try:
    ...     await command("sync", host=Full())()
    ... except CommandFailed as failed:
    ...     print(failed)
    sync did not start: the queue is full
    """


class HostUnreachable(ProgramNotStarted):
    """Raised by a host that cannot be reached, or takes nothing now; nothing has started. A pool asks the next one.

    >>> from aiodag.programs import HostUnreachable
    >>> raise HostUnreachable("did not start: node1:22 does not answer")
    Traceback (most recent call last):
    aiodag.programs.HostUnreachable: did not start: node1:22 does not answer
    """


class HostState(NamedTuple):
    """What a host said when somebody looked: whether it can be reached, and if not `why`; what it has, and what is free.

    `resources` and `free` are empty where the host counts nothing. A host that is `drained` takes nothing new. `running` is how
    many programs run on it, whoever started them; None where it does not know.

    >>> from aiodag.programs import HostState
    >>> HostState(reachable=True, resources={"cores": 4}, free={"cores": 1}, running=3).drained
    False
    """

    reachable: bool
    why: str = ""
    resources: Mapping[str, float] = MappingProxyType({})
    free: Mapping[str, float] = MappingProxyType({})
    drained: bool = False
    running: int | None = None


class ProgramLost(Exception):
    """Raised by a host when nobody can know how a program ended; the message says why. Its attempt is *lost*, and tried again.

    So a host raises it only when the program has certainly ended: it waits for the deadline by which that ends by itself.
    `reason` says in a few words what happened, such as "connection", "node failure" or "preempted".

    >>> from aiodag.programs import ProgramLost
    >>> raise ProgramLost("was lost with its machine, node7", reason="node failure")
    Traceback (most recent call last):
    aiodag.programs.ProgramLost: was lost with its machine, node7
    """

    def __init__(self, why: str, *, reason: str = "connection") -> None:
        self.reason = reason
        super().__init__(why)


class ProgramNotFound(Exception):
    """Raised by `find` of a host if nothing of a program runs or has run there: then it is started anew.

    >>> from aiodag.programs import ProgramNotFound
    >>> raise ProgramNotFound("no job has this label")
    Traceback (most recent call last):
    aiodag.programs.ProgramNotFound: no job has this label
    """
