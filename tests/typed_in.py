"""Type the command in a directory of its own: in a real process, or on a real terminal."""

import codecs
import json
import os
import pty
import subprocess
import sys
from contextlib import contextmanager

from programs import ROOT

from aiodag.cli import main

SECONDS = 180
# What the machine of a test says about terminals and stores must not decide how it ends.
CHANGED = {"AIODAG_STORE", "XDG_STATE_HOME", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONIOENCODING"}


def run_command(capsys, *words, code=0):
    """Type the command in this process, which must end with a code, and return what it printed."""
    try:
        found = main(words)
    except SystemExit as ended:
        found = ended.code
    printed = capsys.readouterr()
    assert found == code, printed
    return printed


class Place:
    """A directory with a program and a store, in which the command is typed."""

    def __init__(self, path, **programs):
        self.path = path
        self.env = {name: value for name, value in os.environ.items() if name not in CHANGED}
        self.env |= {"PYTHONPATH": str(ROOT), "AIODAG_STORE": "runs.db", "NO_COLOR": "1", "TERM": "dumb"}
        for name, text in programs.items():
            self.write(f"{name}.py", text)

    def write(self, name, text):
        (self.path / name).write_text(text, encoding="utf-8")

    def notes(self):
        return (self.path / "notes").read_text().split("\n")[:-1]

    def start(self, *args, python=("-m", "aiodag"), **options):
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        env = self.env | given.pop("env", {})
        command = [sys.executable, "-W", "error", *python, *args]
        return subprocess.Popen(command, cwd=self.path, env=env, encoding="utf-8", **given)

    def __call__(self, *args, code=0, **options):
        process = self.start(*args, **options)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == code, f"{args} ended with {process.returncode}:\n{out}\n{err}"
        assert "Traceback" not in err
        return out, err

    def json(self, *args, **options):
        return json.loads(self(*args, "--json", **options)[0])

    @contextmanager
    def running(self, *args, mark="holds", **options):
        """A run that goes on: its process, when the body has printed its line."""
        with self.start("run", *args, **options) as process:
            try:
                assert process.stdout.readline() == f"{mark}\n", process.communicate()
                yield process
            finally:
                process.kill()


def ended(process, text=None):
    """Give it a text, and wait for the end: the exit code, and what was still to be read."""
    if text is None:
        process.wait(SECONDS)  # with its input open: a body that waits for a line would take the end of it for one
    out, err = process.communicate(text, timeout=SECONDS)
    return process.returncode, out, err


def line_with(stream, text):
    """Read up to the end of the line that holds a text, and no further: `communicate` misses what a stream has read ahead."""
    read = b""
    while byte := os.read(stream.fileno(), 1):
        read += byte
        if byte == b"\n" and text in (line := read.decode().splitlines(keepends=True)[-1]):
            return line
    raise AssertionError(f"no line with {text!r} in {read.decode()!r}")


class Terminal:
    """A terminal with the command in it, and what was drawn so far."""

    def __init__(self, place, *args, python=("-m", "aiodag"), **env):
        self.master, slave = pty.openpty()
        given = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **env}
        if "NO_COLOR" not in env:
            place.env.pop("NO_COLOR", None)
        self.process = place.start(*args, python=python, stdout=slave, stderr=slave, env=given)
        os.close(slave)
        self.drawn = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def until(self, text):
        while text not in self.drawn:
            assert self._read(), f"no {text!r} in {self.drawn!r}"

    def end(self, text=""):
        self.process.stdin.write(text)
        self.process.stdin.close()
        while self._read():
            pass
        os.close(self.master)
        return self.process.wait(SECONDS)

    def leave(self):
        """End the command, and wait for it."""
        self.process.kill()
        self.end()

    def _read(self):
        try:
            read = os.read(self.master, 4096)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.drawn += self._decoder.decode(read)
        return bool(read)
