"""The parameters that a workflow declares, as a form asks for them."""

import json

import pytest

from aiodag import WorkflowError
from aiodag.service import Service
from aiodag.service.declarations import check_given, parameter_declarations
from aiodag.service.document_graphs import graph_of_document

JOBS = {
    "name": "etl",
    "params": {
        "day": {"type": "date", "description": "the day to load"},
        "rows": {"type": "integer", "default": 3},
        "kind": {"type": "choice", "options": ["full", "part"], "default": "full"},
    },
    "jobs": {"load": {"stages": [{"name": "say", "echo": "hello"}]}},
}
TASKS = {
    "name": "plain",
    "parameters": {"day": ["mon", "tue"]},
    "tasks": {"load": {"command": ["echo", "{{day}}", "{{rows}}"], "parameters": {"rows": [1, 2]}}},
}


def test_what_jobs_declare_is_listed_with_types_defaults_and_options():
    found = {each.name: each for each in parameter_declarations(JOBS)}

    assert [(each.type, each.required, each.default, each.options) for each in found.values()] == [
        ("date", True, None, ()),
        ("int", False, 3, ()),
        ("choice", False, "full", ("full", "part")),
    ]
    assert found["day"].description == "the day to load"


def test_a_parameter_of_tasks_has_as_many_values_as_its_list():
    assert [(each.name, each.type, each.default, each.many) for each in parameter_declarations(TASKS)] == [
        ("day", "str", ["mon", "tue"], True),
        ("rows", "int", [1, 2], True),
    ]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"params": 7, "jobs": {}},
        {"params": {"a": {"type": 7}}, "jobs": {}},
        {"tasks": 7, "parameters": []},
        {"tasks": {"a": 7, "b": {"parameters": {"x": 7}}}},
    ],
)
def test_a_document_that_somebody_has_written_over_declares_nothing(document):
    assert parameter_declarations(document) == []


@pytest.mark.parametrize(
    ("document", "given", "places"),
    [
        (JOBS, {"day": "2024-01-31", "rows": "7"}, []),
        (JOBS, {}, ["params.day"]),
        (JOBS, {"day": "x", "rows": "y", "kind": "z", "more": "1"}, ["day", "kind", "more", "rows"]),
        (TASKS, {}, []),
        (TASKS, {"day": ["wed"], "rows": ["7"]}, []),
        (TASKS, {"rows": ["many"], "more": "1"}, ["more", "rows"]),
        (TASKS, {"rows": "[" * 100_000}, ["rows"]),
        (JOBS, {"day": "[" * 100_000, "rows": "9" * 5_000}, ["day", "rows"]),
    ],
)
def test_all_that_does_not_fit_is_said_at_once_with_the_name_of_its_parameter(document, given, places):
    complaints = []
    try:
        check_given(document, given)
    except WorkflowError as error:
        complaints = sorted(each.place for each in error.complaints)

    assert complaints == [f"params.{place.removeprefix('params.')}" for place in places]


@pytest.mark.parametrize("document", [JOBS, TASKS])
def test_the_document_of_a_registered_workflow_declares_what_its_file_does(tmp_path, document):
    file = tmp_path / f"{document['name']}.json"
    file.write_text(json.dumps(document))
    service = Service("memory:declarations")
    record = service.register(str(file), replace=True)

    assert parameter_declarations(json.loads(record.document)) == parameter_declarations(document)
    service.close()


def test_the_graph_of_a_document_joins_what_waits_for_what():
    document = {
        "name": "etl",
        "tasks": {
            "a": {"command": ["true"], "children": ["d"]},
            "b": {"task": "m:f", "arguments": {"args": [[{"$value_of": "a"}]]}, "parents": ["a"]},
            "c": {"command": ["true"], "parents": ["a", "gone", 7]},
            "d": "not a form",
        },
    }

    graph = graph_of_document(document)

    assert [node.label for node in graph.nodes] == ["a", "b", "c", "d"]
    assert sorted((edge.source, edge.target, edge.kind) for edge in graph.edges) == [
        (0, 1, "endogenous"),
        (0, 2, "exogenous"),
        (0, 3, "exogenous"),
    ]
    assert graph_of_document({"tasks": 7}).nodes == ()
