"""How many messages to a server it takes to submit a run, to look at a queue, and to take runs from it."""

import threading
import time

import psycopg
import pytest
from executions import claim_one, row, write_one

from aiodag import State
from aiodag.records import Claim, Owner
from aiodag.service import Service

QUEUES = ["default"]


@pytest.fixture
def service(postgres_address):
    service = Service(postgres_address)
    service.store.enrol(Owner.here(), QUEUES, 20, at=time.time(), lease=30.0)
    yield service
    service.close()


@pytest.fixture
def submit(service, tmp_path, schema):
    file = tmp_path / f"days_{schema}.py"  # imported once in a process
    file.write_text("async def main(day: str) -> str: return day")
    return lambda **wishes: service.submit(str(file), ["day=monday"], **wishes)


@pytest.fixture
def messages(monkeypatch):
    """What was sent since the last time that somebody asked."""
    sent, here = [], threading.get_ident()
    execute = psycopg.ClientCursor.execute

    def count(cursor, *args):
        if threading.get_ident() == here:  # and not what a thread of an earlier test still says
            sent.append(args)
        return execute(cursor, *args)

    def take():
        taken = sent.copy()
        sent.clear()
        return taken

    monkeypatch.setattr(psycopg.ClientCursor, "execute", count)
    return take


def take(service, limit=20):
    return service.store.take_queued(Owner.here(), QUEUES, limit, lease=30.0)


@pytest.mark.parametrize("wishes", [{}, {"key": "monday"}, {"key": "monday", "max_active": 5, "expires": 100}])
def test_a_run_is_submitted_with_three_messages(service, submit, messages, wishes):
    submit()
    messages()

    submit(**wishes)

    assert 2 <= len(messages()) <= 3


def test_a_look_at_an_empty_queue_takes_three_messages_and_the_next_moment_two(service, messages):
    take(service)
    service.store.due_in()
    messages()

    assert take(service) == []
    assert len(messages()) <= 3
    assert service.store.due_in() is None
    assert len(messages()) <= 2


@pytest.mark.parametrize("count", [1, 10])
def test_runs_are_taken_with_four_messages(service, submit, messages, count):
    for _ in range(count):
        submit()
    messages()

    assert len(take(service)) == count

    assert len(messages()) <= 4


def test_a_run_of_a_name_with_a_limit_is_taken_with_five_messages(service, submit, messages):
    submit(max_active=2)
    messages()

    assert len(take(service)) == 1

    assert len(messages()) <= 5


@pytest.mark.parametrize(("waits", "most"), [(True, 3), (False, 4)])  # one more: may it begin a run?
def test_a_message_is_delivered_with_three_messages_to_the_server(service, messages, waits, most):
    claimed = claim_one(service.store, Claim("order-1", "order", None, Owner.here(), lease=3600, at=time.time()))
    if waits:
        node = row(0, name="message", state=State.RUNNING, value=None, codec="message")
        wait = (0, "message", "PAID", "A17", time.time(), None, None)
        write_one(service.store, claimed, "order-1", nodes=[node], waits=[wait])
    messages()

    assert service.deliver("PAID", "A17", {"amount": 3}).outcome == ("taken" if waits else "kept")

    assert len(messages()) <= most
