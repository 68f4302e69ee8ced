"""Scripts of `bash` stages on another host: what they write to `AIODAG_OUTPUT` comes back behind a mark in their output."""

import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from aiodag._core.context import current_run
from aiodag._core.named import LOCAL, host_named
from aiodag.commands.finished import Finished
from aiodag.workflows.jobs.stages.programs import AnsweringRecord, run_recorded

# Where the stages of the job that runs here run. Not an argument of their nodes: where something runs is not what it is, and a
# run that goes on at another host recalls what it has.
RUNS_ON: ContextVar[str | None] = ContextVar("RUNS_ON", default=None)

# $1 is the mark, the rest the script. A host has two streams, and none for answers.
AROUND = """mark=$1; shift
AIODAG_OUTPUT=$(mktemp) || exit 125
export AIODAG_OUTPUT
trap 'rm -f "$AIODAG_OUTPUT"' EXIT
"$@"
code=$?
printf '\\n%s\\n' "$mark"
cat "$AIODAG_OUTPUT"
exit $code
"""


class MarkedRecord(AnsweringRecord):
    """What is known of a script that answers behind a mark in its stdout."""

    def __init__(self, line: tuple[str, ...], host: Any, mark: bytes) -> None:
        super().__init__(line, host)
        self._mark = b"\n" + mark + b"\n"
        self._held = b""  # the end of what came, if the mark may begin there
        self._answers = False

    def wrote(self, stream: str, chunk: bytes, /) -> None:
        """Keep what the script wrote, and apart from it what comes behind the mark."""
        if stream != "stdout":
            super().wrote(stream, chunk)
            return
        if not self._answers:
            before, mark, chunk = (self._held + chunk).partition(self._mark)
            self._answers = bool(mark)
            kept = 0 if mark else beginning_at_end(before, self._mark)
            self._held = before[len(before) - kept :]
            if len(before) > kept:
                super().wrote(stream, before[: len(before) - kept])
        if self._answers:
            super().wrote("answer", chunk)

    def note_end(self, end: Any, /) -> None:
        """Keep how the script ended."""
        if self._held and not self._answers:
            super().wrote("stdout", self._held)
        super().note_end(end)


def beginning_at_end(text: bytes, mark: bytes) -> int:
    """Return how many bytes at the end of a text are the beginning of a mark.

    >>> beginning_at_end(b"rows--", b"--mark--"), beginning_at_end(b"rows", b"--mark--")
    (2, 0)
    """
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:size])), 0)


def host_of_job() -> Any:
    """Return the host of the job that runs here, None for this machine. Raises `OptionError` for a name that nothing has."""
    run = current_run()
    name: Any = RUNS_ON.get()
    if name is None and run is not None:
        name = run.elsewhere.default_host
    return None if name is None or name == LOCAL else host_named(name, run) if isinstance(name, str) else name


async def run_marked(
    host: Any,
    args: tuple[str, ...],
    shown: tuple[str, ...],
    env: Mapping[str, str],
    workdir: str | None,
    stdin: bytes,
) -> tuple[Finished, bytes]:
    """Run a script on a host. Return how it ended, and its answer. Raises `CommandFailed` if it did not start, or was lost."""
    mark = secrets.token_hex(16)
    line = ("/bin/sh", "-c", AROUND, "sh", mark, *args)
    return await run_recorded(host, MarkedRecord(shown, host, mark.encode()), line, env, workdir, stdin)
