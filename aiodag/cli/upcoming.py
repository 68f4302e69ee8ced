"""Show when something would begin."""

from argparse import Namespace
from datetime import UTC, datetime

from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.opening import serving
from aiodag.service.upcoming import Upcoming, upcoming_of
from aiodag.wording import describe_seconds, printable


def print_upcoming(args: Namespace) -> int:
    """Print the next moments of an expression, a file, or a name."""
    now = datetime.now(UTC)
    since = None if args.start else now
    with serving(args) as service:
        found = upcoming_of(service, args.when, args.limit, args.start or now, args.timezone)
    documents = [
        {"name": each.name or None, "trigger": each.trigger.form(), "moments": [at.isoformat() for at in each.moments]}
        for each in found
    ]
    say(args, documents, "\n".join(block_of(each, since, several=len(found) > 1) for each in found if each.moments))
    for each in found:
        if not each.moments:
            print_remark(args, f"{printable(each.name or str(each.trigger))}: no other moment")
    return 0


def block_of(upcoming: Upcoming, since: datetime | None, *, several: bool) -> str:
    """Return the lines of one trigger: its name where there are several, and each moment, with how far away from now it is."""
    rows = [(f"{at:%a} {at.isoformat(sep=' ')}", distance_text(at, since)) for at in upcoming.moments]
    head = [f"{printable(upcoming.name)}: {printable(str(upcoming.trigger))}"] if several else []
    return "\n".join([*head, shown.table(rows)])


def distance_text(at: datetime, since: datetime | None) -> str:
    """Return how far away a moment is."""
    return "" if since is None else f"in {describe_seconds((at - since).total_seconds())}"
