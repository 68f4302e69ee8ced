"""Where people imported from in earlier versions: it works for one more, and says what is right now."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# former import: where it is now
MOVED = {
    "from aiodag.codecs import Codecs, register_codec": "aiodag.codec",
    "from aiodag.stores.records import left_out, output_text": "aiodag.records",
    "from aiodag.executors.command import CommandFailed, Finished, command, shell": "aiodag.commands",
    "from aiodag.stores.sqlite import SQLite": "aiodag.stores",
    "from aiodag.workflows.document import document_of": "aiodag.workflows",
    "from aiodag.workflows.load import load, loads": "aiodag.workflows",
}


@pytest.mark.parametrize("line", MOVED)
def test_a_former_import_works_and_names_the_new_one(line):
    program = f"import warnings\nwarnings.simplefilter('always')\n{line}\n"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    former = line.split()[1]
    assert f"DeprecationWarning: {former} is {MOVED[line]} since 1.4.0" in done.stderr
    assert "<string>:3" in done.stderr  # the line to change


def test_the_function_of_a_former_modules_name_is_still_called():
    program = "from aiodag.workflows.load import loads\nimport aiodag.workflows as w\nw.load('etl.json')"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "WorkflowError" in done.stderr


@pytest.mark.parametrize(
    ("file", "public"),
    [("aiodag.ownership", "aiodag.records"), ("aiodag.batches", "aiodag.records"), ("aiodag.journal", "aiodag.abc")],
)
def test_a_class_says_where_people_import_it_from_and_not_in_which_file_it_is(file, public):
    things = [each for each in vars(import_module(file)).values() if isinstance(each, type)]
    classes = {each.__name__: each for each in things if each.__module__ in {file, public}}

    assert classes
    assert {each.__module__ for each in classes.values()} == {public}
    assert classes == {name: getattr(import_module(public), name) for name in classes}
