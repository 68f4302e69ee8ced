"""Both checkers, in strict mode, accept what is right and refuse what is wrong.

Nothing in `tests/typing` ever runs. `accepted_*.py` must be free of complaints. In `refused_*.py` each wrong line
ends in the comment `# E`: exactly these lines are refused. `unannotated_*.py` are programs without types, for which
the checkers' ordinary mode is asked.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from shutil import copy

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
TYPED = [file for file in FILES if not file.name.startswith("unannotated_")]
UNTYPED = [file for file in FILES if file.name.startswith("unannotated_")]
SECONDS = 300


def marked(file):
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
    return {number for number, line in lines if line.endswith("# E")}


def checked(directory, *arguments):
    """Run a checker as its own program, with no settings but those it is given."""
    answer = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=directory,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert answer.returncode in {0, 1}, answer.stdout + answer.stderr
    return answer.stdout


def mypy(directory, *, strict):
    mode = "--strict" if strict else "--check-untyped-defs"
    options = ["--config-file", os.devnull, "--follow-imports", "silent", "--no-error-summary", "--output", "json", "."]

    for line in checked(directory, "mypy", mode, *options).splitlines():
        found = json.loads(line)
        if found["severity"] == "error":
            yield Path(found["file"]).name, found["line"], found["message"]


def pyright(directory, *, strict):
    mode = "strict" if strict else "standard"
    settings = {"typeCheckingMode": mode, "include": ["."], "extraPaths": [str(ROOT)]}
    Path(directory, "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    answer = json.loads(checked(directory, "pyright", "--pythonpath", sys.executable, "--outputjson"))
    assert answer["summary"]["filesAnalyzed"] > 0

    for found in answer["generalDiagnostics"]:
        if found["severity"] == "error":
            yield Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"]


def ask(checker, files, directory, *, strict):
    """Copy the files away from the settings of this repository, and ask there."""
    directory.mkdir()
    for file in files:
        copy(file, directory)
    return checker(directory, strict=strict)


def by_file(complaints):
    files = defaultdict(dict)
    for file, line, message in complaints:
        files[file].setdefault(line, message)
    return files


@pytest.fixture(scope="module", params=[mypy, pyright], ids=lambda checker: checker.__name__)
def complaints(request, tmp_path_factory):
    """What the checker says of all files, asked once: file name -> line -> message."""
    checker = request.param
    if find_spec(checker.__name__) is None:
        pytest.skip(f"{checker.__name__} is not installed")
    directory = tmp_path_factory.mktemp(checker.__name__)
    typed = ask(checker, TYPED, directory / "strict", strict=True)
    untyped = ask(checker, UNTYPED, directory / "ordinary", strict=False)
    return by_file([*typed, *untyped])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_exactly_the_marked_lines_are_refused(file, complaints):
    expected = marked(file)

    actual = complaints[file.name]

    assert {line: message for line, message in actual.items() if line not in expected} == {}
    assert expected - actual.keys() == set()


def test_only_refused_files_have_marks():
    expected = {file for file in FILES if file.name.startswith("refused_")}

    actual = {file for file in FILES if marked(file)}

    assert expected == actual
