"""Files in DaggyR's forms run as they are: its keys, its parameters as texts, its generators."""

import asyncio
import getpass
import json

import pytest

from aiodag.errors import WorkflowError
from aiodag.workflows.files.document import document_of
from aiodag.workflows.files.load import loads

ECHO = {"command": ["/bin/echo", "hello", "world"]}
ASKING = {"cores": 1, "memory_mb": 100}
DATES = ["2022-01-01", "2022-01-02"]


def outputs(document):
    """What each task of a document writes."""
    values = asyncio.run(loads(json.dumps(document)).run())
    return {
        name: [each.stdout for each in listed(value)] for name, value in values.items() if not isinstance(value, dict)
    }


def listed(value):
    return value if isinstance(value, list) else [value]


def refusals(document):
    with pytest.raises(WorkflowError) as caught:
        loads(json.dumps(document), "job.json")
    return [str(each) for each in caught.value.complaints]


def test_the_list_form_of_its_job_files_runs():
    details = {"command": ["sh", "-c", "echo {{DATE}} $TEST_ENV"], "environment": {"TEST_ENV": "{{DATE}}"}}
    tasks = [{"class": "a", "details": {**details, "resources": ASKING}}]

    document = {"tags": ["abc"], "parameters": {"{{DATE}}": DATES}, "tasks": tasks}

    assert loads(json.dumps(document)).tags == {"abc": ""}
    assert outputs(document) == {"a": [f"{date} {date}\n" for date in DATES]}


def test_the_map_form_of_its_job_files_runs():
    tasks = {"a": {"details": {"command": ["echo", "{{DATE}}"], "environment": {"E": "{{DATE}}"}, "resources": ASKING}}}

    document = {"tags": {"user": "myself"}, "parameters": {"{{DATE}}": DATES}, "tasks": tasks}

    assert outputs(document) == {"a": [f"{date}\n" for date in DATES]}


def test_keys_without_braces_are_texts_and_children_may_stand_in_details():
    def details(*children):
        return {"details": {"command": ["echo", "DATE"], "resources": ASKING, "children": children}}

    document = {
        "parameters": {"DATE": ["1", "2", "3"]},
        "tasks": {"a": details("b", "c"), "b": details("d"), "c": details("d"), "d": details()},
    }

    flow = loads(json.dumps(document))
    assert {task.name: task.after for task in flow} == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    assert outputs(document)["d"] == ["1\n", "2\n", "3\n"]


@pytest.mark.parametrize(
    ("keys", "text", "expected"),
    [
        (["DATE"], "DATE", "{{DATE}}"),
        (["DATE"], "UPDATED-DATE", "UP{{DATE}}D-{{DATE}}"),
        (["DATE"], "{{DATE}}", "{{DATE}}"),
        (["{{DATE}}"], "DATE {{DATE}}", "DATE {{DATE}}"),
        (["DATE", "DATE2"], "DATE2 DATE", "{{DATE2}} {{DATE}}"),
        (["DATE2", "DATE"], "DATE2 DATE", "{{DATE2}} {{DATE}}"),
        (["a.c", "$X", "(y|z)"], "abc a.c $X (y|z)", "abc {{a.c}} {{$X}} {{(y|z)}}"),
        (["{DATE}"], "x{DATE}", "x{{DATE}}"),
    ],
)
def test_the_text_of_a_parameter_is_replaced_where_it_stands(keys, text, expected):
    document = {
        "parameters": {key: ["v"] for key in keys},
        "tasks": {"DATE": {"details": {"command": ["echo", text], "environment": {"A": text}}}},
    }

    form = document_of(loads(json.dumps(document)))["tasks"]["DATE"]

    assert form == {"command": ["echo", expected], "environment": {"A": expected}}


def test_what_was_put_in_is_not_looked_at_again():
    document = {
        "parameters": {"A": ["B", "x"], "B": ["A"]},
        "tasks": {"t": {"details": {"command": ["echo", "A-B"]}}},
    }

    assert outputs(document) == {"t": ["B-A\n", "x-A\n"]}


def test_keys_have_the_meaning_of_those_here():
    task = {
        "details": {"command": ["true"], "env": {"ENVVAR": 16}, "timeout": 0},
        "is_generator": True,
        "max_retries": 3,
        "retries": 1,
        "run_id": 0,
        "expansion_values": [],
        "task_type": "Normal",
        "pool": "local",
    }
    structural = {"task_type": "Structural", "details": None, "parents": ["a"]}

    assert document_of(loads(json.dumps({"tasks": {"a": task, "b": structural}})))["tasks"] == {
        "a": {"command": ["true"], "environment": {"ENVVAR": "16"}, "retries": 3, "generator": True},
        "b": {"command": ["true"], "parents": ["a"]},
    }


def test_what_slurm_is_told_is_what_a_host_is_told_here():
    details = {
        "command": ["true"],
        "user": getpass.getuser(),
        "jwt_token": "a-token-of-many-characters",
        "logdir": "/var/log/slurm",
        "min_cpus": 2,
        "min_memory_mb": 200,
        "min_tmp_disk_mb": 0,
        "priority": 3,
        "time_limit_seconds": 60,
        "resources": {"gpus": 1},
    }
    tasks = {
        "a": {"details": details, "pool": "slurm"},
        "b": {"details": {"command": ["true"], "time_limit_seconds": 0}},
    }
    document = {
        "hosts": {"slurm": {"type": "slurm", "partition": "debug"}},
        "capacity": {"cores": 2, "memory_mb": 200, "gpus": 1},
        "tasks": tasks,
    }

    assert document_of(loads(json.dumps(document)))["tasks"] == {
        "a": {
            "command": ["true"],
            "host": "slurm",
            "timeout": 60,
            "priority": 3,
            "resources": {"cores": 2, "memory_mb": 200, "gpus": 1},
        },
        "b": {"command": ["true"]},
    }


@pytest.mark.parametrize(
    ("details", "beside", "said"),
    [
        ({"cmd": "x"}, {}, "$.tasks.a.details.cmd: is a key that is not known here; did you mean 'command'?"),
        ({**ECHO, "user": "nobody else"}, {}, "$.tasks.a.details.user: is 'nobody else', and jobs are submitted by the user of"),
        ({**ECHO, "time_limit_seconds": -1}, {}, "$.tasks.a.details.time_limit_seconds: takes a whole number, 0 or more"),
        ({**ECHO, "jwt_token": 12345678}, {}, "$.tasks.a.details.jwt_token: takes text; this is the number"),
        (ECHO, {"pool": ""}, "$.tasks.a.pool: takes the name of a pool, which is that of a host here"),
        ({**ECHO, "min_cpus": 10**6}, {}, "$.tasks.a: 'a' asks for cores 1000000"),
        (ECHO, {"max_retries": "3"}, "$.tasks.a.max_retries: takes a whole number, 0 or more; this is the text '3'"),
        (ECHO, {"is_generator": True, "generator": True}, "$.tasks.a.is_generator: is 'generator' here"),
        ({**ECHO, "env": {"a=b": 1}}, {}, '$.tasks.a.details.env["a=b"]: is a key that cannot be'),
        ({**ECHO, "resources": {"cores": 10**6}}, {}, "$.tasks.a: 'a' asks for cores 1000000"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_here_is_refused_by_name(details, beside, said):
    (complaint,) = refusals({"tasks": {"a": {"details": details, **beside}}})

    assert complaint.partition(" ")[2].startswith(said)


def test_the_output_of_a_generator_is_of_the_same_form():
    new = {"generated": {"details": ECHO, "parents": ["fancy"], "children": ["other"], "max_retries": 1}}
    tasks = {
        "other": {"details": {"command": ["/bin/echo", "task", "$ENVVAR"]}},
        "fancy": {"is_generator": True, "children": ["other"], "details": {"command": ["echo", json.dumps(new)]}},
    }

    assert outputs({"tasks": tasks}) == {"generated": ["hello world\n"], "other": ["task $ENVVAR\n"]}


@pytest.mark.parametrize(("key", "expected"), [("DATE", ["1\n", "2\n"]), ("{{DATE}}", ["DATE\n"])])
def test_the_output_of_a_generator_uses_the_parameters_by_their_texts(key, expected):
    new = json.dumps({"made": {"details": {"command": ["echo", "D@TE"]}}})
    printing = {"details": {"command": ["sh", "-c", 'echo "$0" | tr @ A', new]}, "is_generator": True}
    document = {"parameters": {key: ["1", "2"]}, "tasks": {"make": printing}}

    written = document_of(loads(json.dumps(document)))

    assert outputs(document)["made"] == outputs(written)["made"] == expected
