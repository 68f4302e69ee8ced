"""Programs on another machine, over SSH: `command("sync", host=SSH("me@node1"))`.

Nothing of aiodag is needed there, only a POSIX shell and what every Linux has. The connections live on a loop in a thread
of their own (`loop_aside`), so that they stay alive whatever a run is busy with. `remote_links` has the connections to one machine,
`remote_link` one of them, `remote_program` what happens to one program, and `remote_shell` what the shells there are told.
"""

import asyncio
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from aiodag._core.capacity import request_of
from aiodag._core.options import check_seconds, flag
from aiodag.commands.host_options import check_host_name, checked_file_path
from aiodag.commands.loop_aside import ASIDE, LoopListener
from aiodag.commands.remote_link import Channel, Hearer, LinkBroken, RemoteLink
from aiodag.commands.remote_links import NoRoom, RemoteLinks
from aiodag.commands.remote_program import RemoteProgram
from aiodag.commands.remote_shell import COMMAND
from aiodag.commands.ssh_address import parse_address
from aiodag.errors import MissingExtra, OptionError
from aiodag.programs import (
    HostState,
    HostUnreachable,
    ProgramLost,
    ProgramNotFound,
    ProgramNotStarted,
    ProgramRequest,
    ProgramWatch,
)

try:
    import asyncssh
    from asyncssh.constants import EXTENDED_DATA_STDERR
except ImportError as error:
    raise MissingExtra("a host over SSH", "asyncssh", "ssh") from error

CONNECT = 10.0  # seconds to reach a machine
LOGIN = 20.0  # seconds to log in
LOOK = 5.0  # seconds in which a host says whether it can be reached
WINDOW = 2**19  # bytes of a channel that may be on their way
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SSH:
    """A machine that is reached over SSH, with the name by which records call it: that of the machine unless given.

    `address` is user@host:port; user and port may be missing. `key` is the path of a private key; without one, those in
    ~/.ssh are tried, and with `agent` those of ssh-agent. `known_hosts` is the path of a file with the keys of machines,
    ~/.ssh/known_hosts unless given; who is not in it is refused. With `config`, ~/.ssh/config is read. `at_once` bounds how many
    programs run there at once. `resources` is what the machine has, for a pool that counts them.

    `keepalive` is the time in seconds after which a connection that is silent counts as broken, on both sides. What runs
    there is ended then: asked to end, and killed after the `grace` of its command. Raises `OptionError`.

    >>> from aiodag.commands import command
    >>> from aiodag.commands.ssh import SSH
    >>> node1 = SSH("etl@node1.example:2222", key="~/.ssh/etl", resources={"cores": 8})
    >>> node1.name
    'node1.example'
    >>> sync = command("sync", "--fast", host=node1)
    """

    at_once: None = None  # of what a run has on it: the machine is bounded here, for all runs together

    def __init__(
        self,
        address: str,
        *,
        name: str | None = None,
        user: str = "",
        key: "str | PathLike[str] | None" = None,
        known_hosts: "str | PathLike[str] | None" = None,
        config: bool = False,
        agent: bool = True,
        resources: Mapping[str, float] | None = None,
        at_once: int = 50,
        keepalive: float = 20.0,
    ) -> None:
        self.address = parse_address(address, user)
        check_host_name(name)
        self.name = name or self.address.host
        request_of("resources", resources or {})
        self.resources = dict(resources or {})
        if type(at_once) is not int or at_once < 1:
            raise OptionError("at_once", at_once, "an int of 1 or more: programs on that machine at once")
        self._key = None if key is None else checked_file_path("key", key).expanduser()
        self._known_hosts = None if known_hosts is None else checked_file_path("known_hosts", known_hosts).expanduser()
        self._config, self._agent = flag("config", config), flag("agent", agent)
        self._at_once = at_once
        self._keepalive = check_seconds("keepalive", keepalive)
        if not self._keepalive:
            raise OptionError("keepalive", keepalive, "seconds above 0")
        self._links: RemoteLinks | None = None
        self._form = {
            "address": address,
            "name": name,
            "user": user,
            "key": None if key is None else fspath(key),
            "known_hosts": None if known_hosts is None else fspath(known_hosts),
            "config": config,
            "resources": self.resources,
            "at_once": at_once if at_once != 50 else None,
            "keepalive": keepalive if keepalive != 20 else None,
        }

    def __repr__(self) -> str:
        return f"<SSH {self.address}>"

    def form(self) -> Mapping[str, Any]:
        """Return it as JSON, as files write it."""
        without_agent = {} if self._agent else {"agent": False}
        return {"type": "ssh", **{key: value for key, value in self._form.items() if value}, **without_agent}

    def _opened_links(self) -> RemoteLinks:
        """Return the connections to it, on the loop aside."""
        if self._links is None:
            self._links = RemoteLinks(self._connect, at_once=self._at_once, keepalive=self._keepalive)
        return self._links

    async def run(self, request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """Run a program until nothing of it is left. Raises `ProgramNotStarted` and `ProgramLost`."""
        odd = next((name for name in request.env if not IDENTIFIER.fullmatch(name)), None)
        if odd is not None:
            msg = f"did not start: a shell there sets its variables, and takes letters, digits and _ in their names, not {odd!r}"
            raise ProgramNotStarted(msg)
        listener = LoopListener(watch)
        program = RemoteProgram(request, listener)

        async def work() -> None:
            listener.note_end(await self._opened_links().run(program))

        try:
            await ASIDE.run(work(), program.cancel)
        finally:
            listener.leave()

    async def find(self, facts: Mapping[str, object], request: ProgramRequest, watch: ProgramWatch, /) -> None:
        """End what is left of a program whose owner has gone: its connection has, too, and its output with it.

        Raises `ProgramLost`, and `ProgramNotFound` if nothing was left of one that nobody has noted.
        """
        pid, began = facts.get("pid", 0), str(facts.get("began", 0))
        session = pid if isinstance(pid, int) else 0

        async def work() -> bool | None:
            return await self._opened_links().find(
                request.label, session, began if began.isdigit() else "0", request.grace
            )

        found = await ASIDE.run(work(), lambda task: task.cancel())
        if found is None or found or session:
            why = "has ended in a way that nobody knows: its owner has gone, and the connection to its machine with it"
            raise ProgramLost(why, reason="owner gone")
        raise ProgramNotFound(f"nothing of it runs on {self.name}")

    async def look(self) -> HostState:
        """Return whether it can be reached."""

        async def work() -> None:
            async with asyncio.timeout(LOOK):
                await self._opened_links().look()

        try:
            await ASIDE.run(work(), lambda task: task.cancel())
        except TimeoutError:
            return HostState(reachable=False, why=f"{self.address} has not answered within {LOOK:g} s")
        except HostUnreachable as error:
            return HostState(reachable=False, why=str(error).removeprefix("did not start: "))
        return HostState(reachable=True, resources=self.resources)

    async def close(self) -> None:
        """Close the connections that run nothing. A later use connects again."""
        if (links := self._links) is not None:

            async def work() -> None:
                links.close()

            await ASIDE.run(work(), lambda _: None)

    async def _connect(self) -> RemoteLink:
        """Open a connection. Raises `HostUnreachable`."""
        client = Connecting()
        try:
            # `config` counts here alone: with options made before, asyncssh reads ~/.ssh/config all the same.
            connection = await asyncssh.connect(
                self.address.host, self.address.port or (), client_factory=lambda: client, **self._options()
            )
            link = RemoteLink(lambda hearer: open_shell(connection, hearer), connection.abort, self._keepalive)
            await link.open()
        except LinkBroken as error:
            raise HostUnreachable(f"did not start: {self.address} does not run programs: {error}") from None
        except (OSError, asyncssh.Error, ValueError, RecursionError) as error:  # the last: a jump host of itself
            client.abort()
            raise HostUnreachable(f"did not start: {await self._describe(error)}") from None
        except BaseException:
            client.abort()
            raise
        return link

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "config": () if self._config else None,
            "connect_timeout": CONNECT,
            "login_timeout": LOGIN,
            "keepalive_interval": 0,  # the control shell does that, for both sides
            "preferred_auth": "publickey",
        }
        if self.address.user:
            options["username"] = self.address.user
        if self._key is not None:
            options["client_keys"] = [str(self._key)]
            options["ignore_encrypted"] = self._agent  # which may have it
        if self._known_hosts is not None:
            options["known_hosts"] = str(self._known_hosts)
        if not self._agent:
            options["agent_path"] = None
        return options

    async def _describe(self, error: Exception) -> str:
        """Return why there is no connection, and what would help."""
        host = self.address.host
        where = f"{host} (as ~/.ssh/config has it)" if self._config else str(self.address)
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return self._describe_named_host_key(where) if self._config else await self._describe_host_key()
        if isinstance(error, asyncssh.PermissionDenied | asyncssh.KeyImportError) and has_passphrase(self._key):
            return f"the key {str(self._key)!r} has a passphrase. Add it to ssh-agent: ssh-add {self._key}"
        if isinstance(error, asyncssh.PermissionDenied):
            any_key = "any key that there is (key=..., or ssh-agent, which alone can give those with a passphrase)"
            key = f"the key {str(self._key)!r}" if self._key else any_key
            return f"{where} does not take {key} of this login. Add the public key to ~/.ssh/authorized_keys there: ssh-copy-id"
        if isinstance(error, asyncssh.KeyImportError):
            return f"the key {str(self._key)!r} cannot be read: {error}"
        if isinstance(error, OSError) and error.filename:
            return f"{error.filename!r} cannot be read: {error.strerror}"
        if isinstance(error, socket.gaierror):
            return f"nobody knows a machine {where if self._config else repr(host)}: {error.strerror}"
        if isinstance(error, TimeoutError):
            return f"{where} has not answered within {CONNECT:g} s"
        if isinstance(error, ConnectionRefusedError):
            return f"nobody listens at {where}: is sshd running there, at that port?"
        return f"{where} cannot be reached: {' '.join(str(error).split()) or type(error).__name__}"

    def _describe_named_host_key(self, where: str) -> str:
        """Return the same as `_describe_host_key` where only ~/.ssh/config knows the way there."""
        host, port, user = self.address
        options = f"{f'-p {port} ' if port else ''}{f'-l {user} ' if user else ''}"
        file = f"-o UserKnownHostsFile={self._known_hosts} " if self._known_hosts else ""
        return (
            f"the host key of {where}, or that of a jump host, is not known, or another one is: it may be another machine. "
            f"`ssh {file}{options}{host}` shows the fingerprint, and adds the key if you agree"
        )

    async def _describe_host_key(self) -> str:
        """Return that the key of a machine is not known, or another one, with what its owner can compare."""
        host, port = self.address.host, self.address.port or 22
        key = None
        with suppress(OSError, asyncssh.Error, TimeoutError):
            async with asyncio.timeout(CONNECT):
                key = await asyncssh.get_server_host_key(host, port, config=None)
        shown = f" {key.get_algorithm()} {key.get_fingerprint()}" if key is not None else ""
        file = self._known_hosts or "~/.ssh/known_hosts"
        return (
            f"the host key of {self.address}{shown} is not in {str(file)!r}, or another one is: it may be another machine. Compare "
            f"the fingerprint with that of `ssh-keygen -lf` on the key in /etc/ssh there; then: ssh-keyscan -p {port} {host} >> {file}"
        )


def has_passphrase(key: Path | None) -> bool:
    """Return True if the file of a private key cannot be read without a passphrase."""
    try:
        if key is not None:
            asyncssh.read_private_key(key)
    except asyncssh.KeyImportError as error:
        return "assphrase" in str(error)
    except OSError:
        pass
    return False


class Connecting(asyncssh.SSHClient):
    """A connection while it is opened: whoever gives up closes it."""

    connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Take the connection."""
        self.connection = conn

    def abort(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None:
            self.connection.abort()


class ShellSession(asyncssh.SSHClientSession[bytes]):
    """One shell on the other side: what is sent to it, and what it says."""

    def __init__(self, hearer: Hearer) -> None:
        self._hearer = hearer
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        """Take the channel."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Pass on what came."""
        self._hearer.hear("stderr" if datatype == EXTENDED_DATA_STDERR else "stdout", data)

    def eof_received(self) -> bool:
        """Leave our own direction open: the other side closes the channel."""
        return True

    def exit_status_received(self, status: int) -> None:
        """Pass on that the shell has ended."""
        self._hearer.hear_exit()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """Pass on that the shell was killed."""
        self._hearer.hear_exit()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that no more will come."""
        self._hearer.hear_end()

    def write(self, content: bytes) -> None:
        """Send to its stdin, as fast as that is taken."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(content)

    def write_eof(self) -> None:
        """End its stdin."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write_eof()

    def pause(self, pause: bool) -> None:
        """Read no more for now, or go on."""
        if self._channel is not None:
            (self._channel.pause_reading if pause else self._channel.resume_reading)()

    def close(self) -> None:
        """Let go of it, and of what has not been sent."""
        if self._channel is not None:
            self._channel.abort()


async def open_shell(connection: asyncssh.SSHClientConnection, hearer: Hearer) -> Channel:
    """Start a shell over a connection. Raises `NoRoom` and `LinkBroken`."""
    try:
        _, session = await connection.create_session(
            lambda: ShellSession(hearer), COMMAND, encoding=None, window=WINDOW, env=(), send_env=(), request_pty=False
        )
    except asyncssh.ChannelOpenError as error:
        if connection.is_closed():
            raise LinkBroken("the connection was closed") from None
        raise NoRoom(str(error)) from None
    except (OSError, asyncssh.Error) as error:
        raise LinkBroken(str(error) or type(error).__name__) from None
    assert isinstance(session, ShellSession)
    return session
