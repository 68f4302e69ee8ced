"""Name the states of a node and the moves between them.

Two rules. A node moves only along `MOVES`. A final state is never left.

    waiting ──► queued ──► running ──► succeeded
       │          │ ◄─retry── │           ▲
       │          ├───────────┼─►─recalled┘
       │          │           ├──────► failed
       ├──────────┼───────────┼──────► skipped
       └──────────┴───────────┴──────► cancelled

waiting: upstream nodes are not settled yet. queued: free to run, held back by a
limit or by the pause before a retry; from here a node whose success is recorded
succeeds without running, and one whose record cannot be read fails. running: an attempt is under way.
skipped: an upstream did not succeed, or the body raised `Skip`.
"""

import enum


class State(enum.StrEnum):
    """The state of a node; equal to its lower-case word.

    >>> from aiodag import State
    >>> State.SUCCEEDED == "succeeded", State.SUCCEEDED.final, State.RUNNING.final
    (True, True, False)
    """

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    # An attribute and not a property: the engine reads it on every move.
    final: bool

    def __init__(self, value: str) -> None:
        """Note once whether the state is final."""
        self.final = value not in ("waiting", "queued", "running")


_STOPPED = frozenset({State.SKIPPED, State.CANCELLED})

MOVES: dict[State, frozenset[State]] = {
    State.WAITING: _STOPPED | {State.QUEUED},
    State.QUEUED: _STOPPED | {State.RUNNING, State.SUCCEEDED, State.FAILED},
    State.RUNNING: _STOPPED | {State.QUEUED, State.SUCCEEDED, State.FAILED},
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.SKIPPED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Where a node may go from each state; the only such table there is."""
