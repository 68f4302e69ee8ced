"""What can be typed to run an agent, and to look after agents."""

from aiodag.cli import table
from aiodag.cli.parser import CommandGroup, add_command
from aiodag.cli.typed import duration, named_amount


def add_agent(group: CommandGroup) -> None:
    """Add `agent`."""
    parser = add_command(
        group,
        "agent",
        table.carry_out_agent,
        "run commands on this machine for runs on others, until Ctrl-C or SIGTERM",
        "aiodag agent --listen 127.0.0.1:2504 --resources cores=4 --token-file token",
    )
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", default="127.0.0.1:2504", help="where to listen (127.0.0.1:2504)"
    )
    parser.add_argument("--token-file", metavar="FILE", help="the file with the token that clients must have")
    parser.add_argument("--new-token", metavar="FILE", help="make a new token in a new file, and end")
    parser.add_argument(
        "--resources",
        metavar="NAME=AMOUNT",
        action="append",
        type=named_amount,
        default=[],
        help="what there is for commands, over all clients: cores=4 (the cores and memory_mb of this machine); may be repeated",
    )
    parser.add_argument("--certificate", metavar="FILE", help="a PEM file with a certificate, for TLS")
    parser.add_argument("--key", metavar="FILE", help="the PEM file with its key, unless that stands in the same file")
    parser.add_argument(
        "--orphan-grace",
        metavar="AGE",
        type=duration,
        default=60.0,
        help="how long a command goes on when nothing is heard of its owner (60s)",
    )
    parser.add_argument(
        "--grace",
        metavar="AGE",
        type=duration,
        default=30.0,
        help="how long what runs has to end after Ctrl-C or SIGTERM, before it is ended (30s)",
    )
    parser.add_argument(
        "--directory",
        metavar="DIRECTORY",
        help="where it keeps output until that is fetched; for one agent alone (~/.local/state/aiodag/agent-PORT)",
    )


def add_agents(group: CommandGroup) -> None:
    """Add `agents`."""
    parser = add_command(
        group,
        "agents",
        table.carry_out_agents,
        "list the agents of the settings, or drain one; exit code 1 if one cannot be reached",
        "aiodag agents --drain node1",
    )
    parser.add_argument("host", metavar="HOST", nargs="?", help="those of this host, or the one at this address")
    parser.add_argument("--drain", metavar="HOST", help="have it start nothing new; what runs goes on")
    parser.add_argument("--undrain", metavar="HOST", help="have it start commands again")


def add_hosts(group: CommandGroup) -> None:
    """Add `hosts`."""
    parser = add_command(
        group,
        "hosts",
        table.carry_out_hosts,
        "list the hosts of the settings: which can be reached, what they have; exit code 1 if one cannot",
        "aiodag hosts hpc",
    )
    parser.add_argument("host", metavar="HOST", nargs="?", help="only this one")
