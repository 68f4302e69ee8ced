"""The way to the warden of this process, which starts its programs."""

import atexit
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from aiodag.commands.descriptors import descriptors_allowed

PROGRAM = Path(__file__).absolute().with_name("warden.py")


class Entrance:
    """The way to this process's warden, which is started with the first program, and again when it is gone."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self.warden = 0
        self.allowed = float("inf")  # descriptors of the warden, which keeps the limit that it was started with
        self._owner = process_identity()

    def admit(self, descriptors: Sequence[int]) -> int:
        """Hand over the descriptors of one program, and return the warden that has them. Raises `OSError`."""
        with self._lock:
            if self._socket is None or self._owner != process_identity():
                self._socket = self._open_socket()
            try:
                give(self._socket, descriptors)
            except (BrokenPipeError, ConnectionResetError):
                self._socket = self._open_socket()
                give(self._socket, descriptors)
            return self.warden

    def leave(self, warden: int) -> None:
        """Give nothing more to a warden that has lost a program: while it dies, its end of the entrance may be open."""
        with self._lock:
            if self.warden == warden and self._owner == process_identity():
                self.close()

    def _open_socket(self) -> socket.socket:
        self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-S", str(PROGRAM), str(os.getpid())],
                cwd="/",
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.allowed = descriptors_allowed()
        process.returncode = 0  # else its destructor would complain of a process that goes on
        self.warden, self._owner = process.pid, process_identity()
        return ours

    def close(self) -> None:
        """Let the warden go. It ends when all its programs have."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self.warden:
            try:
                ended, _ = os.waitpid(self.warden, os.WNOHANG)
            except ChildProcessError:
                ended = self.warden
            if ended:
                self.warden = 0  # the number may become that of another child

    def drop_in_fork(self) -> None:
        """Leave the warden to the process that this one is a fork of."""
        self._lock = Lock()
        self.close()


def give(entrance: socket.socket, descriptors: Sequence[int]) -> None:
    """Send descriptors, and how many they are."""
    socket.send_fds(entrance, [bytes([len(descriptors)])], list(descriptors))


def process_identity() -> tuple[int, int, int]:
    """Return what a warden is bound to: a fork, or a process with other rights, has one of its own."""
    return os.getpid(), os.geteuid(), os.getegid()


ENTRANCE = Entrance()
atexit.register(ENTRANCE.close)
