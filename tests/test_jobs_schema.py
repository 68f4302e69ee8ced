"""The JSON Schema of jobs forms says what the reader says, as far as a schema can."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import aiodag
from aiodag.errors import WorkflowError
from aiodag.workflows.files.json import Places
from aiodag.workflows.jobs.keys import JOB_KEYS, KINDS, STAGE_KEYS, STRATEGY_KEYS, WORKFLOW_KEYS
from aiodag.workflows.jobs.reading import read_jobs

SCHEMA = json.loads(
    (Path(aiodag.__file__).parent / "workflows" / "files" / "jobs-schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)
ECHO = {"echo": "x"}


def reads(document):
    try:
        read_jobs(document, Places(), recorded=True)
    except WorkflowError:
        return False
    return True


def fits(document):
    return VALIDATOR.is_valid(document)


def of_stages(*stages):
    return {"jobs": {"one": {"stages": list(stages)}}}


def of_job(**keys):
    return {"jobs": {"zero": {"stages": [ECHO]}, "one": {"stages": [ECHO], **keys}}}


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_the_keys_of_the_reader():
    defined = SCHEMA["$defs"]

    assert defined["workflow"]["properties"].keys() == set(WORKFLOW_KEYS)
    assert defined["job"]["properties"].keys() == set(JOB_KEYS)
    assert defined["strategy"]["properties"].keys() == set(STRATEGY_KEYS)
    assert {*STAGE_KEYS, *KINDS} <= defined["stage"]["properties"].keys()
    assert all("description" in each or "$ref" in each for each in defined["stage"]["properties"].values())


GOOD = [
    of_stages({"name": "Only a name"}),
    of_stages({"run": "x = 1", "vars": {"a": 1}, "workdir": "."}),
    of_stages({"run": "ls", "shell": "bash", "env": {"A": 1}}, {"bash": "ls", "shell": "sh"}),
    of_stages({"uses": "a/b@c", "with": {"x": "${{ run.id }}"}}, {"trigger": "other", "params": {"a": [1]}}),
    of_stages({"foreach": [1], "stages": [ECHO], "concurrent": 2}, {"foreach": "${{ run.id }}", "stages": [ECHO]}),
    of_stages({"parallel": {"a": [ECHO]}, "max-workers": 2, "fail-fast": False}),
    of_stages({"case": "x", "match": [{"case": 1, "stages": [ECHO]}, {"case": "_", "stages": [ECHO]}], "skip-not-match": True}),
    of_stages({"until": "item > 2", "item": 0, "max-loop": 3, "stages": [ECHO]}),
    of_stages({"raise": "No"}, {"sleep": 1}, {"sleep": "5m"}, {"echo": "x", "sleep": 2}),
    of_stages({"name": "a", "id": "b", "if": True, "timeout": "${{ params.t }}", "retry": {"retries": 2, "backoff": "3s"}, **ECHO})
    | {"params": {"t": "str"}},
    of_job(needs="zero", **{"if": "success()", "trigger-rule": "all_done", "runs-on": {"type": "local"}, "timeout-minutes": 3}),
    of_job(strategy={"matrix": {"a": [1], "include": [{"b": 1}]}, "max-parallel": 1, "fail-fast": False}),
    of_job(strategy={"matrix": "${{ run.id }}"}, outputs={"a": 1}, **{"continue-on-error": True}),
    {**of_stages(ECHO), "on": [{"cron": "0 0 * * *", "timezone": "UTC"}, "name"], "tags": ["a"], "limit": 3, "x-own": 1},
    {**of_stages(ECHO), "on": {"schedule": [{"cron": "0 0 * * *"}]}, "secrets": {"A": None, "B": {"file": "x"}}, "env": {}},
    {**of_stages(ECHO), "concurrency": {"group": "a", "cancel-in-progress": True}, "params": {"a": "str", "b": {"type": "int", "default": 1}}},
]  # fmt: skip
BAD = [
    {"jobs": {}},
    {"jobs": {"a": {}}},
    {"jobs": {"a": {"stages": []}}},
    of_stages({"run": "x", "bash": "y"}),
    of_stages({"sleep": 1, "bash": "y"}),
    of_stages({}),
    of_stages({"id": "a"}),
    of_stages({"echo": "x", "with": {}}),
    of_stages({"foreach": [1]}),
    of_stages({"foreach": True, "stages": [ECHO]}),
    of_stages({"until": "true"}),
    of_stages({"case": "x"}),
    of_stages({"case": "x", "match": []}),
    of_stages({"case": "x", "match": [{}]}),
    of_stages({"parallel": {}}),
    of_stages({"bash": "x", "shell": "fish"}),
    of_stages({"raise": ""}),
    of_stages({"sleep": 0}),
    of_stages({**ECHO, "timeout": "soon"}),
    of_stages({**ECHO, "retry": -1}),
    of_stages({**ECHO, "always": "yes"}),
    of_job(needs=3),
    of_job(**{"trigger-rule": "sometimes"}),
    of_job(**{"runs-on": "ubuntu-latest"}),
    of_job(strategy={"matrix": {}}),
    of_job(strategy={"matrix": {"a": []}}),
    of_job(strategy={"matrix": {"a": [1]}, "max-parallel": 0}),
    {**of_stages(ECHO), "limit": 0},
    {**of_stages(ECHO), "steps": []},
    {**of_stages(ECHO), "on": {"timezone": "UTC"}},
    {**of_stages(ECHO), "secrets": {"A": {"env": "x", "file": "y"}}},
    {**of_stages(ECHO), "concurrency": {}},
]


@pytest.mark.parametrize("document", GOOD, ids=range(len(GOOD)))
def test_schema_and_reader_accept(document):
    assert reads(document)
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize("document", BAD, ids=range(len(BAD)))
def test_schema_and_reader_refuse(document):
    assert not reads(document)
    assert not fits(document)


def places_in(value, path=()):
    yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places_in(each, (*path, key))


CHANGED = st.sampled_from([
    None, True, 0, 1, -1, 1.5, "", "x", "one", "zero", "local", "5m", "all_done", "${{ run.id }}", [], [1], ["a"], [ECHO], [{}], {}, {"a": 1},
    {"a": [1]}, ECHO, {"a": [ECHO]},
])  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_what_the_reader_accepts_the_schema_accepts(data):
    document = json.loads(json.dumps(data.draw(st.sampled_from(GOOD))))
    path = data.draw(st.sampled_from([path for path in places_in(document) if path]))
    inside = document
    for key in path[:-1]:
        inside = inside[key]
    key = path[-1]
    if isinstance(inside, dict) and data.draw(st.booleans()):
        del inside[key]
        key = data.draw(st.sampled_from([*STAGE_KEYS, *JOB_KEYS, *KINDS, "stages", "match", "x"]))
    inside[key] = data.draw(CHANGED)

    if reads(document):
        assert [error.message for error in VALIDATOR.iter_errors(document)] == []
