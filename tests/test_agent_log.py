"""The log of a program at an agent: whole for who reads in time, head and tail for who comes later, in bounded room."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodag.agent.log import Piece, ProgramLog
from aiodag.commands.agent_wire import END, GAP, STDERR, STDOUT, FrameReader, frame_of


def read_all(log, place=0):
    """Read as a stream does: from a place, with what it says of a gap."""
    first = log.first_place(place)
    found = [] if first == place else [frame_of(GAP, b"%d" % first)]
    place = first
    while chunk := log.read(place):
        found.append(chunk)
        place += len(chunk)
    return b"".join(found)


PIECES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=60)), max_size=40)


@given(PIECES, st.integers(0, 39))
async def test_what_was_written_is_read_from_any_frame_on(tmp_path_factory, pieces, skipped):
    log = ProgramLog(tmp_path_factory.getbasetemp())
    for each in pieces:
        log.append(*each)
    begin = len(b"".join(frame_of(*each) for each in pieces[:skipped]))

    assert read_all(log, min(begin, log.end)) == b"".join(frame_of(*each) for each in pieces[skipped:])
    log.close()


@given(PIECES)
async def test_a_long_log_keeps_its_head_and_its_tail(tmp_path_factory, pieces):
    log = ProgramLog(tmp_path_factory.getbasetemp(), head=200, tail=100)
    for each in pieces:
        log.append(*each)
    log.append(END, b"{}")
    wire = b"".join(frame_of(*each) for each in pieces) + frame_of(END, b"{}")
    frames = list(FrameReader().feed(whole := read_all_with_gaps(log)))
    told = [(frame.kind, frame.content) for frame in frames if frame.kind != GAP]

    assert len(whole) <= 200 + 2 * 100 + 65 + 10
    assert frames[-1].place == log.end == len(wire)
    every = [*pieces, (END, b"{}")]
    gap = next((place for place, frame in enumerate(frames) if frame.kind == GAP), len(told))
    assert told[:gap] == every[:gap]
    assert told[gap:] == every[len(every) - len(told) + gap :]
    assert (b"".join(frame_of(*each) for each in told) == whole) == (gap == len(told))
    log.close()


def read_all_with_gaps(log):
    """Read to the end, coming back after each gap."""
    found, place = b"", 0
    while place < log.end:
        first = log.first_place(place)
        if first != place:
            found += frame_of(GAP, b"%d" % first)
            place = first
        chunk = log.read(place)
        found += chunk
        place += len(chunk)
    return found


async def test_who_reads_what_is_dropped_meanwhile_is_told(tmp_path):
    log = ProgramLog(tmp_path, head=10, tail=10)
    for _ in range(9):
        log.append(STDOUT, b"12345")

    with pytest.raises(LookupError):
        log.read(15)
    assert log.first_place(15) > 15
    with pytest.raises(ValueError, match="has 90 bytes, and nothing at 91"):
        log.first_place(91)
    log.close()


async def test_a_full_disk_takes_no_output_but_the_end_is_there(tmp_path, monkeypatch):
    log = ProgramLog(tmp_path)
    log.append(STDOUT, b"before")

    def refuse(self, frame):
        if self.place == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(self, frame)

    append = Piece.append
    monkeypatch.setattr(Piece, "append", refuse)
    log.append(STDOUT, b"lost")
    log.append(END, b"{}")

    assert (log.dropped, log.ended) == (4, True)
    assert read_all(log) == frame_of(STDOUT, b"before") + frame_of(END, b"{}")
    log.close()


async def test_files_have_no_name_that_could_stay_behind(tmp_path):
    log = ProgramLog(tmp_path)
    log.append(STDOUT, b"x" * 100_000)

    assert list(Path(tmp_path).iterdir()) == []
    assert read_all(log) == frame_of(STDOUT, b"x" * 100_000)
    log.close()
