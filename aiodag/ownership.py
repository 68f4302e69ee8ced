"""Who owns a run: what a process asks a store for, and what it gets.

One rule for all stores. A run is its owner's until the lease of that process runs out; moments are seconds since the epoch.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from aiodag.errors import RunOwned, StoreError
from aiodag.faces import publish
from aiodag.mail import NO_WAITS, WaitSeen
from aiodag.processes import UNSEEN, began_at, surroundings
from aiodag.states import State

NO_TAGS: Mapping[str, str] = MappingProxyType({})
NO_ATTEMPTS: Mapping[str, int] = MappingProxyType({})
# What a run has called: the name of a function, its module, and whether the run began in that.
FunctionRow = tuple[str, str, bool]


class Owner(NamedTuple):
    """The process that owns a run: host, process id, and when that process began.

    `began` is the system's count of when the process began, with what makes that and the id unique: the boot of the system,
    and its pid namespace. These two are missing where the system does not tell, and in what 1.3 has recorded.

    >>> import os
    >>> from aiodag import Run
    >>> from aiodag.service import Service
    >>> async with Run("etl", store="memory:owner", id="monday"):
    ...     owner = Service("memory:owner").run("monday").owner
    >>> owner.pid == os.getpid(), owner.gone()
    (True, False)
    """

    host: str
    pid: int
    began: str

    def __str__(self) -> str:
        ours = "this process, " if self == Owner.here() else ""
        return f"{ours}process {self.pid} on {self.host}"

    @classmethod
    def here(cls) -> "Owner":
        """Return this process."""
        return process_of(os.getpid())

    def gone(self) -> bool:
        """Return True if the process is known to have ended.

        The host's name does not decide that: containers, clones and rebooted machines share names and ids.
        """
        count, *where = self.began.split()
        return bool(where) and where == surroundings() and began_at(self.pid) not in {count, UNSEEN}


@cache
def process_of(pid: int) -> Owner:
    """Return this process, which has that id: a forked child has another."""
    return Owner(socket.gethostname(), pid, " ".join([began_at(pid), *surroundings()]))


def live_owner(owner: Owner | None, until: float | None, at: float) -> Owner | None:
    """Return who has a run: a process that has not ended, as far as can be known, and whose lease has not run out."""
    if owner is None or until is None or until <= at or owner.gone():
        return None
    return owner


def refuse_owned(run_id: str, owner: Owner | None, until: float | None, at: float) -> None:
    """Refuse to change a run that somebody works on. Raises `RunOwned`."""
    holder = live_owner(owner, until, at)
    if holder is not None and until is not None:
        raise RunOwned(run_id, holder, until - at)


class Claim(NamedTuple):
    """A request to own a run, new or known, for `lease` seconds, and on for as long as the lease is renewed.

    `definition` is the text that this execution is built from, if there is one. Where it or `entry` is None, or `tags` are
    empty, those of an earlier execution stay.

    >>> import time
    >>> from aiodag.records import Claim, Owner
    >>> from aiodag.stores import Memory
    >>> claim = Claim("monday", "etl", None, Owner.here(), lease=15, at=time.time())
    >>> [claimed.execution for claimed in Memory().claim_all([claim])]
    [1]
    """

    id: str
    name: str
    entry: Mapping[str, Any] | None
    owner: Owner
    lease: float
    at: float
    tags: Mapping[str, str] = NO_TAGS
    definition: str | None = None
    parent_run: str | None = None  # of a new run: the id of the one that begins it, and the number of a node there
    parent_node: int | None = None

    def refuse(self, name: str, owner: Owner | None, until: float | None) -> None:
        """Refuse to take over a run of another name, or one that somebody works on. Raises `StoreError`, `RunOwned`."""
        if name != self.name:
            msg = f"run {self.id!r} is one of {name!r}, not of {self.name!r}: use another id"
            raise StoreError(msg)
        # Of a process that claims several runs at once, the lease is not written yet: no longer than one lasts.
        refuse_owned(self.id, owner, None if until is None else min(until, self.at + self.lease), self.at)


class Known(NamedTuple):
    """A node as a run knows it from earlier executions.

    >>> from aiodag import Run, task
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> async with Run("etl", store=store, id="monday"):
    ...     node = task(sum)([1, 2])
    >>> [(known.state.value, known.attempt, known.value) for known in store.known_nodes("monday").values()]
    [('succeeded', 1, '3')]
    """

    number: int
    state: State
    attempt: int
    codec: str
    value: str | bytes | None
    error: str = ""  # of what has failed, or was skipped by its body
    void: bool | None = False  # whether the outcome counts no longer: it runs again. None: version 1.2 did not say
    failures: int = 0  # attempts that have failed since it was begun anew: they count against `retries`
    turn: int = 0  # when it began to run, in the order of all nodes in all executions
    execution: int = 0  # that had it last


class Past(Protocol):
    """What is known of the nodes of a large run, read as the run comes to them. One thread at a time uses it.

    >>> from aiodag.records import Past
    >>> from aiodag.stores.past import WholePast
    >>> def describe(past: Past) -> str:
    ...     return f"{len(past)} nodes, {past.successes} successes"
    >>> describe(WholePast({}))
    '0 nodes, 0 successes'
    """

    last: int  # the largest number of a node
    turn: int  # of the node that began last
    successes: int  # how many there are
    attempts: Mapping[str, int]  # the last ones by task, asked for one by one

    def open(self) -> None:
        """Get ready, before all else. May block: another thread than the loop's calls this."""
        ...

    def __len__(self) -> int:
        """Return how many are not taken."""
        ...

    def __contains__(self, key: object) -> bool:
        """Return True if something is known of a node, and not taken."""
        ...

    def take(self, key: str) -> Known | None:
        """Return what is known of a node, and forget it. Called from the loop: may block for a few milliseconds."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Generation(NamedTuple):
    """One of the generations of a run whose body has begun again: its number, the node, and arguments as the codec writes them.

    >>> from aiodag.records import Generation
    >>> Generation(1, 0, '{"month": 2}').number
    1
    """

    number: int
    node: int
    arguments: str


class Claimed(NamedTuple):
    """The answer to a claim: the run's number, that of this execution, which every write needs, and what is known of its nodes.

    >>> import time
    >>> from aiodag.records import Claim, Owner
    >>> from aiodag.stores import Memory
    >>> (claimed,) = Memory().claim_all([Claim("monday", "etl", None, Owner.here(), lease=15, at=time.time())])
    >>> claimed.execution, claimed.begun, claimed.known
    (1, 1, {})
    """

    run: int
    execution: int
    known: dict[str, Known]
    functions: "Sequence[FunctionRow]" = ()  # what earlier executions have called
    tried: Mapping[str, int] = NO_ATTEMPTS  # last attempts by task, of a run with a definition
    begun: int = 1  # how often somebody has begun it: again after it had ended
    past: Past | None = None  # what is known, in place of `known`, where that is too much to be read at once
    waits: Mapping[int, WaitSeen] = (
        NO_WAITS  # what is recorded of the waits of earlier executions, by the numbers of their nodes
    )
    generation: int = 0  # how often the run has begun again with a new history: in the keys of its nodes, but for 0
    turn: str | None = None  # what this generation began with, but for the first


publish("aiodag.records", globals(), __name__)
