"""Params are converted by their types, defaults are applied, and all that is wrong is said at once."""

import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs_forms import flow_of

from aiodag import WorkflowError
from aiodag.workflows.params import Param, bind_params, params_of


def declared(form):
    params, faults = params_of(form)
    assert faults == []
    return params


def bound(kind, value, **more):
    return bind_params(declared({"p": {"type": kind, **more}}), {"p": value})["p"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("str", 5, "5"),
        ("str", "007", "007"),
        ("str", True, "true"),
        ("str", "", ""),
        ("int", "12", 12),
        ("int", 12.0, 12),
        ("int", " -3 ", -3),
        ("float", "1e3", 1000.0),
        ("float", 2, 2.0),
        ("bool", "yes", True),
        ("bool", "FALSE", False),
        ("bool", 1, True),
        ("bool", "0", False),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("date", datetime(2024, 2, 29, 23, tzinfo=UTC), date(2024, 2, 29)),
        ("datetime", "2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
        ("datetime", "2024-01-01 08:30:00", datetime(2024, 1, 1, 8, 30, tzinfo=UTC)),
        ("datetime", "2024-01-01T08:30:00+07:00", datetime(2024, 1, 1, 8, 30, tzinfo=timezone(timedelta(hours=7)))),
        ("list", "[1, 2]", [1, 2]),
        ("list", ("a",), ["a"]),
        ("map", '{"a": [1]}', {"a": [1]}),
        ("map", {"a": 1}, {"a": 1}),
        ("json", "null", None),
        ("json", '[{"a": 1}]', [{"a": 1}]),
        ("json", 5, 5),
    ],
)
def test_a_value_gets_the_type_of_its_param(kind, value, expected):
    found = bound(kind, value)

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("str", [1]),
        ("str", "a\0b"),
        ("str", "\ud800"),
        pytest.param("str", "a" * 1_000_001, id="str-long"),
        ("int", "1.5"),
        ("int", 1.5),
        ("int", True),
        ("int", "9" * 5000),
        pytest.param("int", 10**5000, id="int-huge"),
        ("int", "1_000"),
        ("float", "nan"),
        ("float", float("inf")),
        ("float", True),
        ("bool", 2),
        ("bool", "maybe"),
        ("bool", ""),
        ("bool", []),
        ("date", "2024-02-30"),
        ("date", 20240101),
        ("datetime", "soon"),
        ("list", "a,b"),
        ("list", "{}"),
        ("list", {"a": 1}),
        ("list", "[" * 200 + "]" * 200),
        ("list", [object()]),
        ("map", "[]"),
        ("map", "{"),
        ("map", {"a": float("nan")}),
        ("json", "'a'"),
        ("json", object()),
    ],
)
def test_a_value_of_another_type_is_refused(kind, value):
    with pytest.raises(WorkflowError, match=r"^params\.p: "):
        bound(kind, value)


def test_a_choice_is_one_of_its_options():
    options = ["eu", "us", 3]

    assert [bound("choice", value, options=options) for value in ("eu", 3, "3")] == ["eu", 3, 3]
    with pytest.raises(WorkflowError, match=r"params\.p: the text 'eus' is none of eu, us, 3; did you mean 'us'"):
        bound("choice", "eus", options=options)


def test_a_default_is_converted_and_really_applied():
    params = declared(
        {
            "day": {"type": "date", "default": "2024-01-31"},
            "size": {"default": 5},
            "rows": {"type": "list", "default": [1]},
            "none": {"type": "int", "default": None},
            "off": {"type": "bool", "default": False, "required": True},
            "may": {"type": "int", "required": False},
        }
    )

    assert bind_params(params, {"rows": None}) == {
        "day": date(2024, 1, 31),
        "size": "5",
        "rows": [1],
        "none": None,
        "off": False,
        "may": None,
    }
    assert bind_params(params, {"rows": [2], "off": "yes"})["rows"] == [2]


def test_all_that_is_wrong_is_said_at_once():
    params = declared({"source": "str", "day": "datetime", "n": {"type": "int"}})

    with pytest.raises(WorkflowError) as caught:
        bind_params(params, {"sauce": "x", "day": "soon", "other": 1}, "etl.yaml")

    assert [str(each) for each in caught.value.complaints] == [
        "etl.yaml params.sauce: is not a param of this workflow; did you mean 'source'?",
        "etl.yaml params.other: is not a param of this workflow: it has 'source', 'day', 'n'",
        "etl.yaml params.source: is missing: a value of the type str has to be given",
        "etl.yaml params.day: the text 'soon' is not a date or a datetime, such as 2024-01-31T08:30:00+01:00",
        "etl.yaml params.n: is missing: a value of the type int has to be given",
    ]


def test_ten_thousand_unknown_params_are_refused_without_comparing_each_with_each():
    params = {f"p{number}": Param(f"p{number}") for number in range(2000)}

    with pytest.raises(WorkflowError) as caught:
        bind_params(params, {f"q{number}": "x" for number in range(10_000)})

    assert len(caught.value.complaints) == 12_000


@pytest.mark.parametrize(
    ("form", "path", "why"),
    [
        ([], (), "takes a map of names and types"),
        ("x", (), "takes a map of names and types"),
        ({"p": 5}, ("p",), "takes a type, or a map"),
        ({"p": "strr"}, ("p",), "is not a type of params; did you mean 'str'?"),
        ({"p": {"type": ["int"]}}, ("p", "type"), "is not a type of params"),
        ({"p": {"typ": "int"}}, ("p", "typ"), "did you mean 'type'?"),
        ({"p": {"zzzzz": 1}}, ("p", "zzzzz"), "there are type, required"),
        ({"p": {"type": "int", "default": "x"}}, ("p", "default"), "is not a whole number"),
        ({"p": {"default": "${{ env.X }}"}}, ("p", "default"), "is not filled in"),
        ({"p": {"default": "x ${HOME}"}}, ("p", "default"), "is not filled in"),
        ({"p": {"required": "yes"}}, ("p", "required"), "takes true or false"),
        ({"p": {"desc": 1}}, ("p", "desc"), "takes a text"),
        ({"p": "choice"}, ("p", "options"), "are missing"),
        ({"p": {"type": "choice", "options": []}}, ("p", "options"), "are missing"),
        ({"p": {"type": "choice", "options": [[1]]}}, ("p", "options"), "takes texts and numbers"),
        ({"p": {"type": "choice", "options": ["a"], "default": "b"}}, ("p", "default"), "is none of a"),
        ({"p": {"options": ["a"]}}, ("p", "options"), "belongs to the type choice"),
        ({"": "str"}, ("",), "cannot be the name of a param"),
        ({"a\nb": "str"}, ("a\nb",), "cannot be the name of a param"),
        ({"p": {"type": "map", "default": {"a": {"b": 1}}, "x": 1}}, ("p", "x"), "is a key that params do not have"),
    ],
)
def test_a_wrong_declaration_says_where(form, path, why):
    params, faults = params_of(form)

    assert params == {}
    assert [(at, why in text) for at, text in faults] == [(path, True)]


def test_right_declarations_are_read_whatever_stands_next_to_them():
    params, faults = params_of(
        {"author-run": "str", "bad": "nope", "when": {"type": "timestamp", "desc": "of the load"}}
    )

    assert params == {
        "author-run": Param("author-run"),
        "when": Param("when", "datetime", description="of the load"),
    }
    assert len(faults) == 1
    assert params_of(None) == ({}, [])


def test_a_complaint_names_the_line_where_its_param_is_declared():
    flow = flow_of("""
        params:
          day: date
          n: {type: int, default: 3}
        jobs: {a: {stages: [{echo: x}]}}
        """)

    with pytest.raises(WorkflowError) as caught:
        flow.but(parameters={"n": "x", "dya": 1}).check()
    assert [each.place for each in caught.value.complaints] == [
        "flow.yaml params.dya",
        "flow.yaml:3 $.params.day",
        "flow.yaml:4 $.params.n",
    ]


VALUES = {
    "str": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "int": st.integers(-(10**30), 10**30),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "date": st.dates(),
    "datetime": st.datetimes(timezones=st.just(UTC)),
    "list": st.lists(st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=5).filter(str.isprintable))),
    "map": st.dictionaries(st.text(max_size=5).filter(str.isprintable), st.integers(-9, 9)),
}


@given(st.sampled_from([*VALUES]).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))
def test_what_is_written_as_text_comes_back_the_same(case):
    kind, value = case
    text = (
        json.dumps(value)
        if isinstance(value, list | dict | bool)
        else value.isoformat()
        if isinstance(value, date)
        else str(value)
    )

    assert bound(kind, text) == value
    assert bound(kind, bound(kind, text)) == value


@given(
    st.sampled_from([*VALUES, "json"]),
    st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()), st.lists),
)
def test_any_value_is_taken_or_refused(kind, value):
    try:
        bound(kind, value)
    except WorkflowError as error:
        assert "params.p" in str(error)


def test_a_param_that_is_declared_wrong_is_known_all_the_same():
    with pytest.raises(WorkflowError) as caught:
        flow_of("""
            params: {p: strr}
            jobs: {a: {stages: [{echo: "${{ params.p }}"}]}}
            """)

    assert len(caught.value.complaints) == 1


async def test_dates_may_be_given_by_a_program_and_are_kept_as_texts(tmp_path):
    flow = flow_of("""
        params: {day: date, at: datetime, rows: list}
        jobs: {a: {stages: [{id: say, echo: "${{ params.day }} ${{ params.at | fmt('%H') }} ${{ params.rows }}"}]}}
        """)
    given = {"day": date(2024, 1, 31), "at": datetime(2024, 1, 31, 8, tzinfo=UTC), "rows": (1, 2)}

    values = await flow.but(parameters=given).run(tmp_path / "runs.db", "one")

    assert values["a"]["stages"]["say"]["outputs"]["message"] == "2024-01-31 08 [1, 2]"
    assert (await flow.but(parameters={"day": "2024-01-31", "at": "2024-01-31T08Z", "rows": "[1, 2]"}).run())["a"]
