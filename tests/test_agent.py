"""Commands at an agent: who may have them run, what they hold there, and what becomes of them when somebody dies."""

import asyncio
import json
import os
import pickle
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from agent_servers import TOKEN
from test_host_contract import SECONDS, processes, until

from aiodag import AttemptLost, LetGo, OptionError
from aiodag._core.letting_go import Leavable
from aiodag.commands import CommandFailed, command
from aiodag.commands.agents import Agent
from aiodag.commands.forms import host_of_form
from aiodag.programs import HostUnreachable, ProgramLost, ProgramNotFound, ProgramNotStarted, ProgramRequest

ORPHAN_GRACE = 4  # seconds: what a test waits for
LONG = 'echo begun; sleep 300 & wait; : "$1"'


@pytest.fixture
def mark():
    """A word that stands in the arguments of all processes of a test."""
    return f"mark-{uuid4().hex}"


class Heard:
    """What a host tells of a program."""

    def __init__(self):
        self.facts, self.output, self.end = {}, bytearray(), None

    def note_start(self, facts):
        self.facts.update(facts)

    def wrote(self, stream, chunk):
        self.output += chunk

    def note_end(self, end):
        self.end = end


def long(mark, label="one", **fields):
    return ProgramRequest(("sh", "-c", LONG, "sh", mark), label=label, **fields)


def short(label="one", **fields):
    return ProgramRequest(("echo", "done"), label=label, **fields)


async def begun(host, request):
    """Begin a program, and wait until it has said something."""
    heard = Heard()
    running = asyncio.ensure_future(host.run(request, heard))
    await until(lambda: heard.output or running.done())
    return running, heard


def opened(gate, text):
    """Let a program go on that waits for a file, and then prints it."""
    gate.with_name("new").write_text(text)
    gate.with_name("new").rename(gate)


async def cancelled(*running):
    for each in running:
        each.cancel()
    await asyncio.wait(running)


# What is on record


async def test_the_machine_that_ran_a_program_is_on_record(shared_agent):
    heard = Heard()
    await shared_agent.host().run(short(uuid4().hex), heard)

    assert (bytes(heard.output), heard.end.code, heard.end.host) == (b"done\n", 0, os.uname().nodename)
    assert heard.facts["agent"] == shared_agent.address
    assert (await command("true", host=shared_agent.host(name="big"))()).host in {"big", os.uname().nodename}


async def test_the_same_label_twice_is_one_program(shared_agent, mark):
    host, label = shared_agent.host(), uuid4().hex
    first, heard = await begun(host, long(mark, label))
    second, again = await begun(host, long(mark, label))

    await until(lambda: len(processes(mark)) == 1)
    assert heard.facts["program"] == again.facts["program"]
    await cancelled(first)
    await second
    assert again.end.code == -15


async def test_a_label_of_another_program_is_refused(shared_agent):
    host, label = shared_agent.host(), uuid4().hex
    await host.run(short(label), Heard())

    with pytest.raises(ProgramNotStarted, match="another program has this label"):
        await host.run(ProgramRequest(("true",), label=label), Heard())


async def test_a_stdin_that_is_too_large_is_refused(shared_agent, monkeypatch):
    monkeypatch.setattr("aiodag.commands.agent_attempt.STDIN_LARGEST", 3)

    with pytest.raises(CommandFailed, match="its stdin has 4 bytes, and an agent takes 3: put it into a file"):
        await command("cat", stdin=b"1234", host=shared_agent.host())()


# Who may


async def test_a_wrong_token_is_refused(shared_agent, tmp_path):
    host = shared_agent.host()
    host.token_file = tmp_path / "token"
    host.token_file.write_text("not-the-token-of-this-agent")
    host.token_file.chmod(0o600)

    with pytest.raises(CommandFailed, match=r"did not start: the agent at .*: this is not the token of this agent"):
        await command("true", host=host)()
    assert "this is not the token" in (await host.look()).why


async def test_another_version_is_refused(shared_agent, monkeypatch):
    monkeypatch.setattr("aiodag.commands.agent_link.PROTOCOL", "2")

    with pytest.raises(CommandFailed, match=r"install the same version on both sides"):
        await command("true", host=shared_agent.host())()


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (None, 0o600, "No such file"),
        ("short", 0o600, "16 characters or more"),
        ("with blanks in it, and long", 0o600, "without spaces"),
        ("é" * 20, 0o600, "16 characters or more"),
        (TOKEN, 0o644, "chmod 600"),
    ],
)
def test_a_token_is_in_a_file_that_others_cannot_read(tmp_path, content, mode, why):
    from aiodag.commands.agents import Agent

    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)

    with pytest.raises(OptionError, match=why):
        Agent("http://127.0.0.1:1", token_file=file)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:2504",
        "http://",
        "ftp://h:1",
        "http://h:x",
        "http://u:p@h:1",
        "http://h:1/x",
        "http://h:99999",
        "http://h:0",
        7,
    ],
)
def test_an_address_is_checked(tmp_path, address):
    from aiodag.commands.agents import Agent

    with pytest.raises(OptionError, match="the address of an agent, such as"):
        Agent(address, token_file=tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        {"token_file": 5},
        {"token_file": b"token"},
        {"token_file": ""},
        {"name": 5},
        {"certificate": 5},
        {"resources": 5},
    ],
)
def test_an_option_that_cannot_work_is_refused_at_once(tmp_path, given):
    from aiodag.commands.agents import Agent

    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)

    with pytest.raises(OptionError, match=f"^{next(iter(given))}="):
        Agent("http://127.0.0.1:1", **{"token_file": token, **given})


def test_it_is_written_and_pickled_without_its_token(shared_agent):
    host = shared_agent.host(name="big", resources={"cores": 4})
    form = host.form()

    assert form == {
        "type": "agent",
        "address": shared_agent.address,
        "name": "big",
        "token_file": str(shared_agent.token_file),
        "resources": {"cores": 4},
    }
    assert host_of_form(form).form() == form
    assert pickle.loads(pickle.dumps(host)).form() == form
    assert TOKEN not in json.dumps(form) + repr(host) + repr(pickle.dumps(host))


async def test_tls_is_spoken_where_a_certificate_is_given(new_agent, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    agent = new_agent(f"--certificate={tmp_path / 'server.pem'}")

    assert agent.address.startswith("https://")
    assert (await command("echo", "hi", host=agent.host(certificate=tmp_path / "ca.pem"))()).stdout == "hi\n"
    with pytest.raises(CommandFailed, match=r"its certificate is not trusted .*certificate= names the file"):
        await command("true", host=agent.host())()
    agent.address = agent.address.replace("https", "http")
    with pytest.raises(CommandFailed, match=r"does not answer.* With --certificate its address begins with https:"):
        await command("true", host=agent.host())()


async def test_a_certificate_for_another_name_is_said_to_be_that(new_agent, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("elsewhere.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    agent = new_agent(f"--certificate={tmp_path / 'server.pem'}")

    with pytest.raises(CommandFailed, match=r"its certificate is for another name or address .*: use that"):
        await command("true", host=agent.host(certificate=tmp_path / "ca.pem"))()


async def test_an_agent_that_is_not_there_or_is_something_else_is_named_with_what_to_do(new_agent):
    agent = new_agent()
    over_tls = Agent(agent.address.replace("http", "https"), token_file=agent.token_file)
    with pytest.raises(CommandFailed, match=r"no TLS .* its address begins with http:"):
        await command("true", host=over_tls)()
    agent.kill()
    with pytest.raises(CommandFailed, match=r"nobody listens there: is `aiodag agent` running"):
        await command("true", host=agent.host())()


async def test_an_agent_that_cannot_be_reached_before_anything_started_is_for_retries_to_try_again(shared_agent):
    nowhere = Agent("http://127.0.0.1:1", token_file=shared_agent.token_file)
    for retries in (0, 1):
        node = command("true", host=nowhere, retries=retries, lost_retries=5)()
        with pytest.raises(CommandFailed, match="did not start") as failed:
            await node
        assert (node.attempt, isinstance(failed.value, AttemptLost)) == (retries + 1, False)


# What there is


async def test_what_programs_hold_is_counted_over_all_clients(new_agent, mark):
    agent = new_agent(cores=2)
    one, two = agent.host(), agent.host()
    first, _ = await begun(one, long(mark, "1", resources={"cores": 2}))
    heard = Heard()
    second = asyncio.ensure_future(two.run(short("2"), heard))
    await until(lambda: "agent" in heard.facts)

    state = await one.look()
    assert (state.resources, state.free, state.running) == ({"cores": 2}, {"cores": 0}, 1)
    assert heard.output == b""
    await cancelled(first)
    await asyncio.wait_for(second, SECONDS)
    assert heard.output == b"done\n"
    assert (await two.look()).free == {"cores": 2}


async def test_what_can_never_fit_is_refused(new_agent):
    agent = new_agent(cores=2)

    with pytest.raises(ProgramNotStarted, match="no place has more than 2"):
        await agent.host().run(short(resources={"cores": 3}), Heard())
    assert agent.host(resources={"cores": 2}).refuse({"cores": 3}) == "no place has more than 2"
    assert agent.host().refuse({"cores": 3}) == ""


async def test_a_drained_agent_starts_nothing_new(new_agent, mark):
    agent = new_agent(cores=1)
    host = agent.host()
    running, heard = await begun(host, long(mark, "1"))
    waits = asyncio.ensure_future(host.run(short("2"), Heard()))
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):  # real time: it is to wait
            await asyncio.shield(waits)
    await host.drain()

    with pytest.raises(HostUnreachable, match="its agent is drained"):
        await waits
    with pytest.raises(HostUnreachable, match="it is drained, and starts nothing new"):
        await host.run(short("3"), Heard())
    assert ((await host.look()).drained, running.done()) == (True, False)
    await host.undrain()
    await cancelled(running)
    await host.run(short("3"), heard)
    assert heard.end.code == 0


# What becomes of them


async def test_a_program_ends_when_its_owner_has_been_silent_for_long(new_agent, mark):
    agent = new_agent(orphan_grace=ORPHAN_GRACE)
    await killed_owner(agent, long(mark))
    killed_at = time.monotonic()

    await until(lambda: len(processes(mark)) == 1)
    await until(lambda: processes(mark) == [])
    assert time.monotonic() - killed_at > ORPHAN_GRACE / 2


OWNER = """
import asyncio, json, sys
from aiodag.commands.agents import Agent
from aiodag.programs import ProgramRequest

class Watch(dict):
    def note_start(self, facts):
        self.update(facts)
    def wrote(self, stream, chunk):
        print(json.dumps(self), flush=True)

address, token_file, label, *args = json.loads(sys.stdin.readline())
asyncio.run(Agent(address, token_file=token_file).run(ProgramRequest(tuple(args), label=label), Watch()))
"""


async def killed_owner(agent, request):
    """Have a process of its own start a program, and kill it; return what it noted."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OWNER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    told = [agent.address, str(agent.token_file), request.label, *request.args]
    owner.stdin.write(f"{json.dumps(told)}\n".encode())
    facts = json.loads(await owner.stdout.readline())
    owner.kill()
    await owner.communicate()
    return facts


async def test_a_program_is_found_again_by_what_its_first_owner_has_noted(new_agent):
    agent = new_agent()
    gate = agent.folder / "gate"
    request = ProgramRequest(
        ("sh", "-c", 'echo begun; until test -e "$1"; do sleep 0.05; done; cat "$1"', "sh", str(gate)), label="x"
    )
    facts = await killed_owner(agent, request)
    found = Heard()
    finding = asyncio.ensure_future(agent.host().find(facts, request, found))
    await until(lambda: found.output)
    opened(gate, "went on\n")
    await finding

    assert bytes(found.output) == b"begun\nwent on\n"
    assert (found.end.code, found.facts["program"]) == (0, facts["program"])


async def test_an_end_is_found_that_nobody_has_taken(new_agent):
    agent = new_agent()
    request = ProgramRequest(("sh", "-c", "echo begun; sleep 0.2; exit 7"), label="x")
    facts = await killed_owner(agent, request)
    await until_free(agent.host())
    for known in (facts, {}):  # by its label alone, too
        found = Heard()
        await agent.host().find(known, request, found)
        assert (bytes(found.output), found.end.code) == (b"begun\n", 7)


async def until_free(host):
    async with asyncio.timeout(SECONDS):
        while (await host.look()).running:
            await asyncio.sleep(0.02)  # real time: another process is asked


async def test_an_owner_that_computes_is_not_silent(new_agent):
    agent = new_agent(orphan_grace=3)
    gate = agent.folder / "gate"
    line = "echo begun; until test -e gate; do sleep 0.05; done; cat gate"
    running, heard = await begun(agent.host(), ProgramRequest(("sh", "-c", line), cwd=agent.folder, label="x"))
    time.sleep(4.5)  # real time: the loop is to be busy
    opened(gate, "went on\n")
    await running

    assert (bytes(heard.output), heard.end.code) == (b"begun\nwent on\n", 0)


async def test_a_run_that_goes_on_elsewhere_leaves_its_programs_running(new_agent, mark):
    host, heard = new_agent().host(), Heard()
    departed = SimpleNamespace(departed=True, id="etl")
    running = asyncio.ensure_future(through(Leavable(host.run(long(mark), heard), departed)))
    await until(lambda: heard.output)
    running.cancel()

    with pytest.raises(LetGo):
        await running
    found = Heard()
    finding = asyncio.ensure_future(host.find(heard.facts, long(mark), found))
    await until(lambda: found.output)
    await until(lambda: len(processes(mark)) == 1)
    await cancelled(finding)
    assert processes(mark) == []


async def through(awaitable):
    return await awaitable


async def test_what_nobody_has_started_is_not_found_and_cannot_come_any_more(shared_agent):
    host, label = shared_agent.host(), uuid4().hex

    with pytest.raises(ProgramNotFound):
        await host.find({}, short(label), Heard())
    with pytest.raises(ProgramNotStarted, match="somebody has looked for this program"):
        await host.run(short(label), Heard())


async def test_the_log_says_once_for_all_programs_of_an_agent_that_it_is_silent(new_agent, mark, caplog):
    agent = new_agent()
    host = agent.host()
    programs = [(await begun(host, long(mark, label=f"{number}")))[0] for number in range(5)]
    agent.kill()
    await until(lambda: "does not answer" in caplog.text)
    await until(lambda: processes(mark) == [])
    agent.start()
    ends = await asyncio.gather(*programs, return_exceptions=True)

    assert [type(each) for each in ends] == [ProgramLost] * 5
    assert caplog.text.count(f"the agent at {agent.address} does not answer") == 1


async def test_a_killed_agent_leaves_nothing_and_its_programs_are_lost_at_once_when_it_is_back(new_agent, mark, caplog):
    agent = new_agent()
    running, _ = await begun(agent.host(), long(mark))
    agent.kill()
    await until(lambda: "does not answer" in caplog.text)
    await until(lambda: processes(mark) == [])
    assert not running.done()  # nobody knows that yet
    agent.start()

    with pytest.raises(ProgramLost, match="its agent has started anew") as lost:
        await running
    assert lost.value.reason == "agent started anew"
    heard = Heard()
    await agent.host().run(short("two"), heard)
    assert heard.end.code == 0


async def test_a_program_is_lost_when_its_agent_has_been_silent_for_long(new_agent, mark, monkeypatch):
    monkeypatch.setattr("aiodag.commands.agent_link.ENDING", 0.5)
    agent = new_agent(orphan_grace=ORPHAN_GRACE)
    running, _ = await begun(agent.host(), long(mark, grace=0.0))
    agent.process.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    try:
        with pytest.raises(ProgramLost, match="its agent is silent, and the program has ended by now"):
            await running
        assert time.monotonic() - stopped_at > ORPHAN_GRACE / 2
    finally:
        agent.process.send_signal(signal.SIGCONT)
    await until(lambda: processes(mark) == [])


async def test_an_agent_ends_what_one_before_has_left_even_without_a_warden(new_agent, mark):
    agent = new_agent()
    facts = await killed_owner(agent, long(mark))
    warden = child_of(agent.process.pid, "warden.py")
    agent.process.send_signal(signal.SIGSTOP)  # it would end its programs itself
    os.kill(warden, signal.SIGKILL)
    agent.kill()
    await until(lambda: len(processes(mark)) == 1)
    agent.start()

    assert processes(mark) == []
    with pytest.raises(ProgramLost, match="its agent has started anew"):
        await agent.host().find(facts, long(mark), Heard())


def child_of(pid, program):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(each) for each in children if program in Path(f"/proc/{each}/cmdline").read_text())


async def test_nothing_is_left_of_a_program_that_is_lost_when_its_agent_stands_still(new_agent, mark, monkeypatch):
    monkeypatch.setattr("aiodag.commands.agent_link.ENDING", 5.0)  # seconds: two less, for a slow machine
    agent = new_agent(orphan_grace=1)
    running, _ = await begun(agent.host(), long(mark, grace=0.0))
    os.kill(child_of(agent.process.pid, "guard.py"), signal.SIGKILL)
    await asyncio.sleep(1.5)  # real time: another guard is there when the agent looks at its leases again
    agent.process.send_signal(signal.SIGSTOP)

    with pytest.raises(ProgramLost, match="its agent is silent, and the program has ended by now"):
        await running
    assert processes(mark) == []
    assert agent.process.wait(SECONDS) == -signal.SIGKILL


async def test_an_agent_without_programs_may_stand_still(new_agent, mark):
    agent = new_agent(orphan_grace=1)
    await agent.host().run(short(), Heard())
    await until_free(agent.host())
    await asyncio.sleep(1.5)  # real time: it has looked at its leases again
    agent.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(5)  # real time: longer than a lease and what its guard adds
    agent.process.send_signal(signal.SIGCONT)
    assert (await agent.host().look()).reachable


async def test_what_another_agent_had_is_lost_when_that_has_ended_it(shared_agent, monkeypatch):
    monkeypatch.setattr("aiodag.commands.agent_attempt.ENDING", 0.0)
    facts = {"agent": "http://127.0.0.1:1", "instance": "x", "program": "y", "orphan_grace": 0.1}

    with pytest.raises(ProgramLost, match="another agent had it, and has ended it by now"):
        await shared_agent.host().find(facts, short(grace=0.0), Heard())


async def test_what_is_cancelled_before_its_agent_answers_does_not_begin(new_agent, mark, monkeypatch):
    monkeypatch.setattr("aiodag.commands.aiohttp.SILENCE", 0.5)
    agent = new_agent()
    for patience in (0.1, 0.6):  # before and after the first time that it does not answer
        agent.process.send_signal(signal.SIGSTOP)
        running = asyncio.ensure_future(agent.host().run(long(mark), Heard()))
        await asyncio.wait([running], timeout=patience)
        running.cancel()
        await asyncio.wait([running], timeout=1)
        agent.process.send_signal(signal.SIGCONT)
        await asyncio.wait([running])
        assert running.cancelled() or running.exception()
        assert (await agent.host().look()).running == 0
        assert processes(mark) == []


async def test_a_pool_asks_the_next_agent(new_agent):
    from aiodag.commands.pool import HostPool

    down, drained, ready = new_agent(), new_agent(), new_agent()
    pool = HostPool([each.host() for each in (down, drained, ready)])
    down.kill()
    await drained.host().drain()
    nodes = [command("echo", number, host=pool)() for number in range(4)]

    assert [(await node).stdout for node in nodes] == [f"{number}\n" for number in range(4)]
    assert (await ready.host().look()).running == 0


async def test_an_agent_that_is_down_is_unreachable_before_anything_starts(new_agent):
    agent = new_agent()
    agent.kill()

    with pytest.raises(HostUnreachable, match=r"did not start: the agent at .* does not answer"):
        await agent.host().run(short(), Heard())
    state = await agent.host().look()
    assert (state.reachable, "nobody listens there" in state.why) == (False, True)


async def test_a_connection_that_breaks_is_taken_up_where_it_was(new_agent):
    agent = new_agent()
    through = await Broken.before(agent)
    heard = Heard()
    line = "for i in 1 2 3 4 5 6 7 8 9; do head -c 100000 /dev/zero | tr '\\0' $i; sleep 0.1; done"
    try:
        await asyncio.wait_for(through.host().run(ProgramRequest(("sh", "-c", line), label="x"), heard), SECONDS)
    finally:
        await through.close()

    assert bytes(heard.output) == b"".join(b"%d" % i * 100_000 for i in range(1, 10))
    assert through.broken > 1


class Broken:
    """What stands between a client and an agent, and breaks each connection that has carried much."""

    @classmethod
    async def before(cls, agent):
        self = cls()
        self.agent, self.broken, self.tasks = agent, 0, set()
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self

    def host(self):
        from aiodag.commands.agents import Agent

        port = self.server.sockets[0].getsockname()[1]
        return Agent(f"http://127.0.0.1:{port}", token_file=self.agent.token_file)

    async def serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.agent.port)
        there = asyncio.ensure_future(self.carry(reader, far_writer, 10**9))
        back = asyncio.ensure_future(self.carry(far_reader, writer, 150_000))
        self.tasks |= {there, back}
        await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        for each in (there, back):
            each.cancel()
        for each in (writer, far_writer):
            each.transport.abort()

    async def carry(self, reader, writer, most):
        while most > 0 and (chunk := await reader.read(10_000)):
            writer.write(chunk)
            most -= len(chunk)
        self.broken += most <= 0

    async def close(self):
        self.server.close()
        await asyncio.sleep(0)


async def test_a_signal_drains_an_agent_and_a_second_one_ends_it_at_once(new_agent, mark):
    agent = new_agent()
    running, _ = await begun(agent.host(), long(mark))
    agent.process.send_signal(signal.SIGTERM)
    await until_refused(agent.host())
    assert not running.done()
    agent.process.send_signal(signal.SIGTERM)

    with pytest.raises(ProgramLost, match="its agent has ended it: its agent has ended"):
        await running
    assert await asyncio.to_thread(agent.process.wait, SECONDS) == 0
    assert processes(mark) == []


async def until_refused(host):
    async with asyncio.timeout(SECONDS):
        while not (await host.look()).drained:
            await asyncio.sleep(0.02)  # real time: as above


async def test_an_agent_lets_what_runs_end_first(new_agent):
    agent = new_agent(grace=60)
    gate = agent.folder / "gate"
    running, heard = await begun(
        agent.host(),
        ProgramRequest(
            ("sh", "-c", "echo begun; until test -e gate; do sleep 0.05; done; cat gate"), cwd=agent.folder, label="x"
        ),
    )
    agent.process.send_signal(signal.SIGTERM)
    await until_refused(agent.host())
    opened(gate, "well\n")
    await running

    assert (bytes(heard.output), heard.end.code) == (b"begun\nwell\n", 0)
    assert await asyncio.to_thread(agent.process.wait, SECONDS) == 0
