"""Where people import things from, and not where they are."""

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("file", "public"),
    [("aiodag.ownership", "aiodag.records"), ("aiodag.batches", "aiodag.records"), ("aiodag.journal", "aiodag.abc")],
)
def test_a_class_says_where_people_import_it_from_and_not_in_which_file_it_is(file, public):
    things = [each for each in vars(import_module(file)).values() if isinstance(each, type)]
    classes = {each.__name__: each for each in things if each.__module__ in {file, public}}

    assert classes
    assert {each.__module__ for each in classes.values()} == {public}
    assert classes == {name: getattr(import_module(public), name) for name in classes}
