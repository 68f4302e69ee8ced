"""What can be typed to deliver messages to runs, and to look at those that are there."""

from aiodag.cli import table
from aiodag.cli.parser import CommandGroup, Parser, add_command
from aiodag.cli.typed import count, duration, pair

RECEIVERS = ("one", "all")
MESSAGE_STATES = ("kept", "taken", "started", "dead")


def add_send(group: CommandGroup) -> None:
    """Add `send`."""
    parser = add_command(
        group,
        "send",
        table.carry_out_send,
        "deliver a message to the run that waits for it, and print what became of it",
        """aiodag send PAYMENT --key A17 --payload '{"amount": 3}' --id charge-9""",
    )
    parser.add_argument("topic", metavar="TOPIC", help="what it is about")
    parser.add_argument(
        "--key", dest="keys", metavar="KEY", action="append", default=[], help="whom it is for; may be repeated"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--payload", metavar="JSON", help="what it says, as JSON, at most 1 MiB (null)")
    what.add_argument("--file", metavar="FILE", help="read that from a file, or - for the standard input")
    parser.add_argument("--id", metavar="ID", help="deliver it once: the same id again is only counted")
    parser.add_argument(
        "--to",
        metavar="WHOM",
        choices=RECEIVERS,
        default="one",
        help="of those who wait for a key: one, the oldest; or all (one)",
    )
    parser.add_argument("--ttl", metavar="AGE", type=duration, help="how long it is kept if nobody waits (1d)")
    parser.add_argument("--dedup", metavar="AGE", type=duration, help="how long its id is remembered (7d)")
    parser.add_argument(
        "--header",
        dest="headers",
        metavar="NAME=TEXT",
        type=pair,
        action="append",
        default=[],
        help="a word about it that goes with it; may be repeated",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a topic that no run waits for and that begins none"
    )


def add_waits(group: CommandGroup) -> None:
    """Add `waits`."""
    parser = add_command(
        group,
        "waits",
        table.carry_out_waits,
        "list what runs wait for: messages, moments, other runs",
        "aiodag waits --topic PAYMENT",
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="only what this run waits for")
    parser.add_argument("--topic", metavar="TOPIC", help="only who waits for messages on this topic")
    add_how_many(parser, "the oldest N (20)")


def add_messages(group: CommandGroup) -> None:
    """Add `messages`."""
    parser = add_command(
        group,
        "messages",
        table.carry_out_messages,
        "list the messages that are remembered, newest first, or deliver a dead letter again",
        "aiodag messages --dead --topic PAYMENT",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--dead", action="store_true", help="only dead letters, each with the reason")
    which.add_argument(
        "--state",
        metavar="STATE",
        choices=MESSAGE_STATES,
        help=f"only those in this state: {', '.join(MESSAGE_STATES)}",
    )
    which.add_argument(
        "--deliver", nargs=2, metavar=("TOPIC", "ID"), help="deliver this dead letter again, as if it came now"
    )
    parser.add_argument("--topic", metavar="TOPIC", help="only those of this topic")
    add_how_many(parser, "the newest N (20)")


def add_topics(group: CommandGroup) -> None:
    """Add `topics`."""
    add_command(
        group,
        "topics",
        table.carry_out_topics,
        "list the topics: who waits, and how many messages are kept, dead or about to leave",
        "aiodag topics --json",
    )


def add_how_many(parser: Parser, newest: str) -> None:
    """Add how many are listed."""
    parser.add_argument("-n", dest="limit", metavar="N", type=count, help=newest)
    parser.add_argument("--all", action="store_true", help="all of them")
