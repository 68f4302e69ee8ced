"""`command(..., host=...)`: what runs is apart from where it runs."""

import asyncio
from pathlib import Path

import pytest

from aiodag import OptionError, Run, Skip, State, WorkflowError
from aiodag.abc import Host
from aiodag.commands import CommandFailed, command, shell
from aiodag.commands.local import ANSWERING, LOCAL
from aiodag.programs import ProgramEnd, ProgramLost, ProgramNotStarted, ProgramRequest, ProgramWatch
from aiodag.stores import Memory
from aiodag.testing import run
from aiodag.workflows import Workflow, document_of


class Moon:
    """A host that runs nothing: it notes what it is asked for, and says what it is told to say."""

    name = "moon"

    def __init__(self, *wrote: tuple[str, bytes], code: int = 0, raises: Exception | None = None, waits: bool = False):
        self.requests: list[ProgramRequest] = []
        self.asked = asyncio.Event()
        self.wrote, self.code, self.raises, self.waits = wrote, code, raises, waits

    async def run(self, request: ProgramRequest, watch: ProgramWatch, /) -> None:
        self.requests.append(request)
        if self.raises is not None:
            raise self.raises
        watch.note_start({"job": 7})
        for stream, chunk in self.wrote:
            watch.wrote(stream, chunk)
        self.asked.set()
        try:
            if self.waits:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            watch.note_end(ProgramEnd(code=-15, started_at=0.0, ended_at=2.0))
            raise
        watch.note_end(ProgramEnd(code=self.code, started_at=0.0, ended_at=2.0, cpu_seconds=1.5))


async def test_the_request_says_what_runs_with_nothing_of_this_machine_in_it(monkeypatch):
    monkeypatch.setenv("ONLY_HERE", "yes")
    moon = Moon()
    sync = command("sync", "--fast", env={"A": "x y", "HOME": None}, cwd="data", grace=2, host=moon)

    await sync(3, Path("rows.csv"), stdin="text")

    assert [each._replace(label="") for each in moon.requests] == [
        ProgramRequest(("sync", "--fast", "3", "rows.csv"), {"A": "x y", "HOME": None}, Path("data"), b"text", 2.0)
    ]


async def test_a_strict_shell_is_asked_for_in_its_arguments():
    moon = Moon()

    await shell("make | tee log", shell="/bin/bash", host=moon)("all")

    assert moon.requests[0].args == ("/bin/bash", "-e", "-o", "pipefail", "-c", "make | tee log", "sh", "all")


async def test_what_the_host_tells_is_the_result():
    moon = Moon(("stdout", b"ro"), ("stderr", b"careful\n"), ("stdout", b"ws\n"))

    finished = await command("sync", host=moon)()

    assert (finished.stdout, finished.stderr, finished.code) == ("rows\n", "careful\n", 0)
    assert (finished.host, finished.pid, finished.cpu_seconds) == ("moon", 0, 1.5)
    assert (finished.ended_at - finished.started_at).total_seconds() == 2.0


async def test_listeners_hear_it_and_of_a_long_stream_the_ends_are_kept():
    heard, ends = [], []
    moon = Moon(("stdout", b"one "), ("stdout", b"two "), ("stdout", b"three"))
    sync = command("sync", host=moon, keep=6, on_output=lambda *told: heard.append(told), on_end=ends.append)

    finished = await sync()

    assert heard == [("stdout", b"one "), ("stdout", b"two "), ("stdout", b"three")]
    assert finished.stdout_dropped == 7
    assert ends == [finished]


async def test_exit_codes_mean_what_they_mean_here():
    with pytest.raises(CommandFailed, match="sync ended with exit code 3: no printer"):
        await command("sync", host=Moon(("stderr", b"no printer\n"), code=3))()
    with pytest.raises(Skip):
        await command("sync", host=Moon(code=75), skip_codes=[75])()


async def test_why_it_did_not_start_and_why_nobody_knows_is_for_the_host_to_say():
    with pytest.raises(CommandFailed, match="sync did not start: the queue is full"):
        await command("sync", host=Moon(raises=ProgramNotStarted("did not start: the queue is full")))()
    with pytest.raises(CommandFailed, match="sync has ended in a way that nobody knows: the connection broke"):
        await command(
            "sync", host=Moon(raises=ProgramLost("has ended in a way that nobody knows: the connection broke"))
        )()


async def test_a_host_that_says_nothing_of_the_end_has_lost_the_program():
    class Mute:
        name = "mute"

        async def run(self, request, watch, /):
            watch.note_start({"job": 1})

    with pytest.raises(
        CommandFailed, match="sync has ended in a way that nobody knows: its host, mute, has not said how it ended"
    ):
        await command("sync", host=Mute())()


async def test_a_cancelled_program_is_told_of_before_the_cancel_goes_on():
    ends, moon = [], Moon(waits=True)
    node = command("sync", host=moon, on_end=ends.append)()
    await moon.asked.wait()

    node.cancel()

    with pytest.raises(asyncio.CancelledError):
        await node
    assert [finished.signal for finished in ends] == ["SIGTERM"]


async def test_by_what_a_host_knows_a_program_is_on_record():
    store, moon = Memory(), Moon(waits=True)

    async with Run("etl", store=store, id="monday", grace=1):
        node = command("sync", host=moon, name="sync")()
        await moon.asked.wait()
        node.cancel()

    (attempt,) = store.attempts("monday", every=True)
    assert (attempt.facts["host"], attempt.facts["job"], attempt.facts["command"]) == ("moon", 7, ["sync"])
    assert attempt.facts["signal"] == "SIGTERM"


async def test_a_success_is_recalled_wherever_it_runs_the_next_time():
    store, first, second = Memory(), Moon(("stdout", b"rows")), Moon()

    for host in (first, second):
        async with Run("etl", store=store, id="monday"):
            node = command("sync", host=host)()

    assert node.result().stdout == "rows"
    assert second.requests == []


def test_a_virtual_clock_stands_still_while_a_host_is_at_work():
    class Slow:
        name = "slow"

        async def run(self, request, watch, /):
            await asyncio.to_thread(int)
            watch.note_end(ProgramEnd(code=0, started_at=0.0, ended_at=1.0))

    async def main():
        await command("sync", host=Slow(), timeout=5)()
        return asyncio.get_running_loop().time()

    assert run(main()) == 0.0


async def test_this_machine_is_a_host_like_any_other():
    told = []

    class Watch:
        def note_start(self, facts, /):
            told.append("started")

        def wrote(self, stream, chunk, /):
            told.append((stream, chunk))

        def note_end(self, end, /):
            told.append(end.code)

    here: Host = LOCAL
    await here.run(ProgramRequest(("sh", "-c", "echo rows; exit 3")), Watch())

    assert [each for each in told if each != "started"] == [("stdout", b"rows\n"), 3]
    with pytest.raises(ProgramNotStarted, match="no directory of PATH has a program 'no-such-program'"):
        await here.run(ProgramRequest(("no-such-program",)), Watch())


class Heard:
    """A watch that keeps what each stream said, and how the program ended."""

    def __init__(self):
        self.streams, self.code = {}, None

    def note_start(self, facts, /):
        pass

    def wrote(self, stream, chunk, /):
        self.streams[stream] = self.streams.get(stream, b"") + chunk

    def note_end(self, end, /):
        self.code = end.code


async def test_a_program_may_have_a_third_stream_for_its_answer():
    heard, unheard = Heard(), Heard()
    script = ("sh", "-c", "cat; echo aside; seq 20000 >&3 || exit 7")

    await ANSWERING.run(ProgramRequest(script, stdin=b"asked\n"), heard)
    await LOCAL.run(ProgramRequest(script, stdin=b"asked\n"), unheard)

    numbers = b"".join(b"%d\n" % number for number in range(1, 20001))
    assert (heard.streams, heard.code) == ({"stdout": b"asked\naside\n", "answer": numbers}, 0)
    assert ("answer" in unheard.streams, unheard.code) == (False, 7)


@pytest.mark.parametrize("given", ["", "mo\non", Moon, object(), 3])
def test_what_cannot_be_a_host_is_refused_with_what_would_work(given):
    with pytest.raises(OptionError, match=r"(?s)host=.*an object with a name and an async run\(request, watch\)"):
        command("sync", host=given)


def test_a_document_says_how_to_name_a_host_that_is_an_object():
    flow = Workflow("etl")
    flow.add(command("sync", host=Moon()), name="sync")

    with pytest.raises(WorkflowError, match="runs on the host 'moon', an object: name it in Workflow"):
        document_of(flow, exact=True)


async def test_a_node_of_another_host_settles_like_any_other():
    async with Run("etl"):
        first = command("sync", host=Moon(("stdout", b"rows\n")))()
        second = command("echo")(first)

    assert (first.state, second.result().stdout) == (State.SUCCEEDED, "rows\n")
