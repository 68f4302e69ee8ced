"""What can be typed to look at runs."""

from aiodag.cli import table
from aiodag.cli.begin_grammar import TARGET, add_one_run, add_parameters, add_tags
from aiodag.cli.parser import CommandGroup, add_command
from aiodag.cli.typed import count, duration

RUN_STATES = ("queued", "running", "parked", "succeeded", "failed", "cancelled")
FORMATS = ("txt", "mmd", "dot", "json", "svg", "png", "html")
STYLES = ("flat", "tree")


def add_runs(group: CommandGroup) -> None:
    """Add `runs`."""
    parser = add_command(
        group,
        "runs",
        table.carry_out_runs,
        "list the runs, newest first",
        "aiodag runs --tag env=test --state failed --since 1d -n 10",
    )
    parser.add_argument("--name", metavar="NAME", help="only those with this name")
    parser.add_argument(
        "--state", metavar="STATE", choices=RUN_STATES, help=f"only those in this state: {', '.join(RUN_STATES)}"
    )
    parser.add_argument("--queue", metavar="QUEUE", help="only those that were submitted to this queue")
    parser.add_argument("--parent", metavar="RUN", help="only those that this run has begun")
    parser.add_argument("--schedule", metavar="NAME", help="only those of this schedule")
    add_tags(parser, "only those with this tag; may be repeated, and then all must be there")
    parser.add_argument(
        "--since", metavar="AGE", type=duration, help="only those that began no longer ago: 90s, 15m, 12h, 30d"
    )
    parser.add_argument("-n", dest="limit", metavar="N", type=count, help="the newest N (20)")
    parser.add_argument("--all", action="store_true", help="all of them")


def add_show(group: CommandGroup) -> None:
    """Add `show`."""
    parser = add_command(
        group,
        "show",
        table.carry_out_show,
        "show a run: its tree, the states, every attempt",
        "aiodag show main-1a2b3c4d",
    )
    add_one_run(parser)
    parser.add_argument("node", metavar="NODE", nargs="?", help="only this node: its number, its task or its label")
    parser.add_argument("--value", action="store_true", help="the recorded value of the node, and nothing else")
    parser.add_argument("--failed", action="store_true", help="only the nodes that failed, in a flat list")


def add_log(group: CommandGroup) -> None:
    """Add `log`."""
    parser = add_command(
        group,
        "log",
        table.carry_out_log,
        "show the newest runs of a name, or print what the bodies of a run logged and wrote",
        "aiodag log etl --style tree -n 1",
    )
    parser.add_argument("run", metavar="NAME|RUN", help="the name of runs, or the id of one")
    parser.add_argument(
        "node", metavar="NODE", nargs="?", help="only the lines of this node: its number, its task or its label"
    )
    parser.add_argument("-n", dest="limit", metavar="N", type=count, default=3, help="the newest N of a name (3)")
    parser.add_argument(
        "--style", metavar="STYLE", choices=STYLES, help="states and no lines: flat, or a tree that follows the edges"
    )
    parser.add_argument(
        "--task", metavar="TASK", help="the attempts of this task: what they wrote, exit code, time, host, peak"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="follow until the run has ended; with --json one document per line"
    )


def add_graph(group: CommandGroup) -> None:
    """Add `graph`."""
    parser = add_command(
        group,
        "graph",
        table.carry_out_graph,
        "draw a run, or what a file would run",
        "aiodag graph etl-1a2b3c4d -o run.svg",
    )
    parser.add_argument("target", metavar="RUN|TARGET", help=f"the id of a run; or {TARGET}")
    add_parameters(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file, in the format of its ending")
    parser.add_argument(
        "--format", metavar="FORMAT", choices=FORMATS, help=f"one of {', '.join(FORMATS)}; by default txt"
    )
