"""Texts of YAML: the values that JSON has, each with its line, and what is refused before it costs anything."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from aiodag.errors import MissingExtra, WorkflowError
from aiodag.workflows.files import yaml
from aiodag.workflows.files.load import load, loads
from aiodag.workflows.files.yaml import parse_yaml

READERS = {"C": pyyaml.CSafeLoader, "Python": pyyaml.SafeLoader}


@pytest.fixture(params=READERS, autouse=True)
def reader(request, monkeypatch):
    """Both parsers of PyYAML: not every build has the one in C."""
    monkeypatch.setattr(yaml, "EVENTS", READERS[request.param])


def document(text):
    found, _, complaints = parse_yaml(text, "etl.yaml")
    assert complaints == []
    return found


def complaints(text):
    try:
        _, _, found = parse_yaml(text, "etl.yaml")
    except WorkflowError as error:
        found = error.complaints
    return [str(complaint) for complaint in found]


def complaint(text):
    (only,) = complaints(text)
    return only


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31 12:00:00", "2026-01-31 12:00:00"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("01067", "01067"),
        ("-", None),  # of a list
        ("~", None),
        ("Null", None),
        ("", None),
        ("TRUE", True),
        ("false", False),
        ("tRUE", "tRUE"),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("0b1", "0b1"),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int 12", 12),
        ("!!float 12", 12.0),
        ("!!seq [a]", ["a"]),
        ("${{ params.day | fmt('%Y') }}", "${{ params.day | fmt('%Y') }}"),
        ("*/5", "*/5"),
    ],
)
def test_a_value_is_what_the_core_schema_of_yaml_says(text, value):
    if text in {"*/5"}:
        assert document(f"a: '{text}'") == {"a": value}
    else:
        assert document(f"a: {text}" if text != "-" else "a:\n  -\n") == {"a": [None] if text == "-" else value}


def test_keys_are_text_as_they_are_written():
    assert document("on: 1\n1: 2\ntrue: 3\n~: 4\n'a b': 5\n") == {"on": 1, "1": 2, "true": 3, "~": 4, "a b": 5}


def test_blocks_keep_their_lines():
    assert document("a: |\n  one\n  two\nb: >\n  one\n  two\n") == {"a": "one\ntwo\n", "b": "one two\n"}


def test_an_alias_is_a_copy_of_what_its_anchor_stands_for():
    found = document("a: &x {b: [1]}\nc: *x\nd: &y text\ne: *y\n*y : 1\n")

    assert found == {"a": {"b": [1]}, "c": {"b": [1]}, "d": "text", "e": "text", "text": 1}
    assert found["a"]["b"] is not found["c"]["b"]


def test_merged_keys_come_first_and_those_of_the_mapping_itself_count():
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  z: 0\n  <<: [*a, *b]\n"

    found = document(text)["c"]

    assert list(found.items()) == [("x", 1), ("y", 2), ("z", 0)]


def test_a_quoted_merge_key_is_a_key():
    assert document("'<<': {a: 1}\n") == {"<<": {"a": 1}}


@pytest.mark.parametrize("text", ["a: [x]\r\nb: 1\r\n", "\ufeffa: [x]\nb: 1", "%YAML 1.2\n---\na: [x]\nb: 1\n...\n"])
def test_ends_of_lines_marks_and_directives_make_no_difference(text):
    assert loads_raw(text.encode()) == {"a": ["x"], "b": 1}


def loads_raw(content):
    from aiodag.workflows.files.sources import document_in_text

    return document_in_text(content, "etl.yaml").document


# Without what YAML 1.1, which PyYAML writes, has for text and 1.2 for a number, such as 1e3.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: text[:1] not in "-+.0123456789"
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts.filter(bool), inner, max_size=4),
    max_leaves=12,
)


@given(documents, st.sampled_from([None, '"', "'"]))
def test_a_document_that_pyyaml_wrote_is_read_as_it_was(given_document, style):
    written = pyyaml.safe_dump({"a": given_document}, sort_keys=False, default_style=style)

    assert same(document(written), {"a": given_document})


def same(one, other):
    """Equal, and of the same types: 1 is not True, and not 1.0."""
    return json.dumps(one) == json.dumps(other)


plain_texts = st.text("abc :#-[]{}'\"\\,&*!|>%@`\t é😀0123456789.eE+_", max_size=10)
printed = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_texts.filter(bool), inner, max_size=4),
    max_leaves=12,
)


@given(printed)
def test_json_is_yaml(given_document):
    assert same(document(json.dumps({"a": given_document}, ensure_ascii=False)), {"a": given_document})


@given(printed)
def test_blocks_that_are_written_by_hand_are_read_as_they_were(given_document):
    assert same(document("a:" + block(given_document, 1)), {"a": given_document})


def block(value, depth):
    """Write a value after its key or its dash."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        lines = (
            f"\n{pad}{json.dumps(key, ensure_ascii=False)}:{block(each, depth + 1)}" for key, each in value.items()
        )
        return "".join(lines)
    if isinstance(value, list) and value:
        return "".join(f"\n{pad}-{block(each, depth + 1)}" for each in value)
    return f" {json.dumps(value, ensure_ascii=False)}"


# Places


def test_a_place_is_the_line_of_its_key_or_its_element():
    _, places, _ = parse_yaml("a:\n  b:\n    - x\n    -\n      c: 1\n", "etl.yaml")

    assert [places.position(path) for path in [(), ("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 1, "c")]] == [
        (1, 1),
        (1, 1),
        (2, 3),
        (5, 7),
        (5, 7),
    ]
    assert places.of(("a", "b", 1)) == "etl.yaml:5 $.a.b[1]"
    assert places.position(("a", "b", 7)) == (2, 3)


def test_places_below_a_part_begin_there_and_are_shown_whole():
    _, places, _ = parse_yaml("a:\n  b: 1\n", "etl.yaml")

    below = places.below("a")

    assert below.of(("b",)) == "etl.yaml:2 $.a.b"
    assert [str(each) for each in below.complaints([(("b",), "is wrong")])] == ["etl.yaml:2 $.a.b: is wrong"]


# What is refused


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: x\0y\n", "etl.yaml:1: has the character U+0000 at column 5"),
        ("a: 1\nb: \ud800\n", "etl.yaml:2: has the character U+D800 at column 4"),
        ("a: \x1b[2J\n", "U+001B"),
        ("a:\n\tb: 1\n", "etl.yaml:2: is not valid YAML"),
        ("a:\n   b: 1\n  c: 2\n", "etl.yaml:3: is not valid YAML"),
        ("a: [\n", "is not valid YAML"),
        ("a: {{DAY}}\n", "Put quotes around a text with braces"),
        ("a: [ ${{ x }} ]\n", "Put quotes around a text with {{ }}"),
        ("a: b: c\n", "Put quotes around a text with a colon"),
        ("a: @x\n", "Put quotes around a text that begins with %, @ or `"),
        ("a: 1\n---\nb: 2\n", "etl.yaml:2: begins a second document"),
        ("a: &x [1, *x]\n", "etl.yaml:1 $.a[1]: *x stands for something that it is in itself"),
        ("a: &day 1\nb: *dya\n", "etl.yaml:2 $.b: *dya: no &dya comes before it; did you mean *day?"),
        ("? [a]\n: b\n", "has a list or a mapping as a key"),
        ("a: !!python/object:os.system {}\n", "$.a: has the tag !!python/object:os.system"),
        ("a: !include other.yaml\n", "$.a: has the tag !include"),
        ("a: !!binary aGk=\n", "has the tag !!binary"),
        ("a: !!int x\n", "has the tag !!int; this is the text 'x'"),
        ("a: !!map [1]\n", "has the tag !!map; this is a list"),
        ("a: .inf\n", "is .inf, which JSON does not have"),
        ("a: 1e999\n", "is 1e999, a number that nothing here can hold"),
        (f"a: {'9' * 5000}\n", "a number that nothing here can hold"),
        (f"a: 0x{'f' * 5000}\n", "a number that nothing here can hold"),
        ("'': 1\n", "has an empty key"),
        ("a:\n  <<: 1\n", "<< takes a mapping, such as *defaults, or a list of them; this is the number 1"),
        ("a:\n  <<: {b: 1}\n  <<: {c: 1}\n", "has << twice"),
        ("# nothing\n", "is empty"),
        (" \n", "is empty"),
        ("[" * 1000, "is nested deeper than 100 levels"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(1000)), "etl.yaml:101"),
        ("a" * 10_000_001, "has 10,000,001 characters"),
    ],
)
def test_what_is_not_plain_yaml_is_one_complaint_with_its_line(text, wanted):
    assert wanted in complaint(text)


def test_keys_that_are_given_twice_are_refused_all_at_once_with_both_lines():
    assert complaints("a: 1\nb:\n  c: 1\n  c: 2\na: {d: 1, d: 2}\n") == [
        "etl.yaml:4 $.b.c: is given for the second time in one mapping, and one would be lost; the first is on line 3",
        "etl.yaml:5 $.a: is given for the second time in one mapping, and one would be lost; the first is on line 1",
        "etl.yaml:5 $.a.d: is given for the second time in one mapping, and one would be lost; the first is on line 5",
    ]


def bomb(levels, width):
    lines = ["a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels)]
    return "\n".join(lines)


def test_aliases_that_blow_up_a_document_are_refused():
    assert "has more than 1,000,000 values" in complaint(bomb(40, 9))
    assert "its aliases make" in complaint(bomb(6, 9))
    assert "is nested deeper than 100 levels, with what *a" in complaint(bomb(200, 1))


def test_an_anchor_that_is_used_often_is_fine():
    stage = "{name: a, echo: b, env: {C: d}}"

    found = document(f"x: &x {stage}\nstages:\n" + "  - *x\n" * 1000)

    assert len(found["stages"]) == 1000


HOSTILE = {
    "a bomb": bomb(40, 9),
    "a bomb of merged mappings": "\n".join(
        ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{b: *a{n - 1}, c: *a{n - 1}, <<: *a{n - 1}}}" for n in range(1, 60)]
    ),
    "levels in flow": "[" * 100_000,
    "levels in blocks": "".join(f"{' ' * depth}a:\n" for depth in range(3000)),
    "an object": "a: !!python/object/apply:os.system ['touch bad']",
    "a NUL": "a: \0",
    "keys without an end": "? " * 20_000,
    "anchors": "&a " * 20_000,
    "dashes": "- " * 20_000,
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_hostile_texts_are_refused_in_a_second_and_in_little_memory(tmp_path):
    for place, text in enumerate(HOSTILE.values()):
        tmp_path.joinpath(f"{place}.yaml").write_text(text)
    code = """
import sys, time
from aiodag.workflows import load
from aiodag import WorkflowError
for each in sys.argv[1:]:
    began = time.process_time()
    try:
        load(each)
    except WorkflowError as error:
        print(time.process_time() - began, len(str(error)))
    else:
        print(99, 0)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    files = [str(tmp_path / f"{place}.yaml") for place in range(len(HOSTILE))]

    ended = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    *each, memory = ended.stdout.splitlines()

    assert len(each) == len(HOSTILE)
    assert {name: line for name, line in zip(HOSTILE, each, strict=True) if float(line.split()[0]) > 1} == {}
    assert int(memory) < 100_000  # in KB
    assert not tmp_path.joinpath("bad").exists()


broken = st.lists(
    st.sampled_from(
        [
            "a",
            "b: ",
            "- ",
            "\n",
            "  ",
            "[",
            "]",
            "{",
            "}",
            ",",
            ": ",
            "? ",
            "&x ",
            "*x",
            "<<: ",
            "!!str ",
            "!y ",
            "'",
            '"',
            "|",
            ">",
            "#",
            "---",
            "...",
            "%",
            "\t",
            "\\u",
            "é",
            "1",
            "~",
        ]
    ),
    max_size=30,
).map("".join)


@given(broken | st.text(max_size=30))
def test_any_text_is_a_document_or_complaints(text):
    try:
        found, places, _ = parse_yaml(text, "etl.yaml")
    except WorkflowError as error:
        assert all(each.place.startswith("etl.yaml") for each in error.complaints)
        assert all(each.text.isprintable() for each in error.complaints)
    else:
        json.dumps(found, allow_nan=False)
        assert places.of(()).startswith("etl.yaml:")


# Workflows


def test_a_workflow_in_yaml_is_the_one_in_json(tmp_path):
    text = """
name: etl
tags: {env: test}
parameters:
  DAY: &days [monday, friday]
tasks:
  pull: &patient
    command: [echo, "rows of {{DAY}}"]
    retries: 3
    timeout: 60
  check:
    <<: *patient
    command: [echo, good]
    parents: [pull]
"""
    path = tmp_path / "flow.yaml"
    path.write_text(text)
    of_json = loads(json.dumps(document(text)), "flow.json")

    assert load(path).document() == of_json.document()
    assert load(path).entry == {"file": str(path), "task": "", "parameters": {}}


def test_complaints_of_a_workflow_have_the_lines_of_the_yaml():
    with pytest.raises(WorkflowError) as caught:
        loads("tasks:\n  pull:\n    comand: [pull]\n    retries: many\n", "etl.yml")

    assert [str(each) for each in caught.value.complaints] == [
        "etl.yml:3 $.tasks.pull.comand: is a key that is not known here; did you mean 'command'?",
        "etl.yml:4 $.tasks.pull.retries: takes a whole number, 0 or more; this is the text 'many'",
    ]


def test_the_ending_of_the_source_decides_and_else_the_first_character():
    assert [task.name for task in loads("tasks: {greet: {shell: exit 0}}")] == ["greet"]
    assert [task.name for task in loads('{"tasks": {"greet": {"shell": "exit 0"}}}')] == ["greet"]
    with pytest.raises(WorkflowError, match="is not valid JSON"):
        loads("tasks: {}", "etl.json")


def test_without_pyyaml_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "aiodag.workflows.files.yaml")

    with pytest.raises(MissingExtra, match=r"a workflow in YAML needs PyYAML.*pip install 'aiodag\[yaml\]'"):
        loads("tasks: {}", "etl.yaml")


ROOT = Path(__file__).parent.parent
IN_PAGES = re.compile(r'^```json\n(\{.*?\})\s*^```|("""\{.*?\}""")', re.MULTILINE | re.DOTALL)


def json_workflows():
    """Give each workflow in JSON of the pages and the examples: its text, and the path that it may have come from."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for place, (block, string) in enumerate(IN_PAGES.findall(page.read_text(encoding="utf-8"))):
            text = block or ast.literal_eval(string)
            if '"tasks"' in text:
                yield pytest.param(text, "etl", id=f"{page.name}-{place}")
    for path in sorted((ROOT / "examples").glob("*.json")):
        yield pytest.param(path.read_text(encoding="utf-8"), str(path.with_suffix("")), id=path.name)


def outcome(text, source):
    """The document of a workflow in a text, or what is wrong with it, without lines."""
    try:
        return loads(text, source).document()
    except WorkflowError as error:
        return sorted((each.place.partition(" ")[2], each.text) for each in error.complaints)


@pytest.mark.parametrize(("text", "path"), [*json_workflows()])
def test_each_workflow_of_the_pages_and_examples_is_the_same_in_yaml(text, path):
    in_yaml = pyyaml.safe_dump(json.loads(text), sort_keys=False)

    assert outcome(in_yaml, f"{path}.yaml") == outcome(text, f"{path}.json")
