"""A task whose body is a program: `command("sync", "--fast")`, `shell("a | b")`.

A call goes through these files, from the top down. What runs: here the definition, `shells` what a shell is told besides
its script, `arguments` what the program is given, `record` what its host and then a journal is told of it, `transcript` its
output, `finished` what came of it. Where it runs: `local` is the host that this machine is, `refusal` why a program did not
start on it, `streams` its pipes, and `warden` the process that starts and ends it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.arity import UNLIMITED
from aiodag._core.middleware import compose
from aiodag._core.options import KNOWN, TaskOptions, check_name, check_seconds, check_version, flag
from aiodag._core.task import Task
from aiodag.abc import Host
from aiodag.commands.arguments import (
    Given,
    argument_of,
    checked_env,
    checked_line,
    checked_skips,
    content_of,
    exit_codes,
    named_host,
    program_text,
    stream_size,
    with_changed_text,
)
from aiodag.commands.at_once import AT_ONCE
from aiodag.commands.attempt import destined, run_program
from aiodag.commands.finished import CommandFailed, Finished, shell_line, shown_line, why_failed, why_skipped
from aiodag.commands.record import ProgramRecord
from aiodag.commands.shells import PLACE, SHELL, check_strict, strict_line
from aiodag.errors import OptionError, Skip, UnknownOption
from aiodag.programs import ProgramRequest
from aiodag.secret import Secret

if TYPE_CHECKING:
    from typing import Unpack

    from aiodag._core.signatures import OptionTypes
    from aiodag.commands.arguments import Argument, Text

    class CommandTypes(OptionTypes, total=False):
        env: "Mapping[str, Argument | None] | None"
        cwd: "str | PathLike[str] | None"
        stdin: "Text | None"
        success: Iterable[int]
        skip_codes: Iterable[int]
        grace: float | timedelta
        keep: int
        on_output: "Callable[[str, bytes], object] | None"
        on_end: "Callable[[Finished], object] | None"
        host: "Host | str | None"


__all__ = ["CommandFailed", "Finished", "command", "shell"]

SHORT = 40  # characters of a shell's line in the name of its task


@dataclass(frozen=True, eq=False, repr=False)
class Command:
    """The body of a command: a call runs the program once. By what it compares, a later run knows it again."""

    ends_programs = True  # when it is cancelled, whatever the reason
    on_host = True  # its attempts run where `host` says: what nobody knows the end of is lost
    reads_secrets = True  # at each attempt, of its own and of the call's: the line that it shows must not have them

    args: tuple[str | Secret, ...]
    env: Mapping[str, str | Secret | None]
    cwd: Path | None
    stdin: bytes | Path | Secret | None
    success: frozenset[int] = field(compare=False)
    skip_codes: frozenset[int] = field(compare=False)
    grace: float = field(compare=False)
    keep: int = field(compare=False)
    on_output: Callable[[str, bytes], object] | None = field(compare=False)
    on_end: Callable[[Finished], object] | None = field(compare=False)
    host: Host | str | None = field(compare=False)  # where it runs is not what it is: a run goes on elsewhere
    script: bool = field(compare=False)  # whether `shell` made it: a shell reads args[2]
    strict: bool = field(compare=False)

    def __repr__(self) -> str:
        return f"<Command {shell_line(self.args)}>"

    @property
    def line(self) -> str | None:
        """What a shell is to read, in the body that `shell` makes; its arguments are `args[4:]`."""
        return str(self.args[PLACE]) if self.script else None

    def change_texts(self, change: Callable[[str], str]) -> "Command":
        """Return this command with all its text changed: arguments, values of variables, cwd and stdin.

        A path to read from is changed as a path. Raises `OptionError` for what no program can be given. In the line of a
        shell the new text is read by the shell. Of a secret its name and its file are changed.
        """
        stdin: Any = self.stdin
        if isinstance(stdin, Path):
            stdin = Path(change(str(stdin)))
        elif isinstance(stdin, bytes):
            stdin = change(stdin.decode("utf-8", "surrogateescape"))
        else:
            stdin = with_changed_text(stdin, change)
        return replace(
            self,
            args=checked_line([with_changed_text(each, change) for each in self.args]),
            env=checked_env({name: with_changed_text(each, change) for name, each in self.env.items()}),
            cwd=None if self.cwd is None else Path(program_text("cwd", change(str(self.cwd)))),
            stdin=content_of(stdin),
        )

    def check_call(self, args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse arguments of a call that no program can be given. Raises `OptionError`."""
        for each in args:
            argument_of("argument", each)
        content_of(kwargs.get("stdin"))
        checked_env(kwargs.get("env") or {})

    async def __call__(
        self,
        /,
        *args: "Argument",
        stdin: "Text | None" = None,
        env: "Mapping[str, Argument | None] | None" = None,
    ) -> Finished:
        """Run the program with further arguments and variables, or another stdin."""
        given = Given(
            (*self.args, *[argument_of("argument", each) for each in args]),
            {**self.env, **checked_env(env or {})},
            self.stdin if stdin is None else content_of(stdin),
        )
        args, variables, stdin = await given.read()
        # The record, messages and the digest have the line as it was written.
        line = shown_line(given.line)
        request = ProgramRequest(strict_line(args) if self.strict else args, variables, self.cwd, stdin, self.grace)
        host, request = destined(self, request)
        record = ProgramRecord(line, host, keep=self.keep, on_output=self.on_output, on_end=self.on_end)
        finished = await run_program(host, request, record)
        if finished.code in self.skip_codes:
            raise Skip(why_skipped(finished))
        if finished.code not in self.success:
            raise CommandFailed(line, why_failed(finished, self.success), finished)
        return finished


class CommandTask(Task[..., Finished]):
    """The task of a command. Its version has a digest of what runs, so a changed command does not recall what the former one gave."""

    fn: Command

    def __init__(self, body: Command, after: tuple[Any, ...], given: Mapping[str, Any], version: object) -> None:
        self.given_version = version  # as its author gave it; that of the options has a digest, too
        options = TaskOptions(**{**given, "version": version_with_digest(body, version)})
        if options.limit is None:
            options.limit = AT_ONCE  # not among what was given: nobody has asked for it
        super().__init__(body, after, options)
        self.__doc__ = f"Run {shell_line(body.args)}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how pickle makes it again: of what it runs, and of its options."""
        return CommandTask, (self.fn, self.after_deps, self.options.given, self.given_version)

    @property
    def pattern(self) -> "CommandTask":
        """The task whose options these are: this one, unless it is one of many that share them."""
        return self

    def whole(self) -> "CommandTask":
        """Return this task with all that a command has."""
        return self

    def with_body(self, body: Command, /, **options: "Unpack[OptionTypes]") -> "CommandTask":
        """Return the task of another body, with the options of this one, or some changed."""
        if options.keys() == {"name"}:
            return self._under_name(body, str(options.get("name")))
        given = {**self.options.given, **options}
        return CommandTask(body, self.after_deps, given, options.get("version", self.given_version))

    def _under_name(self, body: Command, name: str) -> "CommandTask":
        """Return the task of another body under another name. Quickly: a workflow may make a million."""
        made = self._rebound(body)
        vars(made).pop("__doc__", None)  # of another line
        made.name = check_name(name) or ""
        made.options = self.options.renamed(made.name, version_with_digest(body, self.given_version))
        made.call = compose(made.options, body, None)
        return made

    def _hook_call(self, summary: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return how a program gets the summary of a run: as variables and, unless it has a stdin already, as JSON there."""
        told = {"AIODAG_RUN": summary.id, "AIODAG_RUN_NAME": summary.name, "AIODAG_RUN_STATE": summary.state}
        stdin = {} if self.fn.stdin is not None else {"stdin": json.dumps(summary._asdict()) + "\n"}
        return (), {"env": told, **stdin}

    def accepts(self, value: object) -> bool:
        """Return whether a recorded end is a success: whoever edits `success` may have made it a failure."""
        return not isinstance(value, Finished) or value.code in self.fn.success

    def _bounds(self) -> None:
        """Note how many positional arguments fit. Known: to ask the signature would take as long as all the rest."""
        self.fewest, self.most = 0, UNLIMITED

    def _but(self, after: tuple[Any, ...], options: TaskOptions) -> "CommandTask":
        version: object = options.given["version"]
        if version == self.options.given["version"]:
            version = self.given_version
        return CommandTask(self.fn, after, options.given, version)


def version_with_digest(body: Command, version: object) -> str:
    """Return the version of a task with a digest of what its body runs."""
    what = (body.args, sorted(body.env.items()), body.cwd and str(body.cwd), type(body.stdin).__name__)
    digest = blake2b(ascii(what).encode(), digest_size=8)
    stdin = body.stdin.known_as if isinstance(body.stdin, Secret) else body.stdin
    digest.update(stdin if isinstance(stdin, bytes) else os.fsencode(stdin or ""))
    given = check_version(version)
    return f"{given} {digest.hexdigest()}" if given else digest.hexdigest()


def command(
    program: "str | PathLike[str]",
    /,
    *args: "Argument",
    env: "Mapping[str, Argument | None] | None" = None,
    cwd: "str | PathLike[str] | None" = None,
    stdin: "Text | None" = None,
    success: Iterable[int] = (0,),
    skip_codes: Iterable[int] = (),
    grace: float | timedelta = 5.0,
    keep: int = 2**20,
    on_output: Callable[[str, bytes], object] | None = None,
    on_end: Callable[[Finished], object] | None = None,
    host: Host | str | None = None,
    **options: "Unpack[OptionTypes]",
) -> "Task[..., Finished]":
    r"""Return the task that runs a program. Its result is a `Finished`; no shell reads the arguments.

    Calling the task appends the call's arguments: str, int, float, a path, or the result of another command, which stands
    for its stdout without the newlines at the end, as `$(...)` does in a shell. `env=` of the call adds to the variables,
    `stdin=` of the call replaces the stdin.

    A `Secret` may stand among the arguments, in `env`, and for `stdin`: it is read when the attempt starts, and shown nowhere.

    `env` adds to the environment; None takes a variable away. `cwd` is the directory to run in. `stdin` is text, bytes, a
    path to read from, or the result of another command; without it there is nothing to read. `success` are the exit codes
    that are not a failure, `skip_codes` those with which a program says that there is nothing to do: its node is skipped, and
    so is what needs it. `grace` is the time in seconds between SIGTERM and SIGKILL for a program that is cancelled or takes
    longer than its `timeout`, and for all in its session. `keep` is how many bytes of each stream the result holds: head
    and tail. `on_output(stream, chunk)` hears "stdout" or "stderr" and the bytes as they come, `on_end(finished)`
    how each attempt ended that had started, also a cancelled one; both are called on the loop. `host` is where it runs, an
    object as `aiodag.abc.Host` says or the name of one that the run has; without one it is the run's `default_host`, or
    this machine, whose name is "local". `name` is that of the program
    unless given. The other options are those of every task; without a `limit`, 64 programs of a loop run at once.

    Any other exit code raises `CommandFailed`, as does a program that cannot be started. Raises `OptionError`
    at once for what cannot work, and `RuntimeError` on Windows.

    >>> from aiodag.commands import command
    >>> greet = command("echo", "good", name="greet", retries=2)
    >>> (await greet("$(evening)", "all")).stdout
    'good $(evening) all\n'
    """
    settings = Settings(env, cwd, stdin, success, skip_codes, grace, keep, on_output, on_end, host)
    return make_command([program, *args], settings, options)


def shell(
    line: str,
    /,
    *args: "Argument",
    shell: "str | PathLike[str]" = SHELL,
    strict: bool = True,
    **options: "Unpack[CommandTypes]",
) -> "Task[..., Finished]":
    r"""Return the task that has a shell run a line. Arguments are "$1", "$2" and "$@" in it, and never part of it.

    `shell` is the path of the shell. It stops where a line fails, as after `set -e`, and a pipeline fails with any of its
    members, as after `set -o pipefail`, where the shell has that: bash, ksh and zsh do, `/bin/sh` on some systems. With
    `strict=False` only the last line, and the last member of its pipeline, decide. The other options are those of `command`.
    `name` is the beginning of the line unless given. Raises `OptionError` also for a shell that cannot be strict.

    >>> from aiodag.commands import shell
    >>> last = shell('printf "%s\\n" "$@" | sort | tail -n 1')
    >>> (await last("a b", "$(c)", "d")).stdout
    'd\n'
    """
    first = next(iter(program_text("line", line).strip().splitlines()), "")
    if not first:
        raise OptionError("line", line, "what a shell can run")
    program = program_text("shell", shell)
    if flag("strict", strict):
        check_strict(program)
    options.setdefault("name", first if len(first) <= SHORT else f"{first[: SHORT - 1]}…")
    given: Any = options
    settings = Settings(**{key: given.pop(key) for key in Settings._fields if key in given})
    return make_command([program, "-c", line, "sh", *args], settings, given, script=True, strict=strict)


class Settings(NamedTuple):
    """The options of a command that are those of its program, as given."""

    env: Any = None
    cwd: Any = None
    stdin: Any = None
    success: Any = (0,)
    skip_codes: Any = ()
    grace: Any = 5.0
    keep: Any = 2**20
    on_output: Any = None
    on_end: Any = None
    host: Any = None


def make_command(
    given: list[Any], settings: Settings, options: Mapping[str, Any], *, script: bool = False, strict: bool = False
) -> CommandTask:
    """Return the task of a program, of which everything is checked."""
    if os.name != "posix":
        msg = f"commands need a POSIX system, such as Linux or macOS, and this is {sys.platform}"
        raise RuntimeError(msg)
    for option in options:
        if option not in KNOWN:
            known = {*KNOWN, *Settings._fields} - {"executor", "raw"}
            raise UnknownOption(
                option, {*known, "shell", "strict"} if script else known, "shell" if script else "command"
            )
    line = checked_line(given)
    success = exit_codes(settings.success)
    body = Command(
        line,
        env=checked_env(settings.env or {}),
        cwd=None if settings.cwd is None else Path(program_text("cwd", settings.cwd)),
        stdin=content_of(settings.stdin),
        success=success,
        skip_codes=checked_skips(settings.skip_codes, success),
        grace=check_seconds("grace", settings.grace),
        keep=stream_size(settings.keep),
        on_output=settings.on_output,
        on_end=settings.on_end,
        host=named_host(settings.host),
        script=script,
        strict=strict,
    )
    program = str(line[0])
    named = {"name": os.path.basename(program) or program, **options}  # noqa: PTH119 - text
    return CommandTask(body, (), named, named.get("version"))
