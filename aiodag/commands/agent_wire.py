"""What an agent and its clients say to each other over HTTP: headers, the frames of a program's log, the token.

    POST /programs               start a program, by its label: the same label again is the same program
    GET  /programs/ID/log?from=  its log: frames, from a place in it, and a beat where there is nothing new
    POST /programs/ID/find       what is known of it; one that is not known will not be started any more
    DELETE /programs/ID          end it
    POST /seen                   the owner of these programs is there, and has the ends of those
    GET  /ready, /resources      is the agent there; what it has, what is free, what it does
    POST /drain, /undrain        begin nothing new; begin again

Nobody can know when a message arrives, so no lease counts from there. The agent tells its clock with each answer and each
beat, and a client says with each request what it heard last. A program of which the owner is silent ends when
`orphan_grace` has passed since the agent *said* the latest moment that came back:

    agent    says 100.0 ----------.                        .---> hears 100.0: the program may stay until 160.0
    client                         '---> hears it at t ---'
    client   hears nothing more: what it has started ends before t + 60, however late its last request may arrive
"""

import os
import secrets
from collections.abc import Generator
from hashlib import blake2b
from pathlib import Path
from stat import S_IMODE
from struct import Struct
from typing import NamedTuple

from aiodag.errors import OptionError

PROTOCOL = "1"
PROTOCOL_HEADER = "aiodag-protocol"
VERSION_HEADER = "aiodag-version"
INSTANCE_HEADER = "aiodag-instance"  # of the agent's process: what another one has started is not known here
CLOCK_HEADER = "aiodag-clock"
GRACE_HEADER = "aiodag-orphan-grace"  # seconds

BODY_LARGEST = 2**26  # bytes of a request
STDIN_LARGEST = BODY_LARGEST // 4 * 3 - 2**22  # of which are left as base64, beside arguments and variables
LABEL_LONGEST = 500  # characters

# The kinds of frames. A log has one START and one END at most; BEAT is said between frames, and is no part of a log.
START, STDOUT, STDERR, GAP, END, BEAT = b"s", b"o", b"e", b"-", b"=", b"."
FRAME_HEAD = Struct(">cI")
FRAME_LARGEST = 2**24  # bytes
STREAMS = {STDOUT: "stdout", STDERR: "stderr"}
KINDS = {stream: kind for kind, stream in STREAMS.items()}

TOKEN_SHORTEST, TOKEN_LONGEST = 16, 4096  # characters


def frame_of(kind: bytes, content: bytes) -> bytes:
    """Return a frame as it is sent."""
    return FRAME_HEAD.pack(kind, len(content)) + content


class Frame(NamedTuple):
    """One frame, and the place in the log behind it."""

    kind: bytes
    content: bytes
    place: int


class FrameReader:
    """Cuts what comes into frames."""

    def __init__(self, place: int = 0) -> None:
        self.place = place
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Generator[Frame]:
        """Give the frames that are whole now. Raises `ValueError` for what an agent does not say."""
        self._rest += chunk
        begin = 0
        while len(self._rest) - begin >= FRAME_HEAD.size:
            kind, size = FRAME_HEAD.unpack_from(self._rest, begin)
            if size > FRAME_LARGEST:
                raise ValueError(f"a frame of {size:,} bytes")
            end = begin + FRAME_HEAD.size + size
            if len(self._rest) < end:
                break
            content = bytes(self._rest[begin + FRAME_HEAD.size : end])
            if kind == GAP:
                self.place = int(content)
            elif kind != BEAT:
                self.place += end - begin
            begin = end
            yield Frame(kind, content, self.place)
        del self._rest[:begin]


def program_id(label: str) -> str:
    """Return by what a program is known in addresses: a digest of its label.

    >>> program_id("etl-1/load/1")
    'd75a29d0486fa08db61ad5e8'
    """
    return blake2b(label.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()


def read_token(path: Path) -> str:
    """Return the token in a file. Raises `OptionError` for a file that has none, or that everybody can read."""
    wanted = "a file with the token of the agent, as `aiodag agent --new-token FILE` makes it"
    try:
        with path.open("rb") as file:
            mode = S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(TOKEN_LONGEST + 1).strip()
    except (OSError, ValueError) as error:
        raise OptionError("token_file", str(path), f"{wanted} ({error})") from None
    if mode & 0o007:
        raise OptionError("token_file", str(path), f"a file that others cannot read: chmod 600 {path}")
    if (
        not TOKEN_SHORTEST <= len(token) <= TOKEN_LONGEST
        or not token.isascii()
        or not token.decode("ascii").isprintable()
        or b" " in token
    ):
        raise OptionError(
            "token_file",
            str(path),
            f"{wanted}: {TOKEN_SHORTEST} characters or more, {TOKEN_LONGEST:,} at most, without spaces",
        )
    return token.decode("ascii")


def write_token(path: Path) -> None:
    """Write a new token into a new file that only its owner can read. Raises `OptionError` if the file is there."""
    try:
        # Not write_text(): for a moment others could read that.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, ValueError) as error:
        raise OptionError(
            "--new-token", str(path), f"a file that can be made, and is not there yet ({error})"
        ) from None
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
        file.write(f"{secrets.token_urlsafe(32)}\n")
