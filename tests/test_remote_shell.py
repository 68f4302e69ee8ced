"""What the shells of another machine are told, tried with those that are /bin/sh somewhere."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodag.commands.remote_shell import READ, MarkedStream, ProgramUsage, control_lines, program_lines, usage_of
from aiodag.programs import ProgramRequest

SECONDS = 60  # after which something hangs
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
TOKEN = "f00d"
ANY = os.fsdecode(bytes(range(1, 256)))


@pytest.fixture(params=SHELLS)
def sh(request):
    """A shell that reads and evaluates lines."""
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} here: apt-get install {shell[0]}")
    return [*shell, "-c", READ]


@pytest.fixture(params=[False, True], ids=["no usage", "usage"])
def usage(request):
    if request.param and not Path("/usr/bin/time").exists():
        pytest.skip("no GNU time here: apt-get install time")
    return request.param


def execute(sh, request, usage=False, go=b"go\n"):
    """Return what the shells say and what the program wrote."""
    content = request.stdin if isinstance(request.stdin, bytes) else b""
    done = subprocess.run(
        sh,
        input=program_lines(request, TOKEN, "abc", usage=usage) + go + content,
        capture_output=True,
        timeout=SECONDS,
        start_new_session=True,
        check=False,
    )
    parts = list(MarkedStream(TOKEN).feed(done.stdout))
    said = {part[0]: part[1:] for part in parts if isinstance(part, list)}
    return said, b"".join(part for part in parts if isinstance(part, bytes)), done.stderr


def test_a_program_gets_what_it_is_given(sh, usage, tmp_path):
    script = 'cat; echo "$GIVEN"; pwd; echo "${HOME-none}"; echo aside >&2; echo $$; exit 3'
    env = {"GIVEN": "x\n'y", "HOME": None}

    said, stdout, stderr = execute(sh, ProgramRequest(("sh", "-c", script), env, tmp_path, b"a\nb"), usage)

    assert stdout == f"a\nbx\n'y\n{tmp_path}\nnone\n{said['start'][0]}\n".encode()
    assert stderr == b"aside\n"
    assert usage_of(said["end"]).code == 3


def test_any_bytes_are_data_for_any_shell(sh, usage):
    _, stdout, stderr = execute(sh, ProgramRequest(("printf", "%s\\0", ANY, "", "-n"), {"GIVEN": ANY}), usage)
    _, variables, _ = execute(sh, ProgramRequest(("env", "-0"), {"GIVEN": ANY}), usage)

    assert stdout == os.fsencode(ANY) + b"\0\0-n\0"
    assert os.fsencode(f"GIVEN={ANY}") in variables.split(b"\0")
    assert stderr == b""


def test_an_exit_code_is_told_from_a_signal_by_any_shell(sh, usage):
    def code(script):
        return usage_of(execute(sh, ProgramRequest(("sh", "-c", script)), usage)[0]["end"]).code

    above = {143: -15} if sh[0] == "bash" and not usage else {}  # it says nothing of them
    assert [code(f"exit {each}") for each in (0, 3, 127, 143)] == [0, 3, 127, above.get(143, 143)]
    assert [code(f"kill -{each} $$") for each in (1, 2, 9, 13, 15)] == [-1, -2, -9, -13, -15]


@pytest.mark.parametrize(
    ("args", "options", "fault"),
    [
        (("no-such-program",), {}, ["program", "2"]),
        (("/no/such/program",), {}, ["program", "2"]),
        (("/etc/passwd",), {}, ["exec", "126"]),
        (("/etc",), {}, ["exec", "126"]),
        (("cd",), {}, ["exec", "127"]),
        (("echo", "x" * 200_000), {}, ["exec", "126"]),
        (("true",), {"cwd": Path("/no/such")}, ["cwd", "2"]),
        (("true",), {"cwd": Path("/etc/passwd")}, ["cwd", "20"]),
        (("true",), {"cwd": Path("-")}, ["cwd", "2"]),
        (("true",), {"stdin": Path("/no/such")}, ["stdin", "2"]),
    ],
)
def test_what_cannot_start_says_why(sh, args, options, fault):
    said, stdout, _ = execute(sh, ProgramRequest(args, **options))

    assert (said["fault"], stdout) == (fault, b"")


def test_a_program_that_is_not_told_to_go_does_not_begin(sh):
    said, stdout, _ = execute(sh, ProgramRequest(("echo", "begun")), go=b"")

    assert "start" in said
    assert stdout == b""


def test_nothing_of_a_request_stands_among_arguments(sh):
    own = "for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$each; done 2>/dev/null"
    request = ProgramRequest(("sh", "-c", own), {"GIVEN": "hush-of-a-variable"}, None, b"hush-of-stdin")

    _, stdout, _ = execute(sh, request)

    assert READ.encode() in stdout
    assert b"hush-of" not in stdout


def test_signals_are_as_a_program_expects_them(sh, usage):
    here = subprocess.run(["grep", "SigIgn", "/proc/self/status"], capture_output=True, check=True).stdout
    _, stdout, _ = execute(sh, ProgramRequest(("grep", "SigIgn", "/proc/self/status")), usage)

    assert stdout == here


# The control


class Control:
    """A shell that watches programs, as a connection has one, here."""

    def __init__(self, sh, tick=60.0):
        self.process = subprocess.Popen(sh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.tell(control_lines(TOKEN, tick).decode())
        self.ready = self.read()

    def tell(self, text):
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()

    def read(self):
        return self.process.stdout.readline().decode().split()

    def close(self):
        self.process.stdin.close()
        rest = self.process.stdout.read().decode().splitlines()
        self.process.stdout.close()
        self.process.wait(SECONDS)
        return rest


@pytest.fixture
def control(sh):
    control = Control(sh)
    yield control
    if control.process.returncode is None:
        control.close()


@pytest.fixture
def sleeper():
    """A session of two processes, with the label of an attempt."""
    process = subprocess.Popen(
        ["sh", "-c", "sh -c 'sleep 300; :' & echo; wait"],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "AIODAG_ATTEMPT": "abc"},
    )
    process.stdout.readline()
    yield process
    process.stdout.close()
    process.kill()
    process.wait()


def test_the_control_says_where_it_is(control):
    assert control.ready[:2] == [TOKEN, "ready"]
    assert control.ready[3:] == ["missing=", os.uname().nodename]


def test_it_ends_a_session_when_it_is_told_to(control, sleeper):
    control.tell(f"watch {sleeper.pid} 500")
    control.tell(f"end {sleeper.pid} 500")

    assert control.read() == ["watching", str(sleeper.pid)]
    assert control.read() == ["gone", str(sleeper.pid), "0"]
    assert sleeper.wait(SECONDS) == -15


@pytest.mark.parametrize("how", ["closed", "silent"])
def test_it_ends_all_sessions_when_its_owner_is_gone(sh, sleeper, how):
    control = Control(sh, tick=0.05 if how == "silent" else 60.0)
    control.tell(f"watch {sleeper.pid} 500")
    if how == "closed":
        control.close()

    assert sleeper.wait(SECONDS) == -15
    if how == "silent":
        control.close()


def test_a_sign_of_life_is_answered_and_what_is_forgotten_is_left_alone(control, sleeper):
    for line in ("beat", f"watch {sleeper.pid} 500", "watch 4194305 500", f"forget {sleeper.pid}"):
        control.tell(line)

    assert [control.read() for _ in range(3)] == [["beat"], ["watching", str(sleeper.pid)], ["watching", "4194305"]]
    assert control.close() == ["gone 4194305 0"]
    assert sleeper.poll() is None


@pytest.mark.parametrize("known", ["by its label", "by its session"])
def test_what_an_owner_has_left_is_found_and_ended(control, sleeper, known):
    began = Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19]
    session = f"{sleeper.pid} {began}" if known == "by its session" else "0 0"
    control.tell(f"seek {'abc' if known == 'by its label' else 'other'} {session} 500")

    assert control.read()[2:] == ["1", "0"]
    assert sleeper.wait(SECONDS) == -15


def test_a_number_that_was_given_out_again_is_another_session(control, sleeper):
    control.tell(f"seek other {sleeper.pid} 1 500")

    assert control.read() == ["sought", "other", "0", "0"]
    assert sleeper.poll() is None


# What comes back


@given(
    st.lists(st.sampled_from([b"rows", b"f0", b"0d", b"f00", b"f00d start 7 8\n", b"\n", b"f", b""])), st.integers(1, 9)
)
def test_what_the_shells_say_is_taken_out_of_a_stream_wherever_it_is_cut(parts, size):
    stream = MarkedStream("f00d")
    whole = b"".join(parts)
    found = [each for i in range(0, len(whole), size) for each in stream.feed(whole[i : i + size])]

    kept = b"".join(each for each in [*found, stream.flush()] if isinstance(each, bytes))
    assert re.sub(rb"f00d[^\n]*\n", b"", whole) == kept


def test_times_are_seconds():
    assert usage_of(["code", "0", "0m0.01s", "0m0.02s", "1m2.50s", "0m0.25s"]) == ProgramUsage(0, 62.75, 0)
    assert usage_of(["usage", "1.50", "0.25", "2048", "code", "0", "0m0s", "0m0s", "0m9s", "0m9s"]) == ProgramUsage(
        0, 1.75, 2048 * 1024
    )
