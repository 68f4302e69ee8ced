"""The page about templates says of each function what it gives, and that is what it gives."""

import json
import re
from datetime import date

import pytest
from jobs_forms import flow_of
from programs import ROOT

from aiodag import ExpressionError, WorkflowError
from aiodag.workflows import hook
from aiodag.workflows.expressions import grammar, lexemes, listings, values
from aiodag.workflows.expressions.evaluation import parts_of_tree
from aiodag.workflows.expressions.functions import FUNCTIONS
from aiodag.workflows.expressions.grammar import FunctionCall, parse_expression
from aiodag.workflows.expressions.template import template_of
from aiodag.workflows.params import TYPE_ALIASES, TYPES_OF_PARAMS, bind_params

PAGE = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
SCOPE = {"params": {"n": 3, "name": "Ann", "none": None, "tables": ["orders", "users"], "day": date(2024, 1, 31)}}
ROW = re.compile(r"^\| `(.+?)` \| (?:`(.+)`|an error: (.+)) \|$", re.MULTILINE)


def rows():
    """Give the expressions of the tables, with what they give."""
    for table in PAGE.split("\n| expression | gives |\n")[1:]:
        for expression, value, error in ROW.findall(table.partition("\n\n")[0]):
            yield expression.replace("\\|", "|"), value, error


def value_on_page(text):
    """Read a value as the page writes it: a text in single quotes, or JSON with such texts."""
    return text[1:-1] if text.startswith("'") else json.loads(text.replace("'", '"'))


@pytest.mark.parametrize(("expression", "value", "error"), [*rows()])
def test_an_expression_gives_what_the_page_says(expression, value, error):
    template = template_of(f"${{{{ {expression} }}}}")
    if error:
        with pytest.raises(ExpressionError, match=re.escape(error)):
            template.render(SCOPE)
    else:
        assert template.render(SCOPE) == value_on_page(value)


def test_the_page_shows_every_function():
    trees = [parse_expression(expression) for expression, _, _ in rows()]
    shown = {part.name for tree in trees for part in parts_of_tree(tree) if isinstance(part, FunctionCall)}

    assert shown == set(FUNCTIONS)


def test_the_page_shows_every_type_of_params():
    table = PAGE.partition("| type | takes | gives |")[2].partition("\n\n")[0]
    others = PAGE.partition("`string`")[1] + PAGE.partition("`string`")[2].partition(" are other names")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(TYPES_OF_PARAMS)
    assert set(re.findall(r"`(\w+)`", others)) == set(TYPE_ALIASES)


def test_the_page_says_the_limits():
    table = PAGE.partition("## Limits")[2].partition("\n## ")[0]

    for limit in (
        f"{lexemes.LONGEST_EXPRESSION:,} characters",
        f"{grammar.DEEPEST_EXPRESSION} levels",
        f"{values.LARGEST_RESULT:,} characters",
        f"{listings.LONGEST_RANGE:,} numbers",
        f"{values.MOST_WORK:,} characters",
    ):
        assert limit in table
    assert lexemes.LARGEST_NUMBER == 10**30


BLOCKS = re.findall(r"^```yaml\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_the_first_form_on_the_page_runs():
    values = await flow_of(BLOCKS[0], day="2024-01-31").run()

    assert values["report"]["stages"]["greet"]["outputs"]["message"] == "Hello, ANN! Wednesday was day 31."


def test_the_params_on_the_page_are_declared_right():
    flow = flow_of(next(block for block in BLOCKS if "mode:" in block) + "jobs: {a: {stages: [{echo: x}]}}")

    assert bind_params(flow.jobs.params, {"source": 5, "day": "2024-01-31"}) == {
        "source": "5",
        "day": date(2024, 1, 31),
        "limit": 100,
        "mode": "delta",
        "tables": ["orders", "users"],
        "note": None,
    }


async def test_the_secrets_on_the_page_reach_a_hook(monkeypatch, hooks_forgotten, secrets_forgotten):
    monkeypatch.setenv("API_TOKEN", "correct horse")
    seen = []

    @hook("tasks/get-api@requests")
    def get_api(url, auth):
        seen.append(auth)

    await flow_of(next(block for block in BLOCKS if "secrets:" in block)).run()

    assert seen == ["Bearer correct horse"]


def test_the_complaints_on_the_page_are_what_is_said():
    flow = flow_of("params:\n  source: str\n  day: date\njobs: {a: {stages: [{echo: x}]}}")
    with pytest.raises(WorkflowError) as refused:
        flow.but(parameters={"sauce": 1, "day": "soon"})

    assert "aiodag: " + str(refused.value).replace("flow.yaml", "etl.yaml") in PAGE
