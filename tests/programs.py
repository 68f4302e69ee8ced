"""Run small programs as a reader would: a new interpreter, an empty directory, every warning an error."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
AT_ONCE = 4
SECONDS = 180


def run(source, name):
    """Run `source` as the file `name`, alone in a directory of its own."""
    with TemporaryDirectory() as directory:
        outside = {key: value for key, value in os.environ.items() if key != "AIODAG_STORE"}
        store = {"XDG_STATE_HOME": directory}  # where runs are kept when a program names no store
        program = Path(directory, name)
        program.write_text(source, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-W", "error", program.name],
            cwd=directory,
            env={**outside, **store, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )


def write_program(directory, source):
    """Write a program, unless it is there.

    A file that is written again is empty for a moment, and who was started before may be reading it: that ends at once, and well.
    """
    program = Path(directory, "program.py")
    text = textwrap.dedent(source)
    if not program.exists() or program.read_text(encoding="utf-8") != text:
        program.write_text(text, encoding="utf-8")
    return program


def open_files(directory):
    """The files below a directory that this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor that lists them; and what others close meanwhile
            found.append(str(each.readlink()))
    return sorted(name for name in found if name.startswith(str(directory)))


@contextmanager
def run_all(sources):
    """Start every program of {key: (source, name)}, a few at once, and give {key: future}."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {key: pool.submit(run, *program) for key, program in sources.items()}
    finally:
        pool.shutdown(cancel_futures=True)


def selected(session, argument):
    """The values of a parameter among the tests that will run, so that `-k` starts no more than it asks for."""
    values = (getattr(item, "callspec", None) for item in session.items)
    return {spec.params[argument] for spec in values if spec and argument in spec.params}


def check(finished, where, expected):
    """Compare how a program ended with what its page says."""
    __tracebackhide__ = True
    assert finished.returncode == 0, f"{where} failed:\n{finished.stderr}"
    assert expected is None or lines(finished.stdout) == lines(expected), f"{where} printed:\n{finished.stdout}"


def lines(text):
    return [line.rstrip() for line in text.strip("\n").split("\n")]
