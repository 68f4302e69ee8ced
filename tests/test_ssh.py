"""Programs over SSH: who is refused, what breaks, and that nothing runs twice or is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
from ssh_servers import Relay, SSHServer
from test_host_contract import processes, until

from aiodag import OptionError, Run
from aiodag.commands import CommandFailed, command, shell
from aiodag.commands.forms import host_of_form
from aiodag.commands.ssh import CONNECT, SSH
from aiodag.programs import HostUnreachable, ProgramLost, ProgramNotFound, ProgramRequest
from aiodag.testing import run as virtual

ROOT = Path(__file__).parent.parent
SECONDS = 60  # after which something hangs
KEEPALIVE = 2.0  # seconds of silence, in tests of networks that fall silent


class Watch:
    """What a host tells of one program."""

    def __init__(self):
        self.facts, self.stdout, self.end = {}, b"", None
        self.started = asyncio.Event()

    def note_start(self, facts, /):
        self.facts.update(facts)
        self.started.set()

    def wrote(self, stream, chunk, /):
        self.stdout += chunk

    def note_end(self, end, /):
        self.end = end


@pytest.fixture
async def reach(ssh_server):
    """What makes hosts of this server, and closes them."""
    made = []

    def make(address=None, **options):
        given = {"key": ssh_server.key, "known_hosts": ssh_server.known_hosts, "agent": False, **options}
        made.append(SSH(address or ssh_server.address, **given))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def mark():
    return f"mark-{uuid4().hex}"


@pytest.fixture
def known(ssh_server, tmp_path):
    """The keys of the server under the addresses of relays, too."""

    def write(relay):
        kind, key, *_ = (ssh_server.root / "host.pub").read_text().split()
        path = tmp_path / f"known_hosts_{relay.address.rpartition(':')[2]}"
        host, port = relay.address.split(":")
        path.write_text(f"[{host}]:{port} {kind} {key}\n")
        return {"address": f"{ssh_server.login}@{relay.address}", "known_hosts": path}

    return write


async def failure(node):
    with pytest.raises(CommandFailed) as failed:
        await node
    return str(failed.value)


# Who is refused


async def test_an_unknown_machine_is_refused_with_its_fingerprint_and_the_way_to_know_it(reach, ssh_server, tmp_path):
    (tmp_path / "nobody").touch()
    shown = subprocess.run(
        ["ssh-keygen", "-lf", ssh_server.root / "host.pub"], capture_output=True, check=True, text=True
    )

    why = await failure(command("true", host=reach(known_hosts=tmp_path / "nobody"))())

    assert shown.stdout.split()[1] in why
    assert f"ssh-keyscan -p {ssh_server.port} 127.0.0.1 >> {tmp_path / 'nobody'}" in why
    assert "\n" not in why


async def test_a_machine_with_another_key_is_refused(reach, ssh_server, tmp_path):
    kind, key, *_ = (ssh_server.root / "stranger.pub").read_text().split()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{ssh_server.port} {kind} {key}\n")

    assert "it may be another machine" in await failure(command("true", host=reach(known_hosts=tmp_path / "known"))())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"key": "stranger"}, "does not take the key .*stranger' of this login. Add the public key .*ssh-copy-id"),
        ({"key": "missing"}, "missing' cannot be read: No such file"),
        ({"key": "config"}, "the key .*config' cannot be read"),
        ({"key": "locked"}, "locked' has a passphrase. Add it to ssh-agent: ssh-add .*locked"),
        ({"known_hosts": "missing"}, "missing' cannot be read: No such file"),
    ],
)
async def test_what_a_login_lacks_is_said_in_a_line(reach, ssh_server, options, why):
    locked = ssh_server.root / "locked"
    if not locked.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "hush", "-f", locked], check=True)
    node = command("true", host=reach(**{name: ssh_server.root / file for name, file in options.items()}))()

    with pytest.raises(CommandFailed, match=why) as failed:
        await node
    assert "\n" not in str(failed.value)


# What ~/.ssh and ssh-agent have


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """What writes ~/.ssh/config, in a home of this test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return (tmp_path / ".ssh" / "config").write_text


@pytest.fixture
def ssh_agent(tmp_path, monkeypatch):
    """An ssh-agent that has no keys yet, as this process knows it."""
    place = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL) as process:
        asyncio.run(until(place.is_socket))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        yield
        process.terminate()


def entry(name, port, server, **more):
    """Return how ~/.ssh/config names a machine."""
    given = {"HostName": "127.0.0.1", "Port": port, "User": server.login, "IdentityFile": server.key, **more}
    return "\n  ".join([f"Host {name}", *(f"{key} {value}" for key, value in given.items())]) + "\n"


async def test_the_settings_of_ssh_are_read_where_that_is_asked_and_only_there(reach, ssh_server, settings):
    given = {"key": None, "known_hosts": None}
    settings(entry("bench", ssh_server.port, ssh_server, UserKnownHostsFile=ssh_server.known_hosts))
    assert (await command("echo", "here", host=reach("bench", config=True, **given))()).stdout == "here\n"
    assert "nobody knows a machine 'bench'" in await failure(command("true", host=reach("bench", **given))())

    settings("Host *\n  User nobody\n  Port 1\n  ProxyJump elsewhere\n")
    assert (await command("echo", "here", host=reach())()).stdout == "here\n"

    settings("Host *\n  Port many\n")
    assert "config line 2: Invalid Port integer value: many" in await failure(
        command("true", host=reach(config=True))()
    )
    assert (await command("echo", "here", host=reach())()).stdout == "here\n"


async def test_a_jump_host_is_the_way_where_the_settings_of_ssh_say_so(reach, ssh_server, settings, known):
    async with Relay(ssh_server.port) as relay:
        keys = ssh_server.known_hosts.read_text() + known(relay)["known_hosts"].read_text()
        ways = entry("gate", relay.address.rpartition(":")[2], ssh_server)
        settings(ways + entry("inner", ssh_server.port, ssh_server, ProxyJump="gate"))
        (Path.home() / ".ssh" / "known_hosts").write_text(keys)
        host = reach("inner", config=True, key=None, known_hosts=None)
        async with Run("many", hosts={"inner": host}):
            nodes = [command("echo", str(number), host="inner")() for number in range(20)]
        assert [node.result().stdout for node in nodes] == [f"{number}\n" for number in range(20)]
        assert relay.accepted >= 1
        await host.close()

        (Path.home() / ".ssh" / "known_hosts").write_text(ssh_server.known_hosts.read_text())
        why = await failure(command("true", host=reach("inner", config=True, key=None, known_hosts=None))())
        assert "that of a jump host, is not known" in why
        assert "`ssh inner` shows the fingerprint" in why


async def test_a_jump_host_that_is_behind_itself_is_an_error_and_no_hang(reach, settings):
    settings("Host *\n  ProxyJump gate\n")

    async with asyncio.timeout(SECONDS):
        assert "cannot be reached" in await failure(command("true", host=reach(config=True))())


async def test_a_fault_while_it_connects_is_heard_by_whoever_waits(reach, monkeypatch):
    async def connect(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("asyncssh.connect", connect)
    async with asyncio.timeout(SECONDS):
        for ended in await asyncio.gather(*(look_at(reach()) for _ in range(2)), return_exceptions=True):
            assert isinstance(ended, ZeroDivisionError)


async def look_at(host):
    return await host.look()


@pytest.mark.parametrize("named", [True, False], ids=["named", "any"])
async def test_a_key_with_a_passphrase_is_taken_from_ssh_agent(reach, ssh_server, settings, ssh_agent, named, tmp_path):
    locked = tmp_path / "locked"
    locked.write_bytes(ssh_server.key.read_bytes())
    locked.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "hush", "-f", locked], check=True, stdout=subprocess.DEVNULL
    )
    task = command("echo", "here", host=reach(key=locked if named else None, agent=True))

    wanted = "locked' has a passphrase. Add it to ssh-agent" if named else "does not take any key"
    assert wanted in await failure(task())
    subprocess.run(["ssh-add", "-q", ssh_server.key], check=True)
    assert (await task()).stdout == "here\n"


# Who cannot be reached


async def test_a_machine_that_is_not_there_is_said_to_be_unreachable(reach):
    for address, why in [
        ("me@127.0.0.1:1", r"nobody listens at me@127.0.0.1:1: is sshd running there, at that port"),
        ("me@no-such-machine.invalid", "nobody knows a machine 'no-such-machine.invalid'"),
    ]:
        host = reach(address)
        with pytest.raises(HostUnreachable, match=why):
            await host.run(ProgramRequest(("true",)), Watch())
        state = await host.look()
        assert (state.reachable, why in state.why) == (False, True)


async def test_a_machine_that_never_answers_is_given_up_and_a_cancel_does_not_wait_for_that(reach, known, ssh_server):
    async with Relay(ssh_server.port) as relay:
        relay.swallow()
        node = command("true", host=reach(**known(relay)))()
        await until(lambda: relay.accepted)
        before = time.monotonic()
        node.cancel()
        await asyncio.wait([node])

    assert time.monotonic() - before < CONNECT


@pytest.mark.parametrize(
    "address", ["", "me@", "a b", "me@node1:x", "me:hush@node1", "-oProxyCommand=x", "ssh://node1", 3, "node1:99999"]
)
def test_what_is_not_an_address_is_refused_at_once_and_without_a_password(address):
    with pytest.raises(OptionError, match="address=") as refused:
        SSH(address)
    assert "hush" not in str(refused.value)


def test_a_user_is_named_once():
    assert str(SSH("node1", user="me").address) == "me@node1:22"
    with pytest.raises(OptionError, match="user="):
        SSH("you@node1", user="me")


@pytest.mark.parametrize(
    "given",
    [
        {"at_once": 0},
        {"keepalive": 0},
        {"user": 5},
        {"resources": {"cores": -1}},
        {"resources": 5},
        {"name": 5},
        {"name": "two\nlines"},
        {"key": 5},
        {"key": ""},
        {"known_hosts": b"known"},
        {"config": "yes"},
        {"agent": 5},
    ],
)
def test_an_option_that_cannot_work_is_refused_at_once(given):
    with pytest.raises(OptionError, match=f"^{next(iter(given))}"):
        SSH("node1", **given)


def test_it_can_be_written_down_and_made_again():
    host = SSH("me@[::1]:2222", key="k", known_hosts="kh", agent=False, resources={"cores": 2}, at_once=3, keepalive=9)

    assert (
        host_of_form(host.form()).form()
        == host.form()
        == {
            "type": "ssh",
            "address": "me@[::1]:2222",
            "key": "k",
            "known_hosts": "kh",
            "agent": False,
            "resources": {"cores": 2},
            "at_once": 3,
            "keepalive": 9,
        }
    )
    assert SSH("node1").form() == {"type": "ssh", "address": "node1"}


async def test_what_no_system_takes_is_said_to_be_too_long(reach):
    for node in [command("true", "x" * 2**17, host=reach())(), command("true", env={"V": "x" * 2**17}, host=reach())()]:
        assert "longer than the system takes" in await failure(node)


async def test_what_parts_words_is_a_variable_like_others(reach):
    node = command("printenv", "IFS", "V", env={"IFS": "/val ue", "V": "a\nb"}, host=reach())()

    assert (await node).stdout == "/val ue\na\nb\n"


async def test_a_name_that_no_shell_sets_is_refused(reach):
    assert "letters, digits and _ in their names, not 'A.B'" in await failure(
        command("true", env={"A.B": "x"}, host=reach())()
    )


# Connections


async def test_one_connection_serves_many_and_is_there_for_the_next_loop(reach, ssh_server):
    def count():
        return (ssh_server.root / "log").read_text().count("Accepted publickey")

    host, before = reach(), count()
    for number in range(5):
        assert (await command("echo", number, host=host)()).stdout == f"{number}\n"
    await asyncio.to_thread(asyncio.run, command_of_its_own(host))

    assert count() - before == 1


async def command_of_its_own(host):
    return await command("true", host=host)()


async def test_fifty_at_once_on_one_target(reach, ssh_server, mark):
    gate = ssh_server.folder / mark
    os.mkfifo(gate)
    gate.chmod(0o666)
    host = reach()
    nodes = [shell(': < "$1"; echo go', gate, host=host)() for _ in range(50)]
    await until(lambda: len(processes(str(gate))) >= 50)
    with gate.open("w"):
        ended = [(await node).stdout for node in nodes]

    assert ended == ["go\n"] * 50


@pytest.mark.parametrize("sessions", [1, 3])
async def test_a_server_that_allows_fewer_sessions_gets_more_connections_or_an_error(reach, sessions):
    server = SSHServer(MaxSessions=sessions)
    try:
        await asyncio.to_thread(server.start)
        host = reach(server.address, key=server.key, known_hosts=server.known_hosts)
        nodes = [command("echo", number, host=host)() for number in range(7)]
        if sessions == 1:
            assert "allows one session for a connection, and two are needed (MaxSessions)" in await failure(nodes[0])
        else:
            assert [(await node).stdout for node in nodes] == [f"{number}\n" for number in range(7)]
        await asyncio.wait(nodes)
        await host.close()
    finally:
        server.remove()


async def test_what_waits_for_another_connection_is_cancelled_at_once(reach, mark):
    server = SSHServer(MaxSessions=2)  # of which one is the control
    await asyncio.to_thread(server.start)
    try:
        host = reach(server.address, key=server.key, known_hosts=server.known_hosts, at_once=2)
        watches = [Watch() for _ in range(3)]
        running = []
        for watch in watches:
            request = ProgramRequest(("sh", "-c", "sleep 300; :", mark), grace=0.2)
            running.append(asyncio.ensure_future(host.run(request, watch)))
            if watch is watches[0]:
                await watch.started.wait()
        await watches[2].started.wait()
        running[1].cancel()  # had no room on the first connection, and the third was faster
        async with asyncio.timeout(SECONDS):
            await asyncio.wait([running[1]])

        assert running[1].cancelled()
        assert not running[0].done()
        assert not watches[1].started.is_set()
    finally:
        for each in running:
            each.cancel()
        await asyncio.wait(running)
        await host.close()
        await asyncio.to_thread(server.remove)


async def test_at_once_bounds_what_runs_there(reach, ssh_server, mark):
    log = ssh_server.folder / mark
    # The first waits for the second, and both for a third that must not come.
    line = 'echo + >>"$1"; while [ "$(grep -c + "$1")" -lt 2 ]; do sleep 0.02; done; sleep 0.1; echo - >>"$1"'
    await asyncio.wait([shell(line, log, host=host)() for host in [reach(at_once=2)] for _ in range(6)])

    running, most = 0, 0
    for each in log.read_text().split():
        running += 1 if each == "+" else -1
        most = max(most, running)
    assert most == 2


async def test_a_login_that_says_things_does_not_disturb(reach):
    server = SSHServer(ForceCommand='echo welcome; echo "no mail" >&2; eval "$SSH_ORIGINAL_COMMAND"')
    try:
        await asyncio.to_thread(server.start)
        host = reach(server.address, key=server.key, known_hosts=server.known_hosts)
        finished = await shell("echo out; echo err >&2", host=host)()
        await host.close()
    finally:
        server.remove()

    assert (finished.stdout, finished.stderr) == ("out\n", "err\n")


async def test_a_login_that_runs_no_programs_is_said_to_be_one(reach):
    server = SSHServer(ForceCommand="echo this account is currently not available")
    try:
        await asyncio.to_thread(server.start)
        host = reach(server.address, key=server.key, known_hosts=server.known_hosts)
        why = await failure(command("true", host=host)())
    finally:
        server.remove()

    assert "does not run programs" in why
    assert "the login says: this account is currently not available" in why


def test_a_virtual_clock_stands_still_while_it_is_at_work(ssh_server):
    host = SSH(ssh_server.address, key=ssh_server.key, known_hosts=ssh_server.known_hosts, agent=False)

    async def main():
        finished = await command("echo", "here", host=host, timeout=5)()
        await host.close()
        return finished.stdout, asyncio.get_running_loop().time()

    assert virtual(main()) == ("here\n", 0.0)


async def test_a_loop_that_is_busy_ends_no_program(reach):
    host = reach(keepalive=KEEPALIVE)
    node = shell("sleep 3; echo done", host=host)()
    watch = await command("echo", "here", host=host)()
    time.sleep(KEEPALIVE + 0.7)  # real time: longer than the keepalive, in a body that computes

    assert (watch.stdout, (await node).stdout) == ("here\n", "done\n")


# What breaks


async def lost(task):
    with pytest.raises(ProgramLost) as error:
        await asyncio.wait_for(task, SECONDS)
    return str(error.value)


async def test_a_connection_that_breaks_loses_the_program_when_that_has_ended(reach, known, ssh_server, mark):
    async with Relay(ssh_server.port) as relay:
        host, watch = reach(**known(relay)), Watch()
        line = f"echo begun; sh -c 'trap \"\" TERM; sleep 300; :' {mark} & wait"
        running = asyncio.ensure_future(host.run(ProgramRequest(("sh", "-c", line, mark), grace=0.3), watch))
        await until(lambda: len(processes(mark)) >= 2)
        relay.cut()
        why = await lost(running)
        left = processes(mark)

        assert left == []
        assert (watch.stdout, watch.end) == (b"begun\n", None)
        assert "the connection was closed" in why
        assert (await command("echo", "again", host=host)()).stdout == "again\n"
        await host.close()


@pytest.fixture
def impatient(monkeypatch):
    """Know sooner that what cannot be reached has ended, from now on: its machine needs no seconds for what no signal ends."""

    def wait_less():
        for name, seconds in {
            "remote_links.PATIENCE": 0.5,
            "ssh.CONNECT": 1.0,
            "ssh.LOGIN": 1.0,
        }.items():
            monkeypatch.setattr(f"aiodag.commands.{name}", seconds)

    return wait_less


@pytest.mark.parametrize("ways", [["there", "back"], ["there"], ["back"]], ids=["both ways", "there", "back"])
async def test_a_network_that_falls_silent_loses_the_program_when_that_has_ended(
    reach, known, ssh_server, mark, ways, impatient
):
    async with Relay(ssh_server.port) as relay:
        host = reach(**known(relay), keepalive=KEEPALIVE)
        running = asyncio.ensure_future(
            host.run(ProgramRequest(("sh", "-c", "sleep 300; :", mark), grace=0.3), Watch())
        )
        await until(lambda: processes(mark))
        impatient()
        relay.swallow(*ways)
        why = await lost(running)

        assert processes(mark) == []
        assert "nothing was heard for 2 s" in why or "the other side has heard nothing for 2 s" in why
        relay.heal()
        relay.cut()
        await host.close()


async def test_a_silent_network_that_heals_brings_nothing_back(reach, known, ssh_server, mark, impatient):
    """The next attempt begins as soon as a new connection has seen that nothing is left, and not before."""
    log = ssh_server.folder / mark
    # A shell says "Terminated" of what it waits for, and there is nobody to read that any more.
    line = 'exec 2>/dev/null; mkdir "$1.lock" || echo two >>"$1"; trap "$2" TERM; sleep 300 & wait'
    trap = 'sleep 0.5; rmdir "$1.lock"; exit 9'
    request = ProgramRequest(("sh", "-c", line, "sh", str(log), trap, mark), grace=5)
    async with Relay(ssh_server.port) as relay:
        host = reach(**known(relay), keepalive=KEEPALIVE)
        for _ in range(2):
            running = asyncio.ensure_future(host.run(request, Watch()))
            await until(lambda: processes(mark))
            impatient()
            relay.swallow("back")
            await asyncio.sleep(KEEPALIVE)  # real time: the silence
            relay.heal()
            await lost(running)
            assert processes(mark) == []
        await host.close()

    assert not log.exists()


def stat_of(pid):
    """State, parent, process group and session of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def ancestors(pid):
    while (pid := int(stat_of(pid)[1])) > 1:
        yield pid


@pytest.mark.parametrize("victim", ["the shell that waits", "the control", "the server's process"])
async def test_what_is_killed_there_loses_the_program_and_leaves_nothing(reach, mark, victim):
    host, watch = reach(), Watch()
    running = asyncio.ensure_future(host.run(ProgramRequest(("sh", "-c", "sleep 300; :", mark), grace=0.3), watch))
    await until(lambda: processes(mark))
    await watch.started.wait()
    above = list(ancestors(watch.facts["pid"]))
    server = next(pid for pid in above if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sshd:"))
    shells = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    shells = [pid for pid in shells if Path(f"/proc/{pid}").exists() and int(stat_of(pid)[1]) == server]
    waits = next(pid for pid in above if pid in shells)
    (control,) = set(shells) - {waits}

    os.kill({"the shell that waits": waits, "the control": control}.get(victim, server), signal.SIGKILL)
    why = await lost(running)

    assert processes(mark) == []
    assert {"the shell that waits": "the shell that waits for it was killed"}.get(victim, "") in why


# The owner dies

OWNER = """
import asyncio, os, sys
from aiodag.commands import shell
from aiodag.commands.ssh import SSH
address, key, known_hosts = sys.argv[1:]
mark = os.environ['MARK']
host = SSH(address, key=key, known_hosts=known_hosts, agent=False)
async def main():
    say = lambda stream, chunk: print(chunk.decode(), end="", flush=True)
    await shell("echo $$; sh -c 'sleep 300; :' $1 & sleep 300", mark, host=host, on_output=say)()
asyncio.run(main())
"""


@pytest.fixture
def owner(ssh_server, mark):
    """A process that has a program over SSH, with what it said first."""
    arguments = [ssh_server.address, ssh_server.key, ssh_server.known_hosts]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", OWNER, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.session = int(process.stdout.readline())
    yield process
    process.kill()
    process.communicate()


async def test_a_program_ends_with_its_owner(owner, mark):
    await until(lambda: len(processes(mark)) >= 2)
    began = time.monotonic()
    owner.kill()
    await until(lambda: not processes(mark))

    assert time.monotonic() - began < SECONDS / 2  # two seconds where the machine has nothing else to do


async def test_an_interrupted_owner_ends_its_program_and_says_nothing_odd(owner, mark):
    owner.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(owner.communicate)

    assert processes(mark) == []
    assert errors.strip().endswith(b"KeyboardInterrupt")
    assert b"Warning" not in errors


async def test_what_a_dead_owner_has_left_is_ended_before_it_is_lost(reach, owner, mark):
    os.kill(owner.pid, signal.SIGSTOP)  # it holds its connection, and is silent
    watch = Watch()
    request = ProgramRequest(("sh",), grace=0.5)

    began = Path(f"/proc/{owner.session}/stat").read_text().rpartition(")")[2].split()[19]
    with pytest.raises(ProgramLost, match="its owner has gone"):
        await reach().find({"pid": owner.session, "began": began}, request, watch)

    assert processes(mark) == []
    assert watch.end is None


async def test_what_is_known_by_its_label_alone_is_found_too(reach, mark):
    running = asyncio.ensure_future(
        reach().run(ProgramRequest(("sh", "-c", "sleep 300; :", mark), label=f"run 1/{mark}/1"), Watch())
    )
    await until(lambda: processes(mark))
    request = ProgramRequest(("sh",), grace=0.5, label=f"run 1/{mark}/1")

    with pytest.raises(ProgramLost):
        await reach().find({}, request, Watch())
    with pytest.raises(ProgramNotFound, match="nothing of it runs"):
        await reach().find({}, request, Watch())
    await asyncio.wait([running])
    assert processes(mark) == []


async def test_what_cannot_be_found_since_nobody_answers_is_lost_after_its_deadline(reach, impatient):
    impatient()
    with pytest.raises(ProgramLost, match="its owner has gone"):
        await reach("me@127.0.0.1:1", keepalive=0.1).find({"pid": 7}, ProgramRequest(("sh",), grace=0), Watch())
