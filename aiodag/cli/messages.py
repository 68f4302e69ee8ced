"""Deliver messages to runs, and list them, their topics and those who wait."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.opening import only_once, serving
from aiodag.errors import OptionError
from aiodag.records import Delivered, MessageRecord, TopicRecord, WaitRecord
from aiodag.service import phrases
from aiodag.service.delivering import payload_in_file, typed_payload
from aiodag.service.documents import delivered_document, message_documents, topic_documents, wait_documents
from aiodag.wording import printable

MOST = 20  # that are listed unless somebody wants more
SHORT = 40  # characters of a payload that are shown
WAITS = ("RUN", "NODE", "WAITS FOR", "SINCE", "UNTIL")
MESSAGES = ("TOPIC", "ID", "KEYS", "STATE", "AT", "TIMES", "PAYLOAD", "")
TOPICS = ("TOPIC", "WAITS", "KEPT", "DEAD", "LEAVING", "STARTS")


def deliver_message(args: Namespace) -> int:
    """Deliver a message, and print what became of it."""
    payload = given_payload(args)
    headers = only_once("--header", args.headers)
    with serving(args) as service:
        delivered = service.deliver(
            args.topic,
            args.keys or "",
            payload,
            id=args.id,
            to=args.to,
            ttl=args.ttl,
            dedup=args.dedup,
            headers=headers,
            strict=args.strict,
        )
    say_delivered(args, args.topic, delivered)
    return 0


def given_payload(args: Namespace) -> Any:
    """Return the plain value that was given to be sent."""
    if args.file is None:
        return typed_payload("null" if args.payload is None else args.payload)
    if args.file == "-":
        return payload_in_file(sys.stdin.buffer)
    with Path(args.file).open("rb") as file:
        return payload_in_file(file)


def say_delivered(args: Namespace, topic: str, delivered: Delivered) -> None:
    """Print what became of a message."""
    say(args, delivered_document(topic, delivered), "" if args.quiet else delivered_text(delivered))


def delivered_text(delivered: Delivered) -> str:
    """Return in a line what became of a message."""
    runs = ", ".join(map(printable, delivered.runs))
    words = {
        "taken": f"taken by {runs}",
        "started": f"began {runs}",
        "kept": "kept: nobody waits for it yet",
        "duplicate": "came before: counted, and delivered to nobody",
    }
    return f"{printable(delivered.id)} {words.get(delivered.outcome, delivered.outcome)}"


def list_waits(args: Namespace) -> int:
    """List what runs wait for."""
    with serving(args) as service:
        found = service.waits(args.run, topic=args.topic, limit=how_many(args))
        found, others = cut_list(args, found)
        if not found:
            chosen = args.run is not None or args.topic is not None
            print_remark(args, f"nobody waits for {'such a thing' if chosen else 'anything'} in {service.place}")
    say(args, wait_documents(found), shown.table([WAITS, *map(wait_line, found)]) if found else "")
    if others:
        print_remark(args, f"the oldest {len(found)}, and there are more: --all lists every one, -n N the oldest N")
    return 0


def wait_line(wait: WaitRecord) -> tuple[str, ...]:
    """Return a wait as a row of a table."""
    return (
        wait.run,
        f"{wait.label} #{wait.number}",
        phrases.wait_words(wait),
        phrases.moment_text(wait.since),
        "it has come" if wait.settled else phrases.moment_text(wait.due_at),
    )


def list_messages(args: Namespace) -> int:
    """List messages, or deliver a dead letter again."""
    if args.deliver is not None:
        return deliver_again(args)
    with serving(args) as service:
        state = "dead" if args.dead else args.state
        found = service.messages(args.topic, state=state, limit=how_many(args))
        found, others = cut_list(args, found[::-1])
        if not found:
            print_remark(args, f"no {'such ' if state or args.topic else ''}messages in {service.place}")
    # A document of all messages begins with the oldest, so that it only grows at its end.
    ordered = found if args.limit is not None else found[::-1]
    say(args, message_documents(ordered), shown.table([MESSAGES, *map(message_line, found)]) if found else "")
    if others:
        print_remark(args, f"the newest {len(found)}, and there are more: --all lists every one, -n N the newest N")
    return 0


def deliver_again(args: Namespace) -> int:
    """Deliver a dead letter again."""
    topic, message_id = args.deliver
    for option, given in (("--topic", args.topic), ("-n", args.limit)):
        if given is not None:
            raise OptionError(option, given, "effect on a list; --deliver TOPIC ID names its message itself")
    with serving(args) as service:
        delivered = service.redeliver(topic, message_id)
    say_delivered(args, topic, delivered)
    return 0


def message_line(message: MessageRecord) -> tuple[str, ...]:
    """Return a message as a row of a table."""
    payload = message.payload if len(message.payload) <= SHORT else f"{message.payload[: SHORT - 1]}…"
    return (
        message.topic,
        message.id,
        ", ".join(filter(None, message.keys)),
        message.state,
        phrases.moment_text(message.at),
        str(message.repeats + 1),
        payload,
        message_note(message),
    )


def message_note(message: MessageRecord) -> str:
    """Return why a message is dead, until when it is kept, or which run has it."""
    if message.state == "kept":
        return f"until {phrases.moment_text(message.expires_at)}"
    return message.reason or message.run or ""


def list_topics(args: Namespace) -> int:
    """List the topics."""
    with serving(args) as service:
        found = service.topics()
        if not found:
            print_remark(args, f"no topics in {service.place}")
    say(args, topic_documents(found), shown.table([TOPICS, *map(topic_line, found)]) if found else "")
    return 0


def topic_line(topic: TopicRecord) -> tuple[str, ...]:
    """Return a topic as a row of a table."""
    counts = (topic.waits, topic.kept, topic.dead, topic.outgoing)
    return topic.name, *map(str, counts), ", ".join(topic.starts)


def how_many(args: Namespace) -> int | None:
    """Return how many to ask for: one more than is shown where there may be others, or None for all."""
    if args.limit is not None:
        return int(args.limit)
    return None if args.all or args.json else MOST + 1


def cut_list(args: Namespace, found: list[Any]) -> tuple[list[Any], bool]:
    """Return what is shown of a list, and whether there are others."""
    others = args.limit is None and not (args.all or args.json) and len(found) > MOST
    return (found[:MOST], True) if others else (found, False)
