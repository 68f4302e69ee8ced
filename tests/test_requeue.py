"""Recorded runs that are queued again: one contract for every store, and what workers do with them."""

import asyncio
import json
import os
import signal
import time
from functools import partial

import pytest
from executions import claim_one, row, write_one
from test_inbox import deliver, parked, wait, wait_row
from test_queue import ENTRY, HERE, OTHER, end, enrol, ids, state_of, submit, take, why
from test_queue_races import at_once, connect
from worker_processes import FLOW, PATIENCE, begun, lines_of, until

from aiodag import State
from aiodag.errors import EntryError, OptionError, RunOwned, RunQueued, StoreError, UnknownRun, WorkflowError
from aiodag.records import Claim
from aiodag.service import Service
from aiodag.service.worker import QueueWorker
from aiodag.stores.keeper import LEASE
from aiodag.submissions import Resubmission

__all__ = ["connect"]  # a fixture
HELLO = {"tasks": {"first": {"command": ["echo", "1"]}, "greet": {"command": ["false"], "parents": ["first"]}}}
MENDED = {"tasks": {**HELLO["tasks"], "greet": {"command": ["echo", "hello"], "parents": ["first"]}}}
TARGET = "/srv/etl.py:main"


@pytest.fixture
def service(store):
    return Service(store)


def resubmit(store, run_id="monday", target=TARGET, **more):
    store.resubmit(Resubmission(run_id, target, **more))


def claim(store, run_id="monday", owner=OTHER, **more):
    return claim_one(store, Claim(run_id, "main", ENTRY, owner, LEASE, time.time(), **more))


def run_without_queue(store, run_id="monday", state=State.FAILED):
    claimed = claim(store, run_id)
    if state is not None:
        write_one(store, claimed, run_id, state=state, at=time.time())
    return claimed


async def fail_hello(service, tmp_path):
    path = tmp_path / "hello.json"
    path.write_text(json.dumps(HELLO))
    with pytest.raises(ExceptionGroup):
        await service.start(service.target(str(path)), run_id="monday")


async def work(service, run_id="monday"):
    worker = QueueWorker(service, grace=0.0)
    working = asyncio.create_task(worker.run())
    try:
        return await service.result(run_id, timeout=PATIENCE)
    finally:
        worker.stop()
        await working


# The contract


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_a_run_without_a_queue_is_taken_from_the_default_one_once_it_has_ended(store, state):
    run_without_queue(store, state=state)

    resubmit(store)

    run = store.run("monday")
    assert (run.state, run.queue, run.ended_at, run.error, run.execution) == (State.QUEUED, "default", None, "", 1)
    (taken,) = take(store)
    assert (taken.record.id, taken.claimed.execution, taken.claimed.begun, taken.target) == ("monday", 2, 2, TARGET)


def test_a_run_stays_in_its_queue_unless_another_is_named(store):
    submit(store, "monday", queue="nightly")
    submit(store, "tuesday", queue="nightly")
    for taken in take(store, queues=["nightly"]):
        end(store, taken, State.FAILED)

    resubmit(store)
    resubmit(store, "tuesday", queue="slow")

    assert ids(take(store, queues=["nightly"])) == ["monday"]
    assert ids(take(store, queues=["slow"])) == ["tuesday"]


def test_a_run_that_waits_or_goes_on_is_refused_and_stays_as_it_is(store):
    submit(store, "monday")
    with pytest.raises(RunQueued, match="'monday' waits in the queue 'default' already"):
        resubmit(store, queue="slow", definition="{}")

    take(store)
    with pytest.raises(RunOwned):
        resubmit(store, queue="slow", definition="{}")

    assert (store.run("monday").queue, store.definitions("monday")) == ("default", [])


def test_a_run_that_its_process_has_left_is_queued_again(store):
    claimed = run_without_queue(store, state=None)
    store.release([claimed])

    resubmit(store)

    assert [(each.record.id, each.claimed.execution, each.claimed.begun) for each in take(store)] == [("monday", 2, 1)]


def test_a_parked_run_is_queued_again_and_waits_on(store):
    parked(store, "monday")

    resubmit(store)

    (taken,) = take(store)
    assert (taken.record.id, taken.claimed.begun, len(taken.claimed.waits)) == ("monday", 1, 1)
    assert deliver(store) == ["taken"]


def test_a_parked_run_that_holds_its_group_keeps_it(store):
    submit(store, "monday", group="nightly")
    (monday,) = take(store)
    wait(store, monday, wait_row())
    assert store.park(monday.claimed) is State.PARKED
    submit(store, "tuesday", group="nightly")

    resubmit(store)

    assert (state_of(store, "tuesday"), store.run("tuesday").is_held) == (State.QUEUED, True)
    assert ids(take(store)) == ["monday"]


def test_an_unknown_run_and_a_queue_that_takes_nothing_are_refused(store):
    run_without_queue(store)
    store.put_queue("default", state="draining")

    with pytest.raises(UnknownRun):
        resubmit(store, "tuesday")
    with pytest.raises(StoreError, match=r"queue 'default' of .* is draining"):
        resubmit(store)
    assert state_of(store, "monday") is State.FAILED


def test_what_a_run_goes_on_with_is_recorded_for_its_next_execution(store):
    submit(store, "monday", entry=None, definition='{"tasks": {}}', tags={"env": "test"})
    end(store, *take(store), state=State.FAILED)
    entry = {"file": "", "task": "", "parameters": {"n": 1}}

    resubmit(store, definition='{"tasks": {"a": 1}}', entry=entry, tags={"env": "prod"}, code="c0de")

    assert store.definitions("monday") == [(1, '{"tasks": {}}'), (2, '{"tasks": {"a": 1}}')]
    (taken,) = take(store)
    assert (taken.record.definition, taken.record.entry) == ('{"tasks": {"a": 1}}', entry)
    assert (taken.record.tags, taken.code, taken.claim.definition) == ({"env": "prod"}, "c0de", '{"tasks": {"a": 1}}')


def test_a_second_definition_takes_the_place_of_one_that_nothing_was_built_from(store):
    submit(store, "monday", entry=None, definition='{"tasks": {}}')
    end(store, *take(store), state=State.FAILED)
    resubmit(store, definition='{"tasks": {"a": 1}}')
    enrol(store)
    (taken,) = take(store)
    store.give_back([taken.claimed], refusal="no code here")
    assert "no code here" in why(store, "monday")
    store.dismiss(HERE)

    resubmit(store, definition='{"tasks": {"b": 1}}')
    resubmitted = store.definitions("monday")
    claim(store, definition='{"tasks": {"c": 1}}')

    assert [text for _, text in resubmitted] == ['{"tasks": {}}', '{"tasks": {"a": 1}}', '{"tasks": {"b": 1}}']
    assert [execution for execution, _ in store.definitions("monday")] == [1, 2, 3]
    assert store.definitions("monday")[-1] == (3, '{"tasks": {"c": 1}}')


def test_nodes_that_are_to_run_again_are_void(store):
    claimed = run_without_queue(store, state=None)
    rows = [row(number) for number in range(3)]
    write_one(store, claimed, "monday", nodes=rows, state=State.SUCCEEDED, at=time.time())

    resubmit(store, again=[1])

    assert [known.number for known in store.known_nodes("monday").values() if known.void] == [1]


def test_a_run_of_a_group_waits_for_the_one_that_goes_on(store):
    submit(store, "monday", group="nightly")
    end(store, *take(store), state=State.FAILED)
    submit(store, "tuesday", group="nightly")
    (tuesday,) = take(store)

    resubmit(store)

    assert (take(store), store.run("monday").is_held) == ([], True)
    end(store, tuesday)
    take(store, 0)
    assert ids(take(store)) == ["monday"]


def test_a_run_whose_code_every_worker_has_refused_fails_at_once(store):
    enrol(store)
    submit(store, "monday")
    (taken,) = take(store)
    store.give_back([taken.claimed], refusal="no such file")

    resubmit(store)

    assert "no such file" in why(store, "monday")


def test_of_many_that_queue_a_run_again_at_once_one_does(connect):
    store = connect()
    submit(store, "monday")
    end(store, *take(store), state=State.FAILED)

    def attempt(store, number):
        try:
            resubmit(store, definition=f'{{"tasks": {{}}, "name": "{number}"}}')
        except RunQueued:
            return None
        return number

    answers = at_once(*[partial(attempt, connect(), number) for number in range(4)])

    (winner,) = [each for each in answers if each is not None]
    assert json.loads(store.run("monday").definition)["name"] == str(winner)


def test_whoever_queues_a_run_again_and_whoever_claims_it_agree_on_who_has_it(connect):
    store = connect()
    for round_ in range(20):
        run_id = f"run{round_}"
        submit(store, run_id)
        end(store, *take(store), state=State.FAILED)

        def queue_again(store, run_id=run_id):
            try:
                resubmit(store, run_id)
            except RunOwned:
                return "refused"
            return "queued"

        queued, claimed = at_once(partial(queue_again, connect()), partial(claim, connect(), run_id))

        run = store.run(run_id)
        assert (run.owner, run.state) == (OTHER, State.RUNNING), (queued, claimed)
        assert take(store) == []


# What a worker does with it


async def test_a_worker_continues_with_the_edited_definition_and_recalls_the_rest(service, tmp_path):
    await fail_hello(service, tmp_path)

    record = service.requeue("monday", definition=MENDED)
    values = await work(service)

    assert (record.state, record.queue) == (State.QUEUED, "default")
    assert values["greet"].stdout == "hello\n"
    assert {node.name: node.attempt for node in service.nodes("monday")} == {"first": 1, "greet": 2}
    assert [execution for execution, _ in service.store.definitions("monday")] == [1, 2]


async def test_what_is_named_runs_again(service, tmp_path):
    await fail_hello(service, tmp_path)
    service.requeue("monday", definition=json.dumps(MENDED))
    await work(service)

    service.requeue("monday", again=["first"])
    await work(service)

    assert {node.name: node.attempt for node in service.nodes("monday")} == {"first": 2, "greet": 3}


async def test_the_parameters_with_which_a_run_began_stay(service, tmp_path):
    form = {"jobs": {"a": {"stages": [{"id": "s", "echo": "${{ params.day }}"}, {"raise": "no"}]}}}
    form["params"] = {"day": {"type": "str", "default": "sunday"}}
    path = tmp_path / "days.json"
    path.write_text(json.dumps(form))
    with pytest.raises(ExceptionGroup):
        await service.start(service.target(str(path), ["day=monday"]), run_id="monday")

    form["jobs"]["a"]["stages"][1] = {"id": "t", "echo": "it is ${{ params.day }}"}
    service.requeue("monday", definition=form)
    await work(service)

    lines = [line.text for line in service.store.logs("monday")] + [
        repr(node.value) for node in service.nodes("monday") if node.value
    ]
    assert any("it is monday" in line for line in lines)
    assert service.entry("monday").parameters == {"day": "monday"}


@pytest.mark.parametrize(
    ("wishes", "error", "text"),
    [
        ({"definition": {"tasks": {"a": {"comand": ["ls"]}, "b": {}}}}, WorkflowError, "did you mean 'command'"),
        ({"definition": {"name": "other", **HELLO}}, EntryError, "is 'other', and run 'monday' is one of 'hello'"),
        ({"definition": "tasks: ["}, WorkflowError, "YAML"),
        ({"definition": {"tasks": {"a": {"command": [object()]}}}}, WorkflowError, "is not plain JSON"),
        ({"definition": HELLO, "source": "hello.json"}, OptionError, "one of both"),
        ({"queue": "-x"}, OptionError, "queue"),
        ({"again": ["nobody"]}, StoreError, "nobody"),
        ({"source": "gone.json"}, WorkflowError, "no such file"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_recorded(service, tmp_path, wishes, error, text):
    await fail_hello(service, tmp_path)

    with pytest.raises(error, match=text):
        service.requeue("monday", **wishes)

    assert (service.run("monday").state, service.run("monday").queue) == (State.FAILED, None)
    assert len(service.store.definitions("monday")) == 1


async def test_values_that_no_store_keeps_are_found_in_the_file_of_the_run_again(service, tmp_path):
    path = tmp_path / "hello.json"
    form = {"tasks": {"greet": {"shell": 'test "$MODE" = fast && exit 3', "environment": {"MODE": "fast"}}}}
    path.write_text(json.dumps(form))
    with pytest.raises(ExceptionGroup):
        await service.start(service.target(str(path)), run_id="monday")
    shown = json.loads(service.run("monday").definition)
    assert shown["tasks"]["greet"]["environment"]["MODE"] == "***"

    shown["tasks"]["greet"]["shell"] = 'echo "it is $MODE"'
    service.requeue("monday", definition=shown)
    values = await work(service)

    assert values["greet"].stdout == "it is fast\n"
    assert '"fast"' not in service.run("monday").definition


async def test_a_run_of_a_python_task_goes_on_as_its_file_is_now(service, tmp_path):
    name = f"days_{tmp_path.name}"  # a module of its own for each test
    path = tmp_path / f"{name}.py"
    path.write_text("async def main(day: str) -> str:\n    raise ValueError(day)\n")
    run_id = service.submit(str(path), ["day=monday"])
    with pytest.raises(ExceptionGroup):
        await work(service, run_id)
    with pytest.raises(EntryError, match="has no document to edit"):
        service.requeue(run_id, definition=HELLO)
    edited = tmp_path / f"{name}_edited.py"
    edited.write_text("async def main(day: str) -> str:\n    return day.upper()\n")

    service.requeue(run_id, source=f"{edited}:main")

    assert await work(service, run_id) == "MONDAY"


async def test_a_run_that_a_program_made_says_who_can_go_on_with_it(service):
    from aiodag import Run

    async with Run("etl", store=service.store, id="monday"):
        pass

    with pytest.raises(EntryError, match="was made by a program"):
        service.requeue("monday")


# Processes


async def test_a_run_that_was_killed_is_queued_again_and_goes_on_elsewhere(address, tmp_path, workers):
    service, effects = Service(address), tmp_path / "effects"
    process = workers.start()
    run_id = service.submit(f"{FLOW}:wait_for", {"file": str(effects)})
    await begun(effects)
    with pytest.raises(RunOwned):
        service.requeue(run_id)
    process.send_signal(signal.SIGKILL)
    process.wait()

    record = service.requeue(run_id)

    assert record.state is State.QUEUED
    workers.start()
    await until(lambda: len(lines_of(effects)) == 2, "another worker has it")
    assert (os.getpid(), service.run(run_id).execution) == (os.getpid(), 2)
    service.close()
