"""Templates are read once, keep the type of an expression alone, and never expand a value again."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs_forms import flow_of

from aiodag import ExpressionError, Run, RunFailed, Secret, task
from aiodag.workflows.expressions.template import ExpressionFaults, template_of
from aiodag.workflows.expressions.values import text_of_value

SCOPE = {
    "params": {
        "n": 3,
        "name": "Ann",
        "rows": [1, {"a": None}],
        "trap": "${{ params.n }} ${HOME} $${X}",
        "day": date(2024, 1, 31),
    },
    "env": {"REGION": "eu"},
}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("plain", "plain"),
        (7, 7),
        (None, None),
        ("${{ params.n }}", 3),
        ("${{params.n}}", 3),
        (" ${{ params.n }}", " 3"),
        ("${{ params.n }}${{ params.n }}", "33"),
        ("n is ${{ params.n }}, ${{ params.name | upper }}!", "n is 3, ANN!"),
        ("${{ params.rows }}", [1, {"a": None}]),
        ("rows: ${{ params.rows }}", 'rows: [1, {"a": null}]'),
        ("${{ null }}|${{ true }}|${{ 2.0 }}|${{ params.day }}", "|true|2.0|2024-01-31"),
        ("${{ params.trap }}", "${{ params.n }} ${HOME} $${X}"),
        ("<${{ params.trap }}>", "<${{ params.n }} ${HOME} $${X}>"),
        ("${{ '}}' }} and ${{ 'a|b' | replace('|', '}}') }}", "}} and a}}b"),
        ("$${{ params.n }}", "${{ params.n }}"),
        ("$NAME $ $$ $(x) {{ params.n }} }}", "$NAME $ $$ $(x) {{ params.n }} }}"),
        (
            {"a": ["${{ params.n }}", {"b": "x${{ env.REGION }}"}], "c": {}, "d": []},
            {"a": [3, {"b": "xeu"}], "c": {}, "d": []},
        ),
    ],
)
def test_a_template_gives_a_value(written, expected):
    template = template_of(written)
    found = template.render(SCOPE)

    assert (found, type(found)) == (expected, type(expected))
    assert not (template.plain and template.names)


def test_a_template_says_which_paths_it_reads():
    written = {
        "a": "${{ params.n }} ${{ jobs['x'].stages.y.outputs[0] }}",
        "b": ["${{ env[params.name] | default(matrix.k) }}"],
    }

    assert template_of(written).names == {
        ("params", "n"),
        ("jobs", "x", "stages", "y", "outputs"),
        ("env",),
        ("params", "name"),
        ("matrix", "k"),
    }


def test_all_faults_are_found_at_once_with_their_places():
    written = {
        "a": "${{ params.n | nope }} and ${{ 1 + }} and ${{ open",
        "b": [{"c": "ok"}, "${1X}"],
        "${{ key }}": 1,
    }
    with pytest.raises(ExpressionFaults) as caught:
        template_of(written)

    assert [(path, text.partition(":")[0]) for path, text in caught.value.faults] == [
        (("${{ key }}",), "is a key, and only values are filled in"),
        (("a",), "${{ params.n | nope }}"),
        (("a",), "${{ 1 + }}"),
        (("a",), "'${{ open'"),
        (("b", 1), "'${1X}' is not a variable of the environment"),
    ]


def test_a_fault_at_run_time_names_the_expression_and_gets_a_place():
    with pytest.raises(ExpressionError) as caught:
        template_of({"url": "x/${{ params.nmae }}"}).render(SCOPE)

    assert str(caught.value.at("etl.yaml:7 $.jobs.a.with.url")) == (
        "etl.yaml:7 $.jobs.a.with.url: ${{ params.nmae }}: params has no 'nmae'; did you mean 'name'?"
    )


async def test_a_block_of_yaml_without_its_last_line_end_keeps_the_type():
    flow = flow_of("""
        jobs:
          one:
            outputs:
              kept: >-
                ${{ [1, 2] }}
              text: >
                ${{ [1, 2] }}
            stages: [{echo: x, if: "!false"}]
        """)

    assert (await flow.run())["one"]["outputs"] == {"kept": [1, 2], "text": "[1, 2]\n"}


async def test_a_fault_at_run_time_names_the_very_line_and_path_in_the_file():
    flow = flow_of("""
        params: {x: map}
        jobs:
          one:
            stages:
              - id: a
                foreach: [1]
                stages:
                  - run: x = 1
                    vars:
                      deep:
                        - "${{ params.x.nmae }}"
        """)

    with pytest.raises(RunFailed) as caught:
        await flow.but(parameters={"x": {"name": 1}}).run()
    assert (
        "flow.yaml:12 $.jobs.one.stages[0].stages[0].vars.deep[0]: "
        "${{ params.x.nmae }}: params.x has no 'nmae'; did you mean 'name'?"
    ) in str(caught.value)


def test_a_list_that_is_nested_too_deep_is_refused():
    deep = "${{ 1 }}"
    for _ in range(101):
        deep = [deep]

    with pytest.raises(ExpressionFaults, match="deeper than 100"):
        template_of(deep)


def test_a_text_cannot_become_too_long():
    with pytest.raises(ExpressionError, match=r"2,000,\d+ characters"):
        template_of("x${{ big }} ${{ big }}").render({"big": "a" * 1_000_000})


@pytest.mark.parametrize(
    "text",
    [
        "${{ " * 1_000_000,
        "${{ '\" }}" * 300_000,
        "${{ a | " + "x" * 9_000_000 + " }}",
        "${{" + " " * 5_000_000 + "}}",
        "$" * 1_000_000,
    ],
    ids=["open", "quotes", "long", "spaces", "dollars"],
)
def test_a_hostile_text_is_read_in_no_time(text):
    try:
        template_of(text)
    except ExpressionFaults as refused:
        assert len(str(refused)) < 100 * len(text)


@given(st.lists(st.text(), max_size=5))
def test_values_of_any_text_come_through_unchanged(values):
    scope = {f"v{place}": value for place, value in enumerate(values)}
    written = "|".join(f"${{{{ v{place} }}}}" for place in range(len(values)))

    assert template_of(written).render(scope) == "|".join(values)


@given(st.text())
def test_a_text_without_dollar_signs_is_itself(text):
    text = text.replace("$", "")

    assert template_of(text).render({}) == text
    assert template_of(text.replace("x", "$${{")).render({}) == text.replace("x", "${{")


# For scripts, whose values are bound and not pasted


def test_a_script_is_filled_with_what_its_writer_gives():
    script = template_of("echo ${{ params.name }} ${HOME} $${X} ${{ params.n }}", environment=False)
    seen = []

    def write(value):
        seen.append(value)
        return f"$V{len(seen)}"

    assert script.fill(SCOPE, write) == "echo $V1 ${HOME} $${X} $V2"
    assert seen == ["Ann", 3]
    assert script.texts == ("echo ", " ${HOME} $${X} ", "")
    assert template_of("plain").texts == ("plain",)
    assert template_of("plain").fill(SCOPE, write) == "plain"


# The environment


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${SET}", "here"),
        ("<${SET}>", "<here>"),
        ("${SET:other}", "here"),
        ("${EMPTY:-other}", ""),
        ("${UNSET:other}", "other"),
        ("${UNSET:-other one}", "other one"),
        ("${UNSET:}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET:http://x:80}", "http://x:80"),
        ("$${SET}", "${SET}"),
        ("$SET", "$SET"),
        ("${SET}/${{ params.n }}", "here/3"),
        ("${TRAP}", "${SET} ${{ params.n }}"),
    ],
)
def test_variables_of_the_environment_are_read_when_the_text_is_filled(written, expected, monkeypatch):
    template = template_of(written)
    monkeypatch.delenv("UNSET", raising=False)
    monkeypatch.setenv("SET", "here")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("TRAP", "${SET} ${{ params.n }}")

    assert template.render(SCOPE) == expected


def test_a_variable_that_is_not_set_is_an_error(monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)

    with pytest.raises(
        ExpressionError, match=r"\$\{UNSET\}: UNSET is not set, and has no default: \$\{UNSET:-default\} gives it one"
    ):
        template_of("x ${UNSET}").render({})


@pytest.mark.parametrize(
    "written", ["${}", "${1}", "${A-B}", "${A:-${B}}", "${A", "${A:{}}", "${A[0]}", "${#A}", "${ A }"]
)
def test_other_braces_after_a_dollar_sign_are_refused(written):
    with pytest.raises(ExpressionFaults, match=r"\$\$\{ stands for \$\{ itself"):
        template_of(written)


# Secrets

VALUE = "correct-horse-battery"


@pytest.fixture
def scope(monkeypatch, secrets_forgotten):
    monkeypatch.setenv("DB_PASSWORD", VALUE)
    return {**SCOPE, "secrets": {"db": Secret("DB_PASSWORD")}}


def test_a_secret_alone_is_passed_on_as_one(scope):
    assert template_of("${{ secrets.db }}").render(scope) == Secret("DB_PASSWORD")
    assert template_of("${DB_PASSWORD}").render(scope) == Secret("DB_PASSWORD")
    assert template_of("${{ secrets.gone | default(secrets.db) }}").render(scope) == Secret("DB_PASSWORD")


def test_a_text_with_a_secret_in_it_is_a_secret(scope):
    joined = template_of("db://${{ params.name }}:${{ secrets.db }}@host").render(scope)

    assert type(joined) is Secret
    assert VALUE not in repr(joined)
    assert joined.read() == f"db://Ann:{VALUE}@host"


def test_texts_with_one_secret_are_told_apart(scope):
    one, other, same = (template_of(f"{text}${{{{ secrets.db }}}}").render(scope) for text in ("a", "b", "a"))

    assert one.name != other.name
    assert one.name == same.name
    assert one.name.startswith("DB_PASSWORD in the text ")


async def test_a_store_has_the_name_of_a_secret_and_not_its_text(scope, tmp_path):
    given = template_of(
        {"url": "db://me:${{ secrets.db }}@host", "token": "${{ secrets.db }}", "list": ["${DB_PASSWORD}"]}
    )
    seen = []

    async def connect(**named):
        seen.append(named)
        return {"connected": named["url"]}

    async with Run("etl", store=f"sqlite:///{tmp_path / 'runs.db'}", id="one"):
        with pytest.raises(Exception, match=r"secret|Secret"):
            await task(connect)(**given.render(scope))

        async def login(**named):
            seen.append(named)
            return len(named["url"])

        await task(login)(**given.render(scope))

    assert seen[-1] == {"url": f"db://me:{VALUE}@host", "token": VALUE, "list": [VALUE]}
    for file in tmp_path.iterdir():
        assert VALUE.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2024, 1, 31, 8, tzinfo=UTC), "2024-01-31T08:00:00+00:00"),
        ({"day": date(2024, 1, 31)}, '{"day": "2024-01-31"}'),
        (1e16, "1e+16"),
        (("a", "ö"), '["a", "ö"]'),
    ],
)
def test_values_stand_in_texts_as_json_has_them(value, text):
    assert text_of_value(value) == text
