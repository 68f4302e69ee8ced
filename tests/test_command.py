"""Commands: programs as tasks. What they are given, what comes of them, and that nothing of them is left."""

import ast
import asyncio
import errno
import gc
import json
import os
import pickle
import re
import resource
import select
import signal
import subprocess
import sys
import threading
import tracemalloc
import weakref
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import Capacity, Limit, OptionError, Run, RunFailed, State, UnknownOption, task
from aiodag.abc import NOTHING
from aiodag.codec.text import decode, decode_error, encode, encode_error
from aiodag.commands import CommandFailed, Finished, command, local, shell
from aiodag.commands import entrance as entrances
from aiodag.records import left_out, output_text
from aiodag.stores import Memory, SQLite
from aiodag.testing import run as virtual
from aiodag.workflows import Workflow, loads

ROOT = Path(__file__).parent.parent
SECONDS = 30  # after which something hangs
ECHO = "import os, sys; print(ascii([os.fsencode(each) for each in sys.argv[1:]]))"
NAMES = "import os; print(ascii({k: v for k, v in os.environb.items() if k.startswith(b'GIVEN')}))"
READY = "print('ready', flush=True)"


def python(code, *args, **options):
    return command(sys.executable, "-I", "-S", "-c", code, *args, **options)


def executed(code, **options):
    """Run a program of ours in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
        **options,
    ).stdout


class Heard:
    """Hears a command, and lets others wait for what it says."""

    def __init__(self):
        self.text = ""
        self.ends = []
        self.said = asyncio.Condition()
        self.tasks = set()

    def output(self, stream, chunk):
        self.text += chunk.decode()
        self.tasks.add(asyncio.ensure_future(self._notify()))

    def end(self, finished):
        self.ends.append(finished)

    async def _notify(self):
        async with self.said:
            self.said.notify_all()

    async def wait_for(self, text):
        async with asyncio.timeout(SECONDS), self.said:
            await self.said.wait_for(lambda: text in self.text)

    @property
    def options(self):
        return {"on_output": self.output, "on_end": self.end}


class Passing(Heard):
    """Hears a command on the virtual clock, where so many seconds pass as soon as it has said something."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def output(self, stream, chunk):
        super().output(stream, chunk)
        asyncio.get_running_loop().now += self.seconds
        self.seconds = 0


def alive(session):
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, its_session = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:4]
            except OSError:
                continue
            if int(its_session) == session and state not in b"ZX":
                found.append(int(entry.name))
    return found


def has_ended(pid):
    """Wait until a process has ended."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], SECONDS)[0])
    finally:
        os.close(watch)


class Gate:
    """A named pipe: a program that reads a line of it waits until it is opened here."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR)  # neither side waits for the other

    def open(self):
        os.write(self.fd, b"go on\n")


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    os.close(gate.fd)


@pytest.fixture
def entrance(request, monkeypatch, tmp_path):
    """An entrance of its own, to a warden with other numbers of seconds, where the test says so."""
    text = entrances.PROGRAM.read_text()
    for name, seconds in getattr(request, "param", {}).items():
        text, count = re.subn(rf"^{name} = \S+", f"{name} = {seconds}", text, flags=re.MULTILINE)
        assert count == 1
    program = tmp_path / "warden.py"
    program.write_text(text)
    entrance = entrances.Entrance()
    monkeypatch.setattr(entrances, "PROGRAM", program)
    monkeypatch.setattr(local, "ENTRANCE", entrance)
    yield entrance
    entrance.close()


async def wait(nodes):
    await asyncio.wait(nodes)
    return [node.state for node in nodes]


# What a program is given


async def test_arguments_of_the_definition_and_of_the_call_arrive_in_order():
    finished = await python(ECHO, "a", Path("b/c"), 1)(-2, 0.5, "d")

    assert finished.stdout == "[b'a', b'b/c', b'1', b'-2', b'0.5', b'd']\n"
    assert finished.args[-6:] == ("a", "b/c", "1", "-2", "0.5", "d")


HOSTILE = [
    "'",
    '"',
    "a b",
    "",
    "$(touch x)",
    "`x`",
    ";",
    "\n",
    "*",
    "~",
    "$HOME",
    "{name}",
    "%s",
    "\\",
    "é\u2028",
    "\x7f",
]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(HOSTILE)
BYTES = st.binary().filter(lambda text: b"\0" not in text)


@settings(max_examples=25, deadline=None)
@given(defined=st.lists(TEXTS), called=st.lists(TEXTS | BYTES.map(os.fsdecode)))
def test_arguments_arrive_as_data(defined, called):
    async def main():
        return ast.literal_eval((await python(ECHO, *defined)(*called)).stdout)

    assert asyncio.run(main()) == [os.fsencode(each) for each in [*defined, *called]]


@settings(max_examples=25, deadline=None)
@given(TEXTS, TEXTS | BYTES.map(os.fsdecode))
def test_variables_arrive_as_data(defined, called):
    async def main():
        names = python(NAMES, env={"GIVEN_1": defined, "GIVEN_2": "other"})
        return ast.literal_eval((await names(env={"GIVEN_2": called, "GIVEN é": "more"})).stdout)

    expected = {b"GIVEN_1": defined, b"GIVEN_2": called, "GIVEN é".encode(): "more"}
    assert asyncio.run(main()) == {name: os.fsencode(value) for name, value in expected.items()}


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_shell_gets_arguments_and_variables_as_data(text, tmp_path):
    line = shell('printf "%s.%s.%s" "$1" "$2" "$GIVEN"', text, env={"GIVEN": text}, cwd=tmp_path)

    assert (await line(text)).stdout == f"{text}.{text}.{text}"
    assert list(tmp_path.iterdir()) == []


async def test_a_shell_reads_its_line():
    assert (await shell("echo b a | tr ' ' '\\n' | sort")()).stdout == "a\nb\n"


async def test_a_variable_can_be_taken_away(monkeypatch):
    monkeypatch.setenv("GIVEN", "inherited")
    names = python(NAMES)

    assert (await names()).stdout == "{b'GIVEN': b'inherited'}\n"
    assert (await names(env={"GIVEN": None})).stdout == "{}\n"
    assert (await python(NAMES, env={"GIVEN": None})(env={"GIVEN": 1})).stdout == "{b'GIVEN': b'1'}\n"


async def test_a_change_of_the_environment_is_seen_by_what_starts_after_it(monkeypatch):
    await command("true")()
    monkeypatch.setenv("GIVEN", "late")

    assert (await python(NAMES)()).stdout == "{b'GIVEN': b'late'}\n"


class Colour(StrEnum):
    RED = "red"


async def test_nodes_arrive_as_the_text_of_their_values():
    @task
    async def number():
        return 7

    @task
    async def colour():
        return Colour.RED

    finished = await python(NAMES + "; " + ECHO)(number(), env={"GIVEN": colour()})

    assert finished.stdout == "{b'GIVEN': b'red'}\n[b'7']\n"


async def test_a_finished_command_stands_for_its_stdout_as_in_a_shell():
    lines = command("printf", "a b\nc\n\n")

    assert (await python(ECHO)(lines())).stdout == "[b'a b\\nc']\n"
    assert (await command("wc", "-c")(stdin=lines())).stdout.split() == ["7"]


async def test_text_that_was_dropped_is_not_passed_on():
    cut = command("printf", "0123456789", keep=4)

    with pytest.raises(OptionError, match="6 bytes of this one were dropped"):
        await command("echo")(cut())
    with pytest.raises(OptionError, match="6 bytes"):
        await command("cat")(stdin=cut())


@pytest.mark.parametrize("content", ["", "é\n", b"\xff\0", "x" * 1_000_000, b"y" * 1_000_000])
async def test_stdin_is_text_or_bytes_of_any_length(content):
    expected = content.encode() if isinstance(content, str) else content
    code = "import sys; text = sys.stdin.buffer.read(); print(len(text), ascii(text[-9:]))"

    assert (await python(code, stdin=content)()).stdout == f"{len(expected)} {expected[-9:]!a}\n"
    assert (await python(code)(stdin=content)).stdout == f"{len(expected)} {expected[-9:]!a}\n"


async def test_stdin_is_a_file_or_what_a_node_gives(tmp_path):
    file = tmp_path / "rows"
    file.write_text("from a file")

    @task
    async def where():
        return file

    assert (await command("cat", stdin=file)()).stdout == "from a file"
    assert (await command("cat", stdin="other")(stdin=where())).stdout == "from a file"


async def test_a_named_pipe_that_nobody_writes_does_not_stop_the_loop(tmp_path):
    os.mkfifo(tmp_path / "fifo")

    assert (await command("cat", stdin=tmp_path / "fifo")()).stdout == ""


async def test_without_stdin_there_is_nothing_to_read():
    assert (await command("cat")()).stdout == ""


@pytest.mark.parametrize("program", ["true", "exec <&-; exec sleep 0.01"])
async def test_a_program_that_never_reads_ends_all_the_same(program):
    assert (await shell(program, stdin=b"x" * 10_000_000)()).code == 0


async def test_it_runs_where_cwd_says_and_else_where_we_are(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)

    assert (await shell("pwd -P", cwd=tmp_path / "inner")()).stdout.strip() == str((tmp_path / "inner").resolve())
    assert (await shell("pwd -P", cwd="inner")()).stdout.strip() == str((tmp_path / "inner").resolve())
    assert (await shell("pwd -P")()).stdout.strip() == str(tmp_path.resolve())


async def test_a_program_is_looked_for_on_the_path_of_its_own_environment(tmp_path):
    script = tmp_path / "our-tool"
    script.write_text("#!/bin/sh\necho found\n")
    script.chmod(0o755)

    assert (await command("our-tool", env={"PATH": str(tmp_path)})()).stdout == "found\n"
    assert (await command("./our-tool", cwd=tmp_path)()).stdout == "found\n"


async def test_signals_are_as_a_program_expects_them():
    code = "import signal; print([n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN])"
    ours = {int(number) for number in re.findall(r"\d+", (await python(code)()).stdout)}

    # Python itself ignores these two, at its own start.
    assert ours == {signal.SIGPIPE, signal.SIGXFSZ}
    assert (await shell("yes | head -n 1; trap")()).stdout == "y\n"
    assert (await shell("kill -PIPE $$", success=[-signal.SIGPIPE])()).signal == "SIGPIPE"


@pytest.mark.parametrize("value", ["a\0b", Path("a\0b"), "\ud800", None, True, b"bytes", ("a",), object()])
def test_what_no_program_can_be_given_is_refused_at_once(value):
    for make in (
        lambda: command("echo", value),
        lambda: command("echo", env={value: "1"}),
        lambda: command(value),
        lambda: shell(value),
    ):
        with pytest.raises(OptionError):
            make()
    if value is not None:  # which takes the variable away
        with pytest.raises(OptionError):
            command("echo", env={"NAME": value})


async def test_an_argument_with_a_nul_is_refused_before_anything_starts():
    heard = Heard()
    node = command("echo", **heard.options)("a\0b")

    with pytest.raises(OptionError, match="NUL"):
        await node
    assert heard.ends == []


@pytest.mark.parametrize(
    "options",
    [
        {"success": ()},
        {"success": [256]},
        {"success": "0"},
        {"success": [True]},
        {"success": 0},
        {"keep": -1},
        {"keep": 1.5},
        {"grace": -1},
        {"grace": "5"},
        {"env": ["A=1"]},
        {"env": {"": "1"}},
        {"env": {"A=B": "1"}},
        {"stdin": 7},
        {"stdin": "\ud800"},
        {"cwd": "a\0b"},
        {"retries": -1},
    ],
    ids=str,
)
def test_an_option_that_cannot_work_is_refused_at_once(options):
    with pytest.raises(OptionError):
        command("true", **options)


def test_an_unknown_option_is_refused_at_once():
    with pytest.raises(
        UnknownOption, match=r"command\(\) has no option 'sucess'; did you mean 'success' .* on_output, .* stdin"
    ):
        command("true", sucess=1)
    with pytest.raises(UnknownOption, match=r"shell\(\) has no option 'stric'; did you mean 'strict'"):
        shell("true", stric=True)


@pytest.mark.parametrize("program", ["", " "])
def test_an_empty_line_is_refused(program):
    with pytest.raises(OptionError):
        shell(program)
    with pytest.raises(OptionError):
        command("")


# A task like any other


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: command("/bin/true"), "true"),
        (lambda: command(Path("/bin/true"), name="always"), "always"),
        (lambda: shell("  cat a | sort\nsecond line"), "cat a | sort"),
        (lambda: shell("x" * 100), "x" * 39 + "…"),
        (lambda: shell("true", name="always"), "always"),
    ],
)
def test_the_name_is_the_programs_unless_given(made, name):
    assert made().name == name
    assert repr(made()) == f"<Task {name}>"


async def test_edges_options_and_runs_work_as_usual(tmp_path):
    sync = command("sh", "-c", 'test -e "$0" || { : > "$0"; exit 1; }', tmp_path / "marker", name="sync", retries=1)
    async with Run("etl") as run:
        first = sync()
        second = task(command("test", "-e", tmp_path / "marker"), first, name="check")()

    assert (first.attempt, second.state) == (2, State.SUCCEEDED)
    assert [str(each.name) for each in run.graph().nodes] == ["sync", "check"]


async def test_a_limit_bounds_how_many_run_at_once(tmp_path):
    line = 'mkdir "$1/$$"; ls "$1" | wc -l; exec rmdir "$1/$$"'
    count = shell(line, tmp_path, limit=2)

    counts = [int((await node).stdout) for node in [count() for _ in range(12)]]

    assert max(counts) <= 2


READS = 'echo ready; read line < "$1"'


def counted(nodes):
    return {state: sum(node.state is state for node in nodes) for state in {node.state for node in nodes}}


async def test_without_a_limit_64_programs_of_a_loop_run_at_once(gate):
    heard = Heard()
    one, other = (shell(READS, gate.path, name=name, **heard.options) for name in ("one", "other"))
    nodes = [made() for _ in range(35) for made in (one, other)]
    await heard.wait_for("ready\n" * 64)
    counts = counted(nodes)
    for _ in nodes:
        gate.open()

    assert counts == {State.RUNNING: 64, State.QUEUED: 6}
    assert await wait(nodes) == [State.SUCCEEDED] * 70
    assert heard.text == "ready\n" * 70


async def test_a_limit_of_its_own_takes_the_place_of_the_64(gate):
    heard = Heard()
    nodes = [shell(READS, gate.path, limit=66, **heard.options)() for _ in range(66)]
    await heard.wait_for("ready\n" * 66)
    for _ in nodes:
        gate.open()

    assert await wait(nodes) == [State.SUCCEEDED] * 66


async def test_those_that_wait_behind_the_64_are_cancelled_before_they_start(gate):
    heard = Heard()
    nodes = [shell(READS, gate.path, **heard.options)() for _ in range(67)]
    await heard.wait_for("ready\n" * 64)
    for node in nodes[64:]:
        node.cancel()
    late = await wait(nodes[64:])
    for _ in nodes[:64]:
        gate.open()

    assert late == [State.CANCELLED] * 3
    assert await wait(nodes[:64]) == [State.SUCCEEDED] * 64
    assert len(heard.ends) == 64


def test_the_64_are_not_written_down():
    made = command("true", retries=1)
    flow = Workflow("flow")
    flow.add(made)

    assert "limit" not in made.options.given
    assert made.with_options(retries=2).options.limit is made.options.limit
    assert "limit" not in json.dumps(flow.document())


async def test_a_failed_command_fails_its_node_and_skips_what_needs_it():
    with pytest.raises(RunFailed) as caught:
        async with Run("etl"):
            bad = shell("exit 3", name="bad")()
            after = command("echo")(bad)

    assert (bad.state, after.state) == (State.FAILED, State.SKIPPED)
    assert str(after.failure).startswith("echo skipped: bad failed: CommandFailed: /bin/sh -c 'exit 3' ended with")
    assert [type(each) for each in caught.value.exceptions] == [CommandFailed]


def test_a_changed_command_is_another_version():
    same = [command("a", "b", env={"X": 1, "Y": 2}), command("a", "b", env={"Y": 2, "X": 1}, keep=5, name="other")]
    others = [
        command("a", "b"),
        command("a b"),
        command("a", "b", env={"X": 1, "Y": 2}, cwd="c"),
        command("a", "b", env={"X": 1, "Y": 2}, stdin="c"),
        command("a", "b", env={"X": 1, "Y": 2}, stdin=Path("c")),
        command("a", "b", env={"X": 1, "Y": None}),
        command("a", "b", env={"X": 1, "Y": 2}, version=2),
    ]
    versions = [each.options.version for each in (*same, *others)]

    assert versions[0] == versions[1]
    assert len(set(versions)) == 1 + len(others)


def test_a_version_of_ones_own_is_added_to_that():
    plain = command("a")
    digest = plain.options.version

    assert plain.with_options(retries=1).options.version == digest
    assert plain.with_options(version=2).options.version == f"2 {digest}"
    assert task(plain, version="b").with_options(version="c").with_options(retries=2).options.version == f"c {digest}"
    assert command("a", version=2).after().options.version == f"2 {digest}"


# Definitions that workflows take apart and make again


def named(text):
    return text.replace("{{DATE}}", "d'1").replace("{{SIZE}}", "$(s)")


async def test_all_text_of_a_command_can_be_changed(tmp_path):
    code = "import os, sys; print(ascii([sys.argv[1:], os.environ['GIVEN'], os.getcwd(), sys.stdin.read()]))"
    template = python(
        code, "{{DATE}}/{{SIZE}}", "DATE", env={"GIVEN": "{{DATE}}"}, cwd=tmp_path / "{{DATE}}", stdin="é {{SIZE}}\n"
    )
    (tmp_path / "d'1").mkdir()

    finished = await template.with_body(template.fn.change_texts(named), name="one")()

    where = os.path.realpath(tmp_path / "d'1")
    assert ast.literal_eval(finished.stdout) == [["d'1/$(s)", "DATE"], "d'1", where, "é $(s)\n"]


def test_what_is_no_text_of_a_command_stays_as_it_is():
    given = python(READY, env={"GIVEN": None}, stdin=b"\xff{{DATE}}\0", success=(0, 3), grace=1, keep=7, on_end=print)
    body = given.fn.change_texts(named)

    assert (body.env, body.stdin) == ({"GIVEN": None}, b"\xffd'1\0")
    assert (body.success, body.grace, body.keep, body.on_end) == ({0, 3}, 1.0, 7, print)
    assert vars(given.fn.change_texts(str)) == vars(given.fn)


def test_a_file_for_stdin_is_changed_as_a_path():
    assert command("cat", stdin=Path("in/{{DATE}}")).fn.change_texts(named).stdin == Path("in/d'1")


@pytest.mark.parametrize(
    "made",
    [
        lambda: command("echo", "{{X}}"),
        lambda: command("{{X}}"),
        lambda: command("echo", cwd="{{X}}"),
        lambda: command("echo", stdin=Path("{{X}}")),
        lambda: command("echo", env={"GIVEN": "{{X}}"}),
    ],
)
def test_a_change_to_what_no_program_can_be_given_is_refused(made):
    with pytest.raises(OptionError):
        made().fn.change_texts(lambda text: text.replace("{{X}}", "a\0b"))
    with pytest.raises(OptionError, match="program"):
        command("{{X}}").fn.change_texts(lambda text: text.replace("{{X}}", ""))


def test_another_body_keeps_the_options_and_is_another_version():
    template = command("pull", "{{DATE}}", version=3, retries=2, timeout=5)
    made = template.with_body(template.fn.change_texts(named), name="Pull[DATE=d1]")

    assert (made.name, made.options.retries, made.options.timeout) == ("Pull[DATE=d1]", 2, 5)
    assert made.options.version == command("pull", "d'1", version=3).options.version
    assert made.with_options(version=4).options.version == command("pull", "d'1", version=4).options.version
    assert template.with_body(template.fn, version=4).given_version == 4


def test_the_line_of_a_shell_can_be_told_from_a_list_of_arguments():
    assert shell("a | b", "c").fn.line == "a | b"
    assert shell("a | b", "c").fn.args[4:] == ("c",)
    assert command("/bin/sh", "-c", "a").fn.line is None
    assert command("echo", "-c", "a", "sh").fn.line is None


# What the journal of a run hears


class Notes:
    """A journal that keeps nothing but what commands tell it."""

    error = None

    def __init__(self):
        self.noted = []  # number of the attempt, facts
        self.heard = []

    def facts(self, node, facts):
        self.noted.append((node.task.name, node.attempt, facts))

    def output(self, node, stream, chunk):
        self.heard.append((node.task.name, node.attempt, stream, chunk))

    def of(self, name, attempt=1):
        """All facts of one attempt together."""
        return {key: fact for *which, facts in self.noted if which == [name, attempt] for key, fact in facts.items()}

    def enter(self, node, upstream):
        pass

    def moved(self, node, state, at):
        pass

    def recall(self, node):
        return NOTHING

    async def __call__(self, node, args, kwargs, /):
        if node.task.call is None:
            node.engine.begin(node)
            body = node.task.fn(*args, **kwargs)
        else:
            body = node.task.call(node, args, kwargs)
        del node  # what fails holds its traceback, and that this frame
        return await body

    async def close(self, state, error):
        pass


@asynccontextmanager
async def noted():
    """A run with such a journal, of which every end will do."""
    try:
        async with Run("etl") as run:
            run.journal = Notes()
            yield run.journal
    except RunFailed:
        pass


async def test_the_journal_hears_the_streams_and_the_facts():
    async with noted() as notes:
        node = shell("echo out; echo err >&2", "é", os.fsdecode(b"\xff"), name="sync")()

    facts = notes.of("sync")
    end = node.result()
    assert sorted(notes.heard) == [("sync", 1, "stderr", b"err\n"), ("sync", 1, "stdout", b"out\n")]
    assert facts == {
        "command": ["/bin/sh", "-c", "echo out; echo err >&2", "sh", "é", "\udcff"],
        "host": end.host,
        "pid": end.pid,
        "code": 0,
        "signal": None,
        "cpu_seconds": end.cpu_seconds,
        "peak_bytes": end.peak_bytes,
        "stdout_dropped": 0,
        "stderr_dropped": 0,
    }
    assert json.loads(json.dumps(facts)) == facts


async def test_the_journal_hears_of_every_attempt():
    async with noted() as notes:
        shell("echo 1; echo 2 >&2; exit 3", name="bad", retries=2)()

    assert [notes.of("bad", attempt)["code"] for attempt in (1, 2, 3)] == [3, 3, 3]
    assert len({notes.of("bad", attempt)["pid"] for attempt in (1, 2, 3)}) == 3
    assert sorted(notes.heard) == [
        ("bad", attempt, *said) for attempt in (1, 2, 3) for said in (("stderr", b"2\n"), ("stdout", b"1\n"))
    ]


@pytest.mark.virtual
async def test_the_journal_hears_of_attempts_that_end_badly():
    heard = Heard()
    line = "echo partial; exec sleep 300"
    async with noted() as notes:
        stopped = shell(line, name="stopped", on_output=heard.output)()
        late = shell(line, name="late", timeout=2, on_output=Passing(2).output)()
        missing = command("no-such-program", name="missing")()
        await heard.wait_for("partial")
        stopped.cancel()
        await wait([stopped, late, missing])

    assert [notes.of(name)["signal"] for name in ("stopped", "late")] == ["SIGTERM", "SIGTERM"]
    assert [each for each in notes.heard if each[0] == "late"] == [("late", 1, "stdout", b"partial\n")]
    assert notes.of("missing") == {"command": ["no-such-program"], "host": os.uname().nodename}


async def test_the_journal_knows_the_process_while_it_runs(gate):
    heard = Heard()
    async with noted() as notes:
        node = shell('echo $$; read line < "$1"', gate.path, name="sync", on_output=heard.output)()
        await heard.wait_for("\n")
        async with asyncio.timeout(SECONDS):
            while "pid" not in notes.of("sync"):
                await asyncio.sleep(0)
        state, facts = node.state, notes.of("sync")
        gate.open()

    assert (state, facts["pid"]) == (State.RUNNING, int(heard.text))
    assert "code" not in facts


async def test_a_journal_that_raises_disturbs_no_command():
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(str(context["exception"])))
    async with noted() as notes:
        notes.output = lambda *_: 1 / 0
        node = command("echo", "a")()

    assert node.result().stdout == "a\n"
    assert reports == ["division by zero"]


async def test_a_failed_attempt_is_held_by_nobody_but_its_node():
    gc.collect()
    gc.disable()
    try:
        async with noted():
            node = shell("exit 3")()
            seen = weakref.ref(node)
        del node
        await asyncio.sleep(0)
        gone = seen() is None
    finally:
        gc.enable()

    assert gone


def durable(store, *made, run_id="r", run=asyncio.run):
    """Run commands one after the other in a durable run, and return how the nodes ended."""

    async def main():
        try:
            async with Run("etl", store=store, id=run_id):
                nodes = [each() for each in made]
        except RunFailed:
            pass
        return nodes

    return run(main())


# What is left of a run in a file


@pytest.fixture
def file(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


@pytest.fixture
def reader(tmp_path, file):
    """The same file, as another process sees it."""
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


def said(store, attempt=1, number=0, run_id="r"):
    """What the store has of both streams of an attempt."""
    parts = store.output(run_id, number, attempt)
    return tuple(output_text([part for part in parts if part.stream == stream]) for stream in ("stdout", "stderr"))


def facts(store, run_id="r"):
    """State and facts of each attempt, by node and number of the attempt."""
    return {(each.number, each.attempt): (each.state, each.facts) for each in store.attempts(run_id, every=True)}


async def test_output_can_be_read_while_the_command_runs(file, reader, gate):
    line = 'echo out; echo err >&2; read line < "$1"; echo "$line"'
    async with Run("etl", store=file, id="r"):
        node = shell(line, gate.path, name="sync")()
        async with asyncio.timeout(SECONDS):
            while (before := await asyncio.to_thread(said, reader)) != ("out\n", "err\n"):
                pass
            while "pid" not in (known := reader.attempts("r", every=True)[0].facts):
                await asyncio.sleep(0)
        state = node.state
        gate.open()

    assert (state, before) == (State.RUNNING, ("out\n", "err\n"))
    assert known == {"command": list(node.result().args), "host": os.uname().nodename, "pid": node.result().pid}
    assert said(reader) == ("out\ngo on\n", "err\n")


def test_every_attempt_has_its_own_streams_and_facts(file):
    (node,) = durable(file, shell("echo $$; echo reason >&2; exit 3", name="bad", retries=2))

    found = facts(file)
    assert (node.state, node.attempt, list(found)) == (State.FAILED, 3, [(0, 1), (0, 2), (0, 3)])
    for attempt in (1, 2, 3):
        state, each = found[0, attempt]
        assert (state, each["code"], each["signal"]) == (State.FAILED, 3, None)
        assert said(file, attempt) == (f"{each['pid']}\n", "reason\n")
        assert each["cpu_seconds"] < 10
        assert each["peak_bytes"] > 0


def test_one_that_fails_once_has_two_attempts(file, tmp_path):
    line = 'test -e "$1" || { : > "$1"; exit 1; }'
    (node,) = durable(file, shell(line, tmp_path / "marker", name="sync", retries=3))

    assert (node.state, node.attempt) == (State.SUCCEEDED, 2)
    assert [(state, each["code"]) for state, each in facts(file).values()] == [(State.FAILED, 1), (State.SUCCEEDED, 0)]


def test_what_cannot_start_is_an_attempt_that_failed_at_once(file):
    (node,) = durable(file, command("no-such-program", name="sync"))

    assert (node.state, node.attempt) == (State.FAILED, 1)
    assert facts(file) == {
        (0, 1): (State.FAILED, {"command": ["no-such-program"], "host": os.uname().nodename}),
    }
    assert "no directory of PATH" in str(decode_error(file.nodes("r")[0].error))


def test_a_timeout_leaves_how_the_program_ended_and_what_it_said(file):
    line = "echo partial; sleep 300 & wait"
    (node,) = durable(file, shell(line, name="late", timeout=2, on_output=Passing(2).output), run=virtual)

    ((state, each),) = facts(file).values()
    (attempt,) = file.attempts("r", every=True)
    assert (node.state, state, each["signal"]) == (State.FAILED, State.FAILED, "SIGTERM")
    assert isinstance(node.exception(), TimeoutError)
    assert said(file) == ("partial\n", "")
    assert attempt.ended_at - attempt.started_at >= timedelta(seconds=2)
    assert alive(each["pid"]) == []


def test_a_cancelled_run_leaves_partial_output_and_no_process(file):
    heard = Heard()
    line = shell("echo partial; sleep 30; echo x", name="long", limit=2, **heard.options)

    async def scope():
        async with Run("etl", store=file, id="r"):
            nodes = [line() for _ in range(6)]
            await asyncio.wait(nodes)

    async def main():
        async with Run("other") as other:
            theirs = shell("read line; echo $line", name="theirs", stdin="still here\n")()
            running = asyncio.ensure_future(scope())
            async with asyncio.timeout(SECONDS), heard.said:
                await heard.said.wait_for(lambda: heard.text.count("partial") == 2)
            running.cancel()
            await asyncio.wait([running])
        return running.cancelled(), theirs.result().stdout, other.state

    assert asyncio.run(main()) == (True, "still here\n", State.SUCCEEDED)
    found = facts(file)
    assert len(found) == 2
    for (number, attempt), (state, each) in found.items():
        assert (attempt, state, each["signal"]) == (1, State.CANCELLED, "SIGTERM")
        assert said(file, number=number) == ("partial\n", "")
        assert alive(each["pid"]) == []
    assert [row.attempt for row in file.nodes("r")].count(0) == 4


def test_a_cancelled_run_can_be_resumed_at_once(file, tmp_path):
    heard = Heard()
    line = shell('echo $$; test -e "$1" || exec sleep 30', tmp_path / "marker", name="long", **heard.options)

    async def main():
        async def scope():
            async with Run("etl", store=file, id="r"):
                nodes = [line(), line("other")]
                await asyncio.wait(nodes)
            return [node.attempt for node in nodes]

        running = asyncio.ensure_future(scope())
        async with asyncio.timeout(SECONDS), heard.said:
            await heard.said.wait_for(lambda: heard.text.count("\n") == 2)
        running.cancel()
        await asyncio.wait([running])
        (tmp_path / "marker").touch()
        return await scope()

    assert asyncio.run(main()) == [2, 2]
    assert [(state, each["code"]) for state, each in facts(file).values()] == [
        (State.CANCELLED, -15),
        (State.SUCCEEDED, 0),
        (State.CANCELLED, -15),
        (State.SUCCEEDED, 0),
    ]
    assert len({each["pid"] for _, each in facts(file).values()}) == 4


def test_an_attempt_that_was_cut_off_shows_what_it_ran(file, tmp_path):
    code = f"""
import asyncio, os, signal
from aiodag import Run
from aiodag.commands import shell
from aiodag.stores import SQLite
store = SQLite({str(tmp_path / "runs.db")!r})
def say(stream, chunk):
    print(chunk.decode(), end="", flush=True)
async def main():
    async with Run("etl", store=store, id="r"):
        shell("echo $$; exec sleep 300", name="long", on_output=say)()
        while not store.output("r") or "pid" not in store.attempts("r", every=True)[0].facts:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    session = int(killed.stdout)

    ((_, each),) = facts(file).values()
    assert each == {"command": ["/bin/sh", "-c", each["command"][2], "sh"], "host": os.uname().nodename, "pid": session}
    assert said(file) == (killed.stdout, "")
    assert all(map(has_ended, alive(session)))


FLOOD = """
import asyncio, resource, sys
from aiodag import Run
from aiodag.commands import command
async def main():
    await command("true")()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = 'echo head; head -c "$1" /dev/zero; echo tail'
    async with Run("etl", store=sys.argv[1], id="r"):
        node = command("sh", "-c", line, "sh", 2**30, name="flood")()
    finished = node.result()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, finished.stdout_dropped)
asyncio.run(main())
"""


def test_of_a_gibibyte_head_and_tail_are_kept_in_bounded_memory(file, tmp_path):
    output = subprocess.run(
        [sys.executable, "-c", FLOOD, str(tmp_path / "runs.db")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
        check=True,
    ).stdout
    grown, dropped = map(int, output.split())

    length = 5 + 2**30 + 5
    parts = file.output("r", 0, 1)
    ((_, each),) = facts(file).values()
    assert grown < 100 * 2**10  # kibibytes
    assert each["stdout_dropped"] == dropped == length - 2**20
    kept = sum(len(part.bytes) for part in parts)
    assert 2**20 <= kept < 2**20 + 2**16  # what was written of a tail before is given up row by row
    assert left_out(parts) == length - kept
    text = b"".join(part.bytes for part in parts)
    assert (text[:6], text[-6:]) == (b"head\n\0", b"\0tail\n")


def test_hostile_text_arrives_as_data_and_is_recorded(file):
    texts = [each for each in HOSTILE if each] + [os.fsdecode(b"\xff")]
    (node,) = durable(file, command("printf", "%s.", *texts, name="show"))

    ((_, each),) = facts(file).values()
    assert each["command"] == ["printf", "%s.", *texts]
    assert node.result().args == ("printf", "%s.", *texts)
    assert [part.bytes for part in file.output("r")] == [b"".join(os.fsencode(text) + b"." for text in texts)]


def test_any_bytes_of_a_stream_are_recorded(file):
    durable(file, shell("printf 'a\\000b\\377\\303'", name="bytes"))

    assert [part.bytes for part in file.output("r")] == [b"a\0b\xff\xc3"]


def test_a_recalled_command_gives_all_that_it_gave(file):
    made = shell("printf 'a\\377\\000'; echo b >&2; exit 3", name="sync", success=[3], env={"GIVEN": "1"})
    (first,) = durable(file, made)
    (again,) = durable(file, made)

    assert again.result() == first.result()
    assert (again.result().code, again.result().stdout, again.result().stderr) == (3, "a\ufffd\0", "b\n")
    assert len(facts(file)) == 1


def test_a_recorded_failure_comes_back_with_its_fields(file):
    (node,) = durable(file, shell("echo out; echo reason >&2; kill -KILL $$", name="bad"))
    failed = decode_error(file.nodes("r")[0].error)

    assert type(failed) is CommandFailed
    assert vars(failed) == vars(node.exception())
    assert (failed.code, failed.signal, failed.finished.stdout, failed.finished.stderr) == (
        -9,
        "SIGKILL",
        "out\n",
        "reason\n",
    )


def test_a_finished_command_is_recalled_and_a_changed_one_runs_again():
    ends = []
    store = Memory()

    def made(*lines):
        return [shell(line, name=f"step {place}", on_end=ends.append) for place, line in enumerate(lines)]

    first = durable(store, *made("echo a", "echo b"))
    again = durable(store, *made("echo a", "echo c"))

    assert sorted(each.stdout for each in ends) == ["a\n", "b\n", "c\n"]
    assert again[0].result() == first[0].result()
    assert again[1].result().stdout == "c\n"


def test_a_failed_command_is_recorded_with_its_facts_and_runs_again(tmp_path):
    store = Memory()
    marker = tmp_path / "marker"
    line = shell('test -e "$1" || { echo missing >&2; exit 4; }', marker, name="sync")

    durable(store, line)
    (row,) = store.nodes("r")
    error = decode_error(row.error)
    marker.touch()
    (node,) = durable(store, line)

    assert type(error) is CommandFailed
    assert (error.code, error.finished.stderr, error.finished.args[:2]) == (4, "missing\n", ("/bin/sh", "-c"))
    assert (node.state, node.attempt) == (State.SUCCEEDED, 2)


def test_importing_aiodag_loads_nothing_of_this():
    found = executed("import sys, aiodag; print([m for m in sys.modules if m.startswith('aiodag.executors')])")

    assert found == "[]\n"


# What comes of it


async def test_both_streams_are_kept_apart_and_in_order():
    finished = await shell("echo 1; echo a >&2; echo 2; echo b >&2")()

    assert (finished.code, finished.stdout, finished.stderr) == (0, "1\n2\n", "a\nb\n")
    assert (finished.stdout_dropped, finished.stderr_dropped) == (0, 0)


async def test_the_facts_of_an_attempt_are_told():
    before = datetime.now(UTC)
    finished = await shell("echo $$")()

    assert before <= finished.started_at <= finished.ended_at <= datetime.now(UTC)
    assert finished.pid == int(finished.stdout)
    assert finished.host == os.uname().nodename
    assert finished.args == ("/bin/sh", "-c", "echo $$", "sh")
    assert finished.signal is None


async def test_cpu_seconds_are_those_of_the_program_and_of_what_it_waited_for():
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    finished = await shell('"$@"; "$@"', sys.executable, "-I", "-S", "-c", burn)()

    assert 0.4 <= finished.cpu_seconds < 10


async def test_peak_memory_is_the_programs_and_not_ours():
    ours = bytearray(200 * 2**20)
    large = await python("bytearray(100 * 2**20)")()
    small = await command("true")()

    assert 100 * 2**20 <= large.peak_bytes < len(ours)
    assert small.peak_bytes < 50 * 2**20


async def test_peak_memory_is_not_that_of_an_earlier_command_with_many_arguments():
    before = await command("true")()
    with pytest.raises(CommandFailed, match="longer than the system takes"):
        await command("true", *["x" * 1000] * 60_000)()
    after = await command("true")()

    assert after.peak_bytes < before.peak_bytes + 20 * 2**20


@pytest.mark.parametrize("code", [1, 3, 127, 255])
async def test_a_code_that_is_no_success_is_a_failure_with_the_same_facts(code):
    with pytest.raises(CommandFailed) as caught:
        await shell(f"echo out; echo reason >&2; exit {code}")()
    failed = caught.value

    assert (failed.code, failed.signal) == (code, None)
    assert (failed.finished.stdout, failed.finished.stderr) == ("out\n", "reason\n")
    assert failed.command == failed.finished.args
    assert f"ended with exit code {code}: reason\n" in str(failed)
    assert f"success=(0, {code})" in str(failed)


async def test_other_codes_can_be_a_success():
    grep = command("grep", "x", success=(0, 1))

    assert [(await grep(stdin=text)).code for text in ("x\n", "y\n")] == [0, 1]
    with pytest.raises(CommandFailed):
        await command("true", success=[1])()


async def test_an_end_by_a_signal_names_it():
    with pytest.raises(CommandFailed, match=r"was ended by SIGKILL, and wrote nothing\n.*want of memory") as caught:
        await shell("kill -KILL $$")()

    assert (caught.value.code, caught.value.signal) == (-9, "SIGKILL")
    assert (await shell("kill -35 $$", success=[-35])()).signal == "signal 35"


async def test_a_failure_shows_the_end_of_what_was_said():
    with pytest.raises(CommandFailed) as caught:
        await shell("seq 100 >&2; exit 1")()

    assert "\n  91\n" in str(caught.value)
    assert "\n  90\n" not in str(caught.value)


async def test_a_failure_prints_whatever_the_arguments_are():
    with pytest.raises(CommandFailed) as caught:
        await command("false")("a\nb", os.fsdecode(b"\xff"), "x" * 1000)

    assert str(caught.value).encode().startswith(b"false 'a\\nb' '\\udcff' xxx")
    assert len(str(caught.value).splitlines()[0]) < 300


@pytest.mark.parametrize(
    "made",
    [
        command(
            "sh", "-c", 'cat; echo "$A $1"', "sh", stdin=b"in ", env={"A": "a", "GONE": None}, name="say", retries=2
        ),
        shell('cat; echo "$A $1"', stdin="in ", env={"A": "a"}, version=3, timeout=60, success=(0, 1)),
        shell('cat; echo "$A $1"', stdin="in ", env={"A": "a"}).with_options(retries=1, version="4"),
        next(iter(loads(json.dumps({"tasks": {"a": {"shell": 'echo "in $1"'}}})))).task,
    ],
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
async def test_a_command_survives_pickle_with_its_options_and_its_version(made, protocol):
    again = pickle.loads(pickle.dumps(made, protocol))

    assert (again.name, vars(again.fn), again.__doc__) == (made.name, vars(made.fn), made.__doc__)
    assert (again.options.given, again.given_version) == (made.options.given, made.given_version)
    assert (again.options.version, again.options.retries) == (made.options.version, made.options.retries)
    assert (await again("x")).stdout == (await made("x")).stdout


async def test_results_and_failures_survive_pickle_and_the_codec():
    finished = await shell("printf 'a\\377\\000b'")("é")
    with pytest.raises(CommandFailed) as caught:
        await shell("echo reason >&2; exit 3")()
    failed = caught.value

    assert decode(encode(finished)) == pickle.loads(pickle.dumps(finished)) == finished
    for copy in (pickle.loads(pickle.dumps(failed)), decode_error(encode_error(failed))):
        assert type(copy) is CommandFailed
        assert (str(copy), vars(copy)) == (str(failed), vars(failed))


async def test_any_output_is_text_that_can_be_stored():
    finished = await shell("printf 'a\\000b\\377\\303'; printf '\\303\\251' >&2")()

    assert (finished.stdout, finished.stderr) == ("a\0b\ufffd\ufffd", "é")
    assert finished.stdout.encode().decode() == finished.stdout


async def test_of_long_output_head_and_tail_are_kept_and_the_rest_is_told():
    finished = await shell("seq 100000; seq 10 >&2", keep=1000)()
    whole = "".join(f"{number}\n" for number in range(1, 100001))
    dropped = len(whole) - 1000

    assert finished.stdout == f"{whole[:500]}\n[{dropped:,} bytes are left out here]\n{whole[-500:]}"
    assert (finished.stdout_dropped, finished.stderr_dropped) == (dropped, 0)


async def test_no_character_is_cut_in_two():
    finished = await python("print('é' * 1000, end='')", keep=101, env={"PYTHONIOENCODING": "utf-8"})()

    # 25 characters in the first 50 bytes, 25 in the last 51, of which the first is the second half of one.
    assert finished.stdout == f"{'é' * 25}\n[1,900 bytes are left out here]\n{'é' * 25}"
    assert finished.stdout_dropped == 1900


async def test_what_just_fits_is_whole():
    finished = await command("printf", "0123456789", keep=10)()

    assert (finished.stdout, finished.stdout_dropped) == ("0123456789", 0)


async def test_much_output_takes_little_memory():
    size = 64 * 2**20
    flood = command("head", "-c", size, "/dev/zero")
    gc.collect()
    tracemalloc.start()
    try:
        finished = await flood()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert finished.stdout_dropped == size - 2**20
    assert peak < 8 * 2**20


async def test_output_is_heard_while_the_program_runs(gate):
    heard = Heard()
    node = shell('echo out; echo err >&2; read line < "$1"; echo "$line"', gate.path, **heard.options)()

    await heard.wait_for("out")
    await heard.wait_for("err")
    state = node.state
    gate.open()

    assert state is State.RUNNING
    assert (await node).stdout == "out\ngo on\n"
    assert heard.text in {"out\nerr\ngo on\n", "err\nout\ngo on\n"}
    assert heard.ends == [node.result()]


async def test_all_output_is_heard_also_what_is_not_kept():
    heard = bytearray()
    finished = await command("seq", 100000, keep=0, on_output=lambda _, chunk: heard.extend(chunk))()

    assert len(heard) == finished.stdout_dropped == 588895


async def test_a_listener_that_raises_is_reported_and_disturbs_nothing():
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(str(context["exception"])))

    def bad(*heard):
        raise ValueError(len(heard))

    finished = await command("echo", "a", on_output=bad, on_end=bad)()

    assert (finished.stdout, reports) == ("a\n", ["2", "1"])


# What cannot start


async def test_a_program_that_is_missing_fails_at_once_and_says_so():
    with pytest.raises(CommandFailed, match="no directory of PATH has a program 'no-such-program'") as caught:
        await command("no-such-program")("a")

    assert caught.value.command == ("no-such-program", "a")
    assert (caught.value.finished, caught.value.code, caught.value.signal) == (None, None, None)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


async def test_a_line_in_place_of_a_program_is_told_how_to_be_one():
    with pytest.raises(CommandFailed, match=r"'ls -l' is taken for the name of a program.*shell\("):
        await command("ls -l")()


def test_a_list_in_place_of_a_program_is_told_to_be_given_one_by_one():
    with pytest.raises(OptionError, match="not list; give its items one by one"):
        command(["ls", "-l"])


async def test_what_keeps_a_program_from_starting_is_told(tmp_path):
    plain, nothing, lost = (tmp_path / name for name in ("plain", "nothing", "lost"))
    for file, mode, text in [(plain, 0o644, "echo"), (nothing, 0o755, "echo"), (lost, 0o755, "#!/no/such/shell\n")]:
        file.write_text(text)
        file.chmod(mode)

    for made, reason in [
        (command(plain), "may not be executed"),
        (command("plain", env={"PATH": str(tmp_path)}), "may not be executed"),
        (command(tmp_path), "is a directory, or may not"),
        (command(nothing), "first line such as #!/bin/sh"),
        (command(lost), "the first line of '.*lost' names '/no/such/shell', which is missing"),
        (command(tmp_path / "none"), "there is no such file"),
        (command("true", cwd=tmp_path / "none"), "none' cannot be the directory it runs in: No such file"),
        (command("true", cwd=plain), "cannot be the directory it runs in: Not a directory"),
        (command("true", stdin=tmp_path / "none"), "its stdin .*none' cannot be read: No such file"),
        (command("true", "x" * 3_000_000), "longer than the system takes"),
        (command("true", env={"GIVEN": "x" * 3_000_000}), "longer than the system takes"),
    ]:
        with pytest.raises(CommandFailed, match=f"did not start: .*{reason}"):
            await made()


async def test_long_arguments_that_the_system_takes_arrive():
    finished = await python("import sys; print(sum(map(len, sys.argv)))", *["x" * 100_000] * 10)()

    assert finished.stdout == "1000002\n"


def test_a_directory_that_is_gone_is_told(tmp_path):
    code = f"""
import asyncio, os
from aiodag.commands import command
os.mkdir({str(tmp_path / "gone")!r}); os.chdir({str(tmp_path / "gone")!r}); os.rmdir({str(tmp_path / "gone")!r})
async def main():
    try:
        await command("true")()
    except Exception as error:
        print(error)
asyncio.run(main())
"""
    assert executed(code) == "true did not start: '.' cannot be the directory it runs in: No such file or directory\n"


def test_an_absolute_cwd_does_where_our_own_directory_is_gone(tmp_path):
    code = f"""
import asyncio, os
from aiodag.commands import command
os.mkdir({str(tmp_path / "gone")!r}); os.chdir({str(tmp_path / "gone")!r}); os.rmdir({str(tmp_path / "gone")!r})
async def main():
    print((await command("pwd", cwd="/")()).stdout)
asyncio.run(main())
"""
    assert executed(code) == "/\n\n"


def scripts(directory, **texts):
    for name, text in texts.items():
        (directory / name).write_bytes(text)
        (directory / name).chmod(0o755)


async def why(made):
    with pytest.raises(CommandFailed, match="did not start") as failed:
        await made()
    return str(failed.value)


async def test_a_script_whose_interpreter_is_missing_says_which(tmp_path):
    scripts(
        tmp_path, plain=b"#!/no/python\n", args=b"#!  /no/perl -w\nx", env=b"#!/usr/bin/env\n", windows=b"#!/bin/sh\r\n"
    )

    for made in (command("plain", env={"PATH": str(tmp_path)}), command("./plain", cwd=tmp_path)):
        assert "plain' names '/no/python', which is missing" in await why(made)
    assert "names '/no/perl', which is missing" in await why(command(tmp_path / "args"))
    assert "names '/bin/sh\\r', which is missing. Its lines end" in await why(command(tmp_path / "windows"))


async def test_an_interpreter_that_cannot_be_executed_is_told_from_a_script_that_cannot(tmp_path):
    (tmp_path / "notes").write_text("")
    scripts(tmp_path, script=f"#!{tmp_path / 'notes'}\n".encode())

    assert "notes', which cannot be executed" in await why(command(tmp_path / "script"))
    assert "chmod +x" in await why(command(tmp_path / "notes"))


async def test_a_program_of_another_system_is_said_to_be_one(tmp_path):
    content = Path("/bin/sh").read_bytes()
    loader = re.search(rb"/lib[\w/.-]*ld-[\w.-]+", content)
    if loader is None:
        pytest.skip("this shell needs no loader")
    scripts(tmp_path, built=content.replace(loader[0], b"/none" + loader[0][5:]))

    assert "built' is there, and what it needs is not" in await why(command(tmp_path / "built"))


# Codes that skip


async def test_a_program_can_say_that_there_is_nothing_to_do():
    async with Run() as run:
        skipped = shell("echo nothing new; exit 75", skip_codes=[75, 99], retries=3)()
        after = command("echo")(skipped)
        beside = command("echo")()

    assert [each.state for each in (skipped, after, beside)] == [State.SKIPPED, State.SKIPPED, State.SUCCEEDED]
    assert run.state is State.SUCCEEDED
    assert skipped.attempt == 1
    assert "ended with exit code 75: nothing new" in str(skipped.exception())
    assert skipped.failure is None


async def test_an_end_that_skips_is_heard_and_recorded():
    heard, store = Heard(), Memory()
    async with Run(store=store, id="r"):
        shell("echo none; exit 3", skip_codes={3}, **heard.options)()

    (node,) = store.nodes("r")
    (attempt,) = store.attempts("r", every=True)
    assert (node.state, attempt.facts["code"], heard.ends[0].code) == (State.SKIPPED, 3, 3)
    assert "exit code 3: none" in str(node.error)


async def test_an_edit_of_success_has_run_again_what_it_makes_a_failure_and_nothing_else():
    store, ends = Memory(), []

    async def run(*success):
        ends.clear()
        with suppress(RunFailed):
            async with Run(store=store, id="r"):
                odd = shell("exit 3", name="odd", success=success, on_end=ends.append)()
                shell("exit 0", name="usual", success=success, on_end=ends.append)()
                command("echo", name="after", on_end=ends.append)(odd)
        return [" ".join(end.args[2:3]) if end.args[0] == "/bin/sh" else "after" for end in ends]

    assert sorted(await run(0, 3)) == ["after", "exit 0", "exit 3"]
    assert await run(0, 3, 4) == []
    assert await run(0) == ["exit 3"]
    assert await run(0, 3) == ["exit 3", "after"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"skip_codes": 75}, "skip_codes=75"),
        ({"skip_codes": [True]}, "skip_codes="),
        ({"skip_codes": ["75"]}, "exit codes from 0 to 255"),
        ({"skip_codes": [0]}, "other codes than success, which has 0"),
        ({"skip_codes": [3, 4], "success": (0, 4)}, "other codes than success, which has 4"),
    ],
)
def test_codes_that_cannot_skip_are_refused(options, told):
    with pytest.raises(OptionError, match=told):
        command("true", **options)


# How it ends


@pytest.mark.virtual
async def test_a_timeout_ends_all_of_it():
    heard = Passing(2)
    line = "sleep 300 & sh -c 'sleep 300; echo' & timeout 300 sleep 300 & echo ready; wait"
    node = shell(line, timeout=2, **heard.options)()

    with pytest.raises(TimeoutError, match="took longer than 2 s"):
        await node

    (end,) = heard.ends
    assert (end.signal, end.stdout) == ("SIGTERM", "ready\n")
    assert alive(end.pid) == []


@pytest.mark.virtual
async def test_a_timeout_shows_what_was_said_last():
    with pytest.raises(TimeoutError) as caught:
        await shell("echo waiting for a lock >&2; exec sleep 300", timeout=2, on_output=Passing(2).output)()
    causes, error = [], caught.value
    while error is not None:
        causes += getattr(error, "__notes__", [])
        error = error.__cause__

    assert any("ended by SIGTERM: waiting for a lock" in each for each in causes)


async def test_cancel_ends_all_of_it_other_process_groups_included():
    heard = Heard()
    line = "sh -c 'sleep 300; echo x' & timeout 300 sleep 300 & echo partial; wait"
    node = shell(line, **heard.options)()
    await heard.wait_for("partial")
    node.cancel()

    assert await wait([node]) == [State.CANCELLED]
    assert alive(heard.ends[0].pid) == []
    assert heard.ends[0].stdout == "partial\n"


async def test_those_that_wait_for_a_place_never_start_when_cancelled():
    heard = Heard()
    limit = Limit(1)
    first = shell("echo ready; exec sleep 300", limit=limit, **heard.options)()
    others = [command("sleep", 300, limit=limit, **heard.options)() for _ in range(3)]
    await heard.wait_for("ready")
    for node in [first, *others]:
        node.cancel()

    assert set(await wait([first, *others])) == {State.CANCELLED}
    assert len(heard.ends) == 1


ASKED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.write(1, b"ready ")
signal.sigwait([signal.SIGTERM])
os.write(1, b"asked ")
open(sys.argv[1]).readline()
os.write(1, b"bye")
os._exit(7)
"""


async def test_a_program_has_its_grace_to_end_by_itself_also_if_it_is_cancelled_again(gate):
    heard = Heard()
    node = python(ASKED, gate.path, grace=SECONDS, **heard.options)()
    await heard.wait_for("ready")
    node.cancel()
    await heard.wait_for("asked")
    node.cancel()
    node.cancel()
    gate.open()

    assert await wait([node]) == [State.CANCELLED]
    assert (heard.ends[0].code, heard.ends[0].stdout) == (7, "ready asked bye")


@pytest.mark.parametrize("grace", [0, 0.1])
async def test_a_program_that_does_not_care_is_killed_after_its_grace(grace):
    heard = Heard()
    code = f"import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; os.fork(); signal.pause()"
    node = python(code, grace=grace, **heard.options)()
    await heard.wait_for("ready")
    node.cancel()

    assert await wait([node]) == [State.CANCELLED]
    assert heard.ends[0].signal == "SIGKILL"
    assert alive(heard.ends[0].pid) == []


async def test_what_outlives_its_shell_has_the_grace_too(gate):
    heard = Heard()
    line = '"$@" & wait'
    node = shell(line, sys.executable, "-c", ASKED, gate.path, grace=SECONDS, **heard.options)()
    await heard.wait_for("ready")
    node.cancel()
    await heard.wait_for("asked")
    gate.open()

    assert await wait([node]) == [State.CANCELLED]
    assert (heard.ends[0].signal, heard.ends[0].stdout) == ("SIGTERM", "ready asked bye")


async def test_a_stopped_program_hears_that_it_should_end():
    heard = Heard()
    node = shell("echo ready; kill -STOP $$", grace=SECONDS, **heard.options)()
    await heard.wait_for("ready")
    node.cancel()

    assert await wait([node]) == [State.CANCELLED]
    assert heard.ends[0].signal == "SIGTERM"


async def test_a_program_that_closes_its_streams_and_goes_on_is_waited_for(tmp_path):
    finished = await shell('exec >&- 2>&-; sleep 0.1; echo done > "$1"', tmp_path / "marker")()

    assert (finished.code, finished.stdout) == (0, "")
    assert (tmp_path / "marker").read_text() == "done\n"


@pytest.mark.parametrize("streams", ["", ">/dev/null 2>&1"])
async def test_what_a_program_leaves_in_its_group_is_ended(streams):
    finished = await shell(f"sleep 300 {streams} & echo done")()

    assert finished.stdout == "done\n"
    assert alive(finished.pid) == []


async def test_what_holds_its_streams_in_another_group_of_its_session_is_ended():
    finished = await shell("timeout 300 sleep 300 & echo done")()

    assert finished.stdout == "done\n"
    assert all(map(has_ended, alive(finished.pid)))  # the system closes their streams a moment before


@pytest.mark.parametrize("entrance", [{"MOMENT": SECONDS}], indirect=True)
async def test_what_it_leaves_for_a_moment_is_still_heard(entrance):
    finished = await shell("(sleep 0.1; echo late) & echo soon")()

    assert finished.stdout == "soon\nlate\n"


async def test_a_daemon_lives_on_and_nobody_waits_for_the_streams_it_holds():
    finished = await python(
        "import os, signal, sys\n"
        "read, write = os.pipe()\n"
        "if pid := os.fork():\n"
        "    os.read(read, 1); print(pid); sys.exit()\n"
        "os.setsid(); os.write(write, b'.'); signal.pause()\n"
    )()
    daemon = int(finished.stdout)
    try:
        assert alive(daemon) == [daemon]
    finally:
        os.kill(daemon, signal.SIGKILL)


async def test_leaving_a_run_by_an_exception_ends_its_commands():
    heard = Heard()
    with pytest.raises(ZeroDivisionError):
        async with Run("etl"):
            shell("sleep 300 & echo ready; wait", **heard.options)()
            await heard.wait_for("ready")
            1 / 0

    assert alive(heard.ends[0].pid) == []


def test_a_loop_that_is_closed_in_mid_flight_leaves_nothing():
    code = """
import asyncio, warnings
from aiodag.commands import shell
loop = asyncio.new_event_loop()
async def main():
    heard = asyncio.Event()
    async def body():
        shell("sleep 300 & echo $$; wait", on_output=lambda _, chunk: (print(chunk.decode(), end="", flush=True), heard.set()))()
        await heard.wait()
    await body()
loop.run_until_complete(main())
import os
os._exit(0)
"""
    session = int(executed(code))

    assert all(has_ended(pid) for pid in alive(session))
    assert alive(session) == []


def test_many_at_once_are_all_cancelled():
    async def main():
        heard = Heard()
        nodes = [shell("echo ready; exec sleep 300", **heard.options)() for _ in range(50)]
        async with asyncio.timeout(SECONDS), heard.said:
            await heard.said.wait_for(lambda: heard.text.count("ready") == 50)
        for node in nodes:
            node.cancel()
        return await wait(nodes), heard.ends

    states, ends = asyncio.run(main())

    assert states == [State.CANCELLED] * 50
    assert {end.signal for end in ends} == {"SIGTERM"}


# Whoever dies

PARENT = """
import asyncio, os, sys
from aiodag.commands import local
from aiodag.commands import command, shell
def say(stream, chunk):
    print(chunk.decode(), end="", flush=True)
async def main():
    await command("true")()
    print(local.ENTRANCE.warden, flush=True)
    {body}
asyncio.run(main())
"""


@contextmanager
def parent(body):
    code = PARENT.replace("{body}", body)
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "line",
    [
        "sleep 300 & timeout 300 sleep 300 & echo $$; wait",
        "trap '' TERM; sleep 300 & echo $$; while :; do wait; done",
        "exec >&- 2>&-; echo $$ >/dev/null; sleep 300",
    ],
    ids=["other groups", "no TERM", "no streams"],
)
def test_nothing_survives_the_parents_death_by_sigkill(line):
    with parent(f"await shell({'echo $$; ' + line!r}, on_output=say, grace=0.2)()") as process:
        warden, session = (int(process.stdout.readline()) for _ in range(2))
        assert alive(session)
        process.kill()

    assert has_ended(warden)
    assert alive(session) == []


@pytest.mark.parametrize("after", [1, 20, 200])
def test_nothing_survives_a_death_while_commands_are_being_started(after, monkeypatch):
    monkeypatch.setenv("AIODAG_TEST_MARK", f"mark-{os.getpid()}-{after}")
    body = 'count = shell("echo $$; exec sleep 300", on_output=say, limit=1000)\n    nodes = [count() for _ in range(1000)]\n    await nodes[0]'
    with parent(body) as process:
        warden = int(process.stdout.readline())
        for _ in range(after):
            process.stdout.readline()
        process.kill()

    assert has_ended(warden)
    assert marked(os.environ["AIODAG_TEST_MARK"]) == set()


def marked(mark):
    """The other living processes that have inherited a mark."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def test_nothing_survives_the_parents_death_although_a_fork_of_it_lives():
    body = """if os.fork() == 0:
        __import__("signal").pause()
    await shell("echo $$; exec sleep 300", on_output=say)()"""
    with parent(body) as process:
        warden, session = (int(process.stdout.readline()) for _ in range(2))
        forks = [pid for pid in children_of(process.pid) if pid != warden]
        process.kill()
        try:
            assert has_ended(warden)
            assert alive(session) == []
        finally:
            for pid in forks:
                os.kill(pid, signal.SIGKILL)


def children_of(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_where_the_warden_dies_its_commands_fail_and_the_next_one_gets_another(entrance):
    heard = Heard()
    node = shell("echo ready; exec sleep 300", **heard.options)()
    await heard.wait_for("ready")
    (session,) = children_of(entrance.warden)
    os.kill(entrance.warden, signal.SIGKILL)

    with pytest.raises(CommandFailed, match="the process that starts programs for this one was killed"):
        await node
    assert has_ended(session)
    assert (await command("echo", "again")()).stdout == "again\n"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")
async def test_a_warden_that_has_lost_a_program_gets_no_other_although_its_entrance_is_open(entrance):
    await command("true")()
    first = entrance.warden
    resource.prlimit(first, resource.RLIMIT_NOFILE, (3, 3))
    with pytest.raises(CommandFailed, match="no room for descriptors"):
        await command("true")()

    assert (await command("echo", "again")()).stdout == "again\n"
    assert entrance.warden != first
    assert has_ended(first)


@pytest.mark.parametrize("entrance", [{"HOLD": 300}], indirect=True)  # it tells of a program when that has ended
async def test_where_the_warden_dies_before_it_has_told_of_a_program_that_is_ended_too(entrance):
    heard = Heard()
    node = shell("sleep 300 & echo ready; wait", **heard.options)()
    await heard.wait_for("ready")
    (session,) = children_of(entrance.warden)
    pids = alive(session)
    os.kill(entrance.warden, signal.SIGKILL)

    with pytest.raises(CommandFailed, match="was killed"):
        await node
    assert len(pids) == 2
    assert all(map(has_ended, pids))


def test_a_fork_has_commands_of_its_own():
    code = """
import asyncio, os, warnings
from aiodag.commands import command
async def main(word):
    return (await command("echo", word)()).stdout.strip()
print(asyncio.run(main("parent")), flush=True)
if (pid := os.fork()) == 0:
    print(asyncio.run(main("fork")), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(asyncio.run(main("parent again")))
"""
    assert executed(code) == "parent\nfork\nparent again\n"


FORKED = """
import asyncio, os, signal, sys
from aiodag.commands import shell
begun = asyncio.Event()
os.mkfifo("gate")
gate = os.open("gate", os.O_RDWR)
async def main():
    line = "echo begun; read line < gate; wc -c"
    node = shell(line, stdin=b"x" * 3_000_000, on_output=lambda *_: begun.set())()
    await begun.wait()
    pid = os.fork()
    if pid == 0:
        FORK
    FIRST
    os.write(gate, b"go on")
    os.write(gate, b"\\n")
    print((await node).stdout.split())
    LAST
asyncio.run(main())
"""


def test_a_fork_holds_no_stdin_of_a_command_open(tmp_path):
    code = FORKED.replace("FORK", "signal.pause()").replace("FIRST", "").replace("LAST", "os.kill(pid, signal.SIGKILL)")

    assert executed(code, cwd=tmp_path) == "['begun', '3000000']\n"


def test_a_fork_that_leaves_our_loop_disturbs_no_command(tmp_path):
    # From Python 3.14 on asyncio takes no further step in a fork, so not even asyncio.run could end there.
    leave = "sys.exit(0)" if sys.version_info < (3, 14) else "os._exit(0)"
    code = FORKED.replace("FORK", leave).replace("FIRST", "print(os.waitpid(pid, 0)[1])").replace("LAST", "")

    assert executed(code, cwd=tmp_path) == "0\n['begun', '3000000']\n"


def test_children_of_ones_own_and_commands_do_not_disturb_each_other():
    code = """
import asyncio, os, signal, subprocess
from aiodag.commands import command
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
async def main():
    return (await command("echo", "ignored")()).stdout.strip()
print(asyncio.run(main()))
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
async def main():
    node = command("sh", "-c", "sleep 0.1; echo waited")()
    await asyncio.sleep(0)
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    assert os.waitpid(-1, 0)[0] == child
    return (await node).stdout.strip()
print(asyncio.run(main()))
"""
    assert executed(code) == "ignored\nwaited\n"


def test_descriptors_that_too_many_are_on_their_way_for_are_handed_over_later(monkeypatch):
    give, refused = entrances.give, []

    def give_at_last(*given):
        if len(refused) < 3:
            refused.append(given)
            raise OSError(errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))
        give(*given)

    async def main():
        monkeypatch.setattr(entrances, "give", give_at_last)
        there = (await command("echo", "there")()).stdout
        refused.clear()
        monkeypatch.setattr(local, "PATIENCE", 0)
        with pytest.raises(CommandFailed, match=r"did not start: .*Too many references"):
            await command("true")()
        return there, len(refused)

    assert virtual(main()) == ("there\n", 1)


# Loops


@pytest.fixture(params=["asyncio", "uvloop", "eager", "debug"])
def runner(request):
    def make():
        if request.param == "uvloop":
            import uvloop

            return uvloop.new_event_loop()
        loop = asyncio.new_event_loop()
        if request.param == "eager" and sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    return asyncio.Runner(loop_factory=make, debug=request.param == "debug")


def test_every_loop_runs_commands_beside_its_own_children(runner):
    async def theirs(word):
        process = await asyncio.create_subprocess_exec("echo", word, stdout=subprocess.PIPE)
        text, _ = await process.communicate()
        return text.decode().strip(), process.returncode

    async def main():
        cat = command("cat")
        nodes = [cat(stdin=str(number) * 100_000) for number in range(10)]
        others = await asyncio.gather(*map(theirs, "abcdefghij"))
        return [len((await node).stdout) for node in nodes], others

    with runner:
        lengths, others = runner.run(main())

    assert lengths == [100_000] * 10
    assert others == [(letter, 0) for letter in "abcdefghij"]


def test_every_loop_cancels_commands(runner):
    async def main():
        heard = Heard()
        node = shell("sleep 300 & echo ready; wait", stdin=b"x" * 1_000_000, **heard.options)()
        await heard.wait_for("ready")
        node.cancel()
        return await wait([node]), heard.ends

    with runner:
        states, ends = runner.run(main())

    assert states == [State.CANCELLED]
    assert alive(ends[0].pid) == []


def test_loops_in_threads_share_one_warden():
    counts = []

    def work(number):
        async def main():
            count = command("seq", number)
            return [len((await node).stdout.split()) for node in [count() for _ in range(10)]]

        counts.append(asyncio.run(main()))

    threads = [threading.Thread(target=work, args=[number]) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(counts) == [[1] * 10, [2] * 10, [3] * 10]


def test_a_virtual_clock_stands_still_while_a_command_runs():
    async def main():
        loop = asyncio.get_running_loop()
        finished = await shell("sleep 0.1; echo done", timeout=1)()
        return finished.stdout, loop.time()

    assert virtual(main()) == ("done\n", 0.0)


def test_on_a_virtual_clock_the_grace_is_real():
    async def main():
        heard = Heard()
        code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; signal.pause()"
        node = python(code, grace=0.1, **heard.options)()
        await heard.wait_for("ready")
        node.cancel()
        return await wait([node]), heard.ends[0].signal

    assert virtual(main()) == ([State.CANCELLED], "SIGKILL")


async def test_a_cancelled_command_makes_room_for_the_next_when_nothing_of_it_is_left():
    heard = Heard()
    limit = Limit(1)
    first = shell("trap '' TERM; echo ready; while :; do sleep 300; done", limit=limit, grace=0.1, **heard.options)()
    left = []
    second = command("echo", limit=limit, on_output=lambda *_: left.append(alive(heard.ends[0].pid)))()
    await heard.wait_for("ready")
    first.cancel()

    assert (await second).code == 0
    assert left == [[]]


@pytest.mark.parametrize("how", ["cancelled", "late", "failed", "missing"])
async def test_a_command_gives_its_resources_back_however_it_ends(how):
    heard = Heard()
    made = {
        "cancelled": shell("echo ready; exec sleep 300", resources={"license": 1}, **heard.options),
        "late": shell("echo ready; exec sleep 300", resources={"license": 1}, timeout=0.3, **heard.options),
        "failed": shell("echo ready; exit 3", resources={"license": 1}, **heard.options),
        "missing": command("no-such-program", resources={"license": 1}),
    }
    with suppress(RunFailed):
        async with Run("etl", capacity=Capacity({"license": 1})):
            first = made[how]()
            second = command("echo", resources={"license": 1})()
            if how == "cancelled":
                await heard.wait_for("ready")
                first.cancel()
            await wait([first, second])

    assert first.state is (State.CANCELLED if how == "cancelled" else State.FAILED)
    assert second.result().code == 0


async def test_descriptors_and_memory_are_given_back():
    def opened():
        """What is open, and under which number: what earlier tests have left may be closed meanwhile."""
        found = set()
        for each in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # the descriptor that lists them
                found.add((each.name, str(each.readlink())))
        return found

    await command("true")()
    gc.collect()
    before = opened()
    nodes = [command("cat", stdin="x" * 100_000)() for _ in range(50)] + [
        command("no-such-program")() for _ in range(50)
    ]
    await asyncio.wait(nodes)
    assert sum(node.exception() is not None for node in nodes) == 50
    heard = Heard()
    stopped = [shell("echo ready; exec sleep 300", stdin=b"x" * 1_000_000, **heard.options)() for _ in range(5)]
    async with asyncio.timeout(SECONDS), heard.said:
        await heard.said.wait_for(lambda: heard.text.count("ready") == 5)
    for node in stopped:
        node.cancel()
    await asyncio.wait(stopped)

    assert opened() - before == set()


class Watched:
    def __call__(self, *_):
        pass


async def test_a_finished_attempt_is_held_by_nobody():
    listener = Watched()
    seen = weakref.ref(listener)
    gc.disable()
    try:
        made = command("echo", "a", on_output=listener)
        await made()
        del made, listener
        await asyncio.sleep(0)
        gone = seen() is None
    finally:
        gc.enable()

    assert gone


def test_a_result_is_shown_in_one_line():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    finished = Finished(("sync", "a b"), 3, "x" * 1000, "", 0, 0, moment, moment, "here", 7, 0.0, 0)

    assert repr(finished) == "<Finished sync 'a b': exit code 3>"
