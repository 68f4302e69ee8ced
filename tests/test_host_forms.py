"""Forms of hosts and executors: whatever is in them, all that is wrong is said; what is right is what its class takes."""

import asyncio
import inspect
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import WorkflowError
from aiodag._core.doors import DOORS, open_door
from aiodag.commands.forms import HOST_TYPES, host_faults, host_of_form
from aiodag.executors.forms import EXECUTOR_TYPES, executor_faults
from aiodag.workflows import loads

KEYS = sorted(
    {key for kind in (*HOST_TYPES.values(), *EXECUTOR_TYPES.values()) for key in kind.keys} | {"targets", "name"}
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["ssh", "pool", "local"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", *KEYS]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_whatever_a_form_is_its_faults_are_lines_and_nothing_is_raised(form):
    for faults in (host_faults(form), executor_faults(form)):
        for path, text in faults:
            assert isinstance(path, tuple)
            assert text.isprintable()


@pytest.mark.parametrize("name", [*HOST_TYPES, *EXECUTOR_TYPES])
def test_each_key_of_a_form_is_an_argument_of_its_class(name):
    kind = {**HOST_TYPES, **EXECUTOR_TYPES}[name]
    assert kind.door in DOORS
    try:
        made_by = getattr(open_door(kind.door), kind.made_by)
    except ImportError as error:
        pytest.skip(str(error))
    taken = inspect.signature(made_by).parameters
    rest = any(each.kind is each.VAR_KEYWORD for each in taken.values())

    assert rest or set(kind.keys) - set(taken) == set()
    assert name not in HOST_TYPES or "name" in taken


def test_a_pool_of_pools_of_pools_is_refused_and_not_followed():
    form = {"type": "local"}
    for _ in range(2_000):
        form = {"type": "pool", "targets": [form]}

    assert [text for _, text in host_faults(form)] == ["are pools within pools within pools: put the targets into one"]


def test_targets_have_the_keys_of_the_form_around_them_and_names_of_their_own():
    form = {"type": "pool", "name": "lab", "targets": [{"type": "local", "name": "a"}, {"type": "local", "name": "b"}]}
    pool = host_of_form(form, "other")

    assert (pool.name, [each.name for each in pool.targets]) == ("lab", ["a", "b"])
    assert host_of_form(pool.form()).form() == pool.form()


def test_thousands_of_unknown_names_are_told_in_seconds():
    tasks = {f"t{number}": {"command": ["true"], "host": f"host{number}"} for number in range(4_000)}
    hosts = {f"hos{number}": {"type": "local", "name": str(number)} for number in range(1_000)}
    flow = loads(json.dumps({"hosts": hosts, "tasks": tasks}))
    began = time.process_time()
    with pytest.raises(WorkflowError) as caught:
        asyncio.run(flow.run())

    assert len(caught.value.complaints) == 4_000
    assert time.process_time() - began < 10


def test_a_target_without_a_name_is_called_by_its_address():
    pool = host_of_form(
        {"type": "ssh", "targets": ["ada@lab:22", {"address": "ada@lab:2200"}, {"address": "x", "name": "y"}]}
    )

    assert [each.name for each in pool.targets] == ["ada@lab:22", "ada@lab:2200", "y"]


def test_an_executor_has_no_name_for_records_so_its_form_has_none():
    assert list(executor_faults({"type": "dask", "address": "tcp://127.0.0.1:8786", "name": "gpu"})) == [
        (("name",), "is a key that is not known here; known are address, by_value, keep_from, resources")
    ]


@pytest.mark.parametrize("flags", [{"tapes": "tapes={}"}, {"tapes": 1}, ["--tapes={}"]])
def test_flags_that_are_no_options_are_refused_in_the_words_of_slurm(flags):
    ((path, text),) = host_faults({"type": "slurm", "flags": flags})

    assert path == ("flags",)
    assert "options of sbatch" in text


def test_a_misspelled_executor_of_this_machine_is_told_with_what_was_meant():
    ((_, said),) = executor_faults("proces")
    assert said.endswith("; did you mean 'process'?")
