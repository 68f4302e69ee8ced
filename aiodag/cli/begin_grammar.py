"""What can be typed to begin runs and to continue them; and the arguments that other commands share with these."""

from aiodag.cli import table
from aiodag.cli.parser import CommandGroup, Parser, add_command
from aiodag.cli.typed import count, named_amount, pair

SOURCE = (
    "a file and what it has: a task or a workflow in FILE.py:NAME, without :NAME its main or the only one; "
    "or a workflow in FILE.json or FILE.yaml, one of several in FILE.yaml:NAME"
)
TARGET = f"{SOURCE}; or the name of a workflow that `aiodag list` has"


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
    parser.add_argument(
        "--queue",
        metavar="QUEUE",
        nargs="?",
        const="",
        help="have a worker continue it: put it into this queue, or without a name into its own, or default",
    )
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
    parser.add_argument(
        "--parked",
        metavar="NAME",
        help="say which parked runs of that name would not find what they wait for, if TARGET, a FILE.py, was deployed",
    )
    add_source(parser)
    add_again(parser)
    add_parameters(parser)
    add_capacity(parser)


def add_validate(group: CommandGroup) -> None:
    """Add `validate`."""
    parser = add_command(
        group,
        "validate",
        table.carry_out_validate,
        "print all that is wrong with files, and run nothing",
        "aiodag validate etl.yaml flows.py conf",
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="FILE.json, FILE.yaml or FILE.py, each also with :NAME; a folder, in which the JSON and YAML files "
        "count; or the name of a workflow in the folders of definitions",
    )


def add_source(parser: Parser) -> None:
    """Add where an edited definition is."""
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="an edited definition: FILE.json, FILE.yaml or FILE.py:NAME; what changed and what needs it runs again",
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
    add_places(parser)
    add_value_place(parser)
    parser.add_argument("--fail-fast", action="store_true", help="the first failure cancels the rest")


def add_value_place(parser: Parser) -> None:
    """Add where large values are kept."""
    parser.add_argument(
        "--values",
        metavar="PLACE",
        help="where large values are kept: a directory, or an address such as s3://bucket/values (AIODAG_VALUES)",
    )


def add_places(parser: Parser) -> None:
    """Add where commands and functions run that say nothing of it."""
    parser.add_argument(
        "--host", metavar="NAME", help="the host of commands that name none: one of the workflow, or of the settings"
    )
    parser.add_argument(
        "--executor",
        metavar="NAME",
        help="the executor of functions that name none: thread, process, or one of the workflow or the settings",
    )


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
