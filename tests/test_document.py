"""Documents of workflows: what is written reads the same, and the schema says what the loader says."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import aiodag
from aiodag import WorkflowError, task
from aiodag.commands import command, shell
from aiodag.workflows import Parameter, Workflow
from aiodag.workflows.files.details import BESIDE
from aiodag.workflows.files.document import document_of, recorded_text
from aiodag.workflows.files.forms import FRAGMENT, ITEM, TASK, WORKFLOW
from aiodag.workflows.files.load import loads
from aiodag.workflows.files.reading import fragment_of
from aiodag.workflows.private import stored_document

SCHEMA = json.loads((Path(aiodag.__file__).parent / "workflows" / "files" / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
ECHO = {"command": ["echo", "hello"]}


@task(retries=2)
async def double(x, times=2):
    return x * times


async def plain(*rows, of=None):
    return rows, of


HERE = __name__


def again(document):
    """The document of what a document says."""
    return document_of(loads(json.dumps(document)))


FULL = {
    "name": "etl",
    "description": "of every night",
    "tags": {"env": "test"},
    "parameters": {"DATE": ["d1", "d2"], "N": [1, True, 0.5]},
    "capacity": {"cores": 4, "license": 1},
    "limit": 5,
    "hosts": {"hpc": {"type": "pool", "targets": [{"type": "local", "resources": {"cores": 2}}]}},
    "default_host": "hpc",
    "executors": {"gpu": "thread"},
    "executor": "process",
    "tasks": {
        "A": {
            "command": ["pull", "{{DATE}}"],
            "environment": {"K": "v", "GONE": None},
            "cwd": "somewhere",
            "stdin": "text",
            "success": [0, 3],
            "grace": 1.5,
            "keep": 100,
            "host": "local",
            "retries": 3,
            "lost_retries": 1,
            "backoff": 1,
            "timeout": 5,
            "priority": -1,
            "version": "2",
            "resources": {"cores": 2},
            "generator": True,
            "class": "pull",
            "description": "what it is for",
        },
        "B": {"shell": "a | b", "arguments": ["$(x)", "{{DATE}}-1"], "stdin": {"file": "in"}, "parents": ["pull"]},
        "C": {"task": "os.path:join", "arguments": ["a", {"$value_of": "B"}], "parameters": {"SIZE": ["s"]}},
        "D": {"task": "builtins:dict", "executor": "gpu", "arguments": {"x": [{"y": "{{N}}"}]}, "parents": ["C", "A"]},
        "E": {"command": ["cat"], "arguments": {"stdin": {"$value_of": "C"}}},
    },
}


def test_a_document_reads_and_is_written_as_it_was():
    assert again(FULL) == FULL


def test_what_is_usual_is_left_out():
    usual = {
        "retries": 0,
        "success": [0],
        "grace": 5,
        "keep": 2**20,
        "parents": [],
        "generator": False,
        "parameters": {},
    }
    document = {"$schema": "x", "name": "a", "tags": {}, "parameters": {}, "tasks": {"A": {**ECHO, **usual}}}

    assert again(document) == {"name": "a", "tasks": {"A": {**ECHO, "retries": 0}}}


def test_lists_children_and_braces_have_one_form():
    document = {
        "parameters": {"{{VAR}}": ["a"]},
        "tasks": [
            {"class": "producer", "details": {"command": ["make", "{{VAR}}", 3]}, "children": ["echoer"]},
            {"class": "echoer", "details": ECHO},
            {"class": "echoer", "details": ECHO},
        ],
    }

    written = again(document)

    assert written == {
        "name": "workflow",
        "parameters": {"VAR": ["a"]},
        "tasks": {
            "producer": {"command": ["make", "{{VAR}}", "3"], "class": "producer"},
            "echoer": {**ECHO, "parents": ["producer"], "class": "echoer"},
            "echoer-2": {**ECHO, "parents": ["producer"], "class": "echoer"},
        },
    }
    assert again(written) == written


def test_a_workflow_in_python_has_a_document_that_reads_the_same():
    flow = Workflow("etl", tags={"env": "test"}, parameters={"DATE": ["d1"]}, limit=3)
    pull = flow.add(
        command("pull", "{{DATE}}", env={"A": "b"}, timeout=timedelta(minutes=1)), name="Pull", group="pulls"
    )
    count = flow.add(shell("wc -l", "x"), name="count", after=["pulls"])
    first = flow.add(double, pull, name="first", after=count)
    flow.add(plain, [first], Parameter("DATE"), name="last")
    flow.add(double.with_options(retries=5), 3, times=4, name="other")

    document = document_of(flow, exact=True)

    assert document == {
        "name": "etl",
        "tags": {"env": "test"},
        "parameters": {"DATE": ["d1"]},
        "limit": 3,
        "tasks": {
            "Pull": {"command": ["pull", "{{DATE}}"], "environment": {"A": "b"}, "timeout": 60.0, "class": "pulls"},
            "count": {"shell": "wc -l", "arguments": ["x"], "parents": ["pulls"]},
            "first": {"task": f"{HERE}:double", "arguments": [{"$value_of": "Pull"}], "parents": ["count"]},
            "last": {"task": f"{HERE}:plain", "arguments": [[{"$value_of": "first"}], "{{DATE}}"]},
            "other": {"task": f"{HERE}:double", "arguments": {"x": 3, "times": 4}, "retries": 5},
        },
    }
    assert again(document) == document


class Strange:
    def __repr__(self):
        return f"<Strange at 0x{id(self):x}>"


def test_what_only_python_can_say_stands_there_as_text():
    flow = Workflow("etl")
    flow.add(lambda x: x, Strange(), name="a")

    (form,) = document_of(flow)["tasks"].values()

    assert form["arguments"] == "(<Strange>)"
    assert form["task"].endswith("<lambda>")
    with pytest.raises(WorkflowError, match="this is the text '\\(<Strange>\\)'"):
        loads(json.dumps(document_of(flow)))


@pytest.mark.parametrize(
    ("add", "said"),
    [
        (lambda flow: flow.add(lambda: 1, name="a"), "'a' calls .* cannot be imported as "),
        (lambda flow: flow.add(plain, Strange(), name="a"), r"'a' is called with \(<Strange>\), .* a value of the type Strange"),
        (lambda flow: flow.add(plain, (1, 2), name="a"), "a value of the type tuple"),
        (lambda flow: flow.add(plain, {1: 2}, name="a"), "an object with the keys \\[1\\]"),
        (lambda flow: flow.add(plain, float("nan"), name="a"), "numbers and depths that JSON does not have"),
        (lambda flow: flow.add(plain, "{{X}}", name="a", parameters={"X": [1]}), "the text '{{X}}', which stands for a parameter"),
        (lambda flow: flow.add(plain, 1, of=2, name="a"), "arguments both by position and by name"),
        (lambda flow: flow.add(double.with_options(limit=3), 1, name="a"), "'a' has the option limit="),
        (lambda flow: flow.add(command("a", backoff=aiodag.Backoff())), "'a' has the option backoff=Backoff"),
        (lambda flow: flow.add(command("a", on_end=print)), "'a' has functions that hear of it"),
    ],
)  # fmt: skip
def test_an_exact_document_says_what_json_cannot(add, said):
    flow = Workflow("etl")
    add(flow)

    document_of(flow)
    with pytest.raises(WorkflowError, match=said) as caught:
        document_of(flow, exact=True)
    assert caught.value.complaints[0].place.startswith(__file__)


def test_all_that_json_cannot_say_is_said_at_once():
    flow = Workflow("etl")
    for name in "abc":
        flow.add(plain, object(), name=name)

    with pytest.raises(WorkflowError) as caught:
        document_of(flow, exact=True)

    assert len(caught.value.complaints) == 3


@pytest.mark.parametrize("capacity", [{"cores": 4}, [{"cores": 4}, {"gpu": 0.5}], {}])
def test_a_capacity_comes_back(capacity):
    assert again({"name": "a", "capacity": capacity, "tasks": {}}) == {"name": "a", "capacity": capacity, "tasks": {}}


def test_a_capacity_with_a_limit_stands_there_as_text():
    flow = Workflow("etl", capacity=aiodag.Capacity({"cores": 4}, limit=2))

    assert document_of(flow)["capacity"] == "Capacity({'cores': 4}, limit=2)"


def test_bytes_of_any_kind_come_back():
    flow = Workflow("etl")
    flow.add(command("cat", b"\xff".decode(errors="surrogateescape"), stdin=b"\xff\0\n"))

    read = loads(json.dumps(document_of(flow, exact=True)))

    assert read["cat"].task.fn.stdin == b"\xff\0\n"
    assert read["cat"].task.fn.args == flow["cat"].task.fn.args


# The schema


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_the_schema_has_the_keys_of_the_loader():
    assert SCHEMA["properties"].keys() == WORKFLOW.keys()
    assert SCHEMA["$defs"]["keys"]["properties"].keys() == TASK.keys()
    assert SCHEMA["$defs"]["item"]["properties"].keys() | TASK.keys() == ITEM.keys()
    assert SCHEMA["$defs"]["theirs"]["properties"].keys() == BESIDE.keys()
    assert FRAGMENT.keys() < WORKFLOW.keys()


ACCEPTED = [
    FULL,
    {"tasks": {}},
    {"tasks": []},
    {"description": "", "tasks": {"A": {**ECHO, "description": "what it is for"}}},
    {"$schema": "urn:x", "tasks": {"größe / ☃": ECHO}},
    {"tasks": {"A": {**ECHO, "skip_codes": []}, "B": {"shell": "x", "executable": "zsh", "strict": True}}},
    {"tasks": {"A": {"shell": "x", "executable": "fish", "strict": False, "skip_codes": [75, -15]}}},
    {
        "on_start": {"url": "https://example.org/x", "retries": 2},
        "on_success": [{"command": ["true"], "cwd": "."}, {"url": {"$secret": "HOOK_URL"}}],
        "on_failure": {"shell": "a | b", "executable": "bash", "strict": False, "success": [0, 3], "timeout": 5},
        "tasks": {},
    },
    {"on_failure": [], "tasks": {}},
    {"capacity": [{"cores": 8}, {"gpu": 1.5}], "tasks": {}},
    {
        "parameters": {"{{VAR}}": ["a"]},
        "unused": ["VAR"],
        "tasks": [{"class": "a", "details": ECHO}, {"id": "b", **ECHO, "parents": ["a"]}],
    },
    {"tags": ["a", "b"], "tasks": {"A": {"details": {**ECHO, "timeout": 0, "resources": {"cores": 0}}}}},
    {"tasks": {"A": {"details": ECHO, "is_generator": True, "max_retries": 3, "retries": 0, "pool": "local"}}},
    {"tasks": {"A": {"details": None, "task_type": "Structural"}}},
    {"hosts": {"lab": {"type": "ssh", "key": "id", "targets": ["node1", {"address": "node2"}]}}, "tasks": {}},
    {"tasks": {"A": {"details": {**ECHO, "min_cpus": 1, "logdir": "/x", "jwt_token": "t"}, "pool": "local"}}},
    {"executors": {"gpu": {"type": "dask", "address": "tcp://127.0.0.1:8786"}}, "tasks": {}},
]
REFUSED = [
    [],
    {},
    {"tasks": 3},
    {"task": {}, "tasks": {}},
    {"tasks": {}, "description": 1},
    {"tasks": {"A": {**ECHO, "description": ["x"]}}},
    {"tasks": {}, "limit": 0},
    {"tasks": {}, "limit": True},
    {"tasks": {}, "name": ""},
    {"tasks": {}, "tags": {"a": 1}},
    {"tasks": {}, "capacity": []},
    {"tasks": {}, "capacity": {"a": 0}},
    {"tasks": {}, "capacity": [{}, 3]},
    {"tasks": {}, "capacity": {"": 1}},
    {"tasks": {}, "parameters": {"{{}}": []}},
    {"tasks": {}, "parameters": {"A": [None]}},
    {"tasks": {"": ECHO}},
    {"tasks": {"A": []}},
    {"tasks": {"A": {}}},
    {"tasks": {"A": {**ECHO, "shell": "x"}}},
    {"tasks": {"A": {**ECHO, "oops": 1}}},
    {"tasks": {"A": {"command": []}}},
    {"tasks": {"A": {"command": [""]}}},
    {"tasks": {"A": {"command": [1]}}},
    {"tasks": {"A": {"command": ["a", None]}}},
    {"tasks": {"A": {"shell": " "}}},
    {"tasks": {"A": {"task": "x"}}},
    {"tasks": {"A": {"task": "os:getcwd", "cwd": "."}}},
    {"tasks": {"A": {**ECHO, "arguments": "x"}}},
    {"tasks": {"A": {**ECHO, "environment": {"a=b": "c"}}}},
    {"tasks": {"A": {**ECHO, "environment": {"a": True}}}},
    {"tasks": {"A": {**ECHO, "stdin": 3}}},
    {"tasks": {"A": {**ECHO, "stdin": {"file": ""}}}},
    {"tasks": {"A": {**ECHO, "success": []}}},
    {"tasks": {"A": {**ECHO, "success": [256]}}},
    {"on_failure": "echo", "tasks": {}},
    {"on_failure": ["echo"], "tasks": {}},
    {"on_failure": {}, "tasks": {}},
    {"on_failure": {"url": "ftp://x"}, "tasks": {}},
    {"on_failure": {"url": "https://x", "shell": "y"}, "tasks": {}},
    {"on_failure": {"url": "https://x", "cwd": "y"}, "tasks": {}},
    {"on_failure": {"shell": "y", "environment": {}}, "tasks": {}},
    {"on_failure": {"shell": "y", "retries": -1}, "tasks": {}},
    {"on_start": {"command": ["y"], "strict": True}, "tasks": {}},
    {"on_cancel": {"shell": "y"}, "tasks": {}},
    {"tasks": {"A": {**ECHO, "skip_codes": [256]}}},
    {"tasks": {"A": {**ECHO, "skip_codes": 75}}},
    {"tasks": {"A": {"task": "os:getcwd", "skip_codes": [75]}}},
    {"tasks": {"A": {**ECHO, "executable": "bash"}}},
    {"tasks": {"A": {"task": "os:getcwd", "strict": True}}},
    {"tasks": {"A": {"shell": "x", "strict": 1}}},
    {"tasks": {"A": {"shell": "x", "executable": " "}}},
    {"tasks": {"A": {**ECHO, "host": ""}}},
    {"tasks": {"A": {**ECHO, "executor": "gpu"}}},
    {"tasks": {"A": {"shell": "x", "executor": "gpu"}}},
    {"tasks": {"A": {"task": "os:getcwd", "host": "hpc"}}},
    {"tasks": {"A": {**ECHO, "lost_retries": -1}}},
    {"tasks": {}, "hosts": ["hpc"]},
    {"tasks": {}, "hosts": {"local": {"type": "local"}}},
    {"tasks": {}, "hosts": {"hpc": {}}},
    {"tasks": {}, "hosts": {"hpc": {"type": "slurn"}}},
    {"tasks": {}, "hosts": {"hpc": {"type": "pool", "targets": []}}},
    {"tasks": {}, "executors": {"process": "thread"}},
    {"tasks": {}, "executors": {"gpu": "cuda"}},
    {"tasks": {}, "default_host": 3},
    {"tasks": {"A": {**ECHO, "parents": "B"}}},
    {"tasks": {"A": {**ECHO, "children": [""]}}},
    {"tasks": {"A": {**ECHO, "retries": -1}}},
    {"tasks": {"A": {**ECHO, "timeout": 0}}},
    {"tasks": {"A": {**ECHO, "version": -1}}},
    {"tasks": {"A": {**ECHO, "generator": 1}}},
    {"tasks": [ECHO]},
    {"tasks": [{"class": "a", "details": {**ECHO, "id": "b"}}]},
    {"tags": [1], "tasks": {}},
    {"unused": "A", "tasks": {}},
    {"tasks": {"A": {"details": 3}}},
    {"tasks": {"A": {"details": {**ECHO, "oops": 1}}}},
    {"tasks": {"A": {"details": {**ECHO, "timeout": -1}}}},
    {"tasks": {"A": {"details": ECHO, "pool": 3}}},
    {"tasks": {"A": {"details": {**ECHO, "min_cpus": "2"}}}},
    {"tasks": {"A": {**ECHO, "max_retries": 1}}},
    {"tasks": {"A": {**ECHO, "resources": {"cores": 0}}}},
]


@pytest.mark.parametrize("document", ACCEPTED, ids=str)
def test_schema_and_loader_accept(document):
    VALIDATOR.validate(document)
    loads(json.dumps(document))


@pytest.mark.parametrize("document", REFUSED, ids=str)
def test_schema_and_loader_refuse(document):
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(WorkflowError):
        loads(json.dumps(document))


# Any documents: right ones, with wrong values of any kind put into them.

TEXT = st.text(st.characters(exclude_categories=()), max_size=4)
NAME = st.sampled_from(["A", "B", "C", "pull", "x y", "{{D}}", ""])
WRONG = st.none() | st.booleans() | st.integers(-2, 300) | st.floats() | TEXT | st.lists(TEXT | st.integers(), max_size=2) | st.dictionaries(TEXT, TEXT | st.none(), max_size=2)  # fmt: skip
ONES = st.lists(NAME, max_size=3)
PARAMETERS = st.dictionaries(
    st.sampled_from(["D", "{{D}}", "E"]), st.lists(TEXT | st.integers() | st.booleans(), max_size=2), max_size=2
)
AMOUNTS = st.dictionaries(st.sampled_from(["cores", "gpu"]), st.integers(1, 3) | st.floats(0.5, 2), max_size=2)
VALUES = {
    "command": st.lists(st.sampled_from(["echo", "{{D}}", "a\0"]) | st.integers(), min_size=1, max_size=3),
    "shell": st.just("echo") | TEXT,
    "task": st.sampled_from(["os:getcwd", "builtins:print", "builtins:dict", "nowhere.py:x", "x"]),
    "arguments": st.lists(NAME, max_size=2)
    | st.dictionaries(NAME, st.builds(lambda name: {"$value_of": name}, NAME), max_size=2),
    "environment": st.dictionaries(NAME, TEXT | st.none(), max_size=2),
    "cwd": TEXT,
    "stdin": TEXT | st.builds(lambda name: {"file": name}, NAME),
    "success": st.lists(st.integers(-200, 300), max_size=2),
    "grace": st.integers(0, 3) | st.floats(),
    "keep": st.integers(-1, 3),
    "parents": ONES,
    "children": ONES,
    "retries": st.integers(-1, 3),
    "backoff": st.floats(-1, 3),
    "timeout": st.floats(-1, 3),
    "priority": st.integers(-2, 2),
    "version": TEXT | st.integers(),
    "parameters": PARAMETERS,
    "resources": AMOUNTS,
    "generator": st.booleans(),
    "class": NAME,
    "id": NAME,
    "name": NAME,
}


def some(values, *, least=()):
    """Objects with some of the keys, most of the values right."""
    needed = {key: values[key] for key in least}
    others = {key: st.one_of(each, each, each, WRONG) for key, each in values.items() if key not in needed}
    return st.fixed_dictionaries(needed, optional=others)


def forms(kind):
    """Objects of one kind with two more keys."""
    keys = st.lists(st.sampled_from(sorted(VALUES)), max_size=2)
    return keys.flatmap(lambda more: some({key: VALUES[key] for key in (kind, *more)}, least=[kind]))


FORM = st.sampled_from(["command", "command", "shell", "task"]).flatmap(forms)
THEIRS = {"is_generator": st.booleans(), "max_retries": st.integers(-1, 3), "pool": st.just("local"), "details": FORM}
ITEMS = st.lists(st.builds(lambda item, inner: {**item, "details": inner}, some({"class": NAME, "id": NAME}), FORM) | FORM, max_size=3)  # fmt: skip
TASKS = st.dictionaries(NAME, FORM | some(THEIRS, least=["details"]), max_size=3) | ITEMS
DOCUMENT = some(
    {
        "name": NAME,
        "tags": st.dictionaries(TEXT, TEXT, max_size=1),
        "parameters": PARAMETERS,
        "capacity": AMOUNTS | st.lists(AMOUNTS, max_size=2),
        "limit": st.integers(-1, 3),
        "tasks": TASKS,
    },
    least=["tasks"],
)


def outcome(make, *given):
    try:
        return make(*given)
    except WorkflowError as error:
        assert error.complaints
        str(error).encode()
        return None


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(DOCUMENT)
def test_what_the_schema_refuses_the_loader_refuses_and_what_is_written_both_accept(document):
    text = json.dumps(document)

    flow = outcome(loads, text)

    if flow is not None:
        assert VALIDATOR.is_valid(json.loads(text))
        written = document_of(flow, exact=True)
        VALIDATOR.validate(written)
        assert again(written) == written


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(TASKS | WRONG)
def test_a_fragment_is_read_or_refused_and_reads_again(tasks):
    flow = outcome(fragment_of, json.dumps(tasks), "gen")

    if flow is not None:
        written = document_of(flow, exact=True)["tasks"]
        assert document_of(fragment_of(written, "gen"))["tasks"] == written


def test_what_a_run_records_is_the_text_of_the_document_without_what_it_hides():
    document = {
        "name": "é",
        "on_success": {"url": "http://hooks.example.com/1"},
        "tasks": {"a": {"command": ["echo"], "environment": {"S": "hidden"}}, "b": {"shell": "ä", "parents": ["a"]}},
    }
    flow = loads(json.dumps(document))

    text = recorded_text(flow)

    assert text == json.dumps(stored_document(flow.document()), ensure_ascii=False)
    assert "hidden" not in text
    assert json.loads(recorded_text(Workflow("empty"))) == {"name": "empty", "tasks": {}}
