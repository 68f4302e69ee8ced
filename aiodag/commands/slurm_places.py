"""The directory of one job, on a file system that its owner and its node share: what is to run, and what came of it.

`slurm_job` runs there and says which files there are.
"""

import asyncio
import inspect
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from aiodag.commands import slurm_job
from aiodag.commands.warden import find_program
from aiodag.programs import ProgramRequest

CHUNK = 2**20  # bytes of a stream in one look
SLUG = 60  # characters of a label in the name of a job
REMARKS = 4000  # bytes of what Slurm itself said of a job
STREAMS = ("stdout", "stderr")
PAUSE = 0.2  # seconds between two looks for an end
MARGIN = 3.0  # seconds for what ends a program to be scheduled
OWNER = "owner"  # in place of a job's number, where the owner wants none to begin any more


class JobStatus(NamedTuple):
    """What a job has noted of its program."""

    job: str = ""
    node: str = ""
    pid: int = 0
    started_at: float = 0.0
    ended: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    number: str = ""  # the other one of a job of an array


class JobPlace:
    """One directory, for one attempt of one program. Its methods block, except `wait_for_end` and `drop`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.taken: dict[str, int] = dict.fromkeys(STREAMS, 0)  # bytes that have been passed on

    def prepare(self, request: ProgramRequest) -> None:
        """Write down what is to run. Raises `OSError`."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700)
        content = request.stdin if isinstance(request.stdin, bytes) else b""
        # Files that are there from the beginning: a shared file system may not see new ones for half a minute.
        for name in ("free", "status", "remarks", *STREAMS):
            write_private(self.path / name, b"")
        write_private(self.path / "stdin", content)
        write_private(self.path / "request", request_text(request))

    def note_submission(self, name: str, link: Path | None = None) -> None:
        """Write down under which name it is submitted, to be looked up by. Raises `OSError`.

        `link` leads here: to where Slurm writes its remarks on a job of an array.
        """
        write_private(self.path / "submission", name.encode())
        if link is not None:
            write_private(self.path / "link", os.fsencode(link))
            link.parent.mkdir(mode=0o700, exist_ok=True)
            link.symlink_to(self.path, target_is_directory=True)

    def submission(self) -> tuple[str, str]:
        """Return the name that the job was submitted under, and its number in the array, if it is one of an array."""
        try:
            name, _, number = (self.path / "submission").read_text().partition(" ")
        except FileNotFoundError:  # it has not come to that
            return "", ""
        return name, number

    def claim(self) -> bool:
        """Keep all jobs from running the program. Return whether none has begun, and none will."""
        try:
            (self.path / "free").rename(self.path / f"taken.{OWNER}")
        except FileNotFoundError:
            return (self.path / f"taken.{OWNER}").exists()
        return True

    def revoke(self) -> None:
        """Take the licence to run away: the job looks for it now and then."""
        (self.path / "request").unlink(missing_ok=True)

    async def wait_for_end(self, grace: float) -> None:
        """Take the licence to run away, and wait until the program has ended, or must have."""
        ends_at = time.monotonic() + ending_time(grace)
        while time.monotonic() < ends_at and not await asyncio.to_thread(self._ends):
            await asyncio.to_thread(time.sleep, PAUSE)  # in a thread: a virtual clock stands still meanwhile

    def _ends(self) -> bool:
        with suppress(OSError):
            self.revoke()
            status = self.status()
            return bool(status.ended or status.refused)
        return False

    def taker(self) -> str:
        """Return the number of the job that runs the program, or "" if none has begun."""
        names = [path.name.split(".")[1] for path in self.path.glob("taken.*")]
        return next((name for name in names if name != OWNER), "")

    def status(self) -> JobStatus:
        """Return what the job has noted so far. Raises `OSError`."""
        status = JobStatus()
        text = (self.path / "status").read_text("utf-8", "replace")
        for line in text[: text.rfind("\n") + 1].splitlines():  # a last line may be half there
            word, *rest = line.split()
            if word == "start":
                status = JobStatus(rest[0], rest[1], int(rest[2]), float(rest[3]), number=rest[4])
            elif word == "exit":
                status = status._replace(ended=tuple(rest))
            elif word == "error":
                status = status._replace(refused=tuple(rest))
        return status

    def read(self, stream: str) -> bytes:
        """Return what has come on a stream after what was taken, up to a limit. Raises `OSError`."""
        with (self.path / stream).open("rb", buffering=0) as file:
            file.seek(self.taken[stream])
            return file.read(CHUNK)

    def remarks(self) -> str:
        """Return what Slurm itself said of the job."""
        try:
            return (self.path / "remarks").read_bytes()[-REMARKS:].decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def is_prepared(self, request: ProgramRequest | None) -> bool:
        """Return True if there is something to run here: this very request, if there is one."""
        try:
            found = (self.path / "request").read_bytes()
        except FileNotFoundError:
            return False
        return request is None or found == request_text(request)

    def drop(self) -> None:
        """Have it removed, in a thread that nobody waits for."""
        asyncio.get_running_loop().run_in_executor(None, self.remove)

    def remove(self) -> None:
        """Remove all that is here, and what leads here."""
        with suppress(OSError):
            self.revoke()  # first: what is in it may be secret
        with suppress(OSError):  # it is not one of an array, or not the last of it
            link = Path(os.fsdecode((self.path / "link").read_bytes()))
            link.unlink()
            link.parent.rmdir()
        shutil.rmtree(self.path, ignore_errors=True)


def ending_time(grace: float) -> float:
    """Return the seconds in which a job ends its program, once it has no licence to run."""
    return slurm_job.LOOK + grace + slurm_job.PATIENCE + MARGIN


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that nobody else may read."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)


def request_text(request: ProgramRequest) -> bytes:
    """Return what `slurm_job` reads: half of a surrogate pair stands for a byte, as in Python."""
    told = {
        "args": request.args,
        "env": dict(request.env),
        "cwd": str(request.cwd or "."),
        "stdin": str(request.stdin) if isinstance(request.stdin, Path) else "",
        "grace": request.grace,
    }
    return json.dumps(told).encode("ascii")


def job_name(label: str) -> str:
    """Return what a job is named by: readable, without anything that a shell or a file system reads, and unique."""
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", label)[:SLUG].strip("-.")
    digest = blake2b(label.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{slug or 'aiodag'}-{digest}"


def job_script(python: str, places: Sequence[Path]) -> str:
    """Return the script of the job of a place, or of the array of several."""
    source = f"{inspect.getsource(slurm_job)}\n\n{inspect.getsource(find_program)}"
    served = ascii([str(each) for each in places])
    # No shell reads what is in between the two marks.
    return f"#!/bin/sh\nexec {shlex.quote(python)} -I -S - <<'AIODAG'\n{source}\n\nrun_in_job({served})\nAIODAG\n"
