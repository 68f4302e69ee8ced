"""What can be typed: the commands, their options, their help."""

import argparse
import sys
from collections.abc import Callable, Sequence

from aiodag.cli import table
from aiodag.cli.parser import CommandGroup, Parser, Version, add_command, add_common
from aiodag.cli.typed import count, duration, named_amount, natural, pair

RUN_STATES = ("running", "succeeded", "failed", "cancelled")
FORMATS = ("txt", "mmd", "dot", "json", "svg", "png", "html")
SHELLS = ("bash", "zsh", "fish")
STYLES = ("flat", "tree")
WORDS = ("runs", "names", "parameters")
SOURCE = (
    "a file and what it has: a task or a workflow in FILE.py:NAME, without :NAME its main or the only one; or FILE.json"
)
TARGET = f"{SOURCE}; or the name of a registered workflow"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what was typed. Ends the process with code 2 where that makes no sense."""
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(command_in(words))
    args, rest = parser.parse_known_args(words)
    if rest:
        parser.commands.get(args.command or "", parser).unknown(rest, build_parser().commands)
    if args.command is None:
        parser.error(f"which command? One of {', '.join(parser.commands)}")
    return args


def command_in(words: Sequence[str]) -> str:
    """Return the command that is typed first, or after `--store ADDRESS`; nothing where that takes a whole parser to say."""
    place = 2 if words and words[0] == "--store" else 0
    return words[place] if len(words) > place else ""


def build_parser(command: str = "") -> Parser:
    """Return the parser of the whole command line, or of what begins with a command: all of them take a while to make."""
    parser = Parser(
        prog="aiodag",
        description="Run tasks and workflows, look at runs, continue them after a crash.",
        epilog="`aiodag COMMAND --help` has the options of a command and an example.\n"
        "Exit codes: 0 succeeded, 1 failed, 2 bad input: nothing has run, 130 interrupted (143 by SIGTERM).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=Version)
    add_common(parser, default=None)
    parser.set_defaults(store=None, json=False, quiet=False, traceback=False)
    group = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    parser.commands = group.choices  # pyright: ignore[reportAttributeAccessIssue]  # made by parser_class
    for add in [COMMANDS[command]] if command in COMMANDS else COMMANDS.values():
        add(group)
    return parser


# Start and go on


def add_run(group: CommandGroup) -> None:
    """Add `run`."""
    parser = add_command(
        group,
        "run",
        table.carry_out_run,
        "begin a run with a task or a workflow",
        "aiodag run etl.py:main -p day=2026-01-31 --limit 10",
        of_target=True,
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET)
    add_parameters(parser)
    parser.add_argument(
        "--id", metavar="ID", help="id of the run, by default made of its name; the id of an earlier run resumes it"
    )
    add_tags(parser, "a word about the run, by which `aiodag runs --tag` finds it; may be repeated")
    add_execution(parser)


def add_resume(group: CommandGroup) -> None:
    """Add `resume`."""
    parser = add_command(
        group,
        "resume",
        table.carry_out_resume,
        "continue a run: recall what succeeded, run the rest",
        "aiodag resume etl-1a2b3c4d --from etl.json",
    )
    add_one_run(parser)
    add_source(parser)
    add_again(parser)
    add_execution(parser)


def add_plan(group: CommandGroup) -> None:
    """Add `plan`."""
    parser = add_command(
        group,
        "plan",
        table.carry_out_plan,
        "print what resuming a run, or running a workflow, would run, and run nothing",
        "aiodag plan etl-1a2b3c4d --from etl.json",
    )
    parser.add_argument("run", metavar="RUN|TARGET", help=f"the id of a run; or {TARGET}")
    add_source(parser)
    add_again(parser)
    add_parameters(parser)
    add_capacity(parser)


def add_source(parser: Parser) -> None:
    """Add where an edited definition is."""
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="an edited definition: FILE.json or FILE.py:NAME; what changed and what needs it runs again",
    )


def add_again(parser: Parser) -> None:
    """Add nodes that are to run again."""
    parser.add_argument(
        "--again",
        action="append",
        default=[],
        metavar="TASK",
        help="run this again, with what its body calls and what needs it: a task, a label or the number of a node; "
        "may be repeated, also for runs that succeeded",
    )


def add_parameters(parser: Parser) -> None:
    """Add the parameters of a task or a workflow."""
    parser.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter; may be repeated, with the same name to give a workflow more values, as a list in JSON does",
    )


def add_tags(parser: Parser, purpose: str) -> None:
    """Add tags."""
    parser.add_argument(
        "--tag", dest="tags", action="append", default=[], type=pair, metavar="NAME=VALUE", help=purpose
    )


def add_execution(parser: Parser) -> None:
    """Add how to run."""
    parser.add_argument("--limit", metavar="N", type=count, help="how many nodes run at once")
    add_capacity(parser)
    parser.add_argument("--fail-fast", action="store_true", help="the first failure cancels the rest")


def add_capacity(parser: Parser) -> None:
    """Add what there is for tasks that ask for resources."""
    parser.add_argument(
        "--capacity",
        action="append",
        default=[],
        type=named_amount,
        metavar="RESOURCE=AMOUNT",
        help="how much of a resource there is for tasks that ask for some; may be repeated",
    )


def add_one_run(parser: Parser) -> None:
    """Add the id of a run."""
    parser.add_argument("run", metavar="RUN", help="the id of a run, as `aiodag runs` lists them")


# Look


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


# By name


def add_register(group: CommandGroup) -> None:
    """Add `register`."""
    parser = add_command(
        group,
        "register",
        table.carry_out_register,
        "remember a workflow by its name, and run nothing",
        "aiodag register etl.json --name nightly --replace",
    )
    parser.add_argument("target", metavar="TARGET", help=SOURCE)
    parser.add_argument("--name", metavar="NAME", help="a name other than its own")
    parser.add_argument("--replace", action="store_true", help="replace the workflow of this name")


def add_list(group: CommandGroup) -> None:
    """Add `list`."""
    add_command(group, "list", table.carry_out_list, "list the registered workflows", "aiodag list --json")


def add_export(group: CommandGroup) -> None:
    """Add `export`."""
    parser = add_command(
        group,
        "export",
        table.carry_out_export,
        "write registered workflows as JSON, for import",
        "aiodag export nightly -o nightly-export.json",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="names of registered workflows, by default all")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")


def add_import(group: CommandGroup) -> None:
    """Add `import`."""
    parser = add_command(
        group,
        "import",
        table.carry_out_import,
        "register the workflows that export or list --json wrote",
        "aiodag import nightly-export.json --replace",
    )
    parser.add_argument("file", metavar="FILE", help="a file, or - for the standard input")
    parser.add_argument("--replace", action="store_true", help="replace the workflows of these names")


# Change


def add_cancel(group: CommandGroup) -> None:
    """Add `cancel`."""
    parser = add_command(
        group,
        "cancel",
        table.carry_out_cancel,
        "ask the process that owns a run to cancel it",
        "aiodag cancel main-1a2b3c4d",
    )
    add_one_run(parser)


def add_delete(group: CommandGroup) -> None:
    """Add `delete`."""
    parser = add_command(
        group,
        "delete",
        table.carry_out_delete,
        "delete runs by id, or ended runs by age and count; or a workflow with all runs of its name",
        "aiodag delete --older 30d --keep 10",
    )
    parser.add_argument(
        "which", metavar="NAME|RUN", nargs="*", help="ids of runs, or names: all runs of the name, and its workflow"
    )
    parser.add_argument("--older", metavar="AGE", type=duration, help="runs that ended longer ago: 90s, 15m, 12h, 30d")
    parser.add_argument("--keep", metavar="N", type=natural, help="of each name, all but the newest N")


def add_backup(group: CommandGroup) -> None:
    """Add `backup`."""
    parser = add_command(
        group,
        "backup",
        table.carry_out_backup,
        "copy the whole store to a new file, even while runs write to it",
        "aiodag backup runs-monday.db",
    )
    parser.add_argument("copy", metavar="FILE", help="the copy: a file that does not exist yet")


# Tell


def add_about(group: CommandGroup) -> None:
    """Add `info`."""
    add_command(
        group, "info", table.carry_out_about, "print the versions, the store and the extras", "aiodag info --json"
    )


def add_schema(group: CommandGroup) -> None:
    """Add `schema`."""
    add_command(group, "schema", table.carry_out_schema, "print the JSON Schema of workflow files", "aiodag schema")


def add_completion(group: CommandGroup) -> None:
    """Add `completion`."""
    parser = add_command(
        group,
        "completion",
        table.carry_out_completion,
        "print the completion of this command for a shell",
        'eval "$(aiodag completion bash)"',
    )
    parser.add_argument("shell", metavar="SHELL", nargs="?", choices=SHELLS, help="bash, zsh or fish")
    # Asked by the scripts, when somebody completes what only the store or a file knows.
    parser.add_argument("--words", choices=WORDS, help=argparse.SUPPRESS)
    parser.add_argument("--of", metavar="TARGET", help=argparse.SUPPRESS)


# By the names that they add, in the order of the help.
COMMANDS: dict[str, Callable[[CommandGroup], None]] = {
    "run": add_run,
    "resume": add_resume,
    "plan": add_plan,
    "runs": add_runs,
    "show": add_show,
    "log": add_log,
    "graph": add_graph,
    "register": add_register,
    "list": add_list,
    "export": add_export,
    "import": add_import,
    "cancel": add_cancel,
    "delete": add_delete,
    "backup": add_backup,
    "info": add_about,
    "schema": add_schema,
    "completion": add_completion,
}
