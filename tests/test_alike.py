"""Commands of a file that differ in their line and their name alone share all else, and are what each would be by itself."""

import json

import pytest

from aiodag.commands import command, shell
from aiodag.errors import WorkflowError
from aiodag.stores import Memory
from aiodag.workflows import document_of, loads

SETTINGS = {"environment": {"A": "1"}, "retries": 2, "backoff": 0, "timeout": 60, "version": 3, "success": [0, 1]}
OPTIONS = {"env": {"A": "1"}, "retries": 2, "backoff": 0, "timeout": 60, "version": 3, "success": [0, 1]}


def flow_of(**tasks):
    return loads(json.dumps({"tasks": tasks}))


FORMS = {
    "command": (
        lambda name, **more: {"command": ["echo", name, 1, 2.5], **more},
        lambda name, **more: command("echo", name, 1, 2.5, name=name, **more),
    ),
    "shell": (
        lambda name, **more: {"shell": f"echo {name}", "arguments": ["x", 1], **more},
        lambda name, **more: shell(f"echo {name}", "x", 1, name=name, **more),
    ),
}
each_form = pytest.mark.parametrize(("form", "made"), FORMS.values(), ids=FORMS)


@each_form
@pytest.mark.parametrize(("settings", "options"), [({}, {}), (SETTINGS, OPTIONS)], ids=["plain", "set"])
def test_one_of_many_is_the_command_that_it_would_be_alone(form, made, settings, options):
    flow = flow_of(a=form("a", **settings), b=form("b", **settings))

    found, alone = flow["b"].task, made("b", **options)

    assert found.pattern is flow["a"].task
    assert (found.fn.args, found.fn.env) == (alone.fn.args, alone.fn.env)
    assert (found.fn.success, found.fn.line) == (alone.fn.success, alone.fn.line)
    assert (found.name, found.options.name, found.given_version) == ("b", "b", alone.given_version)
    assert (found.options.version, found.options.given) == (alone.options.version, alone.options.given)
    assert found.options.version != flow["a"].task.options.version
    assert (found.options.retries, found.raw, found.after_deps) == (alone.options.retries, False, ())
    assert found.with_options(retries=7).options.retries == 7
    assert found.with_options(retries=7).options.version == alone.options.version


@each_form
def test_what_is_set_otherwise_is_not_shared(form, made):
    one, other = ({"environment": {"A": value}} for value in "12")
    flow = flow_of(a=form("a"), b=form("b", retries=1), c=form("c", **one), d=form("d", **other))

    assert [task.task.options.retries for task in flow] == [0, 1, 0, 0]
    assert [task.task.fn.env for task in flow] == [{}, {}, {"A": "1"}, {"A": "2"}]


@each_form
async def test_one_of_many_can_be_called_like_any_task(form, made):
    flow = flow_of(a=form("a"), b=form("b"))

    finished = await flow["b"].task()

    assert finished.stdout == (await made("b")()).stdout


@each_form
async def test_many_run_and_are_recalled(form, made):
    flow = flow_of(**{name: form(name) for name in "abc"})
    store = Memory()

    first = await flow.run(store, "r")
    again = await flow.run(store, "r")

    assert [first[name].pid for name in "abc"] == [again[name].pid for name in "abc"]
    assert {node.attempt for node in store.nodes("r")} == {1}


@each_form
def test_the_document_of_many_is_that_which_was_read(form, made):
    flow = flow_of(**{name: form(name, **SETTINGS) for name in "abc"})

    document = flow.document()

    assert [task["retries"] for task in document["tasks"].values()] == [2, 2, 2]
    assert document_of(loads(json.dumps(document))) == document


async def test_parameters_come_into_one_of_many():
    document = {
        "parameters": {"DAY": ["d1", "d2"]},
        "tasks": {name: {"command": ["echo", name, "{{DAY}}"], "version": 4} for name in "ab"},
    }

    values = await loads(json.dumps(document)).run()

    assert [each.stdout for each in values["b"]] == ["b d1\n", "b d2\n"]


def test_each_fault_of_many_is_told():
    with pytest.raises(WorkflowError) as failed:
        flow_of(a={"command": ["echo"]}, b={"command": [""]}, c={"command": ["echo", "\0"]}, d={"shell": " "})

    assert [complaint.place.rpartition(" ")[2] for complaint in failed.value.complaints] == [
        "$.tasks.b.command[0]",
        "$.tasks.c.command[1]",
        "$.tasks.d.shell",
    ]
