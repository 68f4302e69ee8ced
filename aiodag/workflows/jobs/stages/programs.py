"""What stages that run programs share: variables, a place to run in, and an answer apart from what is printed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.commands.arguments import checked_env
from aiodag.commands.attempt import run_program
from aiodag.commands.finished import CommandFailed, Finished, how
from aiodag.commands.local import ANSWERING
from aiodag.commands.record import ProgramRecord
from aiodag.programs import ProgramRequest
from aiodag.secret import Secret
from aiodag.workflows.jobs.stages.texts import text_or_secret, text_within

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage

KEPT = 2**20  # bytes of each stream, and of an answer
SHOWN = 200  # characters of a source that messages and records show as the line of its program


class AnsweringRecord(ProgramRecord):
    """What is known of a program that answers on a stream of its own."""

    def __init__(self, line: tuple[str, ...], host: Any = ANSWERING) -> None:
        super().__init__(line, host, keep=KEPT)
        self.answer = bytearray()

    def wrote(self, stream: str, chunk: bytes, /) -> None:
        """Keep what the program wrote, and of its answer what there is room for."""
        if stream != "answer":
            super().wrote(stream, chunk)
        elif len(self.answer) <= KEPT:  # one chunk more than that, by which it is seen to be too large
            self.answer += chunk


def rendered_environment(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, str | Secret]:
    """Return the variables of a stage: those of its workflow and its job, then its own. Raises `ExpressionError`."""
    own: Mapping[str, Any] = {} if stage.env is None else stage.env.render(scope)
    return {str(name): text_or_secret(value) for name, value in {**scope.get("env", {}), **own}.items()}


def rendered_directory(stage: "Stage", scope: Mapping[str, Any]) -> str | None:
    """Return the directory that the program of a stage runs in; None is that of this process. Raises `ExpressionError`."""
    given = stage.settings.get("workdir")
    return None if given is None else text_within(given.render(scope))


async def run_answering(
    args: tuple[str, ...],
    shown: tuple[str, ...],
    env: Mapping[str, str],
    workdir: str | None,
    stdin: bytes,
) -> tuple[Finished, bytes]:
    """Run a program that may answer. Return how it ended, and its answer. Raises `CommandFailed` if it did not start."""
    return await run_recorded(ANSWERING, AnsweringRecord(shown), args, env, workdir, stdin)


async def run_recorded(
    host: Any, record: AnsweringRecord, args: tuple[str, ...], env: Mapping[str, str], workdir: str | None, stdin: bytes
) -> tuple[Finished, bytes]:
    """Run a program on a host, and have a record hear of it. Return how it ended, and its answer. Raises `CommandFailed`."""
    variables: Any = checked_env(env)  # without secrets: they have been read
    request = ProgramRequest(args, variables, None if workdir is None else Path(workdir), stdin)
    finished = await run_program(host, request, record)
    return finished, bytes(record.answer)


def shown_source(source: str) -> str:
    """Return what messages and records show of a source: its first line, after comments."""
    lines = [line.strip() for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    shown = lines[0][:SHOWN] if lines else ""
    return shown if shown == source.strip() else f"{shown} …"


def failed_program(finished: Finished) -> CommandFailed:
    """Return the failure of a program that has ended."""
    return CommandFailed(finished.args, how(finished), finished)
