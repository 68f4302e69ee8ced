"""A service of a server has every method that one of a store has: it looks, it asks for changes, or it says why not."""

import asyncio
import inspect

import pytest

from aiodag import AiodagError
from aiodag.service import Service
from aiodag.service.entry import Entry
from aiodag.service.remote import RemoteService

# What is inherited, and asks the store for what it needs, as test_remote_records.py and test_remote_changes.py try it.
LOOKS = """
    about add_queue attempts backfill_numbered backfills changes close count_runs definitions drain_queue edges entry error export find
    firings follow graph head logs matching messages newest next_moments nodes numbers_again output parameters pause_queue place queues
    refuse_unknown_queue result resume_queue run runs schedule schedules topics value waits waits_of workers workflows
"""
# What is asked of the server.
CHANGES = """
    add_schedules again audit backfill cancel cancel_backfill delete deliver drop_schedule forget
    pause_schedule plan prune put_schedule redeliver register requeue resume_schedule run_schedule submit take_in
    unregister
"""
# What needs no store: it reads files of this machine.
HERE = "elsewhere preview refuse spell target"
# What needs the store itself, and says so.
STORE = {
    "backup": "it writes a file where the store is",
    "check": "it refuses to begin a run here, which nobody can",
    "copy_to": "copies take the rows of a store unread",
    "migrate": "it changes the tables of a store",
    "plan_parked": "it runs code that is here with the records of many runs",
    "remove_values": "it removes files where the store is",
    "resume": "whoever runs it writes its record",
    "start": "whoever runs it writes its record",
}
# Who may use a server is said where its store is: a token that operates makes no other one.
TOKENS = """
    begin_session caller_of_session caller_of_token end_session is_still_valid make_first_token make_token
    note_answer note_request prune_audit revoke_token tokens
"""


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_method_is_in_one_of_the_lists():
    lists = [LOOKS.split(), CHANGES.split(), HERE.split(), list(STORE), TOKENS.split()]

    assert sorted(name for each in lists for name in each) == sorted(public(Service))
    assert public(RemoteService) == public(Service)


@pytest.mark.parametrize("name", CHANGES.split())
def test_what_changes_takes_the_same_arguments(name):
    mine, theirs = getattr(RemoteService, name), getattr(Service, name)

    assert [*inspect.signature(mine).parameters] == [*inspect.signature(theirs).parameters]
    assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(theirs)


ARGUMENTS = {
    "prune_audit": [60],
    "backup": ["copy.db"],
    "copy_to": ["copy.db"],
    "plan_parked": ["order", "order.py"],
    "resume": ["monday"],
    "start": [Entry("etl.py", "main", {})],
    "make_token": ["ci"],
    "revoke_token": ["ci"],
    "caller_of_token": ["aiodag_token"],
}


@pytest.mark.parametrize("name", [*(set(STORE) - {"check"}), "prune_audit", "make_token", "revoke_token", "tokens"])
def test_what_needs_the_store_itself_is_refused_in_one_line(name):
    service = Service("http://127.0.0.1:1", token="a-token-of-a-client-0123456789-0123456789")

    with pytest.raises(AiodagError) as caught:
        found = getattr(service, name)(*ARGUMENTS.get(name, []))
        if inspect.isawaitable(found):
            asyncio.run(found)

    assert "http://127.0.0.1:1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "cannot reach" not in str(caught.value)
