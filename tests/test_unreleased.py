"""Runs that a store cannot let go of are let go of later."""

import pytest

from aiodag.errors import StoreError
from aiodag.records import Owner
from aiodag.states import State
from aiodag.stores.unreleased import UNRELEASED, leave_runs, release_again
from aiodag.submissions import Submission

ME = Owner.here()


@pytest.fixture
def taken(store):
    """A run that this process has taken from its queue."""
    entry = {"file": "/srv/etl.py", "task": "main", "parameters": {}}
    store.submit(Submission("monday", "main", entry, "/srv/etl.py:main", at=5.0))
    (taken,) = store.take_queued(ME, ["default"], 1, lease=60.0)
    yield taken.claimed
    UNRELEASED.pop(store.place, None)


def on_a_full_disk(*_):
    msg = "the disk is full"
    raise StoreError(msg)


@pytest.fixture
def unreleased(store, taken, monkeypatch):
    """The same, when the store could not let go of it."""
    with monkeypatch.context() as full:
        full.setattr(store, "give_back", on_a_full_disk)
        leave_runs(store, [(taken, "queue")])
    return taken


def test_it_is_given_back_when_the_store_works_again(store, unreleased):
    assert store.run("monday").state is State.RUNNING

    release_again(store, ME, ())

    assert (store.run("monday").state, store.place in UNRELEASED) == (State.QUEUED, False)


def test_while_its_task_is_about_to_end_it_is_kept_for_later(store, unreleased):
    release_again(store, ME, {unreleased.run})
    assert store.run("monday").state is State.RUNNING

    release_again(store, ME, ())

    assert store.run("monday").state is State.QUEUED


def test_one_that_has_gone_on_is_left_alone(store, unreleased):
    store.give_back([unreleased])
    (again,) = store.take_queued(ME, ["default"], 1, lease=60.0)

    release_again(store, ME, ())

    assert (store.run("monday").state, again.claimed.execution) == (State.RUNNING, 2)
    assert store.place not in UNRELEASED


def test_a_store_that_cannot_be_asked_is_asked_again(store, unreleased, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(store, "held_runs", on_a_full_disk)
        release_again(store, ME, ())
    release_again(store, ME, ())

    assert store.run("monday").state is State.QUEUED
