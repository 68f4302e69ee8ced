"""The errors: their tree, their texts, and their way through pickle and copy."""

import copy
import inspect
import pickle
import re

import pytest

import aiodag
from aiodag import NoLoop, Run, RunFailed, errors, task
from aiodag.testing import run

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, BaseException)]
OURS = [
    errors.AiodagError("anything"),
    errors.NoLoop("fetch"),
    errors.ForeignLoop("<Future>", closed=True),
    errors.Deadlock(["a", "b", "a"]),
    errors.WorkerDied("fetch", attempt=2, attempts=3),
    errors.AttemptLost("the worker of fetch has died", reason="worker died"),
    errors.NotPicklable("fetch", "exception", "TypeError", raised="Bad: text"),
    errors.StageFailed("no rows came for monday"),
    errors.Stalled(["fetch", "load"]),
    errors.NotATask(3),
    errors.UnknownOption("retry", ["retries"]),
    errors.OptionError("retries", -1, "an int of 0 or more"),
    errors.NoCapacity("fetch", "asks for cores 9, and no place has more than 8"),
    errors.HookFailed("https://example.org", "answered 403 Forbidden"),
    errors.CycleError(["a", "b", "a"]),
    errors.WorkflowError(
        [errors.Complaint("etl.py:3", "'a' waits for itself"), errors.Complaint("", "cycle: a -> b -> a")]
    ),
    errors.Skip("nothing new"),
]
WAYS = {
    **{f"pickle {at}": lambda error, at=at: pickle.loads(pickle.dumps(error, at)) for at in range(6)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}

each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def test_every_error_stands_in_the_tree_below_its_parent():
    lines = errors.__doc__.splitlines()
    at = {each: next(i for i, line in enumerate(lines) if f"─ {each.__name__} " in f"{line} ") for each in CLASSES}
    ours = [each for each in CLASSES if each is not errors.AiodagError and issubclass(each, errors.AiodagError)]

    assert set(at) == set(CLASSES)
    assert all(at[errors.AiodagError] < at[each] < at[errors.Skip] for each in ours)


def test_every_error_says_where_people_import_it_from():
    listed = vars(aiodag)

    assert {each.__module__ for each in CLASSES} == {"aiodag", "aiodag.errors"}
    assert all((each.__module__ == "aiodag") is (listed.get(each.__name__) is each) for each in CLASSES)


def test_an_error_that_1_7_has_pickled_is_read():
    again = pickle.loads(b"caiodag.errors\nremade\n(caiodag\nWorkerDied\n(Vno answer\nttR(dVcode\nI3\nsb.")

    assert (type(again), str(again), again.code) == (errors.WorkerDied, "no answer", 3)


def test_a_pickled_error_names_no_file_that_an_error_is_in():
    pickled = pickle.dumps([kind.__new__(kind, "a text") for kind in CLASSES if kind is not RunFailed], 0)

    assert set(re.findall(rb"aiodag[\w.]*", pickled)) == {b"aiodag", b"aiodag.errors"}


def test_every_error_names_its_other_parents_in_the_tree():
    for each in CLASSES:
        parents = [base.__name__ for base in each.__bases__[1:]]

        assert not parents or f"({', '.join(parents)})" in errors.__doc__


@pytest.mark.parametrize("kind", [each for each in CLASSES if each is not RunFailed], ids=lambda kind: kind.__name__)
def test_every_error_can_be_made_again_of_its_text(kind):
    error = kind.__new__(kind, "a text")
    error.mark = ("a", "b")
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), again.mark) == (kind, "a text", ("a", "b"))


@each_way
@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_type_text_and_attributes(error, way):
    error.add_note("in task fetch")
    again = way(error)

    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


@each_way
def test_run_failed_keeps_its_text_and_exceptions_and_drops_the_failures(way):
    async def main():
        async with Run("etl"):
            task(int, name="parse")("a1")

    with pytest.raises(RunFailed) as caught:
        run(main())
    caught.value.add_note("a note")
    again = way(caught.value)

    assert type(again) is RunFailed
    assert str(again) == str(caught.value)
    assert [repr(each) for each in again.exceptions] == [repr(each) for each in caught.value.exceptions]
    assert again.__notes__ == ["a note"]
    assert (len(caught.value.failures), again.failures) == (1, ())


@pytest.mark.parametrize(("attempts", "told"), [(1, True), (2, False)])
def test_worker_died_names_a_retry_only_where_there_was_none(attempts, told):
    text = str(errors.WorkerDied("fetch", attempt=attempts, attempts=attempts))

    assert f"in attempt {attempts} of {attempts}" in text
    assert ("retries=1 would have tried again" in text) is told


def test_a_call_inside_a_plain_function_says_where_its_body_runs():
    fetch = task(lambda: 1, name="fetch")

    @task
    def load():
        return fetch()

    async def main():
        with pytest.raises(NoLoop, match=r"body of .*load, a plain function, runs in a thread, which has none. Make"):
            await load()

    run(main())
