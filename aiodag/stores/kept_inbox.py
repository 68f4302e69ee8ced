"""The inbox of a store in memory."""

from collections.abc import Sequence

from aiodag.records import (
    Claimed,
    Delivered,
    Incoming,
    MessageRecord,
    Outgoing,
    Owner,
    SettledWait,
    Starter,
    TopicRecord,
    WaitRecord,
)
from aiodag.states import State
from aiodag.stores.kept_queue import KeptQueue


class KeptInbox(KeptQueue):
    """The messages of a store in memory, and the waits of its runs."""

    def deliver(self, incoming: Sequence[Incoming]) -> list[Delivered]:
        """Give messages to those who wait for them, in order; keep those for which nobody does. Return what became of each.

        An id of a topic that is remembered is counted, and nothing else happens.
        """
        raise RuntimeError("the inbox comes with the next step")

    def settled_waits(self, owner: Owner) -> list[SettledWait]:
        """Return how waits of a process's runs ended that it has not heard of, in the order in which they began."""
        raise RuntimeError("the inbox comes with the next step")

    def park(self, claimed: Claimed) -> State:
        """Let go of a run that only waits: parked; or queued, where one of its waits was settled meanwhile. Raises `LeaseLost`."""
        raise RuntimeError("the inbox comes with the next step")

    def waits(
        self, *, run_id: str | None = None, topic: str | None = None, limit: int | None = None
    ) -> list[WaitRecord]:
        """Return what runs wait for, oldest first."""
        raise RuntimeError("the inbox comes with the next step")

    def messages(
        self, *, topic: str | None = None, state: str | None = None, limit: int | None = None
    ) -> list[MessageRecord]:
        """Return the messages that are remembered, oldest first; with a limit, the newest."""
        raise RuntimeError("the inbox comes with the next step")

    def topics(self) -> list[TopicRecord]:
        """Return the topics that somebody waits for, that have messages, or that begin runs."""
        raise RuntimeError("the inbox comes with the next step")

    def redeliver(self, topic: str, message_id: str) -> Delivered:
        """Deliver a dead letter again; its time to live begins anew. Raises `StoreError` where there is none of that id."""
        raise RuntimeError("the inbox comes with the next step")

    def put_starters(self, owner: Owner, starters: Sequence[Starter]) -> None:
        """Note what messages of which topics begin; those with the same topic and target are replaced."""
        raise RuntimeError("the inbox comes with the next step")

    def relays(self) -> list[tuple[str, str]]:
        """Return the topics that have something to leave, each with the address of its transport."""
        raise RuntimeError("the inbox comes with the next step")

    def lease_relay(self, topic: str, owner: Owner, lease: float) -> bool:
        """Return True if a process may pass on what leaves under a topic, and nobody else may for `lease` seconds; 0 gives it up."""
        raise RuntimeError("the inbox comes with the next step")

    def outgoing(self, topic: str, limit: int) -> list[Outgoing]:
        """Return the first messages that are to leave under a topic, in order."""
        raise RuntimeError("the inbox comes with the next step")

    def sent(self, topic: str, numbers: Sequence[int]) -> None:
        """Forget messages that have left."""
        raise RuntimeError("the inbox comes with the next step")
