"""examples/07_manifest.py writes what sha256sum writes, and sha256sum -c accepts it."""

# ruff: noqa: PTH103, PTH118, PTH123, PTH208 - names in bytes, which Path does not take

import asyncio
import errno
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest
from programs import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum, of GNU coreutils")
EXAMPLE = ROOT / "examples" / "07_manifest.py"
ODD = [
    b"plain",
    b"with space",
    b" lead",
    b"-n",
    b"*star",
    b"new\nline",
    b"back\\slash",
    b"\\n",
    b"\xff\xfe",
    "ünï".encode(),
]


def manifest(directory, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def checked(directory, sums):
    return subprocess.run(
        ["sha256sum", "--check", "--strict", "-"], cwd=directory, input=sums, capture_output=True, check=False
    )


@pytest.fixture
def tree(tmp_path):
    """Files with odd names at two depths, one of them empty, one larger than a buffer."""
    root = os.fsencode(tmp_path / "tree")
    for directory in (root, os.path.join(root, b"deep\n\\er", b"er")):
        os.makedirs(directory)
        for name in ODD:
            with open(os.path.join(directory, name), "wb") as file:
                file.write(b"content of " + name)
    (tmp_path / "tree" / "empty").touch()
    (tmp_path / "tree" / "large").write_bytes(bytes(range(256)) * 4096)
    return tmp_path


def test_manifest_is_what_sha256sum_prints_and_accepts(tree):
    made = manifest(tree, "tree")

    assert (made.returncode, made.stderr) == (0, b"")
    found = subprocess.run(
        ["find", "tree", "-type", "f", "-exec", "sha256sum", "{}", "+"], cwd=tree, capture_output=True, check=True
    )
    assert sorted(made.stdout.splitlines()) == sorted(found.stdout.splitlines())
    assert len(made.stdout.splitlines()) == 2 * len(ODD) + 2
    assert checked(tree, made.stdout).returncode == 0


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda root: (root / "plain").write_bytes(b"other"),
        lambda root: (root / "empty").write_bytes(b"\0"),
        lambda root: (root / "new\nline").unlink(),
        lambda root: (root / "back\\slash").rename(root / "backslash"),
    ],
    ids=["changed", "grown", "gone", "renamed"],
)
def test_what_changed_since_is_found(tree, corrupt):
    made = manifest(tree, "tree")
    corrupt(tree / "tree")

    assert checked(tree, made.stdout).returncode == 1


def test_a_damaged_manifest_is_refused(tree):
    sums = manifest(tree, "tree").stdout
    first = b"0" if sums.lstrip(b"\\")[:1] != b"0" else b"1"
    start = len(sums) - len(sums.lstrip(b"\\"))

    assert checked(tree, sums[:start] + first + sums[start + 1 :]).returncode == 1


def test_a_file_is_written_whole_and_not_into_itself(tree):
    first = manifest(tree, "-o", "SUMS")
    again = manifest(tree, "-o", "SUMS")

    assert (first.returncode, again.returncode) == (0, 0)
    sums = (tree / "SUMS").read_bytes()
    assert b"SUMS" not in sums
    assert checked(tree, sums).returncode == 0
    assert sorted(os.listdir(tree)) == ["SUMS", "tree"]


def test_links_and_pipes_are_named_and_left_out(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe")

    made = manifest(tmp_path)

    assert made.returncode == 0
    assert [line.split(b"  ")[1] for line in made.stdout.splitlines()] == [b"./file"]
    assert made.stderr.splitlines() == [
        b"left out: ./link: symbolic link, not followed",
        b"left out: ./loop: symbolic link, not followed",
        b"left out: ./pipe: not a regular file",
    ]


def test_what_cannot_be_read_costs_its_line_only(tmp_path, monkeypatch, capfd):
    spec = importlib.util.spec_from_file_location("manifest_example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for name in ("open", "shut"):
        (tmp_path / name).write_text("x")

    def refusing(path, *arguments):  # root may read every file
        if path == b"./shut":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return open(path, *arguments)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(example, "open", refusing, raising=False)
    status = asyncio.run(example.manifest(b".", tmp_path / "SUMS"))

    assert status == 1
    assert capfd.readouterr().err == "cannot read: ./shut: Permission denied\n"
    assert checked(tmp_path, (tmp_path / "SUMS").read_bytes()).stdout == b"./open: OK\n"


def test_an_empty_tree_says_so(tmp_path):
    made = manifest(tmp_path)

    assert (made.returncode, made.stdout) == (0, b"")
    assert made.stderr == b"no regular files under .: the manifest is empty\n"


@pytest.mark.parametrize(("name", "why"), [("none", b"no such directory"), ("file", b"is not a directory")])
def test_what_is_no_tree_is_refused(tmp_path, name, why):
    (tmp_path / "file").touch()

    made = manifest(tmp_path, name)

    assert made.returncode == 2
    assert why in made.stderr


def test_a_manifest_that_cannot_be_written_says_why(tmp_path):
    made = manifest(tmp_path, "-o", "none/SUMS")

    assert made.returncode == 2
    assert b"cannot write the manifest: No such file or directory" in made.stderr
    assert b"Traceback" not in made.stderr
