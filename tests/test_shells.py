"""Lines for a shell: what fails in them is seen, in the shell that was asked for."""

import asyncio
import shutil
import subprocess

import pytest

from aiodag import OptionError, Run
from aiodag.commands import CommandFailed, command, shell
from aiodag.commands.shells import strict_line
from aiodag.workflows.files.document import document_of
from aiodag.workflows.files.load import loads, workflow_from_document

HAS_PIPEFAIL = (
    subprocess.run(["/bin/sh", "-o", "pipefail", "-c", ":"], capture_output=True, check=False).returncode == 0
)
FOUND = [shutil.which(name) for name in ("bash", "zsh", "ksh", "mksh") if shutil.which(name)]


async def code_of(made, *args):
    try:
        return (await made(*args)).code
    except CommandFailed as failed:
        return failed.code


@pytest.mark.parametrize("program", ["/bin/sh", *FOUND])
@pytest.mark.parametrize(
    "line",
    ["false\ntrue", "false; true", "set -u; echo $none; true", "cat no-such-file; echo done", "(exit 1)\nexit 0"],
)
async def test_a_line_that_fails_ends_the_script(program, line):
    assert await code_of(shell(line, shell=program)) != 0


@pytest.mark.parametrize("program", ["/bin/sh", *FOUND])
@pytest.mark.parametrize(
    "line", ["false || true", "if false; then echo; fi", "! true; true", "false && true; true", "#"]
)
async def test_a_failure_that_the_script_looks_at_does_not(program, line):
    assert await code_of(shell(line, shell=program)) == 0


@pytest.mark.parametrize("program", FOUND)
@pytest.mark.parametrize("line", ["false | true", "echo a | false | cat", "true\ntrue | false | true\ntrue"])
async def test_a_member_of_a_pipeline_that_fails_is_seen(program, line):
    assert await code_of(shell(line, shell=program)) != 0


async def test_in_the_usual_shell_it_is_seen_where_that_knows_pipefail():
    assert (await code_of(shell("false | true")) != 0) is HAS_PIPEFAIL


async def test_what_the_last_line_says_counts_alone_where_that_is_asked_for():
    assert await code_of(shell("false\ntrue", strict=False)) == 0
    assert await code_of(shell("false | true", strict=False, shell="/bin/bash")) == 0


async def test_the_script_and_its_arguments_arrive_as_written():
    line = 'printf "%s|" "$0" "$@" $LINENO\nprintf "$LINENO"'

    finished = await shell(line, "a b", shell="/bin/bash")("$(c)")

    assert finished.stdout == "sh|a b|$(c)|1|2"
    assert finished.args == ("/bin/bash", "-c", line, "sh", "a b", "$(c)")
    assert (await shell("no-such-program || echo $?")()).stderr.startswith(("/bin/sh: 1:", "sh: 1:", "sh: line 1:"))


async def test_a_shell_of_the_path_will_do():
    assert (await shell("[[ a == a ]] && echo $0", shell="bash")()).stdout == "sh\n"


@pytest.mark.parametrize("program", ["/usr/bin/fish", "python3", "/bin/rbash-like"])
def test_a_shell_that_nobody_knows_to_stop_is_refused_unless_it_need_not(program):
    with pytest.raises(OptionError, match=r"shell=.*strict=False"):
        shell("true", shell=program)

    assert shell("true", shell=program, strict=False).fn.args[0] == program


@pytest.mark.parametrize(
    ("options", "told"), [({"strict": 1}, "strict=1"), ({"shell": ""}, "name or the path"), ({"shell": 3.5j}, "shell=")]
)
def test_options_that_cannot_work_are_refused(options, told):
    with pytest.raises(OptionError, match=told):
        shell("true", **{"strict": False, **options})


def test_how_strict_a_line_is_does_not_change_what_it_is_known_by():
    assert shell("a").options.version == command("/bin/sh", "-c", "a", "sh").options.version
    assert shell("a").options.version == shell("a", strict=False).options.version
    assert shell("a").options.version != shell("a", shell="/bin/bash").options.version


async def test_what_succeeded_before_is_recalled_whether_or_not_its_shell_is_strict(tmp_path):
    ends = []
    for strict in (False, True):
        async with Run(store=tmp_path / "runs.db", id="r"):
            shell("false; echo done", strict=strict, on_end=ends.append, name="line")()

    assert len(ends) == 1


def test_a_document_says_which_shell_and_whether_it_is_strict():
    task = {"shell": "a | b", "executable": "/bin/bash", "arguments": ["c"]}
    loose = {"shell": "a", "strict": False}
    written = {"name": "w", "tasks": {"one": task, "two": loose, "three": {"shell": "x", "skip_codes": [75]}}}

    flow = workflow_from_document(written)

    assert document_of(flow) == written
    assert flow["one"].task.fn.args == ("/bin/bash", "-c", "a | b", "sh", "c")
    assert (flow["one"].task.fn.strict, flow["two"].task.fn.strict) == (True, False)


def test_a_command_that_looks_like_a_line_stays_a_command():
    written = {"name": "w", "tasks": {"a": {"command": ["/bin/sh", "-c", "false; true", "sh"]}}}

    assert document_of(workflow_from_document(written)) == written


@pytest.mark.parametrize("key", ['"executable": "/bin/bash"', '"strict": false'])
def test_the_keys_of_a_shell_are_refused_of_other_tasks(key):
    with pytest.raises(Exception, match="is a key of shell lines"):
        loads(f'{{"tasks": {{"a": {{"command": ["true"], {key}}}}}}}')


def test_parameters_come_into_the_line_of_any_shell():
    async def main():
        flow = loads(
            '{"parameters": {"N": [1, 2]}, "tasks": {"a": {"shell": "echo {{N}}; false", "executable": "/bin/bash"}}}'
        )
        values = await flow.but(parameters={"N": [1]}).run()
        return values

    with pytest.raises(Exception, match="echo 1; false"):
        asyncio.run(main())


def test_the_usual_options_of_a_strict_shell():
    assert strict_line(("zsh", "-c", "x", "sh", "y")) == ("zsh", "-e", "-o", "pipefail", "-c", "x", "sh", "y")
