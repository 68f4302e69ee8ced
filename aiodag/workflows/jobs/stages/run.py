"""`run`: Python in a process of its own, which ends with its stage."""

import logging
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiodag.errors import StageFailed
from aiodag.workflows.jobs.stages.bodies import program_body
from aiodag.workflows.jobs.stages.outputs import outputs_without_secrets, read_answer
from aiodag.workflows.jobs.stages.placeholders import name_of_value
from aiodag.workflows.jobs.stages.programs import (
    KEPT,
    failed_program,
    rendered_directory,
    rendered_environment,
    run_answering,
    shown_source,
)
from aiodag.workflows.jobs.stages.texts import text_within

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage

LOG = logging.getLogger("aiodag.stage")
PROGRAM = Path(__file__).with_name("python_child.py")


def run_arguments(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the source is run with. Raises `ExpressionError`."""
    values: dict[str, Any] = {}

    def bind(value: object) -> str:
        name = name_of_value(len(values) + 1)
        values[name] = value
        return name

    given: Any = stage.body
    return {
        "source": given.fill(scope, bind),
        "written": str(given.source),
        "values": values,
        "variables": {} if stage.given is None else stage.given.render(scope),
        "env": rendered_environment(stage, scope),
        "workdir": rendered_directory(stage, scope),
    }


@program_body
async def run_python(
    source: str,
    written: str,
    values: Mapping[str, Any],
    variables: Mapping[str, Any],
    env: Mapping[str, str],
    workdir: str | None,
) -> dict[str, Any]:
    """Run a source, and return the names that it has bound. Raises `StageFailed`, and `CommandFailed`."""
    shown = sys.executable, "-c", shown_source(written)
    args = sys.executable, "-I", str(PROGRAM)
    request = pickled_request({"source": source, "written": written}, values, variables)
    finished, content = await run_answering(args, shown, env, workdir, request)
    answer = read_answer(content)
    if answer is not None and "error" in answer:
        raise StageFailed(describe_failure(answer))
    if finished.code != 0:
        raise failed_program(finished)
    if answer is None:
        msg = "ended with exit code 0 before its variables were read: it may not end by os._exit() or exec, or close descriptors that it has not opened"
        raise StageFailed(msg)
    if answer["left"]:
        kept = ", ".join(f"{name} ({kind})" for name, kind in answer["left"].items())
        LOG.info("variables that JSON cannot hold are no outputs: %s", kept)
    return outputs_without_secrets(answer["names"])


def pickled_request(sources: Mapping[str, str], values: Mapping[str, Any], variables: Mapping[str, Any]) -> bytes:
    """Return what the process reads. Raises `StageFailed` for values that cannot leave this one."""
    try:
        given = pickle.dumps({**values, **variables})
    except Exception as error:
        msg = f"a value that it is given cannot go to another process: {type(error).__name__}: {error}"
        raise StageFailed(msg) from error
    texts = {name: text_within(value) for name, value in values.items()}
    return pickle.dumps({**sources, "path": sys.path, "values": given, "texts": texts, "limit": KEPT})


def describe_failure(answer: Mapping[str, Any]) -> str:
    """Return how the source failed, with its line."""
    text = f"{answer['error']}: {answer['text']}" if answer["text"] else str(answer["error"])
    return text if answer["line"] is None else f"{text} (line {answer['line']} of run)"
