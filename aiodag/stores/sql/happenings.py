"""What statements do that others may wait for."""

import os
from collections.abc import Collection

from aiodag.happenings import Happening

HAPPENINGS = {
    "add_submitted": Happening.QUEUED,
    "add_submissions": Happening.QUEUED,
    "make_ready": Happening.QUEUED,
    "let_begin": Happening.QUEUED,
    "end_held": Happening.ENDED,
    "add_schedule": Happening.SCHEDULED,
    "replace_schedule": Happening.SCHEDULED,
    "set_schedule_state": Happening.SCHEDULED,
    "unhold_schedule": Happening.SCHEDULED,
    "add_backfill": Happening.SCHEDULED,
    "note_freed": Happening.ENDED,
    "requeue": Happening.QUEUED,
    "give_back": Happening.QUEUED,
    "retry_run": Happening.QUEUED,
    "submit_again": Happening.QUEUED,
    "resubmit": Happening.QUEUED,
    "put_queue": Happening.QUEUED,
    "end_run": Happening.ENDED,
    "end_waiting": Happening.ENDED,
    "end_orphan": Happening.ENDED,
    "ask_cancel": Happening.CANCEL,
    "put_share": Happening.PLACES,
    "drop_share": Happening.PLACES,
    "settle_wait": Happening.WOKEN,
    "wake_run": Happening.QUEUED,
    "wake_cancelled": Happening.QUEUED,
    "park_run": Happening.QUEUED,  # whoever waits for the next moment of all may have to wait less
    "put_outbox": Happening.OUTGOING,
    "put_logs": Happening.LINES,
    "put_output": Happening.LINES,
}


class Happened:
    """Notes what the statements of a session do, mixed into it."""

    happened: frozenset[Happening] = frozenset()

    def note(self, statement: str) -> None:
        """Take note of a statement by its name."""
        if statement in HAPPENINGS:
            self.happened |= {HAPPENINGS[statement]}

    def take_happened(self) -> frozenset[Happening]:
        """Return what has happened since the last time; also what was rolled back, for a wake-up may be for nothing."""
        happened, self.happened = self.happened, frozenset()
        return happened


def notice_of(happened: Collection[Happening]) -> str:
    """Return what a server tells other processes of this one: who it was, and what it has done."""
    return " ".join([sender(), *sorted(happened)])


def happenings_of(notice: str) -> Collection[Happening]:
    """Return what another process has done; nothing where this one was it, for then it is known already.

    >>> happenings_of("another-process queued unheard-of"), happenings_of(notice_of({Happening.ENDED}))
    ({<Happening.QUEUED: 'queued'>}, set())
    """
    who, *what = notice.split(" ")
    return {Happening(each) for each in what if each in set(Happening)} if who != sender() else set()


def sender() -> str:
    """Return what tells this process from all others, after a fork too."""
    return f"{os.getpid()}-{STARTED}"


STARTED = os.urandom(4).hex()  # for processes of other hosts have the same numbers
