"""Deliver messages to runs, and look at what is there: messages, topics, and what runs wait for.

What delivers loads what reads payloads; what looks does not.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from aiodag.errors import NotFound, OptionError, StoreError
from aiodag.service.continuing import Continuing

if TYPE_CHECKING:
    from aiodag.abc import Inbox, Runs
    from aiodag.mail import Delivered, MessageRecord, TopicRecord, WaitRecord
    from aiodag.messages import Topic

MESSAGE_STATES = ("kept", "taken", "started", "dead")


class Messaging(Continuing):
    """What comes to the runs of a store from outside, and what they wait for."""

    @property
    def _inbox(self) -> "Inbox":
        return inbox_of_store(self.store)

    def deliver(
        self,
        topic: "str | Topic[Any]",
        key: str | Sequence[str] = "",
        payload: object = None,
        *,
        id: str | None = None,  # noqa: A002 - what everybody calls it, and `send` too
        to: str = "one",
        ttl: float | timedelta | None = None,
        dedup: float | timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        strict: bool = False,
    ) -> "Delivered":
        """Deliver a message to the run that waits for it, wherever that is, and return what became of it.

        `payload` is plain JSON, or what becomes it: at most 1 MiB, 100 containers deep. Of those who wait for a key the oldest
        gets it, with `to="all"` every one. If nobody waits, it begins a run where a worker has said so (`Topic.starts`), or is
        kept for `ttl` seconds (a day), and is a dead letter then. The same `id` again within `dedup` seconds (a week) is
        counted, and delivered to nobody; without one, each call is another message. With `strict`, the topic must be one
        that a run waits for, that begins runs, or that this process has declared.

        Raises `PayloadRefused`, `SecretInValue` and `OptionError` before anything is recorded, and `StoreError` for an unknown
        topic.

        >>> from aiodag.service import Service
        >>> service = Service("memory:deliver")
        >>> service.deliver("PAYMENT", "A17", {"amount": 3}, id="m1").outcome
        'kept'
        >>> service.deliver("PAYMENT", "A17", {"amount": 3}, id="m1").outcome
        'duplicate'
        """
        from aiodag.service import delivering

        incoming = delivering.incoming_message(topic, key, payload, id, to, ttl, dedup, headers)
        if strict:
            self._refuse_unknown_topic(incoming.topic)
        (delivered,) = self._inbox.deliver([incoming])
        return delivered

    def waits(
        self, run_id: str | None = None, *, topic: str | None = None, limit: int | None = None
    ) -> "list[WaitRecord]":
        """Return what runs wait for, or one run does, oldest first. Raises `UnknownRun`."""
        if run_id is not None:
            run_id = self.head(run_id).id
        return self._inbox.waits(run_id=run_id, topic=topic, limit=limit)

    def messages(
        self, topic: str | None = None, *, state: str | None = None, limit: int | None = None
    ) -> "list[MessageRecord]":
        """Return the messages that are remembered, oldest first; with a limit, the newest.

        All of them, or those in a state: "kept", "taken", "started" or "dead". Raises `OptionError` for another word.
        """
        if state not in {None, *MESSAGE_STATES}:
            raise OptionError("state", state, f"one of {', '.join(MESSAGE_STATES)}")
        return self._inbox.messages(topic=topic, state=state, limit=limit)

    def topics(self) -> "list[TopicRecord]":
        """Return the topics that somebody waits for, that have messages, or that begin runs."""
        return self._inbox.topics()

    def redeliver(self, topic: str, message_id: str) -> "Delivered":
        """Deliver a dead letter again, and return what became of it. Raises `StoreError` where there is none of that id."""
        return self._inbox.redeliver(topic, message_id)

    def _refuse_unknown_topic(self, name: str) -> None:
        from aiodag.service import delivering

        if delivering.is_declared(name) or self._inbox.waits(topic=name, limit=1):
            return
        known = {each.name for each in self.topics() if each.waits or each.starts}
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "without `strict` it is kept for whoever will"
            msg = f"nobody waits for messages on {name!r} in {self.place}, and none begin a run: {hint}"
            raise NotFound(msg, near=near[0] if near else None)


def inbox_of_store(store: "Runs") -> "Inbox":
    """Return the inbox of a store. Raises `StoreError` for a store that has none."""
    if callable(getattr(store, "deliver", None)):
        return cast("Inbox", store)
    msg = f"{store} has no inbox: deliver to a store in a file, in PostgreSQL or in memory"
    raise StoreError(msg)
