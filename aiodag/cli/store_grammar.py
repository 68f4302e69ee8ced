"""What can be typed to change what a store holds, or to copy it."""

from aiodag.cli import table
from aiodag.cli.begin_grammar import SOURCE, add_one_run, add_value_place
from aiodag.cli.parser import CommandGroup, add_command
from aiodag.cli.typed import duration, natural


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
        "which",
        metavar="NAME|RUN",
        nargs="*",
        help="ids of runs, or names: all runs of the name, its workflow and its schedule",
    )
    parser.add_argument("--older", metavar="AGE", type=duration, help="runs that ended longer ago: 90s, 15m, 12h, 30d")
    parser.add_argument("--keep", metavar="N", type=natural, help="of each name, all but the newest N")
    add_value_place(parser)


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


def add_migrate(group: CommandGroup) -> None:
    """Add `migrate`."""
    add_command(
        group,
        "migrate",
        table.carry_out_migrate,
        "make the tables of the store, or bring them up to date",
        "aiodag migrate --store postgresql://admin@db.example/runs",
    )


def add_copy(group: CommandGroup) -> None:
    """Add `copy`."""
    parser = add_command(
        group,
        "copy",
        table.carry_out_copy,
        "copy runs and registered workflows from one store to another",
        "aiodag copy runs.db postgresql://etl@db.example/etl monday",
    )
    parser.add_argument("source", metavar="FROM", help="the store that has them: a path or an address")
    parser.add_argument("target", metavar="TO", help="the store that gets them, which is made if it is not there")
    parser.add_argument(
        "which",
        metavar="NAME|RUN",
        nargs="*",
        help="ids or names; by default all that has ended, every workflow, and what cache= has kept",
    )
    parser.add_argument("--skip-existing", action="store_true", help="leave runs alone that the other store has")
