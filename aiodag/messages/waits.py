"""Waits are nodes: of tasks whose bodies wait for what comes from outside of the run.

A node is known again by what it waits for, and never by how long: a run that goes on after a year is waiting for the same
message, whatever its `timeout` was. The first due moment that is recorded stands.
"""

import sys
from asyncio import CancelledError
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from aiodag._core.context import current_node
from aiodag._core.options import check_seconds, timeout_of
from aiodag._core.task import Task, task
from aiodag._core.waits import held_back
from aiodag.errors import OptionError
from aiodag.mail import Wait
from aiodag.messages.call_sites import called_in
from aiodag.messages.fitting import Misfit
from aiodag.messages.group import OPEN, race_of
from aiodag.messages.local import LocalInbox, inbox_of
from aiodag.messages.payloads import checked_message_key
from aiodag.messages.topics import Topic, topic_of

if TYPE_CHECKING:
    from datetime import timedelta

    from aiodag._core.node import Node

T = TypeVar("T")


def wait_task(fn: Any, name: str, waits: str, key: Any) -> "Task[..., Any]":
    """Return the task of a wait: of a kind, known by a key of its own."""
    made: Task[..., Any] = task(fn, name=name, key=key)
    made.waits = waits
    return made


async def outcome_of(node: "Node[Any]", wait: Wait) -> Any:
    """Return what comes from outside. Raises `TimeoutError`."""
    inbox = inbox_of(node)
    try:
        while (held := held_back(node)) is not None:  # it would take a message, and is about to be cancelled
            await held
        race = race_of(node)
        if race is not None:
            race.release()  # what was the first, as it seemed, did not fit
            race.waits[node] = wait
        future = inbox.wait(node, wait if race is None else wait._replace(group=race.number))
        OPEN[node] = wait, future
        return await future
    except CancelledError:
        if type(inbox) is LocalInbox:
            inbox.unwait(node)
        raise
    finally:
        OPEN.pop(node, None)
        del node  # a failure's traceback holds this frame


async def await_message(topic: str, key: str = "", *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - of the world
    """Return the value of a message. One that does not fit is put away, and another one waited for."""
    node: Any = current_node()
    try:
        wait = Wait("message", topic, key, timeout)
        while True:
            plain = await outcome_of(node, wait)
            if node.task.fit is None:
                return plain
            try:
                return node.task.fit(node, plain)
            except Misfit as error:
                inbox_of(node).reject(node, str(error))
                race = race_of(node)
                if race is not None:
                    race.wait_again(each for each in race.members if each is not node)
    except BaseException:
        node._note_label(place_of_wait(topic, key))  # noqa: SLF001 - as the engine does: without what it waits at most
        raise
    finally:
        del node  # as above


async def collect_messages(topic: str, key: str = "", *, count: int, timeout: float | None = None) -> list[Any]:  # noqa: ASYNC109 - as above
    """Return the values of several messages, in the order in which they came."""
    nodes = [waiting_task(topic_of(topic))(*place_of_wait(topic, key), timeout=timeout) for _ in range(count)]
    try:
        return [await each for each in nodes]
    except BaseException:
        for each in nodes:
            each.cancel("another message has not come")
            if each.failure is not None:  # of the same moment: one of them is enough
                each.failure.report.take()
        raise


async def wait_seconds(seconds: float) -> None:
    """Wait for so many seconds, from the first time on that this is recorded."""
    node: Any = current_node()
    try:
        await outcome_of(node, Wait("moment", seconds=seconds))
    finally:
        del node  # as above


async def wait_until(moment: str) -> None:
    """Wait for a moment by the clock on the wall."""
    node: Any = current_node()
    try:
        await outcome_of(node, Wait("moment", due_at=datetime.fromisoformat(moment).timestamp()))
    finally:
        del node  # as above


MESSAGE = wait_task(await_message, "message", "message", lambda topic, key="", **_: ("message", topic, key))
MESSAGES = wait_task(
    collect_messages, "messages", "", lambda topic, key="", *, count, **_: ("messages", topic, key, count)
)
SLEEP = wait_task(wait_seconds, "sleep", "moment", "sleep")
SLEEP_UNTIL = wait_task(wait_until, "sleep_until", "moment", "sleep_until")


def place_of_wait(topic: str, key: str) -> tuple[str, ...]:
    """Return what people see of a wait: its topic, and its key if it has one."""
    return (topic, key) if key else (topic,)


def waiting_task(topic: Topic[Any]) -> "Task[..., Any]":
    """Return the task of the nodes that wait for a message of a topic. Raises `OptionError`, as `Topic.fitter`."""
    if topic.value is Any:
        return MESSAGE
    if topic.waiting is None:
        topic.fitter()
        topic.waiting = MESSAGE.with_options()
        topic.waiting.fit = topic.fit
    return topic.waiting


@overload
def message(
    topic: Topic[T], *, key: str = "", timeout: "float | timedelta | None" = None, count: None = None
) -> "Node[T]": ...
@overload
def message(
    topic: Topic[T], *, key: str = "", timeout: "float | timedelta | None" = None, count: int
) -> "Node[list[T]]": ...
@overload
def message(
    topic: str, *, key: str = "", timeout: "float | timedelta | None" = None, count: None = None
) -> "Node[Any]": ...
@overload
def message(
    topic: str, *, key: str = "", timeout: "float | timedelta | None" = None, count: int
) -> "Node[list[Any]]": ...
def message(
    topic: Topic[Any] | str,
    *,
    key: str = "",
    timeout: "float | timedelta | None" = None,
    count: int | None = None,
) -> "Node[Any]":
    """Wait for a message of a topic with a key: the node of its value.

    The oldest message that is kept, or the next one that comes; of several who wait for one key, who waited first is given
    it. With `count` the node is that of a list: of so many messages, in the order in which they came.

    After `timeout` (seconds, or a `timedelta`) the node fails with `TimeoutError`; a message that came before that is taken.
    In a run with a store both are recorded, so that it waits on after its process has gone. What a body does around the
    call of a wait, and not in nodes of its own, may be done again: it is entered once more when the run goes on.

    Raises `OptionError` for what cannot be a topic, a key, a time or a count.

    >>> from aiodag.messages import message, send
    >>> answer = message("ANSWER", key="A17", timeout=60)
    >>> sent = send("ANSWER", key="A17", value={"ok": True})
    >>> await answer
    {'ok': True}
    """
    about = topic_of(topic)
    key = checked_message_key(key)
    seconds = None if timeout is None else timeout_of(timeout)
    if count is None:
        node = waiting_task(about)(*place_of_wait(about.name, key), timeout=seconds)
    elif type(count) is int and count >= 1:
        waiting_task(about)
        node = MESSAGES(*place_of_wait(about.name, key), count=count, timeout=seconds)
    else:
        raise OptionError("count", count, "an int of 1 or more: how many messages to wait for")
    return called_in(sys._getframe(1), node)  # noqa: SLF001 - as for the call of any task


def sleep(seconds: "float | timedelta") -> "Node[None]":
    """Wait for some seconds, or a `timedelta`: the node of None.

    In a run with a store they count from when that was first recorded: what was down for longer goes on at once.

    Raises `OptionError` for less than 0, and for what is not a number.

    >>> from aiodag.messages import sleep
    >>> async def main():
    ...     await sleep(30 * 24 * 3600)
    ...     return "renewed"
    >>> from aiodag.testing import run
    >>> run(main())
    'renewed'
    """
    return called_in(sys._getframe(1), SLEEP(check_seconds("seconds", seconds)))  # noqa: SLF001 - as above


def sleep_until(moment: datetime) -> "Node[None]":
    """Wait for a moment by the clock on the wall, also if that is set meanwhile; one in the past has come. The node of None.

    Raises `OptionError` for a moment without a time zone: which moment it is would depend on the machine.

    >>> from datetime import UTC, datetime
    >>> from aiodag.messages import sleep_until
    >>> await sleep_until(datetime(2020, 1, 1, tzinfo=UTC))
    >>> sleep_until(datetime(2020, 1, 1))
    Traceback (most recent call last):
    aiodag.OptionError: moment=2020-01-01 00:00:00 cannot work: moment takes ...
    """
    given: Any = moment
    if not isinstance(given, datetime) or given.utcoffset() is None:
        raise OptionError("moment", moment, "a datetime with a time zone, such as datetime(2030, 1, 1, tzinfo=UTC)")
    return called_in(sys._getframe(1), SLEEP_UNTIL(given.isoformat()))  # noqa: SLF001 - as above
