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

The states of a run have the same words and a table of their own, `RUN_MOVES`: what has ended may begin again. It has one
word more, that no node has: parked.

    waiting ──► queued ◄──────────────────────────────────────┐
                 │ │ ▲                                        │
                 │ │ ├── taken over, given back               │ resumed, or begun again by itself
                 │ │ └── parked ◄─┐ until what it waits for   │
                 │ ▼              │ is there, or it is ended  │
                 │ running ───────┴──► succeeded, failed, cancelled
                 │                                ▲      ▲
                 └────────────────────────────────┴──────┘

waiting: a `Run` that nobody has entered. queued: it is nobody's; from here a run that never began can be cancelled at once, and
one fails that has expired, that every worker has refused, that kills its owners, or that cannot be read. running: a process
owns it. parked: it does nothing but wait for messages, moments or other runs, and no process holds it.
"""

import enum


class State(enum.StrEnum):
    """The state of a node or a run; equal to its name in lower case.

    >>> from aiodag import State
    >>> State.SUCCEEDED == "succeeded", State.SUCCEEDED.final, State.RUNNING.final
    (True, True, False)
    """

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    PARKED = "parked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    # An attribute and not a property: the engine reads it on every move.
    final: bool

    def __init__(self, value: str) -> None:
        """Note once whether the state is final."""
        self.final = value not in ("waiting", "queued", "running", "parked")


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
"""Where a node may go from each state; the only such table there is. No node is parked."""

NODE_STATES = tuple(MOVES)
"""The states of a node in the order in which stores count them."""

RUN_MOVES: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.QUEUED}),
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset({State.QUEUED, State.PARKED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.PARKED: frozenset({State.QUEUED}),
    State.SUCCEEDED: frozenset({State.QUEUED, State.FAILED}),  # failed: its store could not take down that it succeeded
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
    State.SKIPPED: frozenset(),  # no run is
}
"""Where a run may go from each state; the only such table there is."""


def next_run_state(state: State, *path: State) -> State:
    """Return the last of the states that a run goes through from one, which may be that one.

    Raises `RuntimeError` for a move that is not in `RUN_MOVES`.

    >>> next_run_state(State.FAILED, State.QUEUED, State.RUNNING).value
    'running'
    """
    for following in path:
        if following is not state and following not in RUN_MOVES[state]:
            msg = f"a run cannot go from {state} to {following}"
            raise RuntimeError(msg)
        state = following
    return state
