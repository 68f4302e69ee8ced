"""The processes in which code is thought through: a bounded number of them, each with a limit of time and of bytes."""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

from aiodag.errors import AiodagError, PlanFailed, PlanningBusy
from aiodag.service.retold import retold_error

AT_ONCE = 2  # processes
SECONDS = 30.0  # that one may take
MOST = 64 * 2**20  # bytes of an answer
AT_A_TIME = 65_536  # bytes that are read or written at once


class ThinkingProcesses:
    """Processes of which each thinks one thing through. Several threads may ask."""

    def __init__(self, at_once: int, seconds: float) -> None:
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(at_once)
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._lock = threading.Lock()

    def think(self, request: Mapping[str, Any]) -> Any:
        """Return what a process answers. Raises the error that it answers with, `PlanFailed` and `PlanningBusy`."""
        answer = json.loads(self._ask(json.dumps(request).encode()))
        if "error" in answer:
            raise error_of_thought(answer)
        return answer["thought"]

    def close(self) -> None:
        """End them all, and begin no other."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                kill_session(process)

    def _ask(self, request: bytes) -> bytes:
        """Return what a process answers. Raises `PlanFailed`."""
        if not self._places.acquire(timeout=self._seconds):
            raise PlanningBusy("the server is checking other definitions, and this one has waited for too long")
        try:
            with self._process() as process:  # which has all of its time, however long it was waited for
                answer = exchange(process, request + b"\n", time.monotonic() + self._seconds)
        finally:
            self._places.release()
        if not answer:
            raise PlanFailed(f"its code took longer than {self._seconds:g} s, or ended the process that checks it")
        return answer

    @contextmanager
    def _process(self) -> Generator[subprocess.Popen[bytes]]:
        with self._lock:
            if self._closed:
                raise PlanningBusy("the server is about to end")
            process = subprocess.Popen(
                [sys.executable, "-m", "aiodag.service.thinking"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name != "AIODAG_TOKEN"},
                start_new_session=True,
            )
            self._processes.add(process)
        try:
            yield process
        finally:
            with self._lock:
                self._processes.discard(process)
                kill_session(process)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """End a process with all that it has started in its session."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def exchange(process: "subprocess.Popen[bytes]", request: bytes, until: float) -> bytes:
    """Write a request and read the answer, bounded in time and in bytes; return nothing of what is too late or too long."""
    assert process.stdin is not None
    assert process.stdout is not None
    os.set_blocking(process.stdin.fileno(), False)
    answer, left = bytearray(), memoryview(request)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ)
        while (patience := until - time.monotonic()) > 0 and len(answer) <= MOST:
            for key, _ in selector.select(patience):
                if key.fileobj is process.stdout:
                    chunk = os.read(key.fd, AT_A_TIME)
                    if not chunk:
                        return bytes(answer)
                    answer += chunk
                else:
                    left = left[write_some(process.stdin, left) :]
                    if not left:
                        selector.unregister(process.stdin)
    return b""


def write_some(pipe: IO[bytes], left: memoryview) -> int:
    """Write what a pipe takes now, and return how many bytes; all of it where nobody reads any more."""
    try:
        return os.write(pipe.fileno(), left[:AT_A_TIME])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(left)


def error_of_thought(answer: Mapping[str, Any]) -> AiodagError:
    """Return the error that another process has raised."""
    found = retold_error(str(answer["error"]), answer["text"], answer["complaints"], answer["near"])
    return found or AiodagError(answer["text"])
