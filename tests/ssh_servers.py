"""A real sshd for the tests of one process, which start and end it themselves, and whose login is not root."""

import asyncio
import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from servers import free_port
from worker_processes import PATIENCE, until

LOGIN = "aiodag-ssh"  # whom root makes: of no use to anybody without a key that lies in a test's directory
SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {root}/host
PidFile none
AuthorizedKeysFile {root}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
AllowUsers {login}
"""


def program():
    """Return the path of sshd, which refuses any other name. Skips the test where there is none, which CI takes for a failure."""
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        pytest.skip("no sshd here: apt-get install openssh-server")
    return found


def login():
    """Return whose programs run: ours, or those of an ordinary user whom root makes, once for a machine."""
    if os.getuid() != 0:
        return getpass.getuser()
    try:
        pwd.getpwnam(LOGIN)
    except KeyError:  # another process may be making it now
        subprocess.run(["useradd", "-M", "-d", "/tmp", "-s", "/bin/sh", "-p", "*", LOGIN], check=False)
    return LOGIN


class SSHServer:
    """One server, with keys of its own and a folder where its login may write."""

    def __init__(self, **settings):
        self.program = program()
        self.login = login()
        self.root = Path(tempfile.mkdtemp(prefix="aiodag-ssh-"))
        self.root.chmod(0o755)
        self.folder = self.root / "folder"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.port = free_port()
        for name in ("host", "user", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / name], check=True)
        more = "".join(f"{name} {value}\n" for name, value in settings.items())
        (self.root / "config").write_text(SETTINGS.format(**vars(self)) + more)
        kind, key, *_ = (self.root / "host.pub").read_text().split()
        self.known_hosts = self.root / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        self.process = None

    @property
    def address(self):
        return f"{self.login}@127.0.0.1:{self.port}"

    @property
    def key(self):
        return self.root / "user"

    def start(self):
        """Start it, and wait until it answers."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        # Ends it with this process, however that ends: the pipe is closed then. What it has forked for each connection
        # ends with that connection.
        command = [self.program, "-D", "-e", "-f", self.root / "config"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", '"$@" & server=$!; cat >/dev/null; kill $server; wait $server', "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        asyncio.run(until(self.answers, "sshd answers"))
        return self

    def answers(self):
        with closing(socket.socket()) as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        """End it, but not the connections that it has."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(PATIENCE)
            self.process = None

    def remove(self):
        """End it, whatever state it is in, and delete its files."""
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)


class Relay:
    """A network between a program of ours and a server: it can be cut, and it can swallow what is sent."""

    def __init__(self, port):
        self.port = port
        self.closed = set()  # directions in which nothing comes through: "there", "back"
        self.writers = set()
        self.accepted = self.accepts = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.heal()
        while self.accepts:
            self.cut()
            await asyncio.sleep(0.01)  # real time: the other ends are in other processes
        await asyncio.sleep(0.2)  # real time: for one that has just come, and would be left half open
        self.server.close()
        while self.accepts:
            self.cut()
            await asyncio.sleep(0.01)  # real time: as above

    async def accept(self, reader, writer):
        self.accepted += 1
        self.accepts += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers |= {writer, far_writer}
        tasks = [
            asyncio.ensure_future(self.carry(*way))
            for way in (("there", reader, far_writer), ("back", far_reader, writer))
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, far_writer):
            each.transport.abort()
        await asyncio.wait(tasks)
        for each in (writer, far_writer):
            with suppress(OSError):
                await each.wait_closed()
        self.writers -= {writer, far_writer}
        self.accepts -= 1

    async def carry(self, way, reader, writer):
        with suppress(OSError):
            while chunk := await reader.read(2**16):
                if way not in self.closed:
                    writer.write(chunk)
                    await writer.drain()
        while way in self.closed:  # an end does not come through, either
            await asyncio.sleep(0.01)  # real time: it is healed from outside

    def swallow(self, *ways):
        """Let nothing through any more, or nothing in one direction."""
        self.closed = set(ways or ("there", "back"))

    def heal(self):
        """Let new connections through. What was swallowed stays lost."""
        self.closed = set()

    def cut(self):
        """Break all connections."""
        for each in list(self.writers):
            each.transport.abort()
