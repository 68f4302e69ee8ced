"""Registered workflows go as JSON from one store into another, on the real command."""

import json

import pytest
from typed_in import Place

FLOW = {
    "tags": {"env": "test"},
    "parameters": {"DAY": ["mon", "tue"]},
    "tasks": {
        "pull": {"command": ["echo", "{{DAY}}"], "environment": {"TOKEN": "s3cret"}},
        "load": {"shell": 'test "$1" = x', "arguments": ["x"], "parents": ["pull"]},
    },
}
PYTHON = """
from aiodag.commands import command
from aiodag.workflows import Workflow

flow = Workflow("of python")
flow.add(command("true"))
"""


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path, flow=PYTHON)
    made.write("etl.json", json.dumps(FLOW))
    made("register", "etl.json")
    made("register", "flow.py:flow")
    return made


def kept(place, store):
    return [
        {key: each[key] for key in ("name", "target", "tags", "definition")}
        for each in place.json("--store", store, "list")
    ]


def test_what_is_exported_is_imported_as_it_was(place):
    place("export", "-o", "all.json")
    place("--store", "other.db", "import", "all.json")

    assert kept(place, "other.db") == kept(place, "runs.db")
    place("--store", "other.db", "run", "etl")
    assert place("--store", "other.db", "export")[0] == place("export")[0]


def test_what_list_writes_as_json_is_imported(place):
    place.write("all.json", json.dumps(place.json("list")))
    place("--store", "other.db", "import", "all.json")

    assert kept(place, "other.db") == kept(place, "runs.db")


def test_one_workflow_is_exported_by_exactly_its_name(place):
    assert [each["name"] for each in json.loads(place("export", "etl")[0])] == ["etl"]
    _, err = place("export", "et", code=2)
    assert "'etl'" in err


def test_values_that_no_store_has_are_not_exported(place):
    assert "s3cret" not in place("export")[0]


def test_a_name_that_is_taken_is_refused_and_nothing_is_registered(place):
    place("export", "-o", "all.json")
    place("--store", "other.db", "register", "flow.py:flow")

    _, err = place("--store", "other.db", "import", "all.json", code=2)

    assert "'of python' is registered already: `--replace`" in err
    assert [each["name"] for each in kept(place, "other.db")] == ["of python"]
    place("--store", "other.db", "import", "all.json", "--replace")
    assert len(kept(place, "other.db")) == 2


WRONG = {"command": ["true"], "parents": ["nowhere"]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("x", "is not valid JSON"),
        ([3], "$[0]: takes what `aiodag export` writes; this is the number 3"),
        (FLOW, "`aiodag register` takes it"),
        ([{"name": "a"}], "$[0]: has no 'target'"),
        ([{"name": "", "target": "a.json", "definition": {"tasks": {}}}], "'name' takes the name of a workflow"),
        ([{"name": "a", "target": "a.json", "definition": {"tasks": {"b": WRONG}}}], "'nowhere'"),
        ([{"name": "a", "target": "gone.py:flow", "definition": {"tasks": {}}}], "gone.py, which is not here"),
        ([{"name": "a", "target": "a.json", "definition": {"tasks": {}}}] * 2, "as another one here has"),
    ],
    ids=str,
)
def test_what_cannot_be_imported_is_refused_before_anything_is_registered(place, given, said):
    good = {"name": "good", "target": "a.json", "definition": {"tasks": {}}}
    whole = [good, *given] if isinstance(given, list) and given != [3] else given
    place.write("given.json", given if given == "x" else json.dumps(whole))

    _, err = place("--store", "other.db", "import", "given.json", code=2)

    assert said.replace("$[0]", "$[1]" if whole is not given else "$[0]") in err
    assert kept(place, "other.db") == []


def test_what_is_piped_in_is_imported(place):
    exported = place("export", "etl")[0]
    process = place.start("--store", "other.db", "import", "-")
    process.communicate(exported, timeout=60)

    assert process.returncode == 0
    assert [each["name"] for each in kept(place, "other.db")] == ["etl"]
