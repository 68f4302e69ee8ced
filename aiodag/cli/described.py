"""What is known of a target before anything runs: for `--help` after it, and for completion."""

from argparse import Namespace

from aiodag.cli import output
from aiodag.cli.opening import serving
from aiodag.wording import printable


def describe(args: Namespace) -> int:
    """Print the parameters of a target."""
    with serving(args) as service:
        found = service.parameters(args.target)
    lines = [f"  -p {printable(name)}=VALUE  {printable(what)}" for name, what in found.items()]
    output.put("\n".join(["", f"parameters of {printable(args.target)}:", *(lines or ["  none"])]))
    return 0


def known(args: Namespace) -> list[str]:
    """Return what an argument can be, for completion: ids of runs, names, or parameters of a target."""
    with serving(args) as service:
        if args.words == "runs":
            return [run.id for run in service.runs()[::-1]]
        if args.words == "parameters":
            return [f"{name}=" for name in service.parameters(args.of)] if args.of else []
        return [each.name for each in service.workflows()]
