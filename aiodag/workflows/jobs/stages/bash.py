"""`bash`: a script in a shell, which ends with its stage."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiodag.commands.shells import strict_line
from aiodag.errors import StageFailed
from aiodag.secret import Secret
from aiodag.workflows.jobs.stages.bodies import program_body
from aiodag.workflows.jobs.stages.elsewhere import host_of_job, run_marked
from aiodag.workflows.jobs.stages.outputs import outputs_without_secrets, read_assignments
from aiodag.workflows.jobs.stages.placeholders import PREFIX, name_of_value
from aiodag.workflows.jobs.stages.programs import (
    KEPT,
    failed_program,
    rendered_directory,
    rendered_environment,
    run_answering,
    shown_source,
)
from aiodag.workflows.jobs.stages.shell_source import shell_source, variable_of_value
from aiodag.workflows.jobs.stages.texts import text_or_secret

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Stage

USUAL_SHELL = "bash"
LONGEST_ARGUMENT = 100_000  # bytes: Linux takes 131,071 for an argument or a variable
WHOLE = re.compile(r"-?[0-9]{1,18}")
# Of a script that is too long for an argument. The words of a command are expanded before its stdin becomes another.
FROM_STDIN = 'eval "$(cat)" </dev/null'
OUTPUT = "AIODAG_OUTPUT"


def bash_arguments(stage: "Stage", scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the script is run with: values are variables. Raises `ExpressionError` and `StageFailed`."""
    values: list[Any] = []

    def bind(value: object) -> str:
        values.append(value)
        return name_of_value(len(values))

    given: Any = stage.body
    source = shell_source(tuple(re.split(rf"{PREFIX}\d+_", given.fill(scope, bind))))
    for number in source.numbers:
        check_whole_number(number, values[number - 1])
    bound = {variable_of_value(number): script_variable(number, value) for number, value in enumerate(values, 1)}
    return {
        "script": source.text,
        "values": bound,
        "env": rendered_environment(stage, scope),
        "shell": stage.settings.get("shell", USUAL_SHELL),
        "workdir": rendered_directory(stage, scope),
    }


def check_whole_number(place: int, value: object) -> None:
    """Refuse what a shell would calculate, unless it is a whole number. Raises `StageFailed`."""
    if (type(value) is int and abs(value) < 10**18) or (isinstance(value, str) and WHOLE.fullmatch(value)):
        return
    msg = f"expression {place} of the script stands where the shell calculates, which evaluates text as code: it has to be a whole number there, and is {shown_in_message(value)}"
    raise StageFailed(msg)


def shown_in_message(value: object) -> str:
    """Return a value for a message: a text is quoted, and not whole."""
    return "a secret" if isinstance(value, Secret) else repr(value)[:60]


def script_variable(place: int, value: object) -> str | Secret:
    """Return a value as a variable of the script. Raises `StageFailed` for one that no variable can hold."""
    text = text_or_secret(value)
    if isinstance(text, str) and len(text.encode("utf-8", "replace")) > LONGEST_ARGUMENT:
        msg = f"expression {place} of the script has {len(text):,} characters, and a variable takes {LONGEST_ARGUMENT:,}. Write the value to a file and pass the path, or use it in `run`"
        raise StageFailed(msg)
    return text


@program_body
async def run_script(
    script: str, values: Mapping[str, str], env: Mapping[str, str], shell: str, workdir: str | None
) -> dict[str, Any]:
    """Run a script until something in it fails, and return what it wrote. Raises `CommandFailed` and `StageFailed`."""
    as_argument = len(script.encode("utf-8", "replace")) <= LONGEST_ARGUMENT
    text, stdin = (script, b"") if as_argument else (FROM_STDIN, script.encode("utf-8", "surrogateescape"))
    line = strict_line((shell, "-c", text, shell))
    variables = {**env, **values, OUTPUT: "/dev/fd/3"}
    shown, host = (shell, "-c", shown_source(script)), host_of_job()
    if host is None:
        finished, answer = await run_answering(line, shown, variables, workdir, stdin)
    else:
        finished, answer = await run_marked(host, line, shown, {**env, **values}, workdir, stdin)
    if finished.code != 0:
        raise failed_program(finished)
    outputs = {"return_code": finished.code, "stdout": finished.stdout, "stderr": finished.stderr}
    return outputs_without_secrets({**read_output(answer), **outputs})


def read_output(answer: bytes) -> dict[str, str]:
    """Return the outputs that a script has written to the file that `AIODAG_OUTPUT` names. Raises `StageFailed`."""
    if len(answer) > KEPT:
        msg = f"wrote more than {KEPT:,} bytes to ${OUTPUT}. Write them to a file, and its path there"
        raise StageFailed(msg)
    found, wrong = read_assignments(answer.decode("utf-8", "replace"))
    if wrong:
        msg = f"wrote {wrong[0][:60]!r} to ${OUTPUT}, which takes lines such as rows=3"
        raise StageFailed(msg)
    return found
