"""What holds on every host, wherever programs run.

A host takes part with a fixture `<name>_place` in conftest.py, which gives a `Place`.
"""

import asyncio
import os
import subprocess
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from aiodag import Run, RunFailed, State
from aiodag.abc import Host
from aiodag.commands import CommandFailed, command, shell
from aiodag.stores import SQLite

SECONDS = 60  # after which something hangs
PLACES = ["local", "ssh", "agent", "slurm"]
HOSTILE = [
    "x y;z",
    "'",
    '"',
    'it\'s "both"',
    "$(echo no)",
    "`echo no`",
    "$HOME",
    "a\nb\n\nc",
    "\\",
    "\\n",
    "a\\\nb",
    " blanks ",
    "*",
    "-n",
    "!x",
    "é\u4e2d",
    "\t\r",
    "\x01\x7f",
    "tail\n",
]


class Place(NamedTuple):
    """A host for these tests, and what is known of it."""

    host: Host
    folder: Path  # which both sides see, and programs there may write to
    node: str = os.uname().nodename  # what really runs them
    counts_cpu: bool = True
    counts_memory: bool = True
    live: bool = True  # whether output is heard while a program runs
    queues: bool = False  # whether a program may have to wait for its turn


@pytest.fixture(params=PLACES)
def place(request):
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


@pytest.fixture
def mark():
    """A word that stands in the arguments of all processes of a test."""
    return f"mark-{uuid4().hex}"


def processes(mark):
    """The living processes that have a word among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            pid = int(entry.name)
            arguments, state = (entry / "cmdline").read_bytes(), (entry / "stat").read_bytes().rpartition(b")")[2]
            if mark.encode() in arguments.split(b"\0") and state.split()[0] not in b"ZX":
                found.append(pid)
    return found


async def until(true):
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.02)  # real time: other processes are waited for


def attempts(store):
    names = {each.number: each.name for each in store.nodes("r")}
    return {(names[each.number], each.attempt): (each.state, each.facts) for each in store.attempts("r", every=True)}


async def ended_badly(node):
    """Return why a command failed."""
    with pytest.raises(CommandFailed) as failed:
        await node
    return failed.value


# A run of commands


def etl(host, folder, order=1):
    """Define the tasks in one order or the other, and return what calls them."""
    work = 'sleep 0.2; if [ "$1" = Transform_B ] && [ ! -e "$2/marker" ]; then exit 1; fi; echo "$1"'
    names = [
        "Pull_A",
        "Pull_B",
        "Pull_C",
        "Transform_A",
        "Transform_B",
        "Transform_C",
        "Derive_AB",
        "Derive_ABC",
        "Report",
    ]
    tasks = {name: shell(work, name, folder, name=name, host=host) for name in names[::order]}

    def call():
        pulls = {each: tasks[f"Pull_{each}"]() for each in "ABC"}
        made = {each: tasks[f"Transform_{each}"].after(pulls[each])() for each in "ABC"}
        both = tasks["Derive_AB"].after(made["A"], made["B"])()
        whole = tasks["Derive_ABC"].after(both, made["C"])()
        return [*pulls.values(), *made.values(), both, whole, tasks["Report"].after(whole)()]

    return call


async def test_a_run_of_commands_goes_by_its_edges(place, store):
    (place.folder / "marker").touch()
    try:
        async with Run("etl", store=store, id="r"):
            nodes = etl(place.host, place.folder)()
    finally:
        (place.folder / "marker").unlink()

    assert [node.result().stdout for node in nodes] == [f"{node.name}\n" for node in nodes]
    assert sorted(attempts(store)) == sorted((node.name, 1) for node in nodes)
    pulls = [node.result() for node in nodes[:3]]
    if not place.queues:
        assert max(each.started_at for each in pulls) < min(each.ended_at for each in pulls)
    assert nodes[8].result().started_at >= nodes[7].result().ended_at


@pytest.mark.parametrize("order", [1, -1])
async def test_a_failed_run_is_resumed_where_it_failed(place, store, order):
    async def run():
        try:
            async with Run("etl", store=store, id="r"):
                nodes = etl(place.host, place.folder, order)()
        except RunFailed:
            pass
        return {node.name: node for node in nodes}

    first = await run()
    before = attempts(store)
    (place.folder / "marker").touch()
    try:
        second = await run()
    finally:
        (place.folder / "marker").unlink()

    failed = first.pop("Transform_B")
    assert (failed.state, failed.exception().code) == (State.FAILED, 1)
    skipped = {"Derive_AB", "Derive_ABC", "Report"}
    assert {name for name, node in first.items() if node.state is State.SKIPPED} == skipped
    assert {node.state for name, node in first.items() if name not in skipped} == {State.SUCCEEDED}
    assert {node.state for node in second.values()} == {State.SUCCEEDED}
    assert len(before) == 6
    assert {name for name, _ in attempts(store).keys() - before.keys()} == skipped | {"Transform_B"}
    assert len(attempts(store)) == 10


# Cancel, retries, time


async def test_a_cancelled_run_leaves_nothing_running(place, store, mark):
    line = 'echo partial; sh -c "sleep 300; :" "$1" & sleep 300; echo x'
    long = shell(line, mark, name="long", limit=2, host=place.host)

    async def scope():
        async with Run("etl", store=store, id="r"):
            await asyncio.wait([long() for _ in range(6)])

    other = shell("sleep 1; echo still here", host=place.host)()
    running = asyncio.ensure_future(scope())
    await until(lambda: len(processes(mark)) >= 4)
    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()
    assert processes(mark) == []
    found = list(store.attempts("r", every=True))
    assert [(each.state, each.facts["signal"]) for each in found] == [(State.CANCELLED, "SIGTERM")] * 2
    assert [each.attempt for each in store.nodes("r")].count(0) == 4
    for each in found:
        assert [part.bytes for part in store.output("r", each.number)] == [b"partial\n"]
    assert (await other).stdout == "still here\n"


async def test_who_hears_the_first_signal_may_end_well_and_who_does_not_is_killed(place, mark):
    ends = []
    for trap, grace in (("echo bye; exit 7", 30), ("", 0.5)):
        ready = place.folder / uuid4().hex
        line = 'trap "$1" TERM; : > "$2"; while :; do sleep 0.1; done'
        node = shell(line, trap, ready, mark, grace=grace, host=place.host, on_end=ends.append)()
        await until(ready.exists)
        node.cancel()
        await asyncio.wait([node])
        assert processes(mark) == []

    assert [each.code for each in ends] == [7, -9]
    assert ends[0].stdout == "bye\n"


async def test_a_failed_attempt_is_tried_again(place, store):
    once = place.folder / uuid4().hex
    try:
        async with Run("etl", store=store, id="r"):
            shell('test -e "$1" || { : > "$1"; exit 1; }', once, name="once", retries=3, host=place.host)()
            shell("echo out; echo err >&2; exit 3", name="never", retries=2, host=place.host)()
    except RunFailed:
        pass

    found = attempts(store)
    assert {key: facts["code"] for key, (_, facts) in found.items()} == {
        ("once", 1): 1,
        ("once", 2): 0,
        ("never", 1): 3,
        ("never", 2): 3,
        ("never", 3): 3,
    }
    number = next(each.number for each in store.nodes("r") if each.name == "never")
    for attempt in (1, 2, 3):
        parts = store.output("r", number, attempt)
        assert {part.stream: part.bytes for part in parts} == {"stdout": b"out\n", "stderr": b"err\n"}


async def test_a_timeout_ends_what_the_program_has_started(place, mark):
    with pytest.raises(TimeoutError):
        await shell('sh -c "sleep 300; :" "$1" & wait', mark, timeout=1, host=place.host)()

    assert processes(mark) == []


async def test_what_a_program_leaves_behind_is_ended_before_its_node_settles(place, mark):
    finished = await shell('sh -c "sleep 300; :" "$1" >/dev/null 2>&1 & echo done', mark, grace=1, host=place.host)()

    assert finished.stdout == "done\n"
    assert processes(mark) == []


# The record of an attempt


async def test_streams_are_kept_apart_and_in_order(place):
    finished = await shell("for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf end", host=place.host)()

    assert finished.stdout == "out 1\nout 2\nout 3\nend"
    assert finished.stderr == "err 1\nerr 2\nerr 3\n"


async def test_an_exit_code_is_told_from_a_signal(place):
    codes, numbers = [1, 3, 77, 126, 127, 143, 255], [1, 2, 9, 11, 13, 15]
    exits = [command("sh", "-c", f"exit {code}", host=place.host)() for code in codes]
    kills = [command("sh", "-c", f"kill -{number} $$", host=place.host)() for number in numbers]

    assert [(await ended_badly(node)).code for node in exits] == codes
    assert [(await ended_badly(node)).code for node in kills] == [-number for number in numbers]


async def test_when_where_and_what_it_took_is_on_record(place, store):
    busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo $$"
    async with Run("etl", store=store, id="r"):
        node = shell(busy, name="busy", host=place.host)()

    finished, ((_, facts),) = node.result(), attempts(store).values()
    assert 0.01 < (finished.ended_at - finished.started_at).total_seconds() < SECONDS
    assert facts["host"] == finished.host
    assert finished.host in {place.host.name, place.node}
    if finished.pid:
        assert finished.stdout == f"{finished.pid}\n"
    if place.counts_cpu:
        assert 0.05 < finished.cpu_seconds < SECONDS


async def test_peak_memory_is_the_programs(place):
    large = "head -c 120000000 /dev/zero | tr '\\0' x"
    finished = await command("sh", "-c", f"x=$({large}); echo ${{#x}}", host=place.host)()

    assert finished.stdout == "120000000\n"
    if place.counts_memory:
        assert 100e6 < finished.peak_bytes < 400e6


async def test_much_output_takes_little_memory(place):
    flood = command("sh", "-c", "echo head; head -c 100000000 /dev/zero; echo tail", host=place.host, keep=2**16)
    await command("true", host=place.host)()
    tracemalloc.start()
    try:
        finished = await flood()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert finished.stdout_dropped == 100_000_010 - 2**16
    assert (finished.stdout[:6], finished.stdout[-6:]) == ("head\n\0", "\0tail\n")
    assert peak < 20e6


async def test_output_is_heard_while_the_program_runs(place):
    gate, heard = place.folder / uuid4().hex, []
    os.mkfifo(gate)
    gate.chmod(0o666)
    end = os.open(gate, os.O_RDWR)
    try:
        node = shell(
            'echo out; echo err >&2; read line < "$1"; echo "$line"',
            gate,
            host=place.host,
            on_output=lambda *said: heard.append(said),
        )()
        if place.live:
            await until(lambda: sorted(heard) == [("stderr", b"err\n"), ("stdout", b"out\n")])
        os.write(end, b"go on\n")
        finished = await node
    finally:
        os.close(end)
        gate.unlink()

    assert (finished.stdout, finished.stderr) == ("out\ngo on\n", "err\n")


async def test_what_cannot_start_fails_and_says_why(place):
    lines = [
        (["no-such-program"], {}, "no directory of PATH has a program 'no-such-program'"),
        (["/no/such/program"], {}, "there is no such file"),
        (["/etc/passwd"], {}, "may not be executed"),
        (["/etc"], {}, "may not be executed"),
        (["true"], {"cwd": "/no/such/place"}, "'/no/such/place' cannot be the directory it runs in"),
        (["true"], {"cwd": "/etc/passwd"}, "'/etc/passwd' cannot be the directory it runs in: Not a directory"),
        (["cat"], {"stdin": Path("/no/such/file")}, "its stdin '/no/such/file' cannot be read"),
    ]
    nodes = [command(*line, host=place.host, **options)() for line, options, _ in lines]

    for node, (line, _, why) in zip(nodes, lines, strict=True):
        failed = await ended_badly(node)
        assert "did not start" in str(failed), line
        assert why in str(failed), line
        assert failed.finished is None


# What a program is given is data


async def test_arguments_and_variables_are_data(place):
    texts = [*HOSTILE, "", os.fsdecode(bytes(range(1, 256)))]
    variables = {f"GIVEN_{number}": text for number, text in enumerate(texts)}
    heard = {"arguments": bytearray(), "variables": bytearray()}

    def hear(name):
        return {"env": variables, "host": place.host, "on_output": lambda _, chunk: heard[name].extend(chunk)}

    await command("printf", "%s\\0", *texts, **hear("arguments"))()
    await command("env", "-0", **hear("variables"))()

    assert bytes(heard["arguments"]) == b"".join(os.fsencode(text) + b"\0" for text in texts)
    given = {os.fsencode(f"{name}={text}") for name, text in variables.items()}
    assert given <= set(bytes(heard["variables"]).split(b"\0"))


async def test_a_variable_can_be_taken_away(place):
    line = 'echo "${HOME-none} ${GIVEN-none}"'

    assert (await shell(line, env={"HOME": None, "GIVEN": ""}, host=place.host)()).stdout == "none \n"


async def test_a_program_is_looked_for_on_the_path_of_its_own_environment(place):
    folder = place.folder / uuid4().hex
    folder.mkdir()
    (folder / "only-there").write_text("#!/bin/sh\necho here\n")
    (folder / "only-there").chmod(0o755)

    assert (await command("only-there", env={"PATH": f"{folder}:/usr/bin:/bin"}, host=place.host)()).stdout == "here\n"


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 16_384], ids=["empty", "4 MiB"])
async def test_stdin_arrives_as_it_is(place, content):
    assert (await shell("cksum; echo end", stdin=content, host=place.host)()).stdout == (
        subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.decode() + "end\n"
    )


async def test_stdin_is_a_file_of_the_host_or_nothing(place):
    file = place.folder / uuid4().hex
    file.write_text("rows\n")

    assert (await command("cat", stdin=file, host=place.host)()).stdout == "rows\n"
    assert (await command("cat", host=place.host)()).stdout == ""


async def test_a_program_that_does_not_read_its_stdin_ends_all_the_same(place):
    assert (await command("true", stdin=b"x" * 10**6, host=place.host)()).code == 0


async def test_it_runs_where_cwd_says(place):
    folder = place.folder / 'it\'s a "folder";'
    folder.mkdir(exist_ok=True)

    assert (await command("pwd", cwd=folder, host=place.host)()).stdout == f"{folder}\n"


async def test_many_at_once_are_all_told_apart(place):
    nodes = [command("echo", number, host=place.host)() for number in range(20)]

    assert [(await node).stdout for node in nodes] == [f"{number}\n" for number in range(20)]
