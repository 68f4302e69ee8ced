"""Runs are submitted as a whole or not at all, and whoever waits for one gets what it ended with."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from aiodag import QueueError, Run, RunCancelled, RunFailed, State, task
from aiodag.errors import EntryError, OptionError, StoreError, StoreUnreachable, UnknownRun, WorkflowError
from aiodag.records import Owner
from aiodag.service import Service

PROGRAM = """
from pathlib import Path

from aiodag import task

Path("imported").touch()


@task
async def main(day: str, count: int = 1) -> str:
    Path("begun").touch()
    return f"{day} {count}"


@task
async def broken():
    raise LookupError("no rows")
"""
WORKFLOW = {
    "name": "flow",
    "tags": {"team": "data"},
    "tasks": {
        "pull": {"command": ["echo", "{{DAY}}"], "parameters": {"DAY": ["mon", "tue"]}},
        "load": {"command": ["echo", "loaded"], "parents": ["pull"]},
    },
}


@pytest.fixture
def service(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "queued_etl.py").write_text(PROGRAM)
    (tmp_path / "flow.json").write_text(json.dumps(WORKFLOW))
    yield Service(store)
    sys.modules.pop("queued_etl", None)


def test_submitting_records_a_run_and_begins_nothing(service, tmp_path):
    run_id = service.submit("queued_etl.py", ["day=monday"], priority=3, queue="slow", tags={"env": "test"})

    run = service.run(run_id)
    assert (run.name, run.state, run.queue, run.priority) == ("main", State.QUEUED, "slow", 3)
    assert (run.entry["task"], run.entry["parameters"]) == ("main", {"day": "monday"})
    assert (run.tags, run.counts) == ({"env": "test"}, {})
    assert not (tmp_path / "begun").exists()


def test_parameters_may_be_values(service):
    run_id = service.submit("queued_etl.py", {"day": "monday", "count": 2})

    assert service.run(run_id).entry["parameters"] == {"day": "monday", "count": 2}


def test_what_target_has_found_can_be_submitted(service):
    run_id = service.submit(service.target("queued_etl.py", ["day=monday"]))

    assert service.entry(run_id).task == "main"


def test_a_workflow_is_submitted_with_its_text_and_its_tags(service):
    run_id = service.submit("flow.json", tags={"env": "test"})

    run = service.run(run_id)
    assert (run.name, run.tags) == ("flow", {"team": "data", "env": "test"})
    assert list(json.loads(run.definition)["tasks"]) == ["pull", "load"]


def test_a_registered_workflow_is_submitted_by_its_name(service, tmp_path):
    service.register("flow.json")
    (tmp_path / "flow.json").unlink()

    run_id = service.submit("flow")

    assert service.run(run_id).definition is not None


@pytest.mark.parametrize(
    ("target", "options", "error"),
    [
        ("gone.py", {}, EntryError),
        ("queued_etl.py:maine", {}, EntryError),
        ("queued_etl.py", {}, EntryError),
        ("queued_etl.py", {"parameters": ["day=monday", "color=red"]}, EntryError),
        ("queued_etl.py", {"parameters": ["day=monday", "count=many"]}, EntryError),
        ("queued_etl.py", {"parameters": {"day": {1, 2}}}, EntryError),
        ("queued_etl.py", {"parameters": {"day": ("a", "b")}}, EntryError),
        ("unknown", {}, EntryError),
        ("flow.json", {"parameters": ["month=may"]}, EntryError),
        ("bad.json", {}, WorkflowError),
        ("flow.json", {"priority": "high"}, OptionError),
        ("flow.json", {"priority": 2**31}, OptionError),
        ("flow.json", {"priority": True}, OptionError),
        ("flow.json", {"at": datetime(2026, 1, 1)}, OptionError),
        ("flow.json", {"at": 17.5}, OptionError),
        ("flow.json", {"queue": ""}, OptionError),
        ("flow.json", {"queue": "a\nb"}, OptionError),
        ("flow.json", {"queue": " slow"}, OptionError),
        ("flow.json", {"queue": None}, OptionError),
        ("flow.json", {"key": ""}, OptionError),
        ("flow.json", {"key": "k" * 501}, OptionError),
        ("flow.json", {"queue": "q" * 201}, OptionError),
        ("flow.json", {"tags": {"env": 1}}, OptionError),
        ("flow.json", {"expires": 0}, OptionError),
        ("flow.json", {"expires": "1h"}, OptionError),
        ("flow.json", {"retries": -1}, OptionError),
        ("flow.json", {"max_active": 0}, OptionError),
        ("flow.json", {"max_active": 2**31}, OptionError),
        ("flow.json", {"retries": 2**31}, OptionError),
        ("flow.json", {"queue": "slwo", "strict": True}, StoreError),
    ],
)
def test_what_cannot_run_is_refused_and_not_recorded(service, tmp_path, target, options, error):
    (tmp_path / "bad.json").write_text('{"tasks": {"pull": {"comand": ["ls"]}}}')

    with pytest.raises(error):
        service.submit(target, **options)

    assert service.runs() == []


def test_the_error_of_an_unknown_queue_names_those_that_there_are(service):
    service.add_queue("slow")

    with pytest.raises(StoreError, match=r"no queue 'slwo' .*only default, slow.*did you mean 'slow'"):
        service.submit("flow.json", queue="slwo", strict=True)


def test_a_queue_is_known_if_it_was_added_or_a_worker_serves_it(service, store):
    service.add_queue("slow")
    store.enrol(Owner.here(), ["fast"], 1, at=time.time(), lease=15)

    for queue in ("default", "slow", "fast"):
        assert service.submit("flow.json", queue=queue, strict=True)


def test_a_run_can_begin_later_and_expire(service):
    at = datetime.now(UTC) + timedelta(hours=1)

    run_id = service.submit("flow.json", at=at, expires=timedelta(minutes=1))

    assert service.run(run_id).due_at == at
    assert service.store.due_in() == pytest.approx(60 * 60, abs=60)


def test_the_same_key_is_the_same_run_for_equal_arguments_alone(service):
    first = service.submit("queued_etl.py", ["day=monday"], key="k")

    assert service.submit("queued_etl.py", ["day=monday"], key="k") == first
    with pytest.raises(StoreError, match=r"queued_etl.py:main day=monday, not .*queued_etl.py:main day=friday"):
        service.submit("queued_etl.py", ["day=friday"], key="k")


def test_the_longest_names_are_taken(service):
    run_id = service.submit("flow.json", queue="\N{GRINNING FACE}" * 200, key="\N{GRINNING FACE}" * 500)

    assert service.run(run_id).queue == "\N{GRINNING FACE}" * 200


# Queues


def test_a_queue_can_be_paused_resumed_and_drained(service):
    service.add_queue("slow", rate=10, per=60)

    states = []
    for change in (service.pause_queue, service.resume_queue, service.drain_queue):
        change("slow")
        (queue,) = service.queues()
        states.append((queue.state, queue.rate, queue.per))

    assert states == [("paused", 10, 60.0), ("open", 10, 60.0), ("draining", 10, 60.0)]


def test_the_rate_of_a_queue_can_be_taken_away(service):
    service.add_queue("slow", rate=10, per=60)

    service.add_queue("slow")

    assert [each.rate for each in service.queues()] == [None]


def test_an_unknown_queue_is_not_paused(service):
    with pytest.raises(StoreError, match="no queue 'slwo'"):
        service.pause_queue("slwo")


@pytest.mark.parametrize("options", [{"rate": 0}, {"rate": 1.5}, {"rate": 1, "per": 0}, {"rate": 1, "per": "1s"}])
def test_a_rate_that_cannot_be_is_refused(service, options):
    with pytest.raises(OptionError):
        service.add_queue("slow", **options)


# Results


async def both(service, run_id, **options):
    """What becomes of a run that somebody waits for while another works on it."""
    waiting = asyncio.create_task(service.result(run_id))
    await asyncio.sleep(0)
    worked = asyncio.create_task(service.resume(run_id, **options))
    await asyncio.wait([worked])
    worked.exception() if not worked.cancelled() else None
    return await waiting


async def test_the_result_of_a_task_is_what_it_returned(service):
    run_id = service.submit("queued_etl.py", ["day=monday", "count=2"])

    assert await both(service, run_id) == "monday 2"
    assert await service.result(run_id, timeout=0) == "monday 2"


async def test_the_result_of_a_workflow_are_the_values_of_its_tasks(service):
    result = await both(service, service.submit("flow.json"))

    assert list(result) == ["pull", "load"]
    assert [each.stdout for each in result["pull"]] == ["mon\n", "tue\n"]
    assert result["load"].stdout == "loaded\n"


async def test_the_failure_of_a_run_is_raised_where_somebody_waits(service):
    with pytest.raises(RunFailed) as failed:
        await both(service, service.submit("queued_etl.py:broken"))

    assert failed.group_contains(LookupError, match="no rows")


async def test_what_a_queue_failed_is_raised_with_the_reason(service):
    run_id = service.submit("flow.json", expires=1e-9)
    service.store.take_queued(Owner.here(), ["default"], 0, lease=15)

    with pytest.raises(QueueError, match="expired"):
        await service.result(run_id)


async def test_a_cancelled_run_has_no_result(service):
    run_id = service.submit("flow.json")
    service.cancel(run_id)

    with pytest.raises(RunCancelled):
        await service.result(run_id)


async def test_waiting_ends_with_its_timeout_and_the_run_goes_on(service):
    run_id = service.submit("flow.json")

    with pytest.raises(TimeoutError, match=r"has not ended within 10 ms: it is queued"):
        await service.result(run_id, timeout=0.01)

    assert service.run(run_id).state is State.QUEUED


async def test_who_waits_for_a_result_waits_for_a_store_that_is_away(service, monkeypatch):
    run_id = service.submit("flow.json")
    head, looks = service.store.head, []

    def head_of_a_store_that_goes_away(asked):
        looks.append(asked)
        if len(looks) == 2:
            service.cancel(asked)
            raise StoreUnreachable("the server restarts")
        return head(asked)

    monkeypatch.setattr(service.store, "head", head_of_a_store_that_goes_away)
    monkeypatch.setattr("aiodag.service.queues.LOOK", 0.0)

    with pytest.raises(RunCancelled):
        await service.result(run_id)


async def test_who_asks_a_store_that_is_away_is_told_at_once(service, monkeypatch):
    def head_of_a_store_that_is_away(asked):
        raise StoreUnreachable("the server restarts")

    monkeypatch.setattr(service.store, "head", head_of_a_store_that_is_away)

    with pytest.raises(StoreUnreachable):
        await service.result("any")


async def test_nobody_waits_for_a_run_that_is_not_there(service):
    with pytest.raises(UnknownRun):
        await service.result("gone")


async def test_the_run_of_a_program_has_no_value_of_its_own(service, store):
    async with Run("own", store=store, id="own"):
        task(print)()

    assert await service.result("own") is None


async def test_a_failure_that_cannot_be_read_is_one_all_the_same(service, store):
    run_id = service.submit("flow.json")
    (taken,) = store.take_queued(Owner.here(), ["default"], 1, lease=15)
    from executions import write_one

    write_one(store, taken.claimed, run_id, state=State.FAILED, error="", at=time.time())

    with pytest.raises(StoreError, match="why is not recorded"):
        await service.result(run_id)
