"""Expressions have a value or an error that says why; nothing of Python can be reached from them."""

import operator
import re
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodag import ExpressionError, Secret
from aiodag.workflows.expressions.conditions import condition_of
from aiodag.workflows.expressions.functions import FUNCTIONS
from aiodag.workflows.expressions.template import ExpressionFaults, template_of

DAY = datetime(2024, 1, 31, 8, 30, tzinfo=timezone(timedelta(hours=7)))
SCOPE = {
    "params": {
        "n": 3,
        "name": "Ann",
        "empty": "",
        "none": None,
        "yes": True,
        "day": DAY,
        "date": date(2024, 2, 29),
        "tables": ["orders", "users"],
        "author-run": "Local",
        "nested": {"rows": [{"id": 7}, {"id": 8}], "a b": 1, "if": 2},
        "text": "a|b",
        "expression": "${{ params.n }} ${HOME}",
    },
    "matrix": {"region": "eu"},
}


def value_of_expression(source, scope=SCOPE):
    return template_of(f"${{{{ {source} }}}}").render(scope)


def reason(source, scope=SCOPE):
    with pytest.raises((ExpressionError, ExpressionFaults)) as caught:
        value_of_expression(source, scope)
    assert isinstance(caught.value, ExpressionFaults) or caught.value.expression.startswith("${{ ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1", 1),
        ("2.5e3", 2500.0),
        ("'it''s'", "it's"),
        ("'a\\n'", "a\\n"),
        (r'"a\n\u00e9"', "a\né"),
        ("true", True),
        ("null", None),
        ("[]", []),
        ("[1, 'a', [true]]", [1, "a", [True]]),
        ("params.n", 3),
        ("params['n']", 3),
        ("params.author-run", "Local"),
        ("params.nested.rows[1].id", 8),
        ("params.nested['a b']", 1),
        ("params.nested.if", 2),
        ("params.tables[-1]", "users"),
        ("params[matrix.region == 'eu' && 'n' || 'name']", 3),
        ("fromJSON('{\"a\": [5]}').a[0]", 5),
        ("params.day.year", 2024),
        ("params.day.weekday", 3),
        ("params.day.date", date(2024, 1, 31)),
        ("params.date.day", 29),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 // 2 + 7 % 4", 6),
        ("10 - 2 - 3", 5),
        ("8 / 2 / 2", 2.0),
        ("-params.n", -3),
        ("- -3", 3),
        ("2 - -2", 4),
        ("'a' + 'b' + 'c'", "abc"),
        ("1 == 1.0", True),
        ("'5' == 5", False),
        ("true == 1", False),
        ("[true] == [1]", False),
        ("[1, [2]] == [1, [2.0]]", True),
        ("null == null", True),
        ("'a' != 'A'", True),
        ("'a' < 'b'", True),
        ("params.day >= params.day", True),
        ("2 <= 1", False),
        ("'ab' in 'cabd'", True),
        ("3 in [1, 2]", False),
        ("3 not in [1, 2]", True),
        ("'n' in params", True),
        ("not 1 == 2", True),
        ("!params.empty && 1", 1),
        ("params.empty || 'z'", "z"),
        ("1 or 0 and 0", 1),
        ("false and nothing.at.all", False),
        ("true or nothing.at.all", True),
        ("not not 1", True),
        ("[] || 'x'", "x"),
    ],
)
def test_an_expression_has_a_value_and_keeps_its_type(source, expected):
    found = value_of_expression(source)

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("params.day | fmt('%Y%m%d')", "20240131"),
        ("fmt(params.day, '%H:%M%z')", "08:30+0700"),
        ("params.date | fmt", "2024-02-29 00:00:00"),
        ("'2024-01-31' | fmt('%d.%m.%Y')", "31.01.2024"),
        ("1234567.891 | fmt(',.2f')", "1,234,567.89"),
        ("7 | fmt('03d')", "007"),
        ("-3 | abs", 3),
        ("2 - 5 | abs", -3),  # a filter binds tighter than arithmetic
        ("params.n | str", "3"),
        ("true | str", "true"),
        ("' 12 ' | int", 12),
        ("3.9 | int", 3),
        ("'1e3' | float", 1000.0),
        ("'NO' | bool", False),
        ("[] | bool", False),
        ("params.name | upper | lower", "ann"),
        ("'two words' | title", "Two Words"),
        ("' x ' | trim", "x"),
        ("'--x-' | trim('-')", "x"),
        ("params.gone | default('z')", "z"),
        ("params.none | default(params.n)", 3),
        ("params.gone.further[0] | default('z') | upper", "Z"),
        ("params.empty | default('z')", ""),
        ("params.tables | json", '["orders", "users"]'),
        ("params.day | json", '"2024-01-31T08:30:00+07:00"'),
        ("toJSON(params.nested, 2) | len", 95),
        ("'[1, {\"a\": null}]' | fromjson", [1, {"a": None}]),
        ("params.tables | join(', ')", "orders, users"),
        ("join(params.tables)", "orders,users"),
        ("params.text | split('|')", ["a", "b"]),
        ("'a  b' | split", ["a", "b"]),
        ("params.text | replace('|', '||')", "a||b"),
        ("params.tables | length", 2),
        ("len(params.nested)", 3),
        ("params.tables | first", "orders"),
        ("params.name | last", "n"),
        ("[] | first | default('none')", "none"),
        ("3.14159 | round(2)", 3.14),
        ("2.5 | round", 2),
        ("params.date | isoformat", "2024-02-29"),
        ("'2024-01-31' | datetime", datetime(2024, 1, 31, tzinfo=UTC)),
        ("params.day | date", date(2024, 1, 31)),
        ("params.day | shift(-1, 'day') | fmt('%Y-%m-%d %H')", "2024-01-30 08"),
        ("params.date | shift(1, 'day')", date(2024, 3, 1)),
        ("params.date | shift(90, 'minutes')", datetime(2024, 2, 29, 1, 30, tzinfo=UTC)),
        ("'ab' | list", ["a", "b"]),
        ("params.none | list", []),
        ("contains(params.tables, 'users')", True),
        ("contains('hello', 'ell')", True),
        ("startsWith('hello', 'he') && endsWith('hello', 'lo')", True),
        ("format('{0}-{1}-{0} {{}}', 'a', 2)", "a-2-a {}"),
        ("min(3, 1, 2) + max([4, 9])", 10),
        ("keys(params.nested)", ["rows", "a b", "if"]),
        ("values(matrix)", ["eu"]),
        ("range(3)", [0, 1, 2]),
        ("range(5, 1, -2)", [5, 3]),
    ],
)
def test_functions_and_filters_are_the_same_things(source, expected):
    found = value_of_expression(source)

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("params.nmae", "params has no 'nmae'; did you mean 'name'?"),
        ("parms.n", "there is nothing called 'parms'; did you mean 'params'?"),
        ("params.nested.rows[2]", "params.nested.rows has 2 items, and none at [2]"),
        ("params.nested.rows.id", "params.nested.rows is a list, and has no 'id', but items [0], [1], …"),
        ("params.n-1", "params has no 'n-1'; a difference has spaces around its sign: n - …"),
        ("params.none.x", "params.none is null, and has no 'x'"),
        ("params.name.upper", "params.name is the text 'Ann', and has no 'upper'"),
        ("params.day.tzinfo", "params.day is a datetime, and has no 'tzinfo'; it has year, month, day, weekday"),
        ("params.nested['zzz']", "params.nested has no 'zzz'; it has 'rows', 'a b', 'if'"),
        ("'5' < 5", "two numbers, texts, dates or datetimes have an order"),
        ("params.day < params.date", "have an order"),
        ("true + 1", "true + the number 1: that takes two numbers"),
        ("'a' + 1", "one of them has to be converted, with | str or | int"),
        ("'a' * 3", "that takes two numbers"),
        ("1 / 0", "nothing can be divided by 0"),
        ("1 % 0.0", "nothing can be divided by 0"),
        ("-'a'", "only a number has a sign"),
        ("1 in 2", "has nothing in it"),
        ("1 in 'a1'", "a text has texts in it"),
        ("params.name | int", "the text 'Ann' is not a number"),
        ("'1_000' | int", "is not a number"),
        ("'nan' | float", "is not a number"),
        ("'1.5' | int", "is not a whole number"),
        ("'maybe' | bool", "is neither true nor false"),
        ("params.day | fmt('%Q')", "'%Q' is not a part of a pattern"),
        ("params.day | fmt('%999999999Y')", "is not a part of a pattern"),
        ("1 | fmt('999999999d')", "is not a pattern for a number"),
        ("params.day | shift(1, 'month')", "shift takes one of second, minute, hour, day, week"),
        ("params.day | shift(9999999, 'week')", "leads out of the calendar"),
        ("'x' | fromjson", "is not valid JSON"),
        ("'[NaN]' | fromjson", "it does not have NaN"),
        ("join('abc')", "join takes a list"),
        ("1 | upper", "upper takes a text, and this is the number 1: | str makes one"),
        ("format('{1}', 'a')", "format: {1} has no value: 1 were given, counted from 0"),
        ("format('{', 'a')", "format: a single { in the text"),
        ("'a' | replace('', 'b')", "the first text is empty"),
        ("1" + " | str" * 51, "has more than 50 filters after one value"),
        ("params.name.x | default('z')", "params.name is the text 'Ann', and has no 'x'"),
        ("(1 / 0) | default('z')", "nothing can be divided by 0"),
        ("[] | max", "an empty list has no smallest or largest item"),
        ("range(1, 2, 0)", "the step is 0"),
        ("1 < 2 < 3", "two comparisons in a row: write a < b && b < c"),
        ("params.n = 3", "= means nothing here: == compares"),
        ("a ? b : c", "write a && b || c"),
        ("2 ** 3", "there are no powers"),
        ("{'a': 1}", "a map is written as fromJSON"),
        ("a & b", "&& is and"),
        ("'open", "has no closing '"),
        ("1 +", "a value is missing before its end"),
        ("(1", ") is missing before its end"),
        ("f(1 2)", ", is missing before 2"),
        ("1 2", "an operator is missing before 2"),
        ("params.", "a name is missing after the dot"),
        ("params.0", "a name is missing after the dot, before 0"),
        ("params.n |", "the name of a filter is missing after |"),
        ("params.n | uper", "there is no function or filter 'uper'; did you mean upper?"),
        ("tojson(1)", "did you mean toJSON?"),
        ("params.n | fmt(1, 2)", "as a filter fmt takes 0 to 1 arguments, and has 2"),
        ("replace('a')", "replace takes 3 arguments, and has 1"),
        ("1 | upper(2)", "as a filter upper takes 0 arguments, and has 1"),
        ("success()", "success() is for conditions"),
        ("$x", "$ means nothing here"),
        ("", "is empty"),
    ],
)
def test_what_has_no_value_says_why(source, why):
    assert why in reason(source)


@pytest.mark.parametrize(
    "source",
    [
        "params.__class__",
        "params['__class__']",
        "params.name.__class__.__mro__",
        "params.day.__reduce__",
        "params.day.strftime",
        "format('{0.__class__}', params)",
        "format('{0[n]}', params)",
        "__import__('os')",
        "eval('1')",
        "params | attr('__class__')",
        "().__class__",
        "lambda: 1",
        "[x for x in params]",
        "f'{1}'",
        "params.tables.append(1)",
        "exec",
    ],
)
def test_no_expression_reaches_an_object_of_python(source):
    assert reason(source)


class Traced:
    """An object whose attributes and items nobody may read."""

    def __getattribute__(self, name):
        if name in {"__class__"}:
            return object.__getattribute__(self, name)
        raise AssertionError(name)


@pytest.mark.parametrize(
    "source", ["x.y", "x[0]", "x + 1", "x == 1", "x in [1]", "'a' in x", "x | str", "x | json", "-x", "x < x"]
)
def test_a_foreign_object_is_passed_on_and_never_looked_into(source):
    scope = {"x": Traced()}

    assert value_of_expression("x", scope) is scope["x"]
    try:
        assert value_of_expression(source, scope) is False
    except ExpressionError as error:
        assert "Traced" in str(error)


def test_one_moment_is_equal_in_every_zone_also_in_a_repeated_hour():
    there = datetime(2024, 11, 3, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York"))

    assert value_of_expression("a == b && a >= b && a <= b", {"a": there, "b": there.astimezone(UTC)}) is True


def test_moments_of_a_repeated_hour_are_in_the_order_in_which_they_come():
    first = datetime(2024, 11, 3, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    second_pass = first.replace(minute=0, fold=1)

    assert value_of_expression("a < b && b > a && max(a, b) == b", {"a": first, "b": second_pass}) is True


# Bounds


@pytest.mark.parametrize(
    "source",
    [
        "9" * 31,
        "1e999",
        "999999999999999 * 999999999999999 * 999999",
        "1e308 * 10",
        "range(10000000000)",
        "range(-10000000000, 0)",
        "big + big",
        "big | replace('a', big)",
        "[big, big] | join",
        "[big, big] | json",
        "format('{0}{0}', big)",
        "format('" + "{0}" * 3000 + "', big)",
        "range(10000) | join(big)",
        " && ".join(["len(words) > 0"] * 300),
        "[big, big]",
        "huge",
        "huge + ''",
        "rows",
        "deep | json",
        "(" * 51 + "1" + ")" * 51,
        "!" * 51 + "1",
        "[" * 5000 + "]" * 5000,
        "f(" * 60,
        "1 +" * 4000 + "1",
        "'" + "a" * 10_000 + "'",
        "'" * 9_999,
        "((('" + "[" * 150 + "]" * 150 + "' | fromjson)))",
        " && ".join(["words == words"] * 300),
        "words" + " | split(',') | join(',')" * 350,
        "'" + "9" * 5000 + "' | int",
        "digits | int",
        "digits | fromjson",
    ],
)
def test_time_and_size_are_bounded(source):
    deep = []
    for _ in range(5000):
        deep = [deep]
    scope = {
        "big": "a" * 900_000,
        "huge": "a" * 10_000_000,
        "rows": [0] * 1_000_000,
        "deep": deep,
        "words": ",".join(["abc"] * 200_000),
        "digits": "9" * 100_000,
    }

    assert reason(source, scope)


@pytest.mark.parametrize("source", ["(" * 50 + "1" + ")" * 50, "-" * 50 + "1", "+".join(["1"] * 4000), "a" + ".a" * 3])
def test_what_is_within_the_bounds_has_a_value(source):
    assert value_of_expression(source, {"a": {"a": {"a": {"a": 1}}}}) in {1, 4000}


SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod}
ORDERS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
numbers = st.recursive(
    st.integers(0, 9).map(str),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).flatmap(
            lambda parts: st.lists(st.sampled_from([*SIGNS]), min_size=len(parts) - 1, max_size=len(parts) - 1).map(
                lambda signs: parts[0] + "".join(f" {sign} {part}" for sign, part in zip(signs, parts[1:], strict=True))
            )
        ),
        inner.map("({})".format),
        inner.map(lambda text: f"-({text})"),
    ),
    max_leaves=12,
)
comparisons = st.tuples(numbers, st.sampled_from([*ORDERS]), numbers).map(" ".join)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).flatmap(
            lambda parts: st.lists(
                st.sampled_from(["and", "or"]), min_size=len(parts) - 1, max_size=len(parts) - 1
            ).map(
                lambda signs: parts[0] + "".join(f" {sign} {part}" for sign, part in zip(signs, parts[1:], strict=True))
            )
        ),
        inner.map("({})".format),
        inner.map("not {}".format),
    ),
    max_leaves=8,
)


@given(st.one_of(numbers, conditions))
def test_operators_bind_as_in_python(source):
    """Where both languages have a form, both mean the same by it."""
    try:
        expected = eval(source, {})
    except ZeroDivisionError:
        assert "divided by 0" in reason(source)
        return

    if isinstance(expected, int) and abs(expected) > 10**30:
        return
    try:
        assert value_of_expression(source) == expected
    except ExpressionError as error:
        assert "too large" in str(error)


@given(conditions)
def test_the_signs_of_github_mean_the_words(source):
    signs = source.replace("and", "&&").replace("or", "||")

    try:
        expected = value_of_expression(source)
    except ExpressionError:
        return
    assert value_of_expression(signs) == expected


ALPHABET = [
    "params",
    "n",
    ".",
    "[",
    "]",
    "(",
    ")",
    "'",
    '"',
    "|",
    "||",
    "&&",
    "not",
    "in",
    "==",
    "<",
    "+",
    "-",
    "*",
    "/",
    "%",
]
ALPHABET += [
    " ",
    ",",
    "1",
    "0",
    "tables",
    "fmt",
    "default",
    "join",
    "upper",
    "range",
    "\\",
    "}}",
    "${{",
    "$",
    "{",
    "\n",
    "é",
    "\0",
    "\ud800",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(ALPHABET)).map("".join)))
def test_any_text_gives_a_value_or_an_error(text):
    for make in (
        lambda: template_of(text).render(SCOPE),
        lambda: template_of(f"${{{{ {text} }}}}").render(SCOPE),
        lambda: condition_of(text).holds(SCOPE),
    ):
        try:
            make()
        except (ExpressionError, ExpressionFaults) as error:
            assert str(error)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.datetimes(), st.dates()
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)


@given(
    st.sampled_from([*FUNCTIONS]),
    st.lists(anything, max_size=3),
)
def test_every_function_takes_any_value_or_says_why_not(name, values):
    scope = {f"v{place}": value for place, value in enumerate(values)}
    try:
        value_of_expression(f"{name}({', '.join(scope)})", scope)
    except (ExpressionError, ExpressionFaults) as error:
        assert str(error)


@given(
    anything,
    anything,
    st.sampled_from(["==", "!=", "<", ">=", "in", "not in", "+", "-", "*", "/", "//", "%", "&&", "||"]),
)
def test_every_operator_takes_any_values_or_says_why_not(one, other, sign):
    try:
        value_of_expression(f"a {sign} b", {"a": one, "b": other})
    except ExpressionError as error:
        assert str(error)


# Conditions


class Going:
    success, failure, cancelled, always = False, True, False, True


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (True, True),
        (False, False),
        ("params.n == 3", True),
        ("${{ params.n == 4 }}", False),
        ("  ${{ params.tables }}  ", True),
        ("params.none", False),
        ("params.n - 3", False),
        ("failure() && !cancelled()", True),
        ("success()", False),
        ("always()", True),
        ("params.name == '}}'", False),
        ("not contains(params.tables, 'x')", True),
    ],
)
def test_a_condition_holds_or_not(written, expected):
    assert condition_of(written).holds({**SCOPE, "status": Going}) is expected


def test_a_condition_says_whether_it_asks_how_it_went():
    assert condition_of("always() || params.n").uses_status
    assert not condition_of("params.n").uses_status
    assert condition_of("params.n > jobs['a'].outputs.x && params[matrix.k]").names == {
        ("params", "n"),
        ("jobs", "a", "outputs", "x"),
        ("params",),
        ("matrix", "k"),
    }


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("${{ params.n }} == 3", "a condition is one expression"),
        ("${{ params.n }} == ${{ 3 }}", "a condition is one expression"),
        ("", "is empty"),
        (None, "takes a condition"),
        (1, "takes a condition"),
        (["a"], "takes a condition"),
        ("succes()", "did you mean success?"),
        ("always(1)", "always() takes no arguments"),
    ],
)
def test_a_condition_with_a_fault_says_so_when_it_is_read(written, why):
    with pytest.raises(ExpressionFaults, match=re.escape(why)):
        condition_of(written)


@pytest.mark.parametrize("written", ["params.name", "'false'", "params.empty"])
def test_a_text_is_neither_true_nor_false(written):
    """`if: ${{ env.DEBUG }}` would hold for the text "false"."""
    with pytest.raises(ExpressionError, match=r"compare it, or say \| bool"):
        condition_of(written).holds(SCOPE)


# Secrets


@pytest.mark.parametrize(
    "source",
    [
        "secrets.TOKEN == 'x'",
        "secrets.TOKEN | upper",
        "secrets.TOKEN + 'x'",
        "!secrets.TOKEN",
        "secrets.TOKEN && 1",
        "'x' in secrets.TOKEN",
        "secrets.TOKEN in params",
        "secrets | json",
        "[secrets.TOKEN] | join",
        "format('{0}', secrets.TOKEN)",
        "secrets.TOKEN.name",
        "secrets.TOKEN < 'x'",
        "len(secrets.TOKEN)",
        "params[secrets.TOKEN]",
    ],
)
def test_nothing_can_be_found_out_of_a_secret(source, monkeypatch):
    monkeypatch.setenv("TOKEN", "correct horse")

    assert "correct" not in reason(source, {**SCOPE, "secrets": {"TOKEN": Secret("TOKEN")}})
