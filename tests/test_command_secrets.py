"""Commands with secrets: among arguments, in variables, as stdin; and none in what they leave."""

import sys

import pytest

from aiodag import NoSecret, OptionError, Run, Secret
from aiodag.commands import CommandFailed, command, shell

TOKEN = "t0p'secret-of-commands"
SHOW = shell('printf "%s|%s|" "$1" "$TOKEN"; cat')
CUT = """
import sys, time
for piece in ("the tok", "en is t0", "p'sec", "ret-of", "-commands, and", " t0p'secret-of-comma"):
    sys.stdout.write(piece)
    sys.stdout.flush()
    time.sleep(0.02)  # real time: each piece is to come as a chunk of its own
"""


@pytest.fixture(autouse=True)
def token(monkeypatch, secrets_forgotten):
    monkeypatch.setenv("APP_TOKEN", TOKEN)


SECRET = Secret("APP_TOKEN")


async def test_a_program_is_given_the_text_and_its_output_is_masked():
    there = shell('test "$1" = "$2" && test "$TOKEN" = "$2" && test "$(cat)" = "$2"', SECRET, TOKEN, strict=False)

    ended = await there(env={"TOKEN": SECRET}, stdin=SECRET)
    shown = await SHOW(SECRET, env={"TOKEN": SECRET}, stdin=SECRET)

    assert ended.code == 0
    assert (shown.stdout, shown.masked) == ("***|***|***", True)
    assert shown.args[-1] == "***"
    assert TOKEN not in repr(shown)


async def test_a_definition_takes_secrets_too():
    done = await command("sh", "-c", 'printf %s "$1$TOKEN"; cat', "sh", SECRET, env={"TOKEN": SECRET}, stdin=SECRET)()

    assert done.stdout == "***" * 3


async def test_output_is_masked_across_chunks_in_records_and_for_listeners(tmp_path, service_at):
    store, heard = str(tmp_path / "runs.db"), []
    cut = command(sys.executable, "-c", CUT, env={"T": SECRET}, on_output=lambda name, chunk: heard.append(chunk))

    async with Run("etl", store=store, id="r"):
        done = await cut()

    assert done.stdout == "the token is ***, and t0p'secret-of-comma"
    assert b"".join(heard).decode() == done.stdout
    assert b"".join(each.bytes for each in service_at(store).output("r")).decode() == done.stdout


async def test_a_masked_stdout_is_no_argument_for_another_program():
    shown = await SHOW(SECRET, env={"TOKEN": "1"})

    for give in (lambda: command("cat")(shown), lambda: command("cat")(stdin=shown)):
        with pytest.raises(OptionError, match="Pass the Secret itself"):
            await give()


async def test_a_stdout_without_secrets_is_passed_on():
    quiet = await command("echo", "fine", env={"TOKEN": SECRET})()

    assert not quiet.masked
    assert (await command("cat")(stdin=quiet)).stdout == "fine\n"


async def test_what_a_failed_program_said_is_masked():
    with pytest.raises(CommandFailed) as caught:
        await shell('echo "denied: $1" >&2; exit 4')(SECRET)

    assert str(caught.value).startswith(
        "/bin/sh -c 'echo \"denied: $1\" >&2; exit 4' sh *** ended with exit code 4: denied: ***"
    )
    assert caught.value.command[-1] == "***"
    assert caught.value.finished.stderr == "denied: ***\n"


async def test_a_missing_secret_fails_before_the_program_starts(tmp_path):
    with pytest.raises(NoSecret, match="'NOT_THERE'"):
        await command("touch", str(tmp_path / "started"), env={"TOKEN": Secret("NOT_THERE")})()

    assert not (tmp_path / "started").exists()


async def test_each_attempt_of_a_program_reads_anew(tmp_path):
    file = tmp_path / "token"
    file.write_text("first-token\n")
    script = f"printf second-token > {file}; test $TOKEN = second-token"

    done = await shell(script, env={"TOKEN": Secret("ROTATED", file=file)}, retries=1)()

    assert done.code == 0


async def test_a_command_is_known_by_the_name_of_its_secret(tmp_path, monkeypatch):
    counted = shell(f"echo >> {tmp_path}/runs", env={"TOKEN": SECRET}, stdin=SECRET)
    versions = {counted.options.version}
    for value in (TOKEN, "another-token"):
        monkeypatch.setenv("APP_TOKEN", value)
        async with Run("etl", store=str(tmp_path / "runs.db"), id="r"):
            await counted(SECRET)
        versions.add(shell(f"echo >> {tmp_path}/runs", env={"TOKEN": SECRET}, stdin=SECRET).options.version)

    assert (tmp_path / "runs").read_text() == "\n"
    assert len(versions) == 1
    assert (
        shell("true", env={"TOKEN": SECRET}).options.version
        != shell("true", env={"TOKEN": Secret("B_TOKEN")}).options.version
    )


@pytest.mark.parametrize("place", ["argument", "env", "stdin"])
def test_a_command_is_known_by_the_file_of_its_secret(place):
    def version(file):
        secret = Secret("TOKEN", file=file)
        made = {
            "argument": lambda: command("true", secret),
            "env": lambda: command("true", env={"TOKEN": secret}),
            "stdin": lambda: command("true", stdin=secret),
        }
        return made[place]().options.version

    assert version("a") == version("a")
    assert version("a") != version("b")


@pytest.mark.parametrize(
    ("env", "stdin"),
    [
        ({"TOKEN": "hunter2\0"}, None),
        ({"TOKEN": ["hunter2"]}, None),
        ({"TOKEN": "hunter2\ud800"}, None),
        ("TOKEN=hunter2", None),
        (None, ["hunter2"]),
        (None, "hunter2\ud800"),
    ],
)
def test_no_message_shows_a_variable_or_a_stdin(env, stdin):
    with pytest.raises(OptionError) as caught:
        command("true", env=env, stdin=stdin)

    assert "hunter2" not in str(caught.value)


def test_a_program_cannot_be_a_secret():
    with pytest.raises(OptionError, match="program"):
        command(SECRET)
