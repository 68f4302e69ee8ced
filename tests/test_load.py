"""Workflows from files: what is read, and what is said of what is wrong, with its line and path."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag.errors import WorkflowError
from aiodag.stores import Memory
from aiodag.workflows.files.document import document_of
from aiodag.workflows.files.forms import Hints
from aiodag.workflows.files.json import json_path_text, lines_of_paths
from aiodag.workflows.files.load import load, loads, workflow_from_document
from aiodag.workflows.files.reading import fragment_of
from aiodag.workflows.model import Parameter

ECHO = {"command": ["echo", "hello"]}


def complaints(document, source="etl.json"):
    """What is said of a document, a text or bytes."""
    with pytest.raises(WorkflowError) as caught:
        loads(document if isinstance(document, str | bytes) else json.dumps(document, indent=1), source)
    return [str(complaint) for complaint in caught.value.complaints]


def complaint(document):
    (only,) = complaints(document)
    return only


def of_task(**task):
    """The one complaint about a task A, without the line."""
    return complaint({"tasks": {"A": task}}).partition(" ")[2]


@pytest.fixture
def beside(tmp_path):
    """Write files beside each other; forget the modules that are made of them, and no others that were loaded meanwhile."""

    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    yield write
    for name in [path.stem for path in tmp_path.glob("*.py")]:
        sys.modules.pop(name, None)
    sys.path[:] = [place for place in sys.path if place != str(tmp_path)]


# What is read


def test_a_file_becomes_a_workflow_that_knows_where_it_came_from(beside):
    path = beside("etl.json", {"tags": {"env": "test"}, "limit": 5, "tasks": {"A": ECHO}})

    flow = load(path)

    assert (flow.name, flow.tags, flow.limit) == ("etl", {"env": "test"}, 5)
    assert flow.entry == {"file": str(path), "task": "", "parameters": {}}
    assert flow["A"].place == f"{path} $.tasks.A"


def test_a_name_in_the_file_comes_before_the_name_of_the_file(beside):
    assert load(beside("etl.json", {"name": "nightly", "tasks": {}})).name == "nightly"


async def test_a_description_is_for_people_and_of_no_effect():
    def described(said):
        return loads(json.dumps({"description": said, "tasks": {"a": {"command": ["true"], "description": said}}}))

    flow = described("nightly")
    store = Memory()
    await flow.run(store, "r")
    await described("another").run(store, "r")

    assert (flow.description, flow["a"].description) == ("nightly", "nightly")
    assert flow.but("other").description == "nightly"
    assert [node.recalled for node in store.nodes("r")] == [True]


def test_a_description_may_stand_in_details_and_in_what_a_generator_gives():
    item = {"id": "a", "details": {"command": ["true"], "description": "in details"}}
    fragment = fragment_of({"description": "of all", "tasks": [item]}, "gen")

    assert fragment["a"].description == "in details"


def test_parents_and_children_are_the_same_edge():
    flow = loads(
        json.dumps({"tasks": {"A": {**ECHO, "children": ["B"]}, "B": {**ECHO, "parents": ["A", "A"]}, "C": ECHO}})
    )

    assert [task.after for task in flow] == [(), ("A",), ()]


def test_parents_and_children_may_be_classes():
    tasks = {
        "A": {**ECHO, "class": "pull"},
        "B": {**ECHO, "class": "pull", "children": ["late"]},
        "C": {**ECHO, "parents": ["pull"]},
        "D": {**ECHO, "class": "late"},
        "E": {**ECHO, "class": "late"},
    }

    flow = loads(json.dumps({"tasks": tasks}))

    assert {task.name: task.after for task in flow if task.after} == {"C": ("pull",), "D": ("B",), "E": ("B",)}


def test_a_command_gets_all_that_is_said_of_it():
    form = {
        "command": ["sync", "--fast", 3],
        "environment": {"LEVEL": 2, "GONE": None},
        "cwd": "somewhere",
        "stdin": "text",
        "success": [0, 3],
        "grace": 1.5,
        "keep": 100,
        "retries": 2,
        "backoff": 0.5,
        "timeout": 60,
        "version": "2",
    }

    task = loads(json.dumps({"tasks": {"A": form}}))["A"].task

    body = task.fn
    assert body.args == ("sync", "--fast", "3")
    assert (body.env, body.cwd, body.stdin) == ({"LEVEL": "2", "GONE": None}, Path("somewhere"), b"text")
    assert (body.success, body.grace, body.keep) == ({0, 3}, 1.5, 100)
    assert (task.options.retries, task.options.timeout, task.given_version) == (2, 60, "2")


def test_arguments_beside_a_line_are_data():
    task = loads(json.dumps({"tasks": {"A": {"shell": 'echo "$1"', "arguments": ["$(date)"]}}}))["A"].task

    assert task.fn.args == ("/bin/sh", "-c", 'echo "$1"', "sh", "$(date)")


def test_stdin_may_be_a_file():
    task = loads(json.dumps({"tasks": {"A": {**ECHO, "stdin": {"file": "rows.txt"}}}}))["A"].task

    assert task.fn.stdin == Path("rows.txt")


def test_a_function_is_found_beside_the_file(beside):
    beside("beside_the_file.py", "async def double(x, times=2):\n    return x * times\n")
    path = beside("etl.json", {"tasks": {"A": {"task": "beside_the_file.py:double", "arguments": {"x": 4}}}})

    task = load(path)["A"]

    assert (task.task.fn.__name__, task.kwargs) == ("double", {"x": 4})


def test_a_function_is_found_in_a_module_and_in_a_class():
    flow = loads(
        json.dumps({"tasks": {"A": {"task": "os.path:join", "arguments": ["a"]}, "B": {"task": "pathlib:Path.cwd"}}})
    )

    assert flow["A"].task.fn is os.path.join
    assert flow["B"].task.fn == Path.cwd


def test_values_of_other_tasks_are_edges_whatever_the_order():
    tasks = {
        "last": {"task": "builtins:print", "arguments": [[{"$value_of": "middle"}]]},
        "middle": {"task": "builtins:dict", "arguments": {"a": {"$value_of": "first"}}},
        "first": ECHO,
    }

    flow = loads(json.dumps({"tasks": tasks}))

    assert [task.name for task in flow] == ["last", "middle", "first"]
    assert [task.index for task in flow] == [0, 1, 2]
    assert flow["last"].args == ([flow["middle"]],)
    assert flow["middle"].kwargs == {"a": flow["first"]}


def test_parameters_of_functions_stand_for_their_values():
    tasks = {"A": {"task": "builtins:print", "arguments": ["{{N}}", "{{M}}", "N"], "parameters": {"{{N}}": [1, 2]}}}

    task = loads(json.dumps({"tasks": tasks}))["A"]

    assert isinstance(task.args[0], Parameter)
    assert task.args[1:] == ("{{M}}", "N")
    assert task.parameters == {"N": [1, 2]}


def test_names_in_braces_name_the_parameters():
    flow = loads('{"parameters": {"{{DATE}}": ["d1", "d2"], "SIZE": [1]}, "unused": ["DATE", "SIZE"], "tasks": {}}')

    assert flow.parameters == {"DATE": ["d1", "d2"], "SIZE": [1]}


HOSTILE_NAMES = [
    "x" * 200,
    " two  words ",
    "a:b",
    "../../etc",
    "\"'`$(x)",
    "größe ☃ 🐍",
    "$value_of",
    "a\tb",
    "[0]",
    "tasks",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_text_names_a_task_a_class_a_tag(name):
    document = {
        "name": name,
        "tags": {name: name},
        "tasks": {name: ECHO, "B": {**ECHO, "parents": [name], "class": "c"}},
    }

    flow = loads(json.dumps(document))

    assert (flow.name, flow.tags, flow[name].name, flow["B"].after) == (name, {name: name}, name, (name,))


def test_a_mark_at_the_beginning_of_a_text_is_passed_over():
    assert len(loads(b'\xef\xbb\xbf{"tasks": {}}')) == 0


# The form of lists


def test_the_form_of_lists_names_tasks_by_their_class():
    tasks = [
        {"class": "producer", "details": {"command": ["make"]}},
        {"class": "echoer", "details": {"command": ["echo", "a"], "retries": 2}, "parents": ["producer"]},
        {"class": "echoer", "details": {"command": ["echo", "b"]}, "generator": False},
        {"id": "end", "shell": "true", "parents": ["echoer"]},
    ]

    flow = loads(json.dumps({"tasks": tasks}))

    found = [(task.name, task.group, task.after) for task in flow]
    assert found == [
        ("producer", "producer", ()),
        ("echoer", "echoer", ("producer",)),
        ("echoer-2", "echoer", ()),
        ("end", None, ("echoer",)),
    ]
    assert flow["echoer"].task.options.retries == 2


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"command": ["a"]}, "$.tasks[0]: has no id and no class"),
        (3, "$.tasks[0]: takes an object; this is the number 3"),
        ({"class": "a", "details": 3}, "$.tasks[0].details: takes an object with the keys of a task; this is the number 3"),
        ({"class": "a", "details": {"command": ["a"], "parents": ["b"]}}, "$.tasks[0].details.parents[0]: is 'b', and no task or class here has that name"),
        ({"class": "a", "retries": 1, "details": {"command": ["a"], "retries": 2}}, "$.tasks[0].details.retries: is given here and next to details"),
        ({"id": "a", "name": "b", "command": ["a"]}, "$.tasks[0].name: is 'b', and the id is 'a': give one"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_list_has_its_place(item, said):
    assert complaint({"tasks": [item]}).partition(" ")[2] == said


def test_a_name_is_there_once_in_a_list():
    tasks = [{"id": "a-2", **ECHO}, {"class": "a", **ECHO}, {"class": "a", **ECHO}]

    assert complaint({"tasks": tasks}).partition(" ")[2].startswith("$.tasks[2]: is 'a-2', as $.tasks[0] is")


# What is wrong


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file():
    text = """{
 "nam": "x", "limit": 0,
 "tasks": {
  "A": {"comand": ["x"], "parents": ["B", "Zed",
     "A"]},
  "B": {"command": ["x", null], "retries": "3"},
  "Pull C": {"shell": "x", "command": ["y"]},
  "G": {"command": ["a"], "parents": ["H"]},
  "H": {"command": ["a"], "parents": ["G"]}
 }
}"""

    assert complaints(text) == [
        "etl.json:2 $.nam: is a key that is not known here; did you mean 'name'?",
        "etl.json:2 $.limit: takes a whole number, 1 or more; this is the number 0",
        "etl.json:4 $.tasks.A.comand: is a key that is not known here; did you mean 'command'?",
        "etl.json:4 $.tasks.A.parents[1]: is 'Zed', and no task or class here has that name",
        "etl.json:5 $.tasks.A.parents[2]: is 'A' itself",
        "etl.json:6 $.tasks.B.command[1]: takes text without NUL, or numbers; this is null",
        "etl.json:6 $.tasks.B.retries: takes a whole number, 0 or more; this is the text '3'",
        'etl.json:7 $.tasks["Pull C"]: has command and shell: it takes one of command, shell or task',
        "etl.json:8 $.tasks.G: cycle: G -> H -> G",
    ]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({}, "$.tasks.A: has nothing to run: it takes one of command, shell or task"),
        ({"command": []}, "$.tasks.A.command: takes a list that is not empty of text without NUL, or numbers; this is an empty list"),
        ({"command": "ls -l"}, "$.tasks.A.command: takes a list of a program and its arguments; this is the text 'ls -l': write [\"ls\", \"-l\"], or \"shell\": \"ls -l\""),
        ({"command": [1]}, "$.tasks.A.command[0]: takes the name or the path of a program; this is the number 1"),
        ({"command": ["a", "b\0"]}, "$.tasks.A.command[1]: takes text without NUL, or numbers; this is the text 'b\\x00'"),
        ({"command": ["a", "\ud800"]}, "$.tasks.A.command[1]: takes text without NUL, or numbers; this is the text '\\ud800'"),
        ({"shell": " "}, "$.tasks.A.shell: takes a line for a shell; this is the text ' '"),
        ({**ECHO, "env": {}}, "$.tasks.A.env: is a key that is not known here; did you mean 'environment'?"),
        ({**ECHO, "depends_on": []}, "$.tasks.A.depends_on: is a key that is not known here; did you mean 'parents'?"),
        ({**ECHO, "environment": {"A=B": "x"}}, "$.tasks.A.environment[\"A=B\"]: is a key that cannot be: keys here are names of variables, without '='"),
        ({**ECHO, "environment": {"A": []}}, "$.tasks.A.environment.A: takes text without NUL, a number, or null, which takes the variable away; this is a list"),
        ({**ECHO, "parents": "B"}, "$.tasks.A.parents: takes a list of names of tasks or classes; this is the text 'B'"),
        ({**ECHO, "retries": True}, "$.tasks.A.retries: takes a whole number, 0 or more; this is true"),
        ({**ECHO, "retries": 1.0}, "$.tasks.A.retries: takes a whole number, 0 or more; this is the number 1.0"),
        ({**ECHO, "priority": "high"}, "$.tasks.A.priority: takes a whole number, also below 0; this is the text 'high'"),
        ({**ECHO, "timeout": 0}, "$.tasks.A.timeout: takes seconds above 0; this is the number 0"),
        ({**ECHO, "success": [256]}, "$.tasks.A.success[0]: takes exit codes from 0 to 255, or -15 for signal 15; this is the number 256"),
        ({**ECHO, "generator": "yes"}, "$.tasks.A.generator: takes true or false; this is the text 'yes'"),
        ({**ECHO, "parameters": {"D": "d1"}}, "$.tasks.A.parameters.D: takes a list of text, numbers, true or false; this is the text 'd1'"),
        ({**ECHO, "parameters": {"D": ["1", 1]}}, "$.tasks.A.parameters.D[1]: is '1', as [0] is: a value is there once"),
        ({**ECHO, "parameters": {"D": [], "{{D}}": []}}, '$.tasks.A.parameters["{{D}}"]: is given twice, as D and as {{D}}'),
        ({**ECHO, "resources": {"cores": 0}}, "$.tasks.A.resources.cores: takes numbers above 0, a millionth or more; this is the number 0"),
        ({"task": "os:getcwd", "cwd": "."}, "$.tasks.A.cwd: is a key of programs, and this task is a function"),
        ({"task": "no function"}, "$.tasks.A.task: takes a function, such as \"file.py:function\" or \"module:function\"; this is 'no function'"),
        ({"task": "os:getcwt"}, "$.tasks.A.task: os has no function 'getcwt'; did you mean 'getcwd'?"),
        ({"task": "os:getcwd", "arguments": {"x": 1}}, "$.tasks.A.arguments: does not fit: getcwd() got an unexpected keyword argument 'x'"),
        ({"task": "os:sep"}, "$.tasks.A.task: task() got '/', which is not callable. Pass an async function, a plain function (it runs in a thread), a method, a functools.partial, or an object with an async __call__"),
        ({"task": "builtins:print", "arguments": ["x-{{D}}"], "parameters": {"D": []}}, '$.tasks.A.arguments: has {{D}} inside a longer text, which is filled in commands only: pass "{{D}}" alone'),
        ({"task": "builtins:print", "arguments": [{"$value_of": "B"}]}, "$.tasks.A.arguments: takes the value of 'B', and no task here has that name"),
        ({"task": "builtins:print", "arguments": [{"$value_of": "A"}]}, "$.tasks.A.arguments: takes a value that needs its own: A -> A"),
        ({"task": "builtins:print", "arguments": [{"$value_of": 3}]}, '$.tasks.A.arguments[0]["$value_of"]: takes the name of a task, alone in its object; this is the number 3'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_task_is_said_with_what_would_work(task, said):
    assert of_task(**task) == said


def test_a_missing_module_says_how_files_are_written():
    said = of_task(task="not_there:run")

    assert said.startswith("$.tasks.A.task: 'not_there:run' cannot be loaded: importing it raised ModuleNotFoundError")
    assert said.endswith("A file next to this one is written as not_there.py:run")


def test_a_file_that_raises_says_what(beside):
    beside("it_raises.py", "1 / 0")
    path = beside("etl.json", {"tasks": {"A": {"task": "it_raises.py:run"}}})

    with pytest.raises(WorkflowError, match=r"\$\.tasks\.A\.task.*it_raises\.py.*ZeroDivisionError"):
        load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'etl.json: is empty: a workflow is at least {"tasks": {}}'),
        (b"\n\xff", "etl.json:2: is not valid UTF-8: byte 0xff at offset 1. Save it as UTF-8"),
        ("[]", "etl.json:1 $: takes an object; this is a list"),
        ("{}", 'etl.json:1 $: has no "tasks", an object or a list of them'),
        ('{"tasks":\n {"a": {}, "a": {"command": ["x"]}}}', "etl.json:2 $.tasks.a: is given for the second time in one object, and one would be lost"),
        ('{"limit": NaN, "tasks": {}}', "etl.json:1 $.limit: is NaN, which JSON does not have"),
        ('{"limit": 1, "tasks": {},\n "capacity": {"a": -Infinity}}', "etl.json:2 $.capacity.a: is -Infinity, which JSON does not have"),
        ('{"capacity": {"a": 1e999}, "tasks": {}}', "etl.json:1 $.capacity.a: is 1e999, a number that nothing here can hold"),
        ('{"limit": ' + "9" * 5000 + ', "tasks": {}}', f"etl.json:1 $.limit: is {'9' * 60}…, a number that nothing here can hold"),
        ('{"tasks": {"a\0": {}}}', "etl.json:1: is not valid JSON: Invalid control character at, at column 14"),
        ('{"tasks": {"": {"shell": "x"}}}', "etl.json:1 $.tasks[\"\"]: cannot be the name of a task: the text ''. Names are text without control characters"),
        ('{"tasks": {"a\\u0000": {"shell": "x"}}}', "etl.json:1 $.tasks[\"a\\u0000\"]: cannot be the name of a task: the text 'a\\x00'. Names are text without control characters"),
        ('{"tasks": {"a\\nb": {"shell": "x"}}}', "etl.json:1 $.tasks[\"a\\nb\"]: cannot be the name of a task: the text 'a\\nb'. Names are text without control characters"),
        ('{"tasks": {"\\ud800": {"shell": "x"}}}', "etl.json:1 $.tasks[\"\\ud800\"]: cannot be the name of a task: the text '\\ud800'. Names are text without control characters"),
        ('{"tasks": {"a": ["x"]}}', 'etl.json:1 $.tasks.a: takes an object, such as {"command": ["echo", "hello"]}; this is a list'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_text(text, said):
    assert complaint(text) == said


def test_bad_json_has_line_and_column():
    assert complaint('{\n "tasks" {}}').startswith("etl.json:2: is not valid JSON: ")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"tasks": {"a": {"arguments": ' + "[" * 300 + "]" * 300 + "}}}"])
def test_depth_is_refused_at_any_depth(text):
    assert "is nested deeper than 100 levels" in complaints(text)[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.json", "no such file. Give the path of a JSON or YAML file, such as etl.json"),
        ("etl.toml", "has another ending, and workflows are read from files that end in .json, .yaml or .yml"),
        ("a\0.json", "cannot be read: embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, said):
    path = f"{tmp_path}/{name}"

    with pytest.raises(WorkflowError) as caught:
        load(path)

    assert str(caught.value) == f"{path}: {said}"


def test_a_directory_is_no_file(tmp_path):
    (tmp_path / "etl.json").mkdir()

    with pytest.raises(WorkflowError, match=r"cannot be read: .*Is a directory"):
        load(tmp_path / "etl.json")


def test_a_wrong_task_hides_no_other_fault():
    tasks = {"A": {"command": 3, "parents": ["B"]}, "B": {"oops": 1, "parents": ["A"]}, "C": {**ECHO, "parents": ["A"]}}

    said = complaints({"tasks": tasks})

    assert [line.partition(" ")[2].partition(":")[0] for line in said] == [
        "$.tasks.A",
        "$.tasks.A.command",
        "$.tasks.B.oops",
    ]
    assert "cycle" in said[0]


def test_children_of_large_classes_are_refused_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr("aiodag.workflows.files.entries.MOST_EDGES", 8)
    tasks = {
        f"{kind}{n}": {**ECHO, "class": kind, "children": ["b"] * (kind == "a")} for kind in "ab" for n in range(3)
    }

    assert "$.tasks.a2.children[0]: would make more than 8 edges" in complaint({"tasks": tasks})


def test_names_are_not_even_looked_at_when_that_has_been_done_often_enough():
    class Names(list):
        looked = 0

        def __iter__(self):
            Names.looked += 1
            return super().__iter__()

    hints = Hints(comparisons=5)

    assert [hints.near("pul", Names(["pull", "push"])) for _ in range(4)] == ["; did you mean 'pull'?"] * 2 + [""] * 2
    assert Names.looked == 2


def test_many_unknown_keys_in_one_object_are_told_in_linear_time():
    assert len(complaints({"tasks": {"A": dict.fromkeys(map(str, range(9_000)), 1)}})) == 9_000


def test_so_many_faults_that_nobody_reads_them_are_counted(monkeypatch):
    monkeypatch.setattr("aiodag.workflows.files.json.MOST", 2)

    assert complaints({"tasks": dict.fromkeys("ABCDE", 3)})[2:] == ["etl.json: has 3 more faults"]
    assert complaints('{"tasks": {' + '"A": {"command": ["x"]},' * 9 + '"A": {"command": ["x"]}}}')[2:] == [
        "etl.json: has more than 2 faults of this kind"
    ]


def test_resources_are_not_missed_because_of_a_capacity_that_is_wrong():
    document = {"capacity": {"cores": "4"}, "tasks": {"A": {**ECHO, "resources": {"cores": 2}}}}

    assert (
        complaint(document).partition(" ")[2]
        == "$.capacity.cores: takes numbers above 0, a millionth or more; this is the text '4'"
    )


def test_resources_that_there_are_not_are_said_with_their_place():
    document = {"capacity": {"cores": 4}, "tasks": {"A": {**ECHO, "resources": {"gpu": 2}}}}

    said = complaint(document)

    assert said.startswith("etl.json:6 $.tasks.A: ")
    assert "gpu" in said


def test_many_unknown_names_are_told_in_linear_time():
    tasks = {f"task{n}": {**ECHO, "parents": [f"tusk{n}"]} for n in range(500)}

    said = complaints({"tasks": tasks})

    assert len(said) == 500
    assert "did you mean" in said[0]
    assert "did you mean" not in said[-1]


# Fragments, which generators give


def test_a_fragment_is_tasks_alone_or_a_document():
    forms = [{"A": ECHO}, {"tasks": {"A": ECHO}}, [{"id": "A", **ECHO}]]

    flows = [fragment_of(each, "gen") for each in [*forms, *map(json.dumps, forms), json.dumps(forms[0]).encode()]]

    assert [[task.name for task in flow] for flow in flows] == [["A"]] * 7


def test_a_fragment_may_use_parameters_that_were_declared_elsewhere():
    form = {"A": {"task": "builtins:print", "arguments": ["{{DATE}}"]}}

    assert isinstance(fragment_of(form, "gen", ["DATE"])["A"].args[0], Parameter)
    assert fragment_of(form, "gen")["A"].args == ("{{DATE}}",)


def test_parents_of_a_fragment_may_be_elsewhere_and_children_not():
    flow = fragment_of({"A": {**ECHO, "parents": ["elsewhere"]}}, "gen")

    assert flow["A"].after == ("elsewhere",)
    with pytest.raises(WorkflowError, match=r"gen \$\.A\.children\[0\]: is 'elsewhere', and no task or class"):
        fragment_of({"A": {**ECHO, "children": ["elsewhere"]}}, "gen")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hello", "gen:1: is not valid JSON: Expecting value, at column 1"),
        ('{"A":\n {}}', "gen:2 $.A: has nothing to run: it takes one of command, shell or task"),
        ("3", "gen:1 $: takes an object or a list of tasks; this is the number 3"),
        (3, "gen $: takes an object or a list of tasks; this is the number 3"),
        ({"tasks": {}, "limit": 3}, "gen $.limit: is a key that is not known here. The keys here are $schema, description, parameters, tasks"),
    ],
)  # fmt: skip
def test_a_bad_fragment_says_what_is_wrong(given, said):
    with pytest.raises(WorkflowError) as caught:
        fragment_of(given, "gen")

    assert [line.replace("gen:1 $.A", "gen:2 $.A") for line in map(str, caught.value.complaints)] == [said]


# Places


def test_lines_are_those_of_keys_and_elements():
    text = '{"a": [\n1,\n{"b\\n":\n"\\"}"}],\n"a b": 2}'

    lines = lines_of_paths(text, [("a", 0), ("a", 1, "b\n"), ("a b",), (), ("gone",)])

    assert lines == {(): 1, ("a", 0): 2, ("a", 1, "b\n"): 3, ("a b",): 5}


def test_paths_are_short_and_can_always_be_printed():
    assert json_path_text(("a", 0, "b c", "\ud800", "größe")) == '$.a[0]["b c"]["\\ud800"].größe'
    assert json_path_text(("a",) * 100) == "$" + ".a" * 12 + "…"
    assert len(json_path_text(("a" * 1_000_000, "b"))) < 150


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=5)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(ANY_JSON)
def test_every_path_in_a_text_has_the_line_that_it_is_on(value):
    def walk(value, path=()):
        yield path
        for key, each in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            yield from walk(each, (*path, key))

    value = json.loads(json.dumps(value))  # in which two halves of a character are that character
    text = json.dumps(value, indent=1)
    paths = list(walk(value))
    lines = lines_of_paths(text, paths)

    opening = [number for number, line in enumerate(text.split("\n"), 1) if line.strip().strip(",") not in {"]", "}"}]
    assert [lines[path] for path in paths] == opening


@settings(max_examples=300)
@given(ANY_JSON)
def test_any_json_is_a_workflow_or_a_workflow_error(document):
    for make in (
        workflow_from_document,
        lambda given: loads(json.dumps(given)),
        lambda given: fragment_of(given, "gen"),
    ):
        try:
            make(document)
        except WorkflowError as error:
            assert error.complaints
            str(error).encode()  # it can be printed


@given(st.binary(max_size=50) | st.text('[]{}:,"\\nul0-eE.ta sk', max_size=50))
def test_any_text_is_a_workflow_or_a_workflow_error(text):
    try:
        loads(text)
    except WorkflowError as error:
        assert error.complaints


# All at once, also in a task with a bad name


@pytest.mark.parametrize("bad", [{"": "TASK"}, [{"id": ""}], [{"id": 3}], [{"class": ""}], [{}]])
def test_what_is_wrong_in_a_task_with_a_bad_name_is_told_too(bad):
    wrong = {"command": ["x"], "shell": "y", "oops": 1, "parents": ["nowhere"], "retries": -1}
    tasks = {"": wrong} if isinstance(bad, dict) else [{**bad[0], **wrong}]

    with pytest.raises(WorkflowError) as refused:
        loads(json.dumps({"tasks": tasks}))

    told = "\n".join(map(str, refused.value.complaints))
    for each in ("has command and shell", "oops", "nowhere", "retries"):
        assert each in told
    assert len(refused.value.complaints) >= 5


def test_what_is_wrong_in_a_task_with_the_name_of_another_is_told_too():
    tasks = [{"id": "a", "command": ["x"]}, {"id": "a", "task": "no_such_module:f"}]

    with pytest.raises(WorkflowError) as refused:
        loads(json.dumps({"tasks": tasks}))

    told = [each.text for each in refused.value.complaints]
    assert len(told) == 2
    assert "no_such_module" in "".join(told)


def test_a_file_without_a_capacity_is_told_of_its_own_key_and_of_the_command_line():
    flow = loads('{"tasks": {"a": {"command": ["x"], "resources": {"cores": 2, "gpu": 0.5}}}}')

    with pytest.raises(WorkflowError) as refused:
        asyncio.run(flow.run())

    (told,) = refused.value.complaints
    assert told.text == (
        "'a' asks for cores 2, gpu 0.5, and the workflow has no capacity: "
        '"capacity": {"cores": 2, "gpu": 0.5} in the file, or --capacity cores=2 --capacity gpu=0.5'
    )


# Parameters that have no effect


@pytest.mark.parametrize(
    "tasks",
    [
        {"a": {"command": ["echo", "DATE"]}},
        {"a": ECHO},
        {"a": {"command": ["echo", "{{DATE}}"], "parameters": {"DATE": ["d1"]}}},
        {},
    ],
)
def test_a_parameter_that_no_task_uses_is_refused_with_its_line(tasks):
    said = complaint({"parameters": {"DATE": ["d1", "d2"]}, "tasks": tasks})

    assert said.startswith("etl.json:3 $.parameters.DATE: is used by no task: write {{DATE}} where")


def test_a_parameter_may_be_declared_as_unused():
    document = {
        "parameters": {"DATE": ["d1"], "DAY": [1]},
        "unused": ["DATE"],
        "tasks": {"a": {"shell": "echo {{DAY}}"}},
    }

    assert document_of(loads(json.dumps(document)))["unused"] == ["DATE"]
    document["unused"] = ["DATES"]
    assert "no parameter here has that name; did you mean 'DATE'?" in " ".join(complaints(document))


def test_what_was_recorded_with_an_unused_parameter_is_read():
    document = {"parameters": {"DATE": ["d1"]}, "tasks": {"a": ECHO}}

    assert len(workflow_from_document(document, recorded=True)) == 1


def test_what_a_generator_gives_may_use_a_parameter():
    loads(json.dumps({"parameters": {"DATE": ["d1"]}, "tasks": {"a": {**ECHO, "generator": True}}}))
