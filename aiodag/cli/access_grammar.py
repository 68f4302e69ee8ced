"""What can be typed about who may use the server, and what they changed."""

from aiodag.cli import table
from aiodag.cli.parser import CommandGroup, add_command
from aiodag.cli.typed import count, duration

ACTIONS = ("list", "new", "revoke")


def add_token(group: CommandGroup) -> None:
    """Add `token`."""
    parser = add_command(
        group,
        "token",
        table.carry_out_token,
        "list the tokens of the server, make one, or revoke it",
        "aiodag token new ci --role operate --expires 30d",
    )
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        choices=ACTIONS,
        default="list",
        help="list; new: print a token, this once; revoke: it lets nobody in any more",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the token to make or to revoke")
    parser.add_argument(
        "--role",
        metavar="ROLE",
        choices=("read", "operate"),
        help="for new: read (the default), or operate, which may change things",
    )
    parser.add_argument(
        "--expires", metavar="AGE", type=duration, help="for new: how long it is valid: 12h, 30d (until it is revoked)"
    )


def add_audit(group: CommandGroup) -> None:
    """Add `audit`."""
    parser = add_command(
        group,
        "audit",
        table.carry_out_audit,
        "list what was changed through the server, newest first",
        "aiodag audit --about main-1a2b3c4d",
    )
    parser.add_argument("--who", metavar="NAME", help="only what was changed with the token of this name")
    parser.add_argument("--about", metavar="NAME|RUN", help="only what was about this run, schedule or queue")
    parser.add_argument("-n", "--limit", metavar="N", type=count, default=50, help="how many lines (50)")
    parser.add_argument(
        "--forget", metavar="AGE", type=duration, help="delete the lines that are older, and list nothing: 90d"
    )
