"""The warden: a process that starts programs for another process, its owner, and ends them.

A program of its own, run by `local.py`; it imports nothing of aiodag. Why a process between the two:

- It lives on when its owner is killed, and ends what the owner has started. It is the parent of these programs, so there
  is no moment in which one of them is not known to it.
- Linux counts the memory of whoever starts a program as that program's own peak. The warden is small; its owner may not be.
- Starting a program blocks whoever does it until the program is loaded. The owner has an event loop to run.

The owner sends one byte, which says how many descriptors come with it: a control socket, and the program's stdin,
stdout and stderr; without a stdin there is nothing to read. The rest of a program's life is told over its control
socket, here in the order of time:

    owner                                   warden
    length, request            --------->   starts the program in a session of its own
                               <---------   "pid NUMBER MOMENT", or "error NUMBER PLACE PATH" and it closes
    "end"                      --------->   TERM to the process groups of the session, KILL after the grace
                               <---------   "exit CODE SECONDS BYTES MOMENT": the program has ended
                               <---------   "gone NUMBER": its process group is empty, but for so many that no signal ends
    closes                     --------->   forgets the program; while that runs, the same as "end"

What a program leaves in its process group has `MOMENT` to end by itself, then it is ended. Where the owner does not close
after "gone", somebody still holds the streams: those in the session of the program are ended, too; then, or when the
moment is over, the warden closes, and the owner waits no longer.
"""

import errno
import marshal
import os
import selectors
import signal
import socket
import sys
import time
from array import array
from collections import deque
from contextlib import suppress
from functools import partial

MOMENT = 0.5  # seconds after the end of a program
PATIENCE = 5.0  # seconds after KILL: what is still there is in the hands of the kernel, or of another user
HOLD = 0.003  # seconds before the owner hears of a program: two messages cost more than to start some
TICK = 0.02  # seconds between two looks at what should end
LENGTH = 8  # bytes in which a request tells its length
CLOSED: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # what arrives is not inherited by programs
LARGE = 2**20  # bytes of a request, after which memory is given back
NEVER = float("inf")
MOST = 5  # descriptors of a program: control, stdin, stdout, stderr, and 3 for its answer
NOTHING = 0  # as stdin: the warden's own, which is /dev/null
IGNORED = [signal.SIGPIPE, signal.SIGXFSZ]  # by Python; a program expects them to be as usual


class Ward:
    """One program: from the request to the moment when nothing of it is left."""

    def __init__(self, control: socket.socket, streams: list[int]) -> None:
        self.control = control
        self.streams = streams  # until it is started
        self.listening = True  # whether its owner may say more
        self.request = bytearray()
        self.pid = 0  # of the program, its process group and its session
        self.grace = 0.0
        self.started_at = 0.0
        self.introduced = False
        self.exited_at = NEVER
        self.kill_at = NEVER  # set when it is to end
        self.asked: set[int] = set()  # process groups that got TERM
        self.gone = False

    def tell(self, lines: str) -> None:
        """Tell the owner, who may be gone."""
        with suppress(OSError):
            self.control.send(lines.encode())

    def introduction(self) -> str:
        """Return what tells the owner of the program, once."""
        told, self.introduced = self.introduced, True
        return "" if told else f"pid {self.pid} {self.started_at!r}\n"

    def close(self) -> None:
        """Let go of all descriptors."""
        self.control.close()
        self.drop_streams()

    def drop_streams(self) -> None:
        """Leave the streams to the program."""
        for stream in self.streams:
            if stream != NOTHING:
                os.close(stream)
        self.streams = []


class Warden:
    """Starts, watches and ends programs until its owner is gone and nothing is left."""

    def __init__(self, entrance: socket.socket, owner: int) -> None:
        self.entrance = entrance
        self.open = True
        self.wards: set[Ward] = set()
        self.running: dict[int, Ward] = {}
        self.minded: set[Ward] = set()  # those that have ended, or are to end
        self.untold: deque[tuple[float, Ward]] = deque()  # and when to tell
        self.look_at = 0.0
        self.selector = selectors.DefaultSelector()
        self.selector.register(entrance, selectors.EVENT_READ, self.admit)
        self._wake_on_signals()
        self._watch(owner)

    def _wake_on_signals(self) -> None:
        # With handlers and not SIG_IGN, which the programs would inherit. A warden ends with its owner, not before.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        read, write = socket.socketpair()
        for end in (read, write):
            end.setblocking(False)
        signal.set_wakeup_fd(write.detach(), warn_on_full_buffer=False)
        self.selector.register(read, selectors.EVENT_READ, partial(read.recv, 4096))

    def _watch(self, owner: int) -> None:
        """End all when the owner has ended: a fork of it may hold its sockets open."""
        try:
            watch = os.pidfd_open(owner)
        except (AttributeError, OSError):
            return  # its sockets close with it, unless it has forked
        self.selector.register(watch, selectors.EVENT_READ, partial(self.abandon, watch))
        if os.getppid() != owner:  # it was gone before we looked, and its number may be another's
            self.abandon(watch)

    def serve(self) -> None:
        """Work until there is nothing left to do."""
        while self.open or self.wards:
            for key, _ in self.selector.select(HOLD if self.untold else TICK if self.minded else None):
                key.data()
            self.reap()
            self.mind()
            self.introduce()

    def admit(self) -> None:
        """Take a program in, or see that there will be none any more."""
        if not self.open:
            return
        descriptors = array("i")
        try:
            # Not recv_fds(), which forgets its flags.
            sent, added, _, _ = self.entrance.recvmsg(1, socket.CMSG_SPACE(MOST * descriptors.itemsize), CLOSED)
        except OSError:
            sent, added = b"", []
        for _, _, received in added:
            descriptors.frombytes(received[: len(received) // descriptors.itemsize * descriptors.itemsize])
        for each in descriptors if not CLOSED else ():
            os.set_inheritable(each, False)
        if not sent:
            self.open = False
            self.selector.unregister(self.entrance)
        elif len(descriptors) < sent[0]:  # no room: the owner sees its control socket close
            for each in descriptors:
                os.close(each)
        else:
            control, *streams = descriptors
            ward = Ward(socket.socket(fileno=control), streams if len(streams) > 2 else [NOTHING, *streams])
            ward.control.setblocking(False)
            self.wards.add(ward)
            self.selector.register(ward.control, selectors.EVENT_READ, partial(self.hear, ward))
            self.hear(ward)

    def hear(self, ward: Ward) -> None:
        """Take what the owner says of one program."""
        if ward not in self.wards:  # forgotten since the look at all sockets
            return
        try:
            heard = ward.control.recv(2**16)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard and (ward.gone or not ward.pid):
            self.forget(ward)
        elif ward.pid:
            self.end(ward)
            if not heard:
                ward.listening = False
                self.selector.unregister(ward.control)
        else:
            ward.request += heard
            size = LENGTH + int.from_bytes(ward.request[:LENGTH], "big")
            if len(ward.request) >= max(size, LENGTH):
                request, more = ward.request[LENGTH:size], ward.request[size:]
                ward.request.clear()
                if self.start(ward, *marshal.loads(request)) and more:  # noqa: S302 - our own owner's
                    self.end(ward)
                del request
                if size > LARGE:
                    shrink()

    def start(self, ward: Ward, args: list[bytes], env: dict[bytes, bytes], cwd: bytes, grace: float) -> bool:
        """Start a program and say so. Return whether there is one."""
        started_at = time.time()
        fault = "cwd"
        try:
            os.chdir(cwd)  # here: posix_spawn() cannot
            fault = "program"
            path = find_program(args[0], env)
            # From here on it is the file's, if there is one: what its first line names may be missing.
            fault = f"file {os.path.abspath(path).hex()}" if os.path.isfile(path) else fault  # noqa: PTH100, PTH113
            ward.pid = os.posix_spawn(
                path,
                args,
                env,
                file_actions=[(os.POSIX_SPAWN_DUP2, stream, place) for place, stream in enumerate(ward.streams)],
                setsid=True,
                setsigdef=IGNORED,
            )
        except OSError as error:
            ward.tell(f"error {error.errno} {fault}\n")
            self.forget(ward)
            return False
        finally:
            os.chdir("/")  # not to keep a file system in use
        ward.grace, ward.started_at = grace, started_at
        self.running[ward.pid] = ward
        self.untold.append((time.monotonic() + HOLD, ward))
        ward.drop_streams()
        return True

    def reap(self) -> None:
        """Take note of the programs that have ended."""
        while self.running:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            ward = self.running.pop(pid)
            ward.exited_at = time.monotonic()
            seconds = usage.ru_utime + usage.ru_stime
            peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
            told = (
                ward.introduction() + f"exit {os.waitstatus_to_exitcode(status)} {seconds!r} {peak} {time.time()!r}\n"
            )
            ward.gone = ward.kill_at == NEVER and not is_group(pid)
            ward.tell(f"{told}gone 0\n" if ward.gone else told)
            self.minded.add(ward)

    def introduce(self) -> None:
        """Tell the owner of the programs that have run for a while; a short one tells all at its end."""
        while self.untold and self.untold[0][0] <= time.monotonic():
            _, ward = self.untold.popleft()
            if not ward.introduced:
                ward.tell(ward.introduction())

    def end(self, ward: Ward) -> None:
        """Ask a program to end, and see to it."""
        if ward.kill_at == NEVER:
            ward.kill_at = time.monotonic() + ward.grace
            if not ward.gone:
                self.ask(ward, ward.pid)
            self.minded.add(ward)

    def ask(self, ward: Ward, group: int) -> None:
        """Ask a process group to end."""
        ward.asked.add(group)
        send_signal(group, signal.SIGTERM)
        send_signal(group, signal.SIGCONT)  # one that is stopped would not hear

    def mind(self) -> None:
        """Look after what has ended or should: now and then, and once for all of them."""
        now = time.monotonic()
        if not self.minded or now < self.look_at:
            return
        # Of what is gone the owner closes the socket at once, or when the streams are closed that somebody still holds.
        wards = [ward for ward in self.minded if not ward.gone or now >= ward.exited_at + MOMENT]
        alive = groups_of({ward.pid for ward in wards}) if wards else {}
        for ward in wards:
            self.mind_groups(ward, alive[ward.pid], now)
        # A tenth of the time at most, however many processes there are to look at.
        self.look_at = time.monotonic() + max(TICK / 2, 9 * (time.monotonic() - now))

    def mind_groups(self, ward: Ward, groups: set[int], now: float) -> None:
        """Go on with one program of which something may be left."""
        if ward.exited_at != NEVER and (not groups or now >= ward.kill_at + PATIENCE):
            if ward.gone:
                self.forget(ward)
            else:
                ward.gone = True
                ward.tell(f"gone {len(groups)}\n")
        elif now >= ward.kill_at:
            for group in groups:
                send_signal(group, signal.SIGKILL)
        elif ward.kill_at != NEVER:
            for group in groups - ward.asked:
                self.ask(ward, group)
        elif now >= ward.exited_at + MOMENT:
            self.end(ward)

    def abandon(self, watch: int) -> None:
        """End everything: the owner has gone."""
        self.selector.unregister(watch)
        if self.open:
            self.open = False
            self.selector.unregister(self.entrance)
        for ward in list(self.wards):
            if ward.pid:
                self.end(ward)
            else:
                self.forget(ward)

    def forget(self, ward: Ward) -> None:
        """Be done with a program."""
        self.wards.remove(ward)
        self.minded.discard(ward)
        if ward.listening:
            self.selector.unregister(ward.control)
        ward.close()


def find_program(program: bytes, env: dict[bytes, bytes]) -> bytes:
    """Return the path of a program, looked for as a shell does. Raises `OSError`."""
    if b"/" in program:
        return program
    number = errno.ENOENT
    for place in env.get(b"PATH", os.fsencode(os.defpath)).split(b":"):
        path = os.path.join(place or b".", program)  # noqa: PTH118 - bytes
        if os.path.isfile(path):  # noqa: PTH113 - bytes
            if os.access(path, os.X_OK):
                return path
            number = errno.EACCES
    raise OSError(number, os.strerror(number))


def shrink() -> None:
    """Give memory back, and forget how much it was: the peak of a new program begins as ours."""
    with suppress(ImportError, OSError, AttributeError):  # not all systems have the one or the other
        from ctypes import CDLL  # noqa: PLC0415 - hardly any warden needs it

        CDLL(None).malloc_trim(0)
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 - as in all of this file
        file.write("5")


def send_signal(group: int, number: int) -> None:
    """Send a signal to a process group, if it is there and ours."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def is_group(group: int) -> bool:
    """Return True if a process group has members, be they zombies."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def groups_of(sessions: set[int]) -> dict[int, set[int]]:
    """Return the process groups of each session that have a living member; a shell, or `timeout`, makes further ones."""
    groups: dict[int, set[int]] = {session: set() for session in sessions}
    if sys.platform != "linux":
        return {session: {session} if is_group(session) else set() for session in sessions}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - as below
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - thousands of them
                # After the name, which may hold anything: state, parent, process group, session.
                state, _, group, session = file.read(1024).rpartition(b")")[2].split(None, 4)[:4]
        except (OSError, ValueError):
            continue
        if int(session) in groups and state not in b"ZX":
            groups[int(session)].add(int(group))
    return groups


def serve_entrance() -> None:
    """Take the place of a new process, with the entrance as its stdin."""
    entrance = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    warden = Warden(entrance, int(sys.argv[1]))
    try:
        warden.serve()
    finally:  # a fault in here must not leave anything behind
        for pid in warden.running:
            send_signal(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve_entrance()
