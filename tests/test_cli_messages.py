"""Messages are sent and listed by command, and whoever looks at a run sees what it waits for."""

import asyncio
import io
import json
import re
import sys
import time

import pytest
from executions import claim_one, row, write_one

from aiodag import Run, State, task
from aiodag.cli.program import main as type_command
from aiodag.cli.progress import Progress
from aiodag.messages import message
from aiodag.records import WAS_PARKED, Claim, Incoming, Owner
from aiodag.service import Service
from aiodag.stores.row import ENDED
from aiodag.submissions import Submission
from aiodag.testing import deliver, run

WAITED_FOR = ["PAYMENT", "SHIPPED"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIODAG_STORE", "runs.db")
    return tmp_path


@pytest.fixture
def service(here):
    service = Service("runs.db")
    yield service
    service.close()


def submission(run_id, **more):
    return Submission(run_id, "order", {"file": "x.py", "task": "order", "parameters": {}}, "x.py:order", 1e9, **more)


def waiting(service, run_id="order-1", key="A17", topics=WAITED_FOR, **run):
    """A run of this process whose nodes wait for messages, a moment and another run."""
    service.store.submit(submission("child-1", queue="of children", key="child-1"))
    claimed = claim_one(service.store, Claim(run_id, "order", None, Owner.here(), lease=3600, at=time.time(), **run))
    kinds = [("message", topic, key, None) for topic in topics]
    kinds += [("moment", "", "", 4102444800.0), ("run", "child-1", "", None)]
    names = {"message": "message", "moment": "sleep_until", "run": "begin"}
    nodes = [
        row(number, name=names[kind], state=State.RUNNING, value=None) for number, (kind, *_) in enumerate(kinds, 1)
    ]
    body = row(0, name="order", state=State.RUNNING, value=None)
    waits = [(number, kind, topic, of, 1e9, due, None) for number, (kind, topic, of, due) in enumerate(kinds, 1)]
    write_one(service.store, claimed, run_id, nodes=[body, *nodes], waits=waits)
    return claimed


def run_command(capsys, *words, code=0):
    """Type a command; return what it wrote, and its remarks."""
    with pytest.raises(SystemExit) as ended:
        sys.exit(type_command(words))
    found = capsys.readouterr()
    assert (ended.value.code or 0) == code, found.err
    return found


def shown_facts(capsys):
    """What `show` says of the run before its tree: name and text."""
    text = run_command(capsys, "show", "order-1").out
    return [tuple(line.split(None, 1)) for line in text.partition("\n\n")[0].splitlines()]


def columns(text):
    """The rows of a table, without its head."""
    return [line.split() for line in text.splitlines()[1:]]


# Send


def test_send_says_what_became_of_the_message(service, capsys):
    waiting(service)
    words = ("send", "PAYMENT", "--key", "A17", "--payload", '{"amount": 3}', "--id", "m1")

    assert run_command(capsys, *words).out == "m1 taken by order-1\n"
    assert run_command(capsys, *words).out == "m1 came before: counted, and delivered to nobody\n"
    assert run_command(capsys, "send", "PAYMENT", "--id", "m2").out == "m2 kept: nobody waits for it yet\n"
    assert service.value("order-1", "1") == {"amount": 3}


def test_send_as_json_is_one_document(service, capsys):
    waiting(service)

    sent = run_command(capsys, "send", "SHIPPED", "--key", "A17", "--id", "m1", "--json")

    assert json.loads(sent.out) == {"topic": "SHIPPED", "id": "m1", "outcome": "taken", "runs": ["order-1"]}


def test_a_payload_comes_from_a_file_or_the_standard_input(here, service, capsys, monkeypatch):
    (here / "payload.json").write_text('{"from": "größe"}', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[1, 2]")))

    run_command(capsys, "send", "PAYMENT", "--file", "payload.json", "-q")
    run_command(capsys, "send", "PAYMENT", "--file", "-", "-q")

    assert [json.loads(message.payload) for message in service.messages()] == [{"from": "größe"}, [1, 2]]


def test_send_gives_all_that_a_message_has(service, capsys):
    options = ["--key", "a", "--key", "b", "--to", "all", "--ttl", "2h", "--dedup", "1d", "--header", "source=shop"]

    run_command(capsys, "send", "PAYMENT", *options)

    (message,) = service.messages()
    assert (list(message.keys), dict(message.headers)) == (["a", "b"], {"source": "shop"})
    assert (message.expires_at - message.at).total_seconds() == 7200


HOSTILE = [
    (("--payload", "{amount: 3}"), "is not JSON"),
    (("--payload", "NaN"), "NaN"),
    (("--payload", "1e999"), "larger than any float"),
    (("--payload", "[" * 5000), "nested"),
    (("--payload", '"\\ud800"'), "surrogate"),
    (("--payload", "9" * 5000), "digits"),
    (("--payload", '"\0"'), "is not JSON"),
    (("--payload", "{}", "--file", "a.json"), "not allowed with"),
    (("--file", "missing.json"), "missing.json: No such file"),
    (("--key", "a\nb"), "key="),
    (("--id", ""), "id=''"),
    (("--to", "most"), "--to cannot be 'most'"),
    (("--ttl", "soon"), "'soon' is not a duration"),
    (("--header", "source"), "is not NAME=VALUE"),
    (("--header", "a=1", "--header", "a=2"), "given once for 'a'"),
    (("--strict",), "nobody waits for messages on 'PAYMNT'"),
]


@pytest.mark.parametrize(("words", "said"), HOSTILE)
def test_what_cannot_be_sent_ends_with_code_2_and_is_not_recorded(service, capsys, words, said):
    refused = run_command(capsys, "send", "PAYMNT", *words, code=2)

    assert said in refused.err
    assert (refused.out, "Traceback" in refused.err) == ("", False)
    assert service.messages() == []


def test_a_file_of_100_mb_is_refused_without_being_read(here, service, capsys):
    with (here / "large.json").open("wb") as file:
        file.truncate(100_000_000)

    assert "bytes" in run_command(capsys, "send", "PAYMENT", "--file", "large.json", code=2).err
    assert service.messages() == []


def test_bytes_that_are_no_text_are_refused(here, service, capsys):
    (here / "binary.json").write_bytes(b'"\xff"')

    assert "UTF-8" in run_command(capsys, "send", "PAYMENT", "--file", "binary.json", code=2).err


def test_a_strict_sender_is_told_what_it_meant(service, capsys):
    waiting(service)

    assert "did you mean 'PAYMENT'" in run_command(capsys, "send", "PAYMNT", "--strict", code=2).err


# List


def test_waits_are_listed_with_since_when_and_until_when(service, capsys):
    waiting(service)
    waiting(service, "order-2", "B")

    listed = run_command(capsys, "waits", "order-1").out

    assert columns(listed)[0] == ["order-1", "message(1)", "#1", "PAYMENT", "A17", "2001-09-09", "01:46:40.000Z"]
    assert "its moment" in listed
    assert "2100-01-01 00:00:00.000Z" in listed
    assert "run child-1" in listed
    assert [words[0] for words in columns(run_command(capsys, "waits", "--topic", "PAYMENT").out)] == [
        "order-1",
        "order-2",
    ]
    document = json.loads(run_command(capsys, "waits", "order-2", "--topic", "SHIPPED", "--json").out)
    assert [(each["run"], each["kind"], each["key"], each["since"]) for each in document] == [
        ("order-2", "message", "B", "2001-09-09T01:46:40.000000+00:00")
    ]


def test_an_unknown_run_waits_for_nothing_and_is_told(service, capsys):
    waiting(service)

    assert "Did you mean 'order-1'?" in run_command(capsys, "waits", "ordr-1", code=2).err


def test_the_list_of_waits_is_cut_and_says_so(service, capsys):
    for at in range(11):
        waiting(service, f"order-{at:02}", topics=["PAYMENT"])

    listed = run_command(capsys, "waits", "--topic", "PAYMENT", "-n", "3")
    assert len(columns(listed.out)) == 3
    listed = run_command(capsys, "waits")
    assert (len(columns(listed.out)), "there are more" in listed.err) == (20, True)
    assert len(columns(run_command(capsys, "waits", "--all").out)) == 33


def test_messages_are_listed_newest_first_and_as_json_oldest_first(service, capsys):
    for at in range(3):
        service.deliver("PAYMENT", "A17", {"amount": at}, id=f"m{at}")
    service.deliver("PAYMENT", "A17", id="m1")

    listed = columns(run_command(capsys, "messages").out)
    assert [words[1] for words in listed] == ["m2", "m1", "m0"]
    assert [words[6] for words in listed] == ["1", "2", "1"]
    document = json.loads(run_command(capsys, "messages", "--json").out)
    assert [(each["id"], each["payload"]) for each in document] == [(f"m{at}", {"amount": at}) for at in range(3)]


def test_dead_letters_are_listed_with_the_reason_and_delivered_again(service, capsys):
    poison = Incoming("PAYMENT", ["A17"], "m1", "not JSON\x1b[2J", dead="it is not JSON")
    service.store.deliver([poison, Incoming("PAYMENT", ["A17"], "m2", "{}", dead="no amount")])
    service.deliver("PAYMENT", "B", id="m3")

    listed = run_command(capsys, "messages", "--dead").out
    assert ["it is not JSON" in listed, "m3" in listed, "\x1b" in listed] == [True, False, False]
    assert [each["payload"] for each in json.loads(run_command(capsys, "messages", "--dead", "--json").out)] == [
        "not JSON\x1b[2J",
        {},
    ]

    waiting(service)
    assert run_command(capsys, "messages", "--deliver", "PAYMENT", "m2").out == "m2 taken by order-1\n"
    assert "m9" in run_command(capsys, "messages", "--deliver", "PAYMENT", "m9", code=2).err


def test_topics_are_listed(service, capsys):
    waiting(service)
    service.deliver("PAYMENT", "B")

    assert columns(run_command(capsys, "topics").out) == [
        ["PAYMENT", "1", "1", "0", "0"],
        ["SHIPPED", "1", "0", "0", "0"],
    ]
    assert json.loads(run_command(capsys, "topics", "--json").out)[1]["waits"] == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [("waits", "nobody waits for anything"), ("messages", "no messages in"), ("topics", "no topics in")],
)
def test_where_nothing_is_there_that_is_said(service, capsys, command, said):
    found = run_command(capsys, command)

    assert (found.out, said in found.err) == ("", True)
    assert json.loads(run_command(capsys, command, "--json").out) == []


def test_topics_complete(service, capsys):
    waiting(service)

    assert run_command(capsys, "completion", "--words", "topics").out.split() == WAITED_FOR


# Runs that wait


def test_show_says_what_a_run_waits_for_since_when_and_until_when(service, capsys):
    waiting(service)

    since = "since 2001-09-09 01:46:40.000Z"
    assert [text for name, text in shown_facts(capsys) if name == "waits"] == [
        f"message(1) #1: for PAYMENT A17 {since}",
        f"message(2) #2: for SHIPPED A17 {since}",
        f"sleep_until(3) #3: for its moment {since}, until 2100-01-01 00:00:00.000Z",
        f"begin(4) #4: for run child-1 {since}",
    ]
    assert "‖ message(1)" in run_command(capsys, "show", "order-1").out
    document = json.loads(run_command(capsys, "show", "order-1", "--json").out)
    assert [(each["number"], each["kind"], each["topic"]) for each in document["waits"]] == [
        (1, "message", "PAYMENT"),
        (2, "message", "SHIPPED"),
        (3, "moment", ""),
        (4, "run", "child-1"),
    ]


def test_show_says_that_what_a_run_waits_for_has_come(service, capsys):
    waiting(service)
    service.deliver("PAYMENT", "A17")

    shown = run_command(capsys, "show", "order-1").out

    assert "since 2001-09-09 01:46:40.000Z, and it has come\n" in shown


def test_show_says_what_holds_the_process_of_a_run_that_waits(service, capsys):
    claimed = waiting(service)
    write_one(
        service.store,
        claimed,
        "order-1",
        attempts=[(0, 1, State.RUNNING, 1e9, None, "")],
        facts=[(0, 1, json.dumps({"holds": "asyncio.timeout"}))],
    )

    assert ("held", "by  order(0) #0: asyncio.timeout") in shown_facts(capsys)


def test_a_run_that_has_ended_waits_for_nothing(service, capsys):
    claimed = waiting(service)
    write_one(service.store, claimed, "order-1", state=State.CANCELLED, at=time.time())

    assert "waits " not in run_command(capsys, "show", "order-1").out
    assert json.loads(run_command(capsys, "show", "order-1", "--json").out)["waits"] == []


def test_hostile_names_steer_no_terminal_and_forge_no_line(service, capsys):
    waiting(service, topics=["\x1b[2J\nforged"])
    service.store.deliver([Incoming("\x1b[2J\nforged", ["\r"], "\x1b[0m", "\x1b[2J", dead="\x1b[2J\nforged")])

    for words in (["waits"], ["messages"], ["topics"], ["show", "order-1"]):
        found = run_command(capsys, *words).out
        assert "\x1b" not in found
        assert not any(line.startswith("forged") for line in found.splitlines())


def parked(service, run_id="order-1", *, let_go=False):
    """A run that nobody has, since it only waits; its body was `let_go` of, as a worker does, a minute after it began."""
    service.store.submit(submission(run_id))
    (taken,) = service.store.take_queued(Owner.here(), ["default"], 1, lease=3600)
    at = time.time()
    body = list(row(0, name="order", state=State.RUNNING, value=None, started=at))
    body[ENDED] = None
    nodes = [tuple(body), row(1, name="charge")]
    nodes.append(row(2, name="message", state=State.RUNNING, value=None))
    attempts = [(0, 1, State.RUNNING, 1e9, None, ""), (2, 1, State.RUNNING, 1e9, None, "")]
    if let_go:
        attempts = [(0, 1, State.CANCELLED, at, at + 60, WAS_PARKED)]
    waits = [(2, "message", "PAYMENT", "A17", 1e9, None, None)]
    write_one(service.store, taken.claimed, run_id, nodes=nodes, attempts=attempts, waits=waits)
    assert service.store.park(taken.claimed) is State.PARKED


def test_a_parked_run_is_neither_running_nor_an_orphan(service, capsys):
    parked(service)

    (listed,) = columns(run_command(capsys, "runs", "--state", "parked").out)
    assert (listed[0], listed[2]) == ("order-1", "parked")
    assert " ".join(listed[-4:]) == "2 parked, 1 succeeded"
    assert run_command(capsys, "runs", "--state", "running").out == ""
    shown = run_command(capsys, "show", "order-1").out
    assert ("state", "parked") in shown_facts(capsys)
    assert "‖ order(0)" in shown
    assert "▸" not in shown
    assert "cut off" not in shown
    assert json.loads(run_command(capsys, "runs", "--json").out)[0]["owner"] is None


def test_parked_runs_are_deleted_by_their_ids_and_not_with_all_of_their_name(service, capsys):
    for run_id in ("order-1", "order-2"):
        parked(service, run_id)
    name = service.run("order-1").name

    refused = run_command(capsys, "delete", name, code=2).err
    assert "2 runs of that name are parked, such as 'order-1': cancel them first" in refused
    assert "say the id" in refused
    assert [run.id for run in service.runs()] == ["order-1", "order-2"]

    run_command(capsys, "delete", "order-1")
    assert [run.id for run in service.runs()] == ["order-2"]


def test_an_attempt_that_was_parked_is_not_told_as_cut_off(service, capsys):
    parked(service)
    service.deliver("PAYMENT", "A17")
    (taken,) = service.store.take_queued(Owner.here(), ["default"], 1, lease=3600)
    attempts = [(0, 1, State.CANCELLED, 1e9, 2e9, WAS_PARKED)]
    write_one(service.store, taken.claimed, "order-1", attempts=attempts)

    shown = run_command(capsys, "show", "order-1", "0").out
    assert columns(shown)[0][:3] == ["order(0)", "#0", "1"]
    assert columns(shown)[0][3] == "parked"
    assert "cut off" not in shown
    (body,) = json.loads(run_command(capsys, "show", "order-1", "0", "--json").out)
    assert [(each["state"], each["error"]) for each in body["attempts"]] == [("parked", None)]


def test_entering_a_body_again_is_no_further_attempt(service, capsys):
    parked(service)
    service.deliver("PAYMENT", "A17")
    (taken,) = service.store.take_queued(Owner.here(), ["default"], 1, lease=3600)
    attempts = [(0, at, State.CANCELLED, 1e9, 2e9, WAS_PARKED) for at in (1, 2)]
    attempts.append((0, 3, State.FAILED, 1e9, 2e9, "it was declined"))
    write_one(service.store, taken.claimed, "order-1", nodes=[row(0, name="order", attempt=4)], attempts=attempts)

    assert service.graph("order-1").nodes[0].attempts == 2
    assert "2 attempts" in run_command(capsys, "show", "order-1").out


def test_of_a_run_that_was_woken_nothing_runs_until_a_worker_has_it(service, capsys):
    parked(service, let_go=True)
    service.deliver("PAYMENT", "A17", 3)

    (listed,) = columns(run_command(capsys, "runs").out)
    shown = run_command(capsys, "show", "order-1").out
    assert listed[2] == "queued"
    assert "▸" not in shown
    assert "running" not in shown + " ".join(listed)
    assert "cut off" not in shown
    assert columns(run_command(capsys, "waits").out)[0][-3:] == ["it", "has", "come"]


def test_a_body_that_was_let_go_of_has_waited_since_it_began_and_no_longer(service):
    parked(service, let_go=True)

    graph = service.graph("order-1")
    assert graph.nodes[0].running(graph.now) == pytest.approx(graph.now - graph.nodes[0].started)


def test_a_parked_run_is_not_copied(service, capsys, here):
    parked(service)

    assert "is one of queue 'default'" in run_command(capsys, "copy", "runs.db", "copied.db", "order-1", code=2).err
    assert "no run there has ended" in run_command(capsys, "copy", "runs.db", "copied.db", code=2).err


def test_parents_and_children_of_a_run_are_told(service, capsys):
    service.store.submit(submission("order-1"))
    for child in ("child-1", "child-2"):
        service.store.submit(submission(child, parent_run="order-1", parent_node=0))

    facts = shown_facts(capsys)
    assert ("child", "child-1, queued") in facts
    assert ("child", "child-2, queued") in facts
    assert "parent  order-1" in re.sub(" +", "  ", run_command(capsys, "show", "child-1").out)
    assert [words[0] for words in columns(run_command(capsys, "runs", "--parent", "order-1").out)] == [
        "child-2",
        "child-1",
    ]
    runs = json.loads(run_command(capsys, "runs", "--json").out)
    assert {run["id"]: run.get("parent") for run in runs} == {
        "order-1": None,
        "child-1": "order-1",
        "child-2": "order-1",
    }
    assert "no such runs" in run_command(capsys, "runs", "--parent", "child-1").err


def test_progress_does_not_count_what_waits_as_running(topics_forgotten):
    progress = Progress()

    @task
    async def order():
        return await message("PAYMENT", key="A17")

    async def main():
        async with Run("order", observers=[progress]):
            node = order()
            while not progress.counts[State.PARKED]:
                await asyncio.sleep(0)
            seen = progress.counts_text(), sorted(progress.running)
            deliver("PAYMENT", "A17")
            await node
        return seen, progress.counts_text()

    seen, ended = run(main())
    assert seen == ("1 running, 1 waits outside", [("message", State.PARKED), ("order", State.RUNNING)])
    assert (ended, progress.running) == ("2 succeeded", {})
