"""What nodes wait for, and what passes through the inbox and the outbox of a store.

A wait is a row next to that of its node. Whoever has what it waits for writes all of it in one transaction: how the node
ended, that its wait is settled, that the message is taken. So a run that nobody works on is waited for all the same.

    register ──► open ──┬─ a message, a moment, the end of a run ──► settled ──► heard: its row goes
                        └─ nobody waits any more: its row goes          └─ unseen: the message goes back

Moments are seconds since the epoch by the store's clock, except in what people get.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from aiodag.faces import publish
from aiodag.states import State
from aiodag.wording import describe_seconds

if TYPE_CHECKING:
    from datetime import datetime

TTL = 86_400.0  # seconds that a message is kept for somebody who will wait for it
DEDUP = 604_800.0  # seconds for which its id is remembered
PORTION = 8 * 2**20  # characters of payloads that leave together: the message that goes beyond is the last one
EXPIRED = "nobody waited for it within its time to live"
MESSAGE = "message"  # a codec: the value of the node is the payload of a message, as plain JSON
MOMENT = "moment"  # another: the node has waited for a moment, and its value is null
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Wait(NamedTuple):
    """What a node waits for: "message" of a topic and key, "moment", "run" (the end of another), or "deadline" of its own body.

    `seconds` from its first registration, or a moment `due_at`: what comes first ends the wait. `group` is the number of the
    node that takes the first of several waits.

    >>> from aiodag.records import Wait
    >>> Wait("message", "PAYMENT", "A17", seconds=60.0)
    Wait(kind='message', topic='PAYMENT', key='A17', seconds=60.0, due_at=None, group=None)
    """

    kind: str
    topic: str = ""
    key: str = ""
    seconds: float | None = None
    due_at: float | None = None
    group: int | None = None


# As a batch has it: number, kind, topic, key, since, due_at, group. `topic` of a "run" is the id of that run.
WaitRow = tuple[int, str, str, str, float, float | None, int | None]


def describe_lateness(kind: str, topic: str, key: str, seconds: float) -> str:
    """Return the text of the `TimeoutError` for what has not come so many seconds after somebody began to wait for it.

    >>> from aiodag.mail import describe_lateness
    >>> describe_lateness("message", "PAYMENT", "A17", 60)
    "no message of 'PAYMENT' with the key 'A17' came within 1 min 0 s"
    """
    what = f"no message of {topic!r}{f' with the key {key!r}' if key else ''} came"
    return f"{what if kind == 'message' else f'run {topic!r} did not end'} within {describe_seconds(seconds)}"


class WaitSeen(NamedTuple):
    """What is recorded of a wait when its run is continued.

    `seconds_left` are those until its moment comes, below 0 if it has come; None where it has none.

    >>> from aiodag.records import WaitSeen
    >>> WaitSeen(settled=False, seconds_left=12.5).settled
    False
    """

    settled: bool
    seconds_left: float | None = None


NO_WAITS: Mapping[int, WaitSeen] = MappingProxyType({})


class SettledWait(NamedTuple):
    """How a wait ended, for the owner of its run, who has not heard of it: run and number, and what is in the row of the node.

    A "deadline" is not among them: its body hears of that by itself.

    >>> from aiodag import State
    >>> from aiodag.records import SettledWait
    >>> SettledWait(1, 7, "message", State.SUCCEEDED, "message", '{"amount": 3}', "").value
    '{"amount": 3}'
    """

    run: int
    number: int
    kind: str
    state: State
    codec: str
    value: str | bytes | None
    error: str


class Incoming(NamedTuple):
    """A message that is to be delivered. `payload` is JSON, which nobody reads before whoever waits for it.

    Each of its keys has one waiter by default, the oldest; `to_all` gives it to every one that there is. With a reason in
    `dead` it is a dead letter from the start. `ttl` and `dedup` are seconds.

    >>> from aiodag.records import Incoming
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> message = Incoming("PAYMENT", ["A17"], "m1", '{"amount": 3}')
    >>> [delivered.outcome for delivered in store.deliver([message, message])]
    ['kept', 'duplicate']
    """

    topic: str
    keys: Sequence[str]
    id: str
    payload: str
    to_all: bool = False
    ttl: float = TTL
    dedup: float = DEDUP
    headers: Mapping[str, str] = NO_HEADERS
    dead: str = ""


class Delivered(NamedTuple):
    """What became of a message: "taken", "kept", "started", "duplicate" or "dead"; and the ids of the runs that have it.

    >>> from aiodag.records import Incoming
    >>> from aiodag.stores import Memory
    >>> Memory().deliver([Incoming("PAYMENT", ["A17"], "m1", "3")])
    [Delivered(id='m1', outcome='kept', runs=())]
    """

    id: str
    outcome: str
    runs: Sequence[str] = ()


class Outgoing(NamedTuple):
    """A message that a run has sent: to those who wait in the same store, or `via` a transport, by the relay of its topic.

    `number` orders those of a topic in the outbox; it is given there.

    >>> from aiodag.records import Outgoing
    >>> Outgoing("SHIPPING", ["A17"], "m2", "null", via="kafka://broker:9092").number
    0
    """

    topic: str
    keys: Sequence[str]
    id: str
    payload: str
    to_all: bool = False
    ttl: float = TTL
    dedup: float = DEDUP
    headers: Mapping[str, str] = NO_HEADERS
    via: str = ""
    number: int = 0

    def incoming(self) -> Incoming:
        """Return the message as it comes in where it was sent."""
        return Incoming(
            self.topic, self.keys, self.id, self.payload, self.to_all, self.ttl, self.dedup, headers=self.headers
        )


class Starter(NamedTuple):
    """What a message of a topic begins if nobody waits for it: a run of `name`, once for each id of a message.

    `entry` is that of a submission; `parameter` of it, if that is named, is given the payload. `declared_in` is the file that
    says so, which need not be that of the entry.

    >>> from aiodag.records import Incoming, Owner, Starter
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> entry = {"file": "/srv/shop.py", "task": "order", "parameters": {}}
    >>> store.put_starters(Owner.here(), [Starter("ORDER", "/srv/shop.py:order", entry, "order", "default", "which")])
    >>> [(delivered.outcome, len(delivered.runs)) for delivered in store.deliver([Incoming("ORDER", [""], "m1", "17")])]
    [('started', 1)]
    >>> store.runs()[0].entry["parameters"]
    {'which': 17}
    """

    topic: str
    target: str
    entry: Mapping[str, object]
    name: str
    queue: str
    parameter: str = ""
    declared_in: str = ""


class WaitRecord(NamedTuple):
    """What a node of a run waits for, since when, and until when. `settled`: it has come, and the run has not heard of it.

    >>> from aiodag.stores import Memory
    >>> [wait.topic for wait in Memory().waits(run_id="order-17")]
    []
    """

    run: str
    number: int
    label: str
    kind: str
    topic: str
    key: str
    since: "datetime"
    due_at: "datetime | None"
    group: int | None = None
    settled: bool = False


class MessageRecord(NamedTuple):
    """A message as a store remembers it: "kept", "taken", "started" or "dead", then for a `reason`.

    `repeats` counts how often its id came again. `run` is the id of the one that took it last, or was begun by it.

    >>> from aiodag.records import Incoming
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> delivered = store.deliver([Incoming("PAYMENT", ["A17"], "m1", "not JSON", dead="it is not JSON")])
    >>> [(message.id, message.reason) for message in store.messages(state="dead")]
    [('m1', 'it is not JSON')]
    """

    topic: str
    id: str
    keys: Sequence[str]
    payload: str
    state: str
    at: "datetime"
    expires_at: "datetime"
    repeats: int = 0
    reason: str = ""
    run: str | None = None
    headers: Mapping[str, str] = NO_HEADERS


class TopicRecord(NamedTuple):
    """A topic: how many wait for it, and how many of its messages are kept, dead, or about to leave.

    >>> from aiodag.records import Incoming
    >>> from aiodag.stores import Memory
    >>> store = Memory()
    >>> delivered = store.deliver([Incoming("PAYMENT", ["A17"], "m1", "3")])
    >>> [(topic.name, topic.waits, topic.kept) for topic in store.topics()]
    [('PAYMENT', 0, 1)]
    """

    name: str
    waits: int = 0
    kept: int = 0
    dead: int = 0
    outgoing: int = 0
    starts: Sequence[str] = ()  # names of runs that its messages begin


publish("aiodag.records", globals(), __name__)
