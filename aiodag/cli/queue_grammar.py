"""What can be typed to submit runs, and to look after queues."""

from aiodag.cli import table
from aiodag.cli.begin_grammar import TARGET, add_parameters, add_places, add_tags, add_value_place
from aiodag.cli.parser import CommandGroup, Parser, add_command, add_trace
from aiodag.cli.schedule_grammar import add_trigger
from aiodag.cli.typed import count, duration, integer, moment, natural, rate
from aiodag.queue_defaults import GRACE, LINGER, RUNS_AT_ONCE

ACTIONS = ("list", "add", "pause", "resume", "drain")


def add_submit(group: CommandGroup) -> None:
    """Add `submit`."""
    parser = add_command(
        group,
        "submit",
        table.carry_out_submit,
        "record a run for a worker to take, and print its id; or, with --cron or --every, a schedule of such runs",
        "aiodag submit etl.py:main -p day=2026-01-31 --queue nightly --key etl-2026-01-31",
        of_target=True,
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET)
    add_parameters(parser)
    add_places(parser)
    parser.add_argument(
        "--queue", metavar="QUEUE", help="the queue in which it waits (that of the settings, or default)"
    )
    parser.add_argument("--priority", metavar="N", type=integer, default=0, help="higher numbers begin first (0)")
    parser.add_argument(
        "--at", metavar="MOMENT", type=moment, help="not before this moment: 2026-01-31T06:00Z, with a time zone"
    )
    parser.add_argument("--key", metavar="KEY", help="submit it once: the same key again prints the id of that run")
    add_tags(parser, "a word about the run, by which `aiodag runs --tag` finds it; may be repeated")
    parser.add_argument(
        "--expires",
        metavar="AGE",
        type=duration,
        help="fail it if it has not begun after that long: 90s, 15m, 12h, 30d",
    )
    parser.add_argument(
        "--retries",
        metavar="N",
        type=natural,
        default=0,
        help="how often the whole run begins again after a failure (0)",
    )
    parser.add_argument(
        "--max-active", metavar="N", type=count, help="how many runs of this name go on at once, over all workers"
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a queue that nobody has added, and no worker serves"
    )
    parser.add_argument("--wait", action="store_true", help="wait until it has ended, and print its value")
    add_trigger(parser)


def add_queues(group: CommandGroup) -> None:
    """Add `queues`."""
    parser = add_command(
        group,
        "queues",
        table.carry_out_queues,
        "list the queues, add one, or pause, resume or drain it",
        "aiodag queues add nightly --rate 10/60s",
    )
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        choices=ACTIONS,
        default="list",
        help="list; add; pause: nothing is taken; drain: nothing is submitted; resume: both again",
    )
    parser.add_argument("queue", metavar="QUEUE", nargs="?", help="the queue to add or to change")
    parser.add_argument(
        "--rate", metavar="N/AGE", type=rate, help="for add: how many of its runs begin in that time, evenly spaced"
    )


def add_worker(group: CommandGroup) -> None:
    """Add `worker`."""
    parser = add_command(
        group,
        "worker",
        table.carry_out_worker,
        "take submitted runs and work on them, until Ctrl-C or SIGTERM",
        "aiodag worker --queue default --queue nightly --limit 20",
    )
    add_queue_names(parser, "a queue to take runs from (that of the settings, or default); may be repeated")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=count,
        help=f"how many runs go on at once ({RUNS_AT_ONCE}; isolated: one for each core)",
    )
    parser.add_argument(
        "--isolate",
        metavar="HOW",
        choices=("process",),
        help="process: each run in a process of its own, so that one that crashes takes no other with it",
    )
    parser.add_argument("--once", action="store_true", help="end after one run")
    parser.add_argument(
        "--grace",
        metavar="AGE",
        type=duration,
        default=GRACE,
        help="how long what runs has to end after Ctrl-C or SIGTERM, before it goes back into its queue (30s)",
    )
    parser.add_argument(
        "--linger",
        metavar="AGE",
        type=duration,
        help=f"how long a run that only waits is kept in the process, before it is parked ({LINGER:g}s)",
    )
    add_what_begins_runs(parser)
    add_value_place(parser)
    add_trace(parser, "runs")
    parser.add_argument(
        "--pinned", action="store_true", help="refuse a run whose file is another here than when it was submitted"
    )
    parser.add_argument(
        "--keep", metavar="AGE", type=duration, help="delete runs that ended longer ago, every hour: 30d"
    )


def add_what_begins_runs(parser: Parser) -> None:
    """Add what begins runs in the store besides those that are submitted."""
    parser.add_argument(
        "--transport",
        dest="transports",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="receive messages from there: kafka://HOST:9092?group=orders&topics=PAYMENT,SHIPPED; may be repeated",
    )
    parser.add_argument(
        "--import",
        dest="modules",
        metavar="MODULE",
        action="append",
        default=[],
        help="import this first, such as a module whose topics begin runs, or that registers codecs; may be repeated",
    )
    parser.add_argument(
        "--schedules",
        dest="schedule_files",
        metavar="FILE",
        action="append",
        default=[],
        help="first add the schedules of a file or a folder, as `aiodag schedules add` does; may be repeated",
    )


def add_workers(group: CommandGroup) -> None:
    """Add `workers`."""
    parser = add_command(
        group,
        "workers",
        table.carry_out_workers,
        "list the workers that are there; exit code 1 if there are none",
        "aiodag workers --queue nightly",
    )
    add_queue_names(parser, "those that serve this queue; may be repeated")


def add_queue_names(parser: Parser, purpose: str) -> None:
    """Add queues."""
    parser.add_argument("--queue", dest="queues", metavar="QUEUE", action="append", default=[], help=purpose)
