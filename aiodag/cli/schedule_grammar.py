"""What can be typed to have runs begin by themselves, and to look at when they do."""

from aiodag.cli import table
from aiodag.cli.begin_grammar import add_parameters
from aiodag.cli.parser import CommandGroup, Parser, add_command
from aiodag.cli.typed import count, day_or_moment, duration, moment
from aiodag.queue_defaults import CATCH_UPS, OVERLAPS

ORDERS = ("oldest", "newest")
SCHEDULES = ("schedules",)  # what completion asks for
SCHEDULE_ACTIONS = ("pause", "resume", "run", "delete", "add")


def add_trigger(parser: Parser) -> None:
    """Add what makes a schedule of what is submitted."""
    when = parser.add_mutually_exclusive_group()
    when.add_argument(
        "--cron", metavar="EXPRESSION", help="submit it at each moment of this: 0 6 * * MON-FRI, or @daily"
    )
    when.add_argument("--every", metavar="AGE", type=duration, help="submit it again and again, so far apart: 90s, 15m")
    parser.add_argument(
        "--name", metavar="NAME", help="the name of the schedule, whose place it takes (that of TARGET)"
    )
    parser.add_argument("--timezone", metavar="ZONE", help="the time zone of --cron, such as Europe/Paris")
    parser.add_argument("--start", metavar="MOMENT", type=moment, help="no moment of the schedule before this")
    parser.add_argument("--end", metavar="MOMENT", type=moment, help="no moment of the schedule after this")
    parser.add_argument(
        "--exclude",
        metavar="WHEN",
        action="append",
        default=[],
        help="skip the moments on this date, or of this expression; may be repeated",
    )
    parser.add_argument(
        "--overlap",
        metavar="HOW",
        choices=OVERLAPS,
        help="when a moment comes while the run before goes on: queue (one waits), skip, allow (queue)",
    )
    parser.add_argument(
        "--catch-up",
        metavar="HOW",
        choices=CATCH_UPS,
        help="of moments at which no worker was there: the latest, all, none (latest)",
    )
    parser.add_argument("--jitter", metavar="AGE", type=duration, help="put each start off by up to that long (0s)")
    parser.add_argument(
        "--grace", metavar="AGE", type=duration, help="how late a moment may be before it is missed (1m)"
    )


def add_schedules_command(group: CommandGroup) -> None:
    """Add `schedules`."""
    parser = add_command(
        group,
        "schedules",
        table.carry_out_schedules,
        "list the schedules, show one with what became of its moments, or pause, resume, run, delete or add some",
        "aiodag schedules pause nightly",
    )
    parser.words, parser.asked = SCHEDULE_ACTIONS, SCHEDULES
    parser.add_argument(
        "action",
        metavar="ACTION|NAME",
        nargs="?",
        help="pause, resume, run (now), delete: those named; add: all of a FILE or a folder; or the NAME of the one to show",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="the schedules to change; for add, files and folders")
    parser.add_argument(
        "-n", dest="limit", metavar="N", type=count, default=20, help="the newest N firings of one (20)"
    )


def add_next(group: CommandGroup) -> None:
    """Add `next`."""
    parser = add_command(
        group,
        "next",
        table.carry_out_next,
        "show the next moments of a cron expression, of what a file says under on, or of a schedule",
        'aiodag next "0 6 * * MON-FRI" --timezone Europe/Paris -n 3',
    )
    parser.asked = SCHEDULES
    parser.add_argument(
        "when", metavar="EXPRESSION|FILE|NAME", help="a cron expression in quotes; FILE.yaml[:NAME]; or a schedule"
    )
    parser.add_argument("-n", dest="limit", metavar="N", type=count, default=3, help="the next N (3)")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MOMENT",
        help="after this moment, by default now: 2026-01-31T06:00, or with an offset",
    )
    parser.add_argument(
        "--timezone", metavar="ZONE", help="the time zone of what names none (that of the settings, or UTC)"
    )


def add_backfill(group: CommandGroup) -> None:
    """Add `backfill`."""
    parser = add_command(
        group,
        "backfill",
        table.carry_out_backfill,
        "make runs of the moments of a schedule in the past, or list the backfills",
        "aiodag backfill nightly --from 2026-01-01T00:00Z --to 2026-02-01T00:00Z --limit 4",
    )
    parser.asked = SCHEDULES
    parser.add_argument("name", metavar="NAME", nargs="?", help="the schedule")
    parser.add_argument(
        "--from", dest="start", metavar="MOMENT", type=day_or_moment, help="from this moment, or the begin of this day"
    )
    parser.add_argument(
        "--to", dest="end", metavar="MOMENT", type=day_or_moment, help="to before this moment, or the begin of this day"
    )
    add_parameters(parser)
    parser.add_argument("--limit", metavar="N", type=count, default=4, help="how many of its runs go on at once (4)")
    parser.add_argument(
        "--order",
        metavar="ORDER",
        choices=ORDERS,
        default="oldest",
        help="which moments come first: oldest, newest (oldest)",
    )
    parser.add_argument(
        "--cancel", metavar="NUMBER", type=count, help="end the backfill of this number; its runs go on"
    )
