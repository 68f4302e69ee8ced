"""The page about schedules says what each cron expression means, and that is what it means."""

import re

import pytest
from programs import ROOT

from aiodag import TriggerError
from aiodag.schedules import Cron
from aiodag.schedules.forms import TRIGGER_KEYS

PAGE = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")


def rows(head):
    table = PAGE.partition(f"\n| {head} |\n")[2].partition("\n\n")[0]
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]


@pytest.mark.parametrize(("expression", "meaning", "moments"), rows("expression | means | first moments"))
def test_an_expression_has_the_moments_that_the_page_says(expression, meaning, moments):
    found = Cron(expression).iter("2026-01-01")

    assert ", ".join(f"{next(found):%m-%d %H:%M}" for _ in range(2)) == moments


@pytest.mark.parametrize(("expression", "text"), rows("expression | refused with"))
def test_an_expression_is_refused_as_the_page_says(expression, text):
    with pytest.raises(TriggerError, match=re.escape(text)):
        Cron(expression)


def test_the_page_has_every_key_of_a_trigger():
    table = PAGE.partition("### As JSON or YAML")[2].partition("\n## ")[0]
    keys = {key for cell in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", cell)}

    assert keys == TRIGGER_KEYS
