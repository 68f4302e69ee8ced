"""What is changed through a server is what is changed in its store: one suite, for a service of each."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from aiodag import (
    EntryError,
    NotAllowed,
    OptionError,
    PayloadRefused,
    State,
    StoreError,
    TriggerError,
    UnknownRun,
    WorkflowError,
)
from aiodag.service import Service

FLOW = {"parameters": {"day": ["monday", "friday"]}, "tasks": {"greet": {"command": ["echo", "hello {{day}}"]}}}
PLAIN = {"tasks": {"greet": {"command": ["echo", "hello"]}, "later": {"command": ["true"], "parents": ["greet"]}}}


@pytest.fixture(scope="module")
def changed_server(tmp_path_factory):
    """A server without a worker, for this file."""
    from web_servers import WebServer

    server = WebServer(tmp_path_factory.mktemp("web"))
    yield server.start()
    server.remove()


@pytest.fixture(params=["local", "remote"])
def service(request, changed_server):
    """A service of the store, or of the server over it."""
    found = (
        Service(changed_server.store)
        if request.param == "local"
        else Service(changed_server.address, token=changed_server.token)
    )
    yield found
    found.close()


@pytest.fixture
def there(changed_server):
    """The store itself, emptied afterwards."""
    found = Service(changed_server.store)
    yield found
    for run in found.runs():
        found.cancel(run.id)
        found.delete(run.id)
    for record in found.workflows():
        found.unregister(record.name)
    for schedule in found.schedules():
        found.drop_schedule(schedule.name)
    found.close()


@pytest.fixture
def flow(tmp_path):
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(PLAIN))
    return str(file)


def test_a_file_is_submitted(service, there, flow):
    run = there.run(service.submit(flow, queue="nightly", priority=3, tags={"a": "b"}, retries=2))

    assert (run.name, run.state, run.queue, run.priority, dict(run.tags)) == (
        "flow", State.QUEUED, "nightly", 3, {"a": "b"},
    )  # fmt: skip
    assert list(json.loads(run.definition)["tasks"]) == ["greet", "later"]


def test_parameters_are_typed_or_given_by_name(service, there, tmp_path):
    file = tmp_path / "days.json"
    file.write_text(json.dumps({"name": "days", **FLOW}))
    ids = [service.submit(str(file), given) for given in (["day=monday"], {"day": "friday"})]

    found = [json.loads(there.run(each).definition)["parameters"] for each in ids]

    assert found == [{"day": ["monday"]}, {"day": ["friday"]}]


def test_one_of_several_workflows_in_a_file_is_submitted(service, there, tmp_path):
    file = tmp_path / "several.yaml"
    one = "{jobs: {say: {stages: [{echo: hello}]}}}"
    file.write_text(f"first: {one}\nsecond: {one}\n")

    assert there.run(service.submit(f"{file}:second")).name == "second"
    with pytest.raises((EntryError, WorkflowError), match="second"):
        service.submit(str(file))


def test_a_target_is_submitted(service, there, flow):
    assert there.run(service.submit(service.target(flow))).name == "flow"


def test_a_registered_workflow_is_submitted_by_its_name(service, there, flow):
    record = service.register(flow, name="greeting")

    assert (record.name, [each.name for each in there.workflows()]) == ("greeting", ["greeting"])
    assert there.run(service.submit("greeting")).name == "greeting"
    assert there.run(service.submit(service.target("greeting"))).name == "greeting"


def test_the_same_key_is_the_same_run(service, there, flow):
    first = service.submit(flow, key="once")

    assert service.submit(flow, key="once") == first
    assert len(there.runs()) == 1


def test_a_run_begins_at_a_moment_or_expires(service, there, flow):
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

    assert there.run(service.submit(flow, at=at, expires=timedelta(hours=1))).due_at == at


@pytest.mark.parametrize(
    ("target", "options", "error"),
    [
        ("no-such-workflow", {}, EntryError),
        ("no-such-file.json", {}, (EntryError, WorkflowError)),
        ("etl.py", {}, EntryError),
        ("FLOW", {"queue": "-x"}, OptionError),
        ("FLOW", {"priority": 2.5}, OptionError),
        ("FLOW", {"at": datetime(2030, 1, 1)}, OptionError),
        ("FLOW", {"queue": "nobody", "strict": True}, StoreError),
        ("FLOW", {"parameters": ["day"]}, EntryError),
        ("FLOW", {"parameters": {"day": "x"}}, EntryError),
        ("BROKEN", {}, WorkflowError),
    ],
)  # fmt: skip
def test_what_cannot_be_submitted_is_refused_and_not_recorded(service, there, flow, tmp_path, target, options, error):
    broken = tmp_path / "broken.json"
    broken.write_text('{"tasks": {"a": {"command": 3}, "b": {"parents": ["c"], "command": ["x"]}}}')
    with pytest.raises(error) as caught:
        service.submit({"FLOW": flow, "BROKEN": str(broken)}.get(target, target), **options)

    assert there.runs() == []
    if target == "BROKEN":
        assert {each.place.rpartition("$")[2] for each in caught.value.complaints} == {
            ".tasks.a.command",
            ".tasks.b.parents[0]",
        }


def test_a_run_is_cancelled_once(service, there, flow):
    run_id = there.submit(flow)

    assert (service.cancel(run_id), there.run(run_id).state) == (True, State.CANCELLED)
    assert service.cancel(run_id) is False
    with pytest.raises(UnknownRun, match="Did you mean"):
        service.cancel(f"{run_id}x")


def test_runs_workflows_and_schedules_are_deleted_by_their_names(service, there, flow):
    there.register(flow, name="greeting")
    there.put_schedule("early", "greeting", "0 3 * * *")
    ids = [there.submit("greeting") for _ in range(3)]
    for each in ids:
        there.cancel(each)

    assert service.delete(ids[0]) == 1
    gone = service.forget("greeting", "early")

    assert ([run.id for run in gone.runs], [each.name for each in gone.workflows]) == (ids[1:], ["greeting"])
    assert (gone.schedules, there.runs(), there.workflows(), there.schedules()) == (["early"], [], [], [])
    with pytest.raises(UnknownRun):
        service.delete("greeting")


def test_old_runs_are_pruned(service, there, flow):
    ids = [there.submit(flow) for _ in range(3)]
    for each in ids[:2]:
        there.cancel(each)

    assert [len(service.prune(keep=2)), len(service.prune(older=0))] == [1, 1]
    assert [run.id for run in there.runs()] == ids[2:]
    with pytest.raises(ValueError, match="say which runs may go"):
        service.prune()


def test_workflows_are_exported_and_taken_in_and_forgotten(service, there, flow):
    there.register(flow, name="greeting", replace=True)
    text = json.dumps(service.export())

    assert service.unregister("greeting") is True
    assert service.unregister("greeting") is False
    assert [each.name for each in service.take_in(text, "there.json")] == ["greeting"]
    with pytest.raises(StoreError, match="greeting"):
        service.take_in(text, "there.json")
    assert [each.name for each in service.take_in(text, "there.json", replace=True)] == ["greeting"]
    with pytest.raises(StoreError, match="greeting"):
        service.register(flow, name="greeting")
    assert [each.name for each in there.workflows()] == ["greeting"]


def test_queues_are_made_paused_resumed_and_drained(service, there):
    service.add_queue("seldom", rate=5, per=60)
    states = []
    for change in (service.pause_queue, service.resume_queue, service.drain_queue):
        change("seldom")
        states += [each.state for each in there.queues() if each.name == "seldom"]

    assert states == ["paused", "open", "draining"]
    assert [(each.rate, each.per) for each in there.queues() if each.name == "seldom"] == [(5, 60.0)]
    with pytest.raises(StoreError, match="seldom"):
        service.pause_queue("seldo")
    with pytest.raises(OptionError):
        service.add_queue("seldom", rate=0)


def test_messages_are_delivered_and_dead_letters_again(service, there):
    kind = type(service).__name__
    made = service.deliver("PAYMENT", ("A17", kind), {"amount": [1, None]}, id=f"m-{kind}", headers={"from": "shop"})

    assert (made.id, made.outcome, made.runs) == (f"m-{kind}", "kept", ())
    assert service.deliver("PAYMENT", "A17", 1, id=f"m-{kind}").outcome == "duplicate"
    (message,) = [each for each in there.messages("PAYMENT") if each.id == made.id]
    assert (tuple(message.keys), json.loads(message.payload), dict(message.headers)) == (
        ("A17", kind), {"amount": [1, None]}, {"from": "shop"},
    )  # fmt: skip
    with pytest.raises(StoreError, match=f"m-{kind}"):
        service.redeliver("PAYMENT", f"m-{kind}")
    with pytest.raises(PayloadRefused):
        service.deliver("PAYMENT", "A17", float("nan"))
    with pytest.raises(OptionError):
        service.deliver("PAYMENT", "A17", 1, to="some")
    with pytest.raises(StoreError, match="nobody waits for messages on 'PAYMEN'"):
        service.deliver("PAYMEN", "A17", 1, strict=True)


def test_schedules_are_put_paused_resumed_run_and_dropped(service, there, flow):
    there.register(flow, name="greeting", replace=True)
    record = service.put_schedule(
        "early", "greeting", {"cron": "0 3 * * *"}, timezone="Europe/Paris", queue="nightly", tags={"a": "b"},
        overlap="skip", catch_up="none", jitter=2, grace=timedelta(seconds=90), priority=4, retries=1,
    )  # fmt: skip

    assert record == there.schedule("early")
    assert (record.trigger["cron"], record.trigger["timezone"], record.overlap, record.catch_up, record.jitter) == (
        "0 3 * * *", "Europe/Paris", "skip", "none", 2.0,
    )  # fmt: skip
    assert (record.grace, record.submission.queue, record.submission.priority) == (90.0, "nightly", 4)
    assert [service.pause_schedule("early").state, service.resume_schedule("early").state] == ["paused", "active"]
    assert there.run(service.run_schedule("early")).schedule == "early"
    with pytest.raises(StoreError, match="only a paused one can be resumed"):
        service.resume_schedule("early")
    with pytest.raises(StoreError, match="did you mean 'early'"):
        service.pause_schedule("erly")
    with pytest.raises(TriggerError):
        service.put_schedule("early", "greeting", "61 * * * *")
    service.drop_schedule("early")
    assert there.schedules() == []


SAID = """
hello: {on: [{cron: "0 3 * * *", timezone: UTC}], jobs: {say: {stages: [{echo: hello}]}}}
later: {on: [{cron: "0 4 * * *"}], jobs: {say: {stages: [{echo: later}]}}}
"""


def test_the_schedules_of_a_file_are_added(service, there, tmp_path):
    file = tmp_path / "several.yaml"
    file.write_text(SAID)
    first = service.add_schedules(str(file))
    second = service.add_schedules(str(tmp_path))
    file.write_text(SAID.replace("0 4", "0 5"))
    third = service.add_schedules(str(file))

    assert [first, second] == [(["hello", "later"], [], [], []), ([], [], ["hello", "later"], [])]
    assert (third.added, third.dropped, "later" in third.changed) == ([], [], True)
    assert [(each.name, each.trigger["cron"]) for each in there.schedules()] == [
        ("hello", "0 3 * * *"), ("later", "0 5 * * *"),
    ]  # fmt: skip
    assert there.run(service.run_schedule("hello")).name == "hello"


def test_no_schedule_of_a_file_is_added_where_one_is_wrong(service, there, tmp_path):
    file = tmp_path / "several.yaml"
    file.write_text(SAID.replace("0 4", "61 4"))

    with pytest.raises(WorkflowError, match="61"):
        service.add_schedules(str(file))
    assert there.schedules() == []


def test_schedules_that_a_server_cannot_keep_as_a_file_says_are_refused(changed_server, there, tmp_path):
    file = tmp_path / "several.yaml"
    file.write_text(SAID)
    there.add_schedules(str(file))
    before = there.schedules()
    service = Service(changed_server.address, token=changed_server.token)

    with pytest.raises(WorkflowError, match=r"there already, from .*several.yaml: delete that first"):
        service.add_schedules(str(file))
    assert there.schedules() == before
    service.close()


def test_who_changed_what_is_read_page_by_page(service, changed_server, there, flow, monkeypatch):
    monkeypatch.setattr("aiodag.service.remote_audit.PAGE", 2)
    remote = Service(changed_server.address, token=changed_server.token)
    run_ids = [remote.submit(flow) for _ in range(3)]
    for each in run_ids:
        remote.cancel(each)
    remote.close()

    assert service.audit(limit=5) == there.audit(limit=5)
    assert [each.about for each in service.audit(limit=3)] == run_ids[::-1]
    assert service.audit() == there.audit()
    assert [each.what for each in service.audit(about=run_ids[0])] == [
        each.what for each in there.audit(about=run_ids[0])
    ]


def test_the_past_is_filled_in_and_that_is_cancelled(service, there, flow):
    there.register(flow, name="greeting", replace=True)
    there.put_schedule("early", "greeting", "0 3 * * *")
    made = service.backfill("early", date(2026, 1, 1), datetime(2026, 1, 5, tzinfo=UTC), limit=2, newest_first=True)

    assert made == there.backfill_numbered(made.number)
    assert (made.limit, made.newest_first, made.start) == (2, True, datetime(2026, 1, 1, tzinfo=UTC))
    assert service.cancel_backfill(made.number) is True
    assert service.cancel_backfill(made.number) is False
    with pytest.raises(OptionError):
        service.backfill("early", date(2026, 1, 5), date(2026, 1, 1))
    with pytest.raises(StoreError, match="no backfill 9999"):
        service.cancel_backfill(9999)


async def test_an_ended_run_is_planned_and_queued_again_as_it_was_or_edited(service, there, flow, tmp_path):
    await there.start(there.target(flow), run_id="monday")
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(PLAIN).replace("hello", "goodbye"))

    plans = [
        await service.plan("monday"),
        await service.plan("monday", again=["later"]),
        await service.plan("monday", source=str(edited)),
        await service.plan(service.again("monday", source=str(edited))),
    ]
    run = service.requeue("monday", source=str(edited), again=["later"], queue="nightly")

    assert [(each.run, each.recalled) for each in plans] == [
        ([], 2), (["later"], 1), (["greet", "later"], 0), (["greet", "later"], 0),
    ]  # fmt: skip
    assert (run.state, run.queue) == (State.QUEUED, "nightly")
    assert "goodbye" in there.definitions("monday")[-1][1]
    with pytest.raises(StoreError, match="monday"):
        service.requeue("monday")
    with pytest.raises(UnknownRun):
        service.requeue("mondy")


def test_who_may_only_read_changes_nothing(changed_server, there, flow):
    token = there.make_token("reader", "read")
    reader = Service(changed_server.address, token=token)
    run_id = there.submit(flow)

    with pytest.raises(NotAllowed, match="reader"):
        reader.cancel(run_id)
    assert reader.run(run_id).state is State.QUEUED
    reader.close()
    there.revoke_token("reader")
