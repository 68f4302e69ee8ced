"""How a program ended, and how messages describe that."""

import shlex
import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiodag.errors import AiodagError, AttemptLost
from aiodag.masking import MARK, masked
from aiodag.secret import Secret

TAIL = 10  # lines of a stream in a message
WIDTH = 200  # characters of a line in a message


@dataclass(frozen=True, slots=True, repr=False)
class Finished:
    r"""How a program ended, what it wrote and what it took.

    `args` is the program and its arguments. `code` is its exit code, or -15 if SIGTERM ended it. `stdout` and `stderr` are
    read as UTF-8, with U+FFFD in place of what is not valid; of a long stream they are the head and the tail, with a line between
    them that says so, and `stdout_dropped` and `stderr_dropped` are the bytes left out. Moments are in UTC. `cpu_seconds`
    are those of the program and of the processes it waited for, in user and system mode. `peak_bytes` is the memory of
    the largest of these; it cannot tell what is below some 12 MB. Where the program wrote a secret, `***` stands in its
    streams and in `args`, and `masked` says whether it does in `stdout`.

    >>> from aiodag.commands import shell
    >>> finished = await shell("echo rows; echo careful >&2; exit 1", success=[0, 1])()
    >>> finished.code, finished.stdout, finished.stderr
    (1, 'rows\n', 'careful\n')
    """

    args: tuple[str, ...]
    code: int
    stdout: str
    stderr: str
    stdout_dropped: int
    stderr_dropped: int
    started_at: datetime
    ended_at: datetime
    host: str
    pid: int
    cpu_seconds: float
    peak_bytes: int
    masked: bool = False

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended the program, such as "SIGKILL"."""
        if self.code >= 0:
            return None
        try:
            return signal.Signals(-self.code).name
        except ValueError:  # one of those for real time
            return f"signal {-self.code}"

    def __repr__(self) -> str:
        return f"<Finished {shell_line(self.args)}: {self.signal or f'exit code {self.code}'}>"


class CommandFailed(AiodagError):
    """Raised when a program ends as a failure, or cannot be started.

    `command` is the program and its arguments. `finished` is how it ended and what it wrote; None if it did not start, or
    if nobody knows. `code` and `signal` are those of `finished`.

    >>> from aiodag.commands import CommandFailed, shell
    >>> try:
    ...     await shell("echo no printer >&2; exit 3")()
    ... except CommandFailed as failed:
    ...     print(failed.code, failed.finished.stderr.strip())
    3 no printer
    """

    def __init__(self, command: Sequence[str], why: str, finished: Finished | None = None) -> None:
        self.command = tuple(command)
        self.finished = finished
        self.code = None if finished is None else finished.code
        self.signal = None if finished is None else finished.signal
        super().__init__(f"{shell_line(command)} {why}")


class CommandLost(CommandFailed, AttemptLost):
    """Raised when nobody can know how a program ended, and nothing of it runs any more. `reason` says what happened.

    It is tried again up to `lost_retries` times.

    >>> from aiodag.commands import CommandLost
    >>> raise CommandLost(["sync"], "was lost with its machine, node7", "node failure")
    Traceback (most recent call last):
    aiodag.commands.CommandLost: sync was lost with its machine, node7
    """

    def __init__(self, command: Sequence[str], why: str, reason: str) -> None:
        super().__init__(command, why)
        self.reason = reason


def ending_facts(finished: Finished) -> dict[str, object]:
    """Return what a journal notes of an attempt, besides its streams, when its program has ended."""
    names = ("pid", "code", "signal", "cpu_seconds", "peak_bytes", "stdout_dropped", "stderr_dropped")
    return {name: getattr(finished, name) for name in names}


def shown_line(args: Sequence[str | Secret]) -> tuple[str, ...]:
    """Return a program and its arguments as records and messages have them: without secrets."""
    return tuple([MARK if type(each) is Secret else masked(str(each)) for each in args])


def shell_line(given: Sequence[str | Secret]) -> str:
    """Write a command as a shell would read it, in one line that is not too long."""
    args = shown_line(given)
    if tuple(args[1:2]) == ("-c",) and tuple(args[3:]) == ("sh",) and args[0].endswith("sh"):
        args = args[:3]  # of what `shell` runs without arguments: its $0 tells nobody anything
    line = " ".join(each if each == MARK else shlex.quote(each) if each.isprintable() else ascii(each) for each in args)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 60]} … {line[-57:]}"


def how(finished: Finished) -> str:
    """Return how a program ended, and the last lines it wrote: the very last one first, since many see only one line."""
    ended = f"was ended by {finished.signal}" if finished.signal else f"ended with exit code {finished.code}"
    name, text = next(
        ((name, text) for name, text in (("stderr", finished.stderr), ("stdout", finished.stdout)) if text.strip()),
        ("", ""),
    )
    lines = [each if len(each) <= WIDTH else f"{each[: WIDTH - 1]}…" for each in text.rstrip().splitlines()[-TAIL:]]
    if not lines:
        return f"{ended}, and wrote nothing"
    before = "".join(f"\n  {line}" for line in lines) if len(lines) > 1 else ""
    return f"{ended}: {lines[-1].strip()}" + (f"\n  the end of its {name}:{before}" if before else "")


def why_failed(finished: Finished, success: Collection[int]) -> str:
    """Return how a program failed, and what would not have."""
    if finished.code == -signal.SIGKILL:
        return f"{how(finished)}\n  (killed by somebody, or for want of memory: its peak was {finished.peak_bytes:,} bytes)"
    codes = ", ".join(map(str, sorted({*success, finished.code})))
    return f"{how(finished)}\n  (success=({codes}) would take that for a success)"


def why_skipped(finished: Finished) -> str:
    """Return what is said of a program that had nothing to do, with its last lines."""
    return f"{shell_line(finished.args)} {how(finished)}\n  (one of its skip_codes)"
