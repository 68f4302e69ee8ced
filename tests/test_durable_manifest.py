"""examples/08_durable_manifest.py goes on where it was killed, and hashes no recorded file again."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys

import pytest
from programs import ROOT

from aiodag import State
from aiodag.codec.text import decode
from aiodag.stores import SQLite

EXAMPLE = ROOT / "examples" / "08_durable_manifest.py"
NAMES = [*(f"file {number}" for number in range(40)), "deep/er", "deep/new\nline", "deep/back\\slash", "deep/ünï"]
HUGE = "file 1 is huge"  # among the first in order: it takes a place of the limit for as long as the test needs


@pytest.fixture
def tree(tmp_path):
    """Small files with different contents, and one that nobody could hash before the program is killed."""
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    for name in NAMES:
        (tmp_path / "tree" / name).write_text(f"content of {name}", encoding="utf-8")
    with (tmp_path / "tree" / HUGE).open("wb") as file:
        file.truncate(2**40)  # a hole, which takes no room on the disk
    return tmp_path / "tree"


def started(tree):
    return subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLE],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(tree):
    process = started(tree)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return errors


def digests(tree):
    """What hashlib says of each small file."""
    return {name: hashlib.sha256((tree / name).read_bytes()).hexdigest() for name in NAMES}


def seen(tree):
    """The execution that the store knows of, and the digests that all executions have left."""
    place = tree / "SHA256SUMS.runs"
    if not place.exists():
        return 0, set()
    store = SQLite(place)
    runs = store.runs()
    known = [each for run in runs for each in store.known_nodes(run.id).values()]
    store.close()
    done = {decode(each.value) for each in known if each.state is State.SUCCEEDED and each.value}
    return max((run.execution for run in runs), default=0), done


def killed(tree, execution=1):
    """Kill the program in the middle; return the names of the files whose digests are recorded."""
    process = started(tree)
    while seen(tree)[0] < execution or len(seen(tree)[1]) < 10:
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    _, there = seen(tree)
    return {name for name, digest in digests(tree).items() if digest in there}


def let_end(tree):
    """Make the huge file one that can be hashed."""
    os.truncate(tree / HUGE, 5)


def other_content(path):
    """Change what is in a file so that only who reads it can tell."""
    status = path.stat()
    path.write_bytes(b"#" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def lines_of(tree):
    """The manifest as {name: digest}."""
    lines = (tree / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    plain = {line[66:]: line[:64] for line in lines if line[0] != "\\"}
    escaped = {line[67:]: line[1:65] for line in lines if line[0] == "\\"}
    for name, digest in escaped.items():
        plain[name.replace("\\n", "\n").replace("\\\\", "\\")] = digest
    return {name.removeprefix("./"): digest for name, digest in plain.items()}


def test_a_killed_manifest_is_whole_after_the_next_start(tree):
    done = killed(tree)
    let_end(tree)
    errors = finished(tree)

    huge = hashlib.sha256(bytes(5)).hexdigest()
    assert lines_of(tree) == {**digests(tree), HUGE: huge}
    assert errors == f"{len(NAMES) + 1 - len(done)} hashed, {len(done)} recalled\n"
    assert sorted(each.name for each in tree.glob("SHA*")) == ["SHA256SUMS", "SHA256SUMS.runs", "SHA256SUMS.runs-lock"]


def test_no_recorded_file_is_hashed_again(tree):
    done = killed(tree)
    before = digests(tree)
    for name in NAMES:
        other_content(tree / name)
    let_end(tree)
    finished(tree)
    lines = lines_of(tree)

    assert 10 <= len(done) <= len(NAMES)
    assert {name: lines[name] for name in NAMES} == {
        name: before[name] if name in done else after for name, after in digests(tree).items()
    }


def test_a_recorded_file_that_has_changed_since_is_hashed_again(tree):
    done = killed(tree)
    changed = min(done)
    (tree / changed).write_text("more than there was, some time later", encoding="utf-8")
    let_end(tree)
    finished(tree)

    assert lines_of(tree)[changed] == digests(tree)[changed]


def test_it_can_be_killed_again_and_again(tree):
    for execution in (1, 2, 3):
        killed(tree, execution)
    let_end(tree)
    finished(tree)
    store = SQLite(tree / "SHA256SUMS.runs")
    (run,) = store.runs()
    store.close()

    assert {name: digest for name, digest in lines_of(tree).items() if name != HUGE} == digests(tree)
    assert (run.state, run.execution) == (State.SUCCEEDED, 4)


def test_a_finished_manifest_begins_anew(tree):
    let_end(tree)

    assert [finished(tree), finished(tree)] == [f"{len(NAMES) + 1} hashed, 0 recalled\n"] * 2


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum, of GNU coreutils")
def test_sha256sum_accepts_what_was_killed_and_resumed(tree):
    killed(tree)
    let_end(tree)
    finished(tree)

    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tree, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, b"")
