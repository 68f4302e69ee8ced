"""What a Slurm job runs on its node: one program, in the directory that the job's owner has prepared for it.

The node gets this file as text, with one function of the warden: nothing of aiodag has to be there, and Python 3.9 will do.
In the directory:

    free       renamed to taken.JOB by whoever is first: a job that begins, or an owner that wants none to begin any more.
               So two jobs for one program, submitted twice because the answer to the first was lost, run it once.
    request    the program as JSON. It is the licence to run: when it is gone, the program is ended.
    stdin      what the program reads, if that is text
    stdout     what it writes
    stderr
    status     lines, each written at once: "start JOB NODE PID TIME NUMBER", then "exit CODE CPU PEAK TIME LEFT ASKED" when nothing
               of the program is left, or "error NUMBER FAULT FILE" if it could not be started
"""

# ruff: noqa: PTH100, PTH104, PTH110, PTH112, PTH113, PTH118, PTH123, PTH208

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False  # that of `typing` would take longer to import than all else
if TYPE_CHECKING:
    from aiodag.commands.warden import find_program  # noqa: TC004 - its text follows this one

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: what loses its parent becomes a child of this process, where we find it
ENDINGS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}  # Slurm sends them to all processes of a job, in any order
ORDER = signal.SIGUSR2  # of the owner, to this process alone: to end the program
PASSED = {signal.SIGUSR1, signal.SIGQUIT, signal.SIGALRM}  # on to the program: `--signal=B:USR1@300` reaches us alone
AWAITED = {signal.SIGCHLD, signal.SIGCONT, ORDER, *ENDINGS, *PASSED}
LOOK = 2.0  # seconds between two looks at the licence
TICK = 0.05  # seconds between two looks while something is to end
MOMENT = 0.5  # seconds after the end of the program, for what it has started
GAP = 0.2  # seconds between the signals that the processes of one job get
PATIENCE = 5.0  # seconds after KILL: what is still there is in the hands of the kernel
NEVER = float("inf")


class NodeProgram:
    """One program: from the claim to the moment when nothing of it is left."""

    def __init__(self, place: str, name: str) -> None:
        self.place = place
        self.name = name
        self.pid = 0
        self.grace = 0.0
        self.end: tuple[int, float, int, float] | None = None  # of the program: its code, seconds, peak and moment
        self.fault = ""  # what is to blame if it cannot be started
        self.asked = False  # whether somebody has sent us a signal
        self.kill_at = NEVER

    def path(self, name: str) -> str:
        """Return the path of a file of this job."""
        return os.path.join(self.place, name)

    def claim(self) -> bool:
        """Return whether the program is ours to run: not if another job or the owner was first."""
        token = self.path(f"taken.{self.name}.{os.environ.get('SLURM_RESTART_COUNT', '0')}")
        if os.path.exists(token):  # a requeued job must not run the program once more
            return False
        try:
            os.rename(self.path("free"), token)
        except FileNotFoundError:
            return os.path.exists(token)  # a server of files that had to be asked twice
        return True

    def note(self, *words: object) -> None:
        """Add a line to the status."""
        status = os.open(self.path("status"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(status, (" ".join(map(str, words)) + "\n").encode())
        os.fsync(status)
        os.close(status)

    def run(self) -> int:
        """Run the program until nothing of it is left; return its code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        started_at = time.time()
        self.start()
        self.note("start", self.name, socket.gethostname(), self.pid, repr(started_at), os.environ["SLURM_JOB_ID"])
        left = self.wait()
        code, seconds, peak, ended_at = self.end or (1, 0.0, 0, time.time())
        # What the program waited for may have been the first to hear of it: a shell goes on then, and may end well.
        if not self.asked and signal.sigtimedwait(ENDINGS, GAP):
            self.asked = True
        self.note("exit", code, repr(seconds), peak, repr(ended_at), left, int(self.asked))
        return code

    def start(self) -> None:
        """Start the program. Ends this process if it cannot be."""
        self.fault = "request"
        try:
            with open(self.path("request"), encoding="ascii") as opened:
                request = json.load(opened)
            self.grace = request["grace"]
            args, env = [os.fsencode(each) for each in request["args"]], variables(request["env"])
            self.fault = "cwd"
            os.chdir(request["cwd"])
            streams = self.open_streams(request["stdin"])
            self.fault = "program"
            path = find_program(args[0], env)
            # From here on it is the file's, if there is one: what its first line names may be missing.
            self.fault = f"file {os.path.abspath(path).hex()}" if os.path.isfile(path) else self.fault
            self.pid = os.posix_spawn(
                path,
                args,
                env,
                file_actions=[(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)],
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python ignores; a program expects them as usual
            )
        except OSError as error:
            self.note("error", error.errno or errno.EIO, self.fault)
            sys.exit(126)
        for stream in streams:
            os.close(stream)

    def open_streams(self, stdin: str) -> list[int]:
        """Open what the program reads and writes."""
        self.fault = "stdin"
        # A named pipe would wait for somebody who writes.
        streams = [os.open(stdin or self.path("stdin"), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)]
        os.set_blocking(streams[0], True)
        self.fault = "output"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        return [*streams, *[os.open(self.path(name), flags, 0o600) for name in ("stdout", "stderr")]]

    def wait(self) -> int:
        """Wait until nothing is left; return how many processes no signal has ended."""
        leave_at = NEVER
        while True:
            pause = TICK if self.end or self.kill_at < NEVER else LOOK
            told = signal.sigtimedwait(AWAITED, pause)
            ending = told is not None and told.si_signo in ENDINGS
            self.asked |= ending  # also if nothing is left by now
            if not self.reap():
                return 0
            if told is not None and told.si_signo in PASSED and not self.end:
                os.kill(self.pid, told.si_signo)
            now = time.monotonic()
            if self.end and leave_at == NEVER:
                leave_at = now + MOMENT
            if ending:
                self.kill_at = min(self.kill_at, now + self.grace)
            elif self.kill_at == NEVER and self.is_to_end(told, now >= leave_at):
                self.send(signal.SIGTERM)
                self.send(signal.SIGCONT)
                self.kill_at = now + self.grace
            if now >= self.kill_at:
                left = self.send(signal.SIGKILL)
                if self.end and now >= self.kill_at + PATIENCE:
                    return left

    def is_to_end(self, told: signal.struct_siginfo | None, late: bool) -> bool:
        """Return whether what is left is to end: the program has ended, the owner said so, or the licence is gone."""
        return late or (told is not None and told.si_signo == ORDER) or not os.path.exists(self.path("request"))

    def reap(self) -> bool:
        """Take note of what has ended. Return whether anything is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self.pid:
                code = os.waitstatus_to_exitcode(status)
                peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
                self.end = code, usage.ru_utime + usage.ru_stime, peak, time.time()

    def send(self, number: int) -> int:
        """Send a signal to all that descends from us, a shell before what it waits for; return to how many."""
        pids = descendants(os.getpid())
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return len(pids)


def variables(changes: dict[str, str | None]) -> dict[bytes, bytes]:
    """Return the variables of this process with some changes."""
    env = dict(os.environb)
    for name, value in changes.items():
        env.pop(os.fsencode(name), None)
        if value is not None:
            env[os.fsencode(name)] = os.fsencode(value)
    return env


def descendants(ancestor: int) -> list[int]:
    """Return the living processes that descend from one."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            with suppress(OSError, ValueError), open(f"/proc/{entry}/stat", "rb") as file:
                state, parent = file.read(1024).rpartition(b")")[2].split(None, 2)[:2]
                if state not in b"ZX":
                    parents.setdefault(int(parent), []).append(int(entry))
    found: list[int] = []
    near = [ancestor]
    while near:
        near = [each for pid in near for each in parents.get(pid, ())]
        found += near
    return found


def run_in_job(places: list[str]) -> None:
    """Run the program of this job: the only one, or that of its number in an array."""
    number, name = 0, os.environ["SLURM_JOB_ID"]
    if len(places) > 1:  # else such variables are those of a job in which the owner runs
        number = int(os.environ["SLURM_ARRAY_TASK_ID"])
        name = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{number}"
    mine = NodeProgram(places[number], name)
    if not mine.claim():
        return
    code = mine.run()
    sys.exit(code if code >= 0 else 128 - code)
