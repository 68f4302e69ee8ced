"""The inbox of a store: messages that come and go, and the runs that wait for them.

    deliver ──► somebody waits ──► taken: the node has it, its run is woken
            ├─► a topic begins runs ──► started
            └─► kept ──┬─ somebody waits for it in time ──► taken
                       └─ nobody does ──► dead ──► delivered again by somebody

People import the seam, `Inbox`, from `aiodag.abc`.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from aiodag.faces import publish

if TYPE_CHECKING:
    from aiodag.mail import (
        Delivered,
        Incoming,
        MessageRecord,
        Outgoing,
        SettledWait,
        Starter,
        TopicRecord,
        WaitRecord,
    )
    from aiodag.ownership import Claimed, Owner
    from aiodag.states import State


class Inbox(Protocol):
    """Messages, and who waits for them: what a store has besides `Runs` and `Queue`, of which it is the same object.

    Waits are registered, cancelled and heard with the batches of `Runs.write_all`. Every method may block; each is one
    transaction.

    >>> from aiodag.abc import Inbox
    >>> from aiodag.stores import Memory
    >>> def kept(store: Inbox) -> int:
    ...     return sum(topic.kept for topic in store.topics())
    >>> kept(Memory())
    0
    """

    def deliver(self, incoming: "Sequence[Incoming]") -> "list[Delivered]":
        """Give messages to those who wait for them, in order; keep those for which nobody does. Return what became of each.

        An id of a topic that is remembered is counted, and nothing else happens.
        """
        ...

    def settled_waits(self, owner: "Owner") -> "list[SettledWait]":
        """Return how waits of a process's runs ended that it has not heard of, in the order in which they began."""
        ...

    def park(self, claimed: "Claimed") -> "State":
        """Let go of a run that only waits: parked; or queued, where one of its waits was settled meanwhile. Raises `LeaseLost`."""
        ...

    def waits(
        self, *, run_id: str | None = None, topic: str | None = None, limit: int | None = None
    ) -> "list[WaitRecord]":
        """Return what runs wait for, oldest first."""
        ...

    def messages(
        self, *, topic: str | None = None, state: str | None = None, limit: int | None = None
    ) -> "list[MessageRecord]":
        """Return the messages that are remembered, oldest first; with a limit, the newest."""
        ...

    def topics(self) -> "list[TopicRecord]":
        """Return the topics that somebody waits for, that have messages, or that begin runs."""
        ...

    def redeliver(self, topic: str, message_id: str) -> "Delivered":
        """Deliver a dead letter again; its time to live begins anew. Raises `StoreError` where there is none of that id."""
        ...

    def put_starters(self, owner: "Owner", starters: "Sequence[Starter]", files: Collection[str] = ()) -> None:
        """Note what messages of which topics begin; those with the same topic and target are replaced.

        `files` are those that the process has imported: what they do not declare any more is forgotten.
        """
        ...

    def relays(self) -> "list[tuple[str, str]]":
        """Return the topics that have something to leave, each with the address of its transport."""
        ...

    def lease_relay(self, topic: str, owner: "Owner", lease: float) -> bool:
        """Return True if a process may pass on what leaves under a topic, and nobody else may for `lease` seconds; 0 gives it up."""
        ...

    def outgoing(self, topic: str, limit: int) -> "list[Outgoing]":
        """Return the first messages that are to leave under a topic, in order: at most so many, and of a few MiB in all."""
        ...

    def sent(self, topic: str, numbers: Sequence[int]) -> None:
        """Forget messages that have left."""
        ...


publish("aiodag.abc", globals(), __name__)
