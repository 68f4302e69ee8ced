"""The command line: the real command in real processes, on real SQLite files."""

import argparse
import configparser
import doctest
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from executions import claim_one, write_one
from programs import ROOT
from typed_in import SECONDS, Place, Terminal, ended, line_with

from aiodag import State
from aiodag.cli import grammar, main
from aiodag.cli.completion import options
from aiodag.cli.show import attempt_line
from aiodag.cli.typed import duration
from aiodag.records import AttemptRecord, Claim, NodeRecord, Owner
from aiodag.service import Service
from aiodag.wording import describe_seconds

COMMANDS = sorted(grammar.build_parser().commands)
PROGRAM = '''
import asyncio, logging, sys, time
from dataclasses import dataclass
from datetime import datetime, UTC
from pathlib import Path
from aiodag import Run, task, current_run

log = logging.getLogger("etl")
log.setLevel("INFO")


def note(text):
    with Path("notes").open("a") as notes:
        notes.write(text + "\\n")


@task
async def fetch(name):
    note(f"fetch {name}")
    log.info("fetching %s", name)
    if name == "b" and not Path("b.csv").exists():
        raise LookupError("no b\\x1b[31m")
    return name * 2


@task
async def join(*parts):
    return "".join(parts)


@task
async def main(names: str = "ac"):
    return await join(*fetch.map(names))


@task
async def first():
    note("first")


@task
async def hold(mark: str = "holds"):
    """Print a line, and go on when one is given."""
    print(mark, flush=True)
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        await reader.readline()
    finally:
        pipe.close()
    note("held")
    return "held"


@task
async def last(*_):
    note("last")
    return "the end"


@task
async def gated():
    return await last(await hold.after(first())())


@task
async def recorded():
    """Hold when it is in the store that this runs: it was written before what ended here."""
    await first()
    return await hold.fn()


@task
async def leaves():
    last.after(hold())()
    return "left"


@task(retries=1)
async def second_time():
    note("try")
    if Path("notes").read_text().count("try") == 1:
        raise OSError("not yet")


@task
async def member(crowd):
    crowd["now"] += 1
    crowd["most"] = max(crowd.values())
    for _ in range(9):
        await asyncio.sleep(0)
    crowd["now"] -= 1


@task
async def crowd():
    there = {"now": 0, "most": 0}
    for each in [member(there) for _ in range(6)]:
        await each
    return there["most"]


@task
async def doomed():
    await asyncio.wait([hold(), fetch("b")])


@dataclass
class Answer:
    number: float
    at: datetime


@task
async def answers():
    return {"answer": Answer(1.5, datetime(2026, 1, 31, tzinfo=UTC)), 2: {3}}


@task
async def nothing():
    return None


@task
async def stubborn():
    """Block the loop in real time, until somebody ends the process."""
    print("blocks", flush=True)
    time.sleep(600)


@task
async def chatty():
    for number in range(3):
        log.info("line %s", number)
    print("logged", flush=True)
    await hold()
    log.info("line 3")


async def plain(number: int, ratio: float = 0.5):
    return number + ratio
'''


@pytest.fixture
def aiodag(tmp_path):
    return Place(tmp_path, etl=PROGRAM)


COUNTS = re.compile(r"^(?:no nodes yet|\d+ [a-z]+(?:, \d+ [a-z ]+)*), after .*\n", re.MULTILINE)


def without_counts(text):
    """Leave out the lines of counts: of a run that takes longer than a second, which any run may on a busy machine."""
    return COUNTS.sub("", text)


# Run


def test_a_run_prints_its_value_and_tells_its_progress_beside(aiodag):
    out, err = aiodag("run", "etl.py:main", "--id", "one")

    assert out == "'aacc'\n"
    begin, end = without_counts(err).splitlines()
    assert begin == "run one: etl.py:main, in sqlite:///runs.db"
    assert end.startswith("run one succeeded: 4 succeeded, after ")


def test_a_value_of_none_prints_nothing_and_quiet_says_nothing(aiodag):
    assert aiodag("run", "etl.py:nothing", "-q") == ("", "")


def test_parameters_are_converted_by_the_annotations(aiodag):
    out, _ = aiodag("run", "etl.py:plain", "-p", "number=3", "-p", "ratio=0.25")

    assert out == "3.25\n"


def test_json_of_a_run_is_one_document_whatever_the_value(aiodag):
    document = aiodag.json("run", "etl.py:answers", "--id", "one")

    assert document == {
        "id": "one",
        "name": "answers",
        "state": "succeeded",
        "counts": {"succeeded": 1},
        "recalled": 0,
        "value": {"answer": {"number": 1.5, "at": "2026-01-31T00:00:00+00:00"}, "2": [3]},
        "error": None,
    }


def test_a_failed_run_tells_each_failure_when_it_happens_and_the_report_at_the_end(aiodag):
    out, err = aiodag("run", "etl.py:main", "-p", "names=ab", "--id", "one", code=1)

    assert out == ""
    assert "fetch('b') failed: LookupError: no b\\x1b[31m\n" in err
    assert "aiodag: run 'main': 1 succeeded, 2 failed, 1 skipped\n  main(" in err
    assert err.index("fetch('b') failed") < err.index("run one failed") < err.index("aiodag: ")


def test_quiet_leaves_the_report_of_a_failure_alone(aiodag):
    _, err = aiodag("run", "etl.py:main", "-p", "names=ab", "--quiet", code=1)

    assert err.startswith(
        "aiodag: run 'main': 1 succeeded, 2 failed, 1 skipped\n  main('ab') failed: LookupError: no b"
    )


def test_each_failure_is_told_once_and_the_report_says_where_it_was_called(aiodag):
    _, err = aiodag("run", "etl.py:main", "-p", "names=ab", code=1)

    report = err[err.index("aiodag: ") :].splitlines()
    assert (err.count("main('ab') failed"), err.count("fetch('b') failed"), err.count("LookupError")) == (1, 1, 2)
    assert re.fullmatch(r"  main\('ab'\), called at \S+etl.py:\d+", report[1])
    assert re.fullmatch(r"    first of all fetch\('b'\), called at \S+etl.py:\d+", report[2])


def test_json_of_a_failed_run_has_the_report(aiodag):
    document = aiodag.json("run", "etl.py:main", "-p", "names=ab", "--id", "one", code=1)

    assert (document["state"], document["value"]) == ("failed", None)
    assert document["counts"] == {"succeeded": 1, "failed": 2, "skipped": 1}
    assert document["error"].startswith("run 'main': 1 succeeded")


def test_an_attempt_that_is_tried_again_is_told(aiodag):
    _, err = aiodag("run", "etl.py:second_time")

    assert "second_time: attempt 1 failed, and is tried again: OSError: not yet\n" in err


def test_the_traceback_comes_only_when_asked_for(aiodag):
    process = aiodag.start("run", "etl.py:main", "-p", "names=b", "--traceback")
    code, _, err = ended(process)

    assert code == 1
    assert "Traceback (most recent call last)" in err
    assert "LookupError" in err


def test_limit_bounds_what_runs_at_once(aiodag):
    assert aiodag("run", "etl.py:crowd")[0] == "6\n"
    assert aiodag("run", "etl.py:crowd", "--limit", "2")[0] == "2\n"


def test_fail_fast_cancels_the_rest(aiodag):
    with aiodag.running("etl.py:doomed", "--fail-fast") as process:
        line_with(process.stderr, " failed: 1 failed, 2 cancelled")
        code, _, err = ended(process)

    assert code == 1
    assert err.startswith("aiodag: run 'doomed': ")
    assert aiodag.notes() == ["fetch b"]


# Bad input: exit code 2, one line, nothing has run


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("rnu etl.py", "unknown command 'rnu'; did you mean run?"),
        ("frobnicate", "unknown command 'frobnicate'; one of run, resume, plan,"),
        ("prune --older 30d", "unknown command 'prune'; `aiodag delete --older 30d` deletes ended runs by age"),
        ("", "which command? One of run, resume,"),
        ("run etl.py --lmit 3", "does not take '--lmit 3'; did you mean --limit?"),
        ("run etl.py --limit 0", "--limit: '0' is not a whole number of 1 or more"),
        (f"runs -n {'9' * 20}", "-n: '999999999999999…' is not a whole number of 1 or more, of at most 15 digits"),
        ("run etl.py --lim 3", "did you mean --limit?"),
        ("run", "aiodag run needs TARGET, as in `aiodag run etl.py:main"),
        ("resume --from etl.json", "aiodag resume needs RUN, as in `aiodag resume etl-1a2b3c4d --from etl.json`"),
        (
            "run etl.json --from etl.json",
            "resume and plan and next do, as in `aiodag resume etl-1a2b3c4d --from etl.json`",
        ),
        ("run etl.json --all", "does not take '--all'; runs and waits and messages do, as in `aiodag runs"),
        ("runs --state faild", "--state cannot be 'faild'; did you mean failed?"),
        ("run none.py", "none.py: no such file"),
        ("run etl.py:mian", "etl.py has no task 'mian'; did you mean 'main'?"),
        ("run etl.py:plain", "missing a required argument: 'number'"),
        ("run etl.py:plain -p number=x", "parameter number='x' of plain is not int"),
        ("run etl.py:plain -p number", "write name=value"),
        ("run broken.py", "broken.py: importing it raised ZeroDivisionError"),
        ("run etl.py --store ftp://x", "store='ftp://x'"),
        ("run etl.py --store etl.py", "etl.py"),
        ("run etl.py --id -x", "--id"),
        ("resume onee", "no run 'onee' in sqlite:///runs.db. Did you mean 'one'?"),
        ("show onee", "Did you mean 'one'?"),
        ("plan zzz", "no run 'zzz'"),
        ("log onee", "Did you mean 'one'?"),
        ("log one fetsch", "no node 'fetsch'"),
        ("cancel onee", "Did you mean 'one'?"),
        ("graph onee", "Did you mean 'one'?"),
        ("graph one -o run.pdf", "'run.pdf' cannot work"),
        ("graph one -o none/run.svg", "none/run.svg: No such file or directory"),
        ("graph one -p a=b", "a run has its own"),
        ("delete one onee", "Did you mean 'one'?"),
        ("delete", "which runs? Give ids or names, as in `aiodag delete monday`; or --older, --keep or both, as in"),
        ("delete one --keep 3", "'one' and ended runs by age or count cannot be deleted at once: give ids or names,"),
        ("delete --older 30", "'30' is not a duration: write 90s, 15m, 12h or 30d"),
        ("completion tcsh", "SHELL cannot be 'tcsh'; did you mean"),
    ],
)
def test_bad_input_is_one_line_and_nothing_has_run(recorded, typed, answer):
    recorded.write("broken.py", "1 / 0\n")

    out, err = recorded(*shlex.split(typed), code=2)

    assert out == ""
    assert err.startswith("aiodag: ")
    assert err.count("\n") == 1
    assert answer in err
    with closing(sqlite3.connect(recorded.path / "runs.db")) as store:
        assert store.execute("select id from runs").fetchall() == [("one",)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A store with one run that succeeded."""
    place = Place(tmp_path_factory.mktemp("recorded"), etl=PROGRAM)
    place("run", "etl.py:main", "--id", "one", "-q")
    return place


# Look


def test_runs_are_listed_newest_first_and_chosen_by_name_state_and_number(aiodag):
    aiodag("run", "etl.py:main", "--id", "one")
    aiodag("run", "etl.py:main", "-p", "names=b", "--id", "two", code=1)
    aiodag("run", "etl.py:nothing", "--id", "three")

    def ids(*args):
        return [run["id"] for run in aiodag.json("runs", *args)]

    assert ids() == ["one", "two", "three"]
    assert ids("--name", "main") == ["one", "two"]
    assert ids("--state", "failed") == ["two"]
    assert ids("-n", "2") == ["three", "two"]
    assert ids("--name", "none") == []
    lines = aiodag("runs")[0].splitlines()
    assert lines[0].split() == ["RUN", "NAME", "STATE", "STARTED", "TOOK", "NODES"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["three", "nothing", "succeeded"],
        ["two", "main", "failed"],
        ["one", "main", "succeeded"],
    ]


def test_an_empty_store_has_no_runs(aiodag):
    assert aiodag("runs") == ("", "no runs in sqlite:///runs.db\n")
    assert aiodag("runs", "--since", "1d") == ("", "no such runs in sqlite:///runs.db\n")
    assert aiodag.json("runs") == []


def test_show_has_the_tree_and_every_attempt(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=ab", "--id", "one", code=1)
    aiodag.write("b.csv", "")
    aiodag("resume", "one")

    out, _ = aiodag("show", "one")

    assert re.search(r"^state +succeeded$", out, re.MULTILINE)
    assert re.search(r"^entry .*etl.py:main names=ab$", out, re.MULTILINE)
    assert "├○ ✓ fetch('a')" in out
    assert re.search(r"^fetch\('b'\) #\d +1 +failed .*LookupError: no b\\x1b\[31m$", out, re.MULTILINE)
    assert re.search(r"^fetch\('b'\) #\d +2 +succeeded", out, re.MULTILINE)
    assert re.search(r"^fetch\('a'\) #\d \(recalled\) +1 +succeeded", out, re.MULTILINE)


def test_show_marks_the_attempt_that_was_recalled_and_none_that_failed(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=ab", "--id", "one", code=1)
    aiodag.write("b.csv", "")
    aiodag("resume", "one")
    aiodag("resume", "one")

    out, _ = aiodag("show", "one")

    assert re.search(r"^fetch\('b'\) #\d +1 +failed", out, re.MULTILINE)
    assert re.search(r"^fetch\('b'\) #\d \(recalled\) +2 +succeeded", out, re.MULTILINE)


def test_json_of_show_has_stable_keys_and_moments_in_utc(recorded):
    document = recorded.json("show", "one")

    run, nodes = document["run"], document["nodes"]
    assert sorted(document) == ["definitions", "earlier", "edges", "nodes", "run", "waits"]
    assert sorted(run) == sorted(
        [
            "id",
            "name",
            "state",
            "execution",
            "created_at",
            "started_at",
            "ended_at",
            "entry",
            "owner",
            "counts",
            "error",
            "tags",
        ]
    )
    assert sorted(nodes[0]) == sorted(
        [
            "number",
            "name",
            "label",
            "version",
            "key",
            "state",
            "recalled",
            "parent",
            "site",
            "created_at",
            "started_at",
            "ended_at",
            "error",
            "attempts",
        ]
    )
    assert [node["label"] for node in nodes] == ["main", "fetch('a')", "fetch('c')", "join"]
    assert {(edge["up"], edge["down"]) for edge in document["edges"]} == {(1, 3), (2, 3)}
    moments = [run["started_at"], run["ended_at"], nodes[0]["attempts"][0]["ended_at"]]
    assert all(datetime.fromisoformat(at).tzinfo == UTC and len(at) == 32 for at in moments)


def test_log_has_what_bodies_logged_and_what_failed_in_order(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=ab", "--id", "one", code=1)

    lines = [line.split(" ", 2)[2] for line in aiodag("log", "one")[0].splitlines() if "fetch" in line]
    document = aiodag.json("log", "one", "fetch('b')")

    assert sorted(lines) == [
        "FAILED  fetch('b'): attempt 1: LookupError: no b\\x1b[31m",
        "INFO    fetch('a'): fetching a",
        "INFO    fetch('b'): fetching b",
    ]
    assert lines.index("INFO    fetch('b'): fetching b") < lines.index(sorted(lines)[0])
    assert [(line["level"], line["label"], line["logger"]) for line in document] == [
        ("INFO", "fetch('b')", "etl"),
        ("FAILED", "fetch('b')", "aiodag"),
    ]
    assert aiodag.json("log", "one", "2") == document


def test_log_follows_a_run_to_its_end(aiodag):
    with aiodag.running("etl.py:chatty", "--id", "one", mark="logged") as run:
        with aiodag.start("log", "one", "chatty", "--follow") as log:
            seen = [log.stdout.readline() for _ in range(3)]
            assert run.stdout.readline() == "holds\n"
            run.stdin.write("\n")
            run.stdin.flush()
            code, out, _ = ended(log)
        assert ended(run)[0] == 0

    assert code == 0
    lines = [*seen, *out.splitlines(keepends=True)]
    assert [line.split(": ")[1] for line in lines] == [f"line {number}\n" for number in range(4)]


def test_following_in_json_gives_a_document_a_line(recorded):
    out, _ = recorded("log", "one", "--follow", "--json")

    assert sorted(json.loads(line)["text"] for line in out.splitlines()) == ["fetching a", "fetching c"]


def test_following_a_run_whose_process_was_killed_ends_and_says_so(aiodag):
    with aiodag.running("etl.py:gated", "--id", "one") as process:
        process.kill()
        process.wait()

    _, err = aiodag("log", "one", "-f")

    assert err == "the process of run 'one' has gone; `aiodag resume one` goes on with it\n"


def test_log_of_another_process_can_be_interrupted(aiodag):
    with aiodag.running("etl.py:chatty", "--id", "one", mark="logged"), aiodag.start("log", "one", "-f") as log:
        assert "line 0" in log.stdout.readline()
        log.send_signal(signal.SIGINT)
        code, _, err = ended(log)

    assert (code, err) == (130, "aiodag: interrupted\n")


def test_info_says_versions_store_and_extras(aiodag):
    document = aiodag.json("info")

    assert document["store"] == "sqlite:///runs.db"
    assert {"aiodag", "python", "sqlite", "extra cli"} <= set(document)
    assert aiodag.json("info", "--store", "other.db")["store"] == "sqlite:///other.db"
    assert aiodag.json("--store", "other.db", "info")["store"] == "sqlite:///other.db"
    assert re.search("^store +sqlite:///runs.db$", aiodag("info")[0], re.MULTILINE)


def test_the_store_is_in_the_state_directory_when_nobody_says(aiodag):
    del aiodag.env["AIODAG_STORE"]
    aiodag("run", "etl.py:nothing", env={"XDG_STATE_HOME": str(aiodag.path / "state")})

    assert (aiodag.path / "state" / "aiodag" / "runs.db").exists()


# Draw


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("txt", "main: 4 nodes, 4 succeeded"),
        ("mmd", "flowchart LR\n"),
        ("dot", 'digraph "main" {\n'),
        ("json", '{\n  "name": "main"'),
        ("svg", "<"),
        ("html", "<!"),
    ],
)
def test_a_graph_is_drawn_to_the_output_or_to_a_file_whose_ending_says_how(recorded, form, begins):
    out, _ = recorded("graph", "one", "--format", form)
    quiet = recorded("graph", "one", "-q", "-o", f"run.{form}")
    written = (recorded.path / f"run.{form}").read_text(encoding="utf-8")

    assert out.startswith(begins)
    assert quiet == ("", "")
    assert written.rstrip() == out.rstrip()


def test_a_picture_in_pixels_goes_to_a_file(recorded):
    recorded("graph", "one", "-o", "run.png")

    assert (recorded.path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_is_drawn_before_anything_runs(aiodag):
    out, _ = aiodag("graph", "etl.py", "-p", "names=xy")
    document = aiodag.json("graph", "etl.py:main")

    assert "└─ : fetch('y') queued" in out
    assert [node["label"] for node in document["nodes"]] == ["fetch('a')", "fetch('c')", "join"]
    assert not (aiodag.path / "notes").exists()


def test_a_run_is_drawn_while_it_goes_on(aiodag):
    with aiodag.running("etl.py:recorded", "--id", "one"):
        out, _ = aiodag("graph", "one")

    assert "▸ recorded" in out
    assert "✓ first" in out


# Change


def test_a_run_is_cancelled_from_another_process(aiodag):
    with aiodag.running("etl.py:gated", "--id", "one") as process:
        out, _ = aiodag("cancel", "one")
        code, value, err = ended(process)

    assert out in {"asked run 'one' to cancel\n", "run 'one' is cancelled\n"}  # which: it may have obeyed by then
    assert (code, value) == (1, "")
    assert "aiodag: run 'one' was cancelled on request" in err
    assert aiodag.json("show", "one")["run"]["state"] == "cancelled"
    assert aiodag("cancel", "one")[0] == "run 'one' has ended: cancelled\n"
    assert aiodag.json("cancel", "one") == {"id": "one", "asked": False, "state": "cancelled"}


def test_runs_are_deleted_by_id_age_and_count(aiodag):
    for name in ("one", "two", "three", "four"):
        aiodag("run", "etl.py:nothing", "--id", name, "-q")

    assert aiodag("delete", "one", "one")[0] == "deleted one\n"
    assert aiodag.json("delete", "--older", "30d") == {"deleted": [], "workflows": []}
    assert aiodag("delete", "--older", "30d")[0] == "nothing to delete\n"
    assert sorted(aiodag.json("delete", "--keep", "1", "--older", "0s")["deleted"]) == ["three", "two"]
    assert [run["id"] for run in aiodag.json("runs")] == ["four"]
    assert aiodag("delete", "four", "--quiet") == ("", "")


# Resume, after whatever happened


def test_what_failed_before_its_body_could_begin_does_not_count_as_recalled(aiodag):
    (aiodag.path / "gone.py").write_text(
        "from aiodag import task\n"
        "class Gone:\n"
        "    async def place(self):\n"
        "        raise ConnectionError('no cluster answers')\n"
        "    async def run(self, fn, /, *args, **kwargs): ...\n"
        "far = task(len, executor=Gone())\n"
        "@task\n"
        "async def main():\n"
        "    return await far('x')\n"
    )

    _, err = aiodag("run", "gone.py:main", code=1)

    assert "ConnectionError: no cluster answers" in err
    assert "recalled" not in err


def test_a_killed_run_is_resumed_and_what_had_succeeded_is_recalled(aiodag):
    with aiodag.running("etl.py:gated", "--id", "one") as process:
        process.kill()
        process.wait()
    listed = aiodag("runs")[0]
    shown = aiodag.json("show", "one")["run"]
    planned = aiodag.json("plan", "one")

    with aiodag.start("resume", "one") as again:
        code, out, err = ended(again, "\n")

    assert "running, its process has gone" in listed
    assert (shown["state"], shown["ended_at"], shown["owner"]["gone"]) == ("running", None, True)
    assert (planned["run"], planned["recalled"]) == (["hold"], 1)  # what comes after depends on its value
    assert (code, out) == (0, "holds\n'the end'\n")
    assert re.search(r"^run one succeeded: 4 succeeded, 1 of them recalled", err, re.MULTILINE)
    assert aiodag.notes() == ["first", "held", "last"]
    attempts = {
        node["name"]: [each["state"] for each in node["attempts"]] for node in aiodag.json("show", "one")["nodes"]
    }
    assert attempts["hold"][-1] == "succeeded"
    assert attempts["first"] == ["succeeded"]


def test_a_run_that_lives_elsewhere_is_not_resumed(aiodag):
    with aiodag.running("etl.py:gated", "--id", "one"):
        _, err = aiodag("resume", "one", code=2)

    assert "run 'one' is owned by process" in err


def test_a_run_whose_code_has_gone_is_bad_input(aiodag):
    aiodag("run", "etl.py:nothing", "--id", "one")
    (aiodag.path / "etl.py").unlink()

    _, err = aiodag("resume", "one", code=2)

    assert "etl.py: no such file" in err


def test_plan_lists_what_would_run(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=ab", "--id", "one", code=1)

    out, _ = aiodag("plan", "one")

    assert out == "  fetch('b')\n  join\n2 would run, 1 would be recalled\n"


def test_chosen_tasks_run_again_with_what_needs_them_also_of_a_run_that_succeeded(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=ac", "--id", "one")
    planned = aiodag.json("plan", "one", "--again", "fetch('c')")

    out, err = aiodag("resume", "one", "--again", "fetch('c')")

    assert planned == {"run": ["fetch('c')", "join"], "recalled": 1}
    assert (out, aiodag.notes()) == ("'aacc'\n", ["fetch a", "fetch c", "fetch c"])
    assert "1 of them recalled" in err
    tries = {node["label"]: len(node["attempts"]) for node in aiodag.json("show", "one")["nodes"]}
    assert tries == {"main": 2, "fetch('a')": 1, "fetch('c')": 2, "join": 2}
    assert aiodag.json("plan", "one") == {"run": [], "recalled": 3}


def test_a_task_runs_again_with_all_that_its_body_calls(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=ac", "--id", "one")

    aiodag("resume", "one", "--again", "main")

    assert aiodag.notes() == ["fetch a", "fetch c"] * 2


def test_what_is_to_run_again_must_be_there(aiodag):
    aiodag("run", "etl.py:main", "--id", "one")

    _, err = aiodag("resume", "one", "--again", "fech", code=2)
    _, other = aiodag("plan", "etl.py:main", "--again", "fetch", code=2)

    assert "run 'one' has no node 'fech'; its tasks are fetch, join, main" in err
    assert "--again" in other
    assert aiodag.json("show", "one")["run"]["execution"] == 1


def test_an_attempt_whose_process_was_killed_is_shown_as_cut_off(aiodag):
    with aiodag.running("etl.py:gated", "--id", "one") as process:
        process.kill()
        process.wait()

    out, _ = aiodag("show", "one")
    planned = aiodag.json("plan", "one")
    with aiodag.start("resume", "one") as again:
        ended(again, "\n")
    later, _ = aiodag("show", "one")
    tries = {node["name"]: node["attempts"] for node in aiodag.json("show", "one")["nodes"]}

    for shown in (out, later):
        assert re.search(r"^gated #0 +1 +cut off .* its process ended$", shown, re.MULTILINE)
    assert planned["continues"]
    assert tries["gated"][0]["error"] == "cut off: its process ended"
    assert [each["state"] for each in tries["gated"]] == ["cancelled", "succeeded"]


# Signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_drains(aiodag, number, code):
    with aiodag.running("etl.py:gated", "--id", "one") as process:
        process.send_signal(number)
        line_with(process.stderr, "what runs may end, nothing more starts")
        result = ended(process, "\n")

    assert result[:2] == (code, "")
    assert "aiodag: run 'one' was interrupted; `aiodag resume one` runs what has not succeeded\n" in result[2]
    assert aiodag.notes() == ["first", "held"]
    document = aiodag.json("show", "one")
    assert document["run"]["state"] == "cancelled"
    assert states(document) == {"gated": "cancelled", "first": "succeeded", "hold": "succeeded", "last": "cancelled"}
    assert aiodag("resume", "one")[0] == "'the end'\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_whose_entry_returned_early_is_interrupted_all_the_same(aiodag, number, code):
    with aiodag.running("etl.py:leaves", "--id", "one") as process:
        process.send_signal(number)
        line_with(process.stderr, "nothing more starts")
        result = ended(process, "\n")

    assert result[:2] == (code, "")
    assert "`aiodag resume one` runs what has not succeeded" in result[2]
    assert aiodag.json("show", "one")["run"]["state"] == "cancelled"


def test_a_run_that_failed_says_how_to_go_on(aiodag):
    _, err = aiodag("run", "etl.py:main", "-p", "names=b", "--id", "one", code=1)

    assert err.endswith("`aiodag resume one` runs what has not succeeded\n")
    assert "aiodag resume" not in aiodag("run", "etl.py:main", "-p", "names=b", "--store", "memory:", code=1)[1]


def test_what_commands_write_is_shown_as_it_comes_after_the_name_of_the_node(aiodag):
    aiodag.write("wf.json", json.dumps({"tasks": {"a": {"shell": "echo one; printf 'two\\033[2J'; printf 3 >&2"}}}))

    lines = aiodag("run", "wf.json", "--id", "one")[1].splitlines()
    assert sorted(line for line in lines if " | " in line) == ["a | 3", "a | one", "a | two\\x1b[2J"]
    assert " | " not in aiodag("run", "wf.json", "--id", "two", "-q")[1]


def test_the_output_that_is_shown_of_one_stream_is_bounded(aiodag):
    aiodag.write("wf.json", json.dumps({"tasks": {"a": {"shell": "yes 0123456 | head -n 400000"}}}))

    lines = aiodag("run", "wf.json", "--id", "one")[1].splitlines()
    shown = [line for line in lines if line == "a | 0123456"]
    assert len(shown) == 2**20 // 8
    assert [line for line in lines if "more than 1,048,576 bytes of stdout" in line]


def test_the_capacity_of_the_command_line_replaces_that_of_a_file(aiodag):
    task = {"command": ["true"], "resources": {"cores": 3}}
    aiodag.write("wf.json", json.dumps({"capacity": {"cores": 2}, "tasks": {"a": task}}))

    assert "asks for cores 3" in aiodag("run", "wf.json", code=2)[1]
    aiodag("run", "wf.json", "--capacity", "cores=4", "--id", "one")
    aiodag("plan", "wf.json", "--capacity", "cores=4")
    aiodag("resume", "one", "--capacity", "cores=3")
    assert "asks for cores 3" in aiodag("resume", "one", code=2)[1]


def test_the_help_of_a_target_has_its_parameters(aiodag):
    out, _ = aiodag("run", "etl.py:main", "--help")

    assert out.startswith("usage: aiodag run")
    assert out.endswith("\nparameters of etl.py:main:\n  -p names=VALUE  str, default 'ac'\n")
    assert "parameters of etl" not in aiodag("run", "--help")[0]


def test_a_list_is_given_with_commas_or_as_json(aiodag):
    aiodag.write("listed.py", "async def main(names: list[str], numbers: tuple[int, ...] = ()): return names, numbers")

    assert aiodag("run", "listed.py", "-p", "names=a,b", "-p", "numbers=1, 2")[0] == "(['a', 'b'], (1, 2))\n"
    assert aiodag("run", "listed.py", "-p", 'names=["a,b"]')[0] == "(['a,b'], ())\n"
    assert 'such as ["a", "b"], or just a,b' in aiodag("run", "listed.py", "-p", "names=[a", code=2)[1]


def test_one_node_is_shown_with_its_value_or_its_error(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=ab", "--id", "one", code=1)

    assert aiodag("show", "one", "fetch('a')", "--value")[0] == "'aa'\n"
    assert aiodag.json("show", "one", "fetch('a')", "--value") == "aa"
    assert "LookupError: no b\\x1b[31m" in aiodag("show", "one", "fetch('b')")[0]
    assert {node["label"] for node in aiodag.json("show", "one", "--failed")} == {"main", "fetch('b')"}
    assert "has no value: its state is failed" in aiodag("show", "one", "fetch('b')", "--value", code=2)[1]
    assert "aiodag show RUN NODE --value" in aiodag("show", "one", "--value", code=2)[1]


def test_a_name_of_several_nodes_has_no_single_value(aiodag):
    """Before: the value of the first, and nobody heard that there are others."""
    aiodag("run", "etl.py:main", "-p", "names=ac", "--id", "one")

    answer = aiodag("show", "one", "fetch", "--value", code=2)[1]
    assert "has 2 nodes 'fetch': fetch('a') #1, fetch('c') #2. Give the number of one" in answer
    assert aiodag("show", "one", "2", "--value")[0] == "'cc'\n"


def test_a_node_without_an_attempt_is_shown(aiodag):
    """Before: nothing was printed."""
    aiodag.write("bad.json", '{"tasks": {"pull": {"shell": "exit 3"}, "load": {"shell": "true", "parents": ["pull"]}}}')
    aiodag("run", "bad.json", "--id", "one", code=1)

    _, row = aiodag("show", "one", "load")[0].splitlines()
    assert row.split()[:3] == ["load", "#1", "skipped"]
    assert "pull failed: CommandFailed" in row
    assert "'load' has logged and written nothing" in aiodag("log", "one", "load")[1]


def test_a_value_that_is_not_recorded_is_not_said_to_be_missing(aiodag):
    (aiodag.path / "quiet.py").write_text(
        "from aiodag import task\n\n\n@task(journal=False)\nasync def main():\n    return 1\n"
    )
    aiodag("run", "quiet.py", "--id", "one")

    assert (
        "'main' of run 'one' succeeded, but its value is not recorded"
        in aiodag("show", "one", "main", "--value", code=2)[1]
    )


def test_the_value_of_a_run_is_recorded_and_its_body_runs_in_each_execution_all_the_same(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=a", "--id", "one")

    assert aiodag("show", "one", "main", "--value")[0] == "'aa'\n"
    assert "0 would run, 2 would be recalled" in aiodag("plan", "one")[0]


def test_the_newest_20_runs_are_listed_newest_first(aiodag):
    service = Service(aiodag.path / "runs.db")
    for number in range(22):
        claimed = claim_one(service.store, Claim(f"r{number}", "r", None, Owner.here(), 60.0, 1000.0 + number))
        write_one(service.store, claimed, f"r{number}", state=State.SUCCEEDED, at=2000.0)
    service.store.close()

    out, err = aiodag("runs")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [f"r{number}" for number in range(21, 1, -1)]
    assert "the newest 20, and there are more" in err
    assert aiodag("runs", "--all")[0].splitlines()[1].split()[0] == "r21"
    assert [run["id"] for run in aiodag.json("runs")] == [f"r{number}" for number in range(22)]
    assert [run["id"] for run in aiodag.json("runs", "-n", "1")] == ["r21"]


def states(document):
    return {node["name"]: node["state"] for node in document["nodes"]}


def test_the_second_signal_stops(aiodag):
    with aiodag.running("etl.py:gated", "--id", "one") as process:
        process.send_signal(signal.SIGINT)
        line_with(process.stderr, "nothing more starts")
        process.send_signal(signal.SIGINT)
        code, out, err = ended(process)

    assert (code, out) == (130, "")
    assert "Ctrl-C: stopping" in err
    assert aiodag.notes() == ["first"]
    document = aiodag.json("show", "one")
    assert document["run"]["state"] == "cancelled"
    assert states(document) == {"gated": "cancelled", "first": "succeeded", "hold": "cancelled"}


def test_the_third_signal_ends_what_will_not_stop(aiodag):
    with aiodag.running("etl.py:stubborn", mark="blocks") as process:
        while process.poll() is None:  # signals that come together count as one
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)

    assert process.returncode == -signal.SIGINT


def test_json_of_an_interrupted_run_says_so(aiodag):
    with aiodag.running("etl.py:gated", "--id", "one", "--json") as process:
        process.send_signal(signal.SIGINT)
        line_with(process.stderr, "nothing more starts")
        code, out, _ = ended(process, "\n")

    document = json.loads(out)
    assert code == 130
    assert (document["state"], document["value"]) == ("cancelled", None)
    assert "aiodag resume one" in document["error"]


def test_a_signal_that_is_ignored_stays_ignored(aiodag):
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}  # as `nohup` and `&` do
    with aiodag.running("etl.py:gated", **ignored) as process:
        process.send_signal(signal.SIGINT)
        code, out, err = ended(process, "\n")

    assert (code, out) == (0, "'the end'\n")
    assert "Ctrl-C" not in err


def test_a_run_that_succeeds_while_it_drains_has_succeeded(aiodag):
    with aiodag.running("etl.py:hold") as process:
        process.send_signal(signal.SIGINT)
        line_with(process.stderr, "nothing more starts")
        code, out, _ = ended(process, "\n")

    assert (code, out) == (0, "'held'\n")


# Terminals, pipes, encodings


def test_a_terminal_shows_what_runs_and_its_states_live(aiodag):
    terminal = Terminal(aiodag, "run", "etl.py:gated", "--id", "one")
    terminal.until("▸")
    terminal.until("hold")
    terminal.until("1 succeeded")

    assert terminal.end("\n") == 0
    assert "\x1b[?25l" in terminal.drawn  # the cursor was hidden, and is shown again
    assert terminal.drawn.rindex("\x1b[?25h") > terminal.drawn.rindex("\x1b[?25l")
    assert "holds" in terminal.drawn  # what the body printed
    assert terminal.drawn.endswith("'the end'\r\n")


def test_a_terminal_shows_failures_above_and_records_in_colours(aiodag):
    terminal = Terminal(aiodag, "run", "etl.py:main", "-p", "names=b", "--id", "one")
    assert terminal.end() == 1
    listed = Terminal(aiodag, "runs")
    assert listed.end() == 0

    assert "fetch('b') \x1b[31mfailed\x1b[0m: LookupError: no b\\x1b[31m" in terminal.drawn
    assert "\x1b[31mfailed\x1b[0m" in listed.drawn


@pytest.mark.parametrize(
    ("python", "env"),
    [
        (("-c", "import sys; sys.modules['rich'] = None; from aiodag.cli import main; sys.exit(main())"), {}),
        (("-m", "aiodag"), {"TERM": "dumb"}),
    ],
    ids=["without rich", "a terminal that cannot draw"],
)
def test_a_terminal_without_rich_gets_lines(aiodag, python, env):
    terminal = Terminal(aiodag, "run", "etl.py:main", "--id", "one", python=python, **env)
    assert terminal.end() == 0
    listed = Terminal(aiodag, "runs", python=python, **env)
    assert listed.end() == 0

    assert "\x1b" not in terminal.drawn + listed.drawn
    assert "run one succeeded: 4 succeeded" in terminal.drawn


def test_a_terminal_is_not_sent_a_picture(recorded):
    terminal = Terminal(recorded, "graph", "one", "--format", "png")

    assert terminal.end() == 2
    assert "it would do strange things to a terminal" in terminal.drawn


def test_a_reader_that_has_gone_is_no_error(recorded):
    reader, writer = os.pipe()
    os.close(reader)
    for args in (["runs"], ["show", "one"], ["log", "one", "--json"], ["graph", "one", "--format", "svg"], ["--help"]):
        with recorded.start(*args, stdout=writer) as process:
            assert (args, ended(process)) == (args, (0, None, ""))
    os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, of Linux")
def test_an_output_that_cannot_be_written_is_an_error(recorded):
    with Path("/dev/full").open("w") as full, recorded.start("runs", stdout=full) as process:
        assert ended(process) == (1, None, "aiodag: cannot write the output: No space left on device\n")


def test_an_encoding_without_the_signs_gets_others(aiodag):
    aiodag("run", "etl.py:main", "-p", "names=aé", "--id", "one")

    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    out, _ = aiodag("show", "one", env=ascii_only)

    assert "|o + fetch('a')" in out
    assert "fetch('\\xe9')" in out
    assert out.isascii()


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_outputs_do_no_harm(recorded, redirect):
    command = f"{shlex.quote(sys.executable)} -m aiodag run etl.py:main --id closed {redirect}"
    done = subprocess.run(command, shell=True, cwd=recorded.path, env=recorded.env, capture_output=True, check=False)
    recorded("delete", "closed")

    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


# Help, completion, the way in


def test_the_installed_command_is_there():
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    name, _, place = declared["options.entry_points"]["console_scripts"].strip().partition(" = ")

    assert (name, EntryPoint(name, place, "console_scripts").load()) == ("aiodag", main)


def test_help_of_every_command_has_an_example_that_parses(capsys):
    parser = grammar.build_parser()
    for name, command in parser.commands.items():
        example = re.search(r"example:\n.*?aiodag ([^)\n]*)", command.format_help())
        assert parser.parse_args(shlex.split(example[1])).command == name


@pytest.mark.parametrize("width", ["20", "40", "200"])
def test_help_fits_any_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    for command in (parser := grammar.build_parser()).commands.values():
        assert command.format_help().startswith("usage: aiodag ")
    assert all(name in parser.format_help() for name in COMMANDS)


def test_help_and_completion_load_neither_the_service_nor_rich(tmp_path):
    for args in (["--help"], ["completion", "bash"]):
        code = f"""
import sys
from aiodag.cli import main
try:
    main({args})
except SystemExit:
    pass
loaded = {{"aiodag.service", "aiodag.records", "sqlite3", "rich", "importlib.metadata"}} & set(sys.modules)
sys.exit(repr(loaded) if loaded else 0)
"""
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_importing_aiodag_does_not_load_the_command_line():
    code = "import sys, aiodag; print([name for name in sys.modules if 'cli' in name or name == 'argparse'])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_no_attempt_is_shown_to_have_taken_less_than_no_time():
    at = datetime(2026, 1, 31, tzinfo=UTC)
    node = NodeRecord(1, "", "a", "", "a", State.SKIPPED, 1, None, "", None, "", "", at, at, at, recalled=False)
    attempt = AttemptRecord(1, 1, State.SKIPPED, at, at - timedelta(microseconds=8), "", {})

    assert "0 s" in attempt_line(node, attempt, there=True)


def test_the_version_is_told(aiodag):
    assert aiodag("--version")[0].startswith("aiodag ")


def complete_bash(place, *typed):
    script = place("completion", "bash")[0]
    code = f"{script}\nCOMP_WORDS=({shlex.join(typed)}); COMP_CWORD={len(typed) - 1}; _aiodag; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS)
    return done.stdout.split()


def test_bash_completes_commands_options_and_their_values(aiodag):
    assert complete_bash(aiodag, "aiodag", "ru") == ["run", "runs"]
    assert complete_bash(aiodag, "aiodag", "--store", "x", "ru") == ["run", "runs"]
    assert complete_bash(aiodag, "aiodag", "run", "--l") == ["--limit"]
    assert complete_bash(aiodag, "aiodag", "runs", "--state", "f") == ["failed"]
    assert complete_bash(aiodag, "aiodag", "messages", "--state", "d") == ["dead"]
    assert complete_bash(aiodag, "aiodag", "completion", "") == ["bash", "zsh", "fish"]
    assert complete_bash(aiodag, "aiodag", "run", "-p", "") == []
    assert complete_bash(aiodag, "aiodag", "schedules", "paus") == ["pause"]


@pytest.mark.parametrize("shell", grammar.SHELLS)
def test_completion_knows_every_command_and_option(aiodag, shell):
    script, _ = aiodag("completion", shell)

    for name, command in grammar.build_parser().commands.items():
        lines = [line for line in script.splitlines() if re.search(rf"\b{name}\b", line)]
        assert lines
        for option in (spelling for each in options(command) for spelling in each.names):
            written = f"-l {option[2:]}" if option[:2] == "--" and shell == "fish" else option[shell == "fish" :]
            assert any(written in line for line in lines), (name, option)


def test_durations_of_every_length_have_words():
    assert [describe_seconds(value) for value in (0.000_42, 0.042, 0.9999, 59.9, 59.96, 3599.7, 86_399, 90_000)] == [
        "420 µs",
        "42 ms",
        "1 s",
        "59.9 s",
        "1 min 0 s",
        "1 h 0 min",
        "23 h 59 min",
        "1 d 1 h",
    ]


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "3 d", "1e3s", "３d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration"):
        duration(text)


# The pages: the second one goes on where the first has ended


PAGES = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("first-session.md", "command-line.md"))
TIME = re.compile(r"\b\d+(?:\.\d+)? (?:µs|ms|s)\b")
AT = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")
OF_TASKS = re.compile(r"^(run \S+: .*\n)((?:.*\n)*?)(run \S+ (?:succeeded|failed)\b)", re.MULTILINE)


def alike(text):
    """Leave out of an output what is another at every run: times, and which of two programs at once was first."""
    text = without_counts(text)
    text = OF_TASKS.sub(lambda run: run[1] + "".join(sorted(run[2].splitlines(keepends=True))) + run[3], text)
    return AT.sub("AT", TIME.sub("TIME", text))


def test_the_pages_show_what_the_command_prints(aiodag):
    aiodag.write("etl.py", re.search(r"```python\n(.*?)```", PAGES, re.DOTALL)[1])
    aiodag.write("nightly.json", re.search(r"```json\n(.*?)```", PAGES, re.DOTALL)[1])
    aiodag.write("aiodag", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -W error -m aiodag "$@"\n')
    (aiodag.path / "aiodag").chmod(0o755)
    steps = [
        step.split("\n", 1)
        for block in re.findall(r"```console\n\$ (.*?)```", PAGES, re.DOTALL)
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)
    ]
    # `(exit N)` gives the next command the exit code that it may ask for.
    script = "code=0\n" + "\n".join(f"printf '@@@\\n'; (exit $code); {command}; code=$?" for command, _ in steps)

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=aiodag.path,
        env=aiodag.env | {"PATH": f"{aiodag.path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=5 * SECONDS,  # there are many commands
        check=False,
    )

    printed = done.stdout.split("@@@\n")[1:]
    assert len(printed) == len(steps) > 15
    same = doctest.OutputChecker().check_output
    for (command, wanted), got in zip(steps, printed, strict=True):
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert same(alike(wanted), alike(got), flags), f"$ {command}\n{got}"


def test_a_damaged_run_is_listed_as_damaged_and_hides_no_other(aiodag, tmp_path):
    for name in ("one", "two"):
        aiodag("run", "etl.py:nothing", "--id", name, "-q")
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as connection:
        connection.execute("update runs set tags = 'x' where id = 'one'")

    listed = [line.split()[:3] for line in aiodag("runs")[0].splitlines()[1:]]
    assert sorted(listed) == [["one", "nothing", "damaged"], ["two", "nothing", "succeeded"]]
    assert "damaged  tags='x'" in aiodag("show", "one")[0]
    assert {run["id"]: run.get("damaged") for run in aiodag.json("runs")} == {"one": "tags='x'", "two": None}


def test_the_store_is_copied(aiodag, tmp_path):
    aiodag("run", "etl.py:nothing", "--id", "one", "-q")

    assert aiodag("backup", "copy.db")[0] == "copied to copy.db\n"
    assert aiodag.json("runs", "--store", "copy.db")[0]["id"] == "one"
    assert "there is such a file already" in aiodag("backup", "copy.db", code=2)[1]
    assert "there is no directory nowhere" in aiodag("backup", "nowhere/copy.db", code=2)[1]


def test_runs_are_copied_to_another_store(aiodag):
    for run_id in ("one", "two"):
        aiodag("run", "etl.py:nothing", "--id", run_id, "-q")

    assert aiodag("copy", "runs.db", "new.db", "one")[0] == "copied 1 run\n"
    assert "run 'one' is in sqlite:///new.db already" in aiodag("copy", "runs.db", "new.db", code=2)[1]
    assert aiodag("copy", "runs.db", "new.db", "--skip-existing")[0] == "copied 1 run; 1 run there already\n"
    assert [run["id"] for run in aiodag.json("runs", "--store", "new.db")] == ["one", "two"]
    assert aiodag.json("copy", "new.db", "third.db", "two") == {
        "runs": ["two"],
        "skipped": [],
        "workflows": [],
        "unfinished": [],
        "schedules": [],
    }


def test_a_copy_of_everything_says_which_runs_were_left_out(aiodag):
    aiodag("run", "etl.py:nothing", "--id", "one", "-q")
    waiting = aiodag("submit", "etl.py:nothing")[0].strip()

    out, err = aiodag("copy", "runs.db", "new.db")

    assert out == "copied 1 run\n"
    assert err == f"left out, since not ended: 1 run, {waiting}\n"


def test_a_store_that_is_not_there_is_not_copied(aiodag, tmp_path):
    assert "there is nothing to copy in sqlite:///gone.db" in aiodag("copy", "gone.db", "new.db", code=2)[1]
    assert "FROM and TO say which stores" in aiodag("copy", "runs.db", "new.db", "--store", "x.db", code=2)[1]
    assert not (tmp_path / "new.db").exists()
