"""The combinations of a matrix: which there are, in which order, and what they are called."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag.workflows.jobs.matrix import (
    MatrixRefused,
    combination_name,
    combination_names,
    combinations,
    faults_of_matrix,
)

REGIONS = {"region": ["eu", "us"], "size": ["s", "m", "l"]}


def pairs(made):
    return [f"{each['region']}/{each['size']}" for each in made]


def texts(*matrix):
    return [f"{path}: {text}" for path, text in faults_of_matrix(*matrix)]


def test_the_first_variable_turns_slowest():
    assert pairs(combinations(REGIONS)) == ["eu/s", "eu/m", "eu/l", "us/s", "us/m", "us/l"]


def test_what_is_excluded_goes_first_and_what_is_included_comes_last():
    include = [{"region": "ap", "size": "m"}, {"region": "eu", "size": "m"}]
    exclude = [{"region": "us", "size": "l"}, {"region": "eu", "size": "s"}]

    assert pairs(combinations(REGIONS, include, exclude)) == ["eu/m", "eu/l", "us/s", "us/m", "ap/m"]


def test_an_exclusion_of_one_variable_takes_all_that_have_its_value():
    assert pairs(combinations(REGIONS, exclude=[{"region": "eu"}])) == ["us/s", "us/m", "us/l"]


def test_the_example_of_github_comes_out_as_it_says():
    made = combinations(
        {"fruit": ["apple", "pear"], "animal": ["cat", "dog"]},
        [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    )

    assert made == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_a_matrix_of_entries_alone_has_one_combination_for_each():
    assert combinations({}, [{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]


def test_nothing_is_left_when_all_is_excluded():
    assert combinations(REGIONS, exclude=[{"region": "eu"}, {"region": "us"}]) == []


def test_a_value_matches_its_like_and_not_its_text():
    made = combinations({"n": [1, "1", True, None, [1], {"a": 1}]}, exclude=[{"n": 1.0}, {"n": [1]}, {"n": {"a": 1.0}}])

    assert made == [{"n": "1"}, {"n": True}, {"n": None}, {"n": {"a": 1}}]


VALUES = st.sampled_from(["a", "b", 1, 2, True, None])
AXES = st.dictionaries(st.sampled_from("xyz"), st.lists(VALUES, min_size=1, max_size=3, unique_by=repr), max_size=3)
ENTRIES = st.lists(st.dictionaries(st.sampled_from("xyzuv"), VALUES, min_size=1, max_size=4), max_size=6)


def plainly(axes, include, exclude):
    """The rules as GitHub words them, one combination at a time."""
    same = lambda one, other: type(one) is type(other) and one == other
    made = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
    made = [
        one
        for one in made
        if not any(all(key in one and same(one[key], entry[key]) for key in entry) for entry in exclude)
    ]
    original = [dict(one) for one in made]
    alone = []
    for entry in include:
        fits = [
            place
            for place, one in enumerate(original)
            if all(same(one[key], value) for key, value in entry.items() if key in axes)
        ]
        for place in fits:
            made[place].update(entry)
        if not fits:
            alone.append(dict(entry))
    return made + alone


@settings(max_examples=500, deadline=None)
@given(AXES, ENTRIES, ENTRIES)
def test_any_matrix_gives_what_the_rules_say(axes, include, exclude):
    assert combinations(axes, include, exclude) == plainly(axes, include, exclude)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"region": "eu", "size": "m"}, "region=eu,size=m"),
        ({"n": 3, "f": 0.5, "on": True, "none": None}, "n=3,f=0.5,on=true,none=null"),
        ({"t": ["a", 1]}, 't=["a",1]'),
        ({"t": {"k": "v"}}, 't={"k":"v"}'),
        ({"t": "a,b=c"}, 't="a,b=c"'),
        ({"t": ""}, 't=""'),
        ({"t": "größe"}, "t=größe"),
        ({"t": "a\nb\x1b[2J"}, r't="a\nb\u001b[2J"'),
        ({"t": "\ud800\u202e"}, r"t=\ud800\u202e"),
    ],
)
def test_a_combination_has_a_name_that_people_can_read(choice, name):
    assert combination_name(choice) == name


def test_long_values_are_cut_and_still_told_apart():
    one, other = (combination_name({"t": "x" * 1000 + end}) for end in "ab")

    assert one != other
    assert len(one) == len(other) == len("t=") + 60


def test_names_stay_short_however_many_variables_there_are():
    assert len(combination_name({f"v{n}": "x" * 100 for n in range(1000)})) == 300


def test_two_combinations_of_one_name_are_refused():
    with pytest.raises(MatrixRefused, match="gives the combination n=1 twice"):
        combination_names([{"n": 1}, {"n": "1"}])


def test_too_many_combinations_are_refused_before_one_is_made():
    axes = {name: list(range(1000)) for name in "abcdefgh"}

    (fault,) = texts(axes)

    assert "1,000 a × 1,000 b" in fault
    assert "= 1,000,000,000,000,000,000,000,000 combinations: at most 10,000 can run" in fault


def test_a_product_without_end_is_told_in_one_line():
    (fault,) = texts({f"v{n}": [1, 2] for n in range(20_000)})

    assert fault.startswith("(): has 2 v0 × 2 v1")
    assert fault.endswith("× … = very many combinations: at most 10,000 can run")
    assert len(fault) < 200


@pytest.mark.parametrize(
    ("matrix", "fault"),
    [
        (([1],), "(): takes names of variables and lists of values; this is a list"),
        (({"a": "x"},), "('a',): takes a list of values; this is the text 'x'"),
        (({"a": [1, 1.0]},), "('a', 1): is 1.0, as [0] is: a value is there once"),
        (({"a b": [1]},), "('a b',): cannot name a variable"),
        (({"a": [1]}, {"a": 1}), "('include',): takes a list of mappings of variables and values"),
        (({"a": [1]}, [3]), "('include', 0): takes a mapping of variables and values; this is the number 3"),
        (
            ({"a": [1]}, (), [{"b": 1}]),
            "('exclude', 0, 'b'): excludes nothing: it is a variable that the matrix does not",
        ),
    ],
)
def test_a_matrix_that_cannot_be_says_what_is_wrong_and_where(matrix, fault):
    (found,) = texts(*matrix)

    assert found.startswith(fault)


def test_ten_thousand_combinations_and_entries_take_linear_time():
    include = [{"a": n, "extra": n} for n in range(100)]
    axes = {"a": list(range(100)), "b": list(range(99))}
    exclude = [{"a": n, "b": n} for n in range(99)]

    made = combinations(axes, include, exclude)

    assert texts(axes, include, exclude) == []
    assert len(made) == 9_900 - 99
    assert all(each["extra"] == each["a"] for each in made)


def test_entries_that_name_too_many_different_variables_are_refused():
    axes = {f"v{n}": [0, 1] for n in range(13)}
    include = [{f"v{n}": 0 for n in range(13) if mask >> n & 1} | {"x": 1} for mask in range(1000)]

    (fault,) = texts(axes, include)

    assert "too many different sets of variables" in fault
