"""What is known of a target before anything runs: for `--help` after it, and for completion."""

from argparse import Namespace

from aiodag.cli import output
from aiodag.cli.opening import serving
from aiodag.service.folders import workflows_in_folders
from aiodag.service.settings import TABLES, settings
from aiodag.wording import printable

NAMES_OF_HERE = {"hosts": ("local",), "executors": ("thread", "process")}
MOST = 200  # ids that a shell offers: the newest


def describe(args: Namespace) -> int:
    """Print the parameters of a target."""
    with serving(args) as service:
        found = service.parameters(args.target)
    lines = [f"  -p {printable(name)}=VALUE  {printable(what)}" for name, what in found.items()]
    output.write_lines("\n".join(["", f"parameters of {printable(args.target)}:", *(lines or ["  none"])]))
    return 0


def completion_words(args: Namespace) -> list[str]:
    """Return what an argument can be, for completion: ids of runs, names, topics, schedules, hosts, or parameters of a target."""
    if args.words in TABLES:
        return [*NAMES_OF_HERE[args.words], *getattr(settings(), args.words)]
    with serving(args) as service:
        if args.words == "runs":
            return [run.id for run in service.runs(limit=MOST)[::-1]]
        if args.words == "topics":
            return [topic.name for topic in service.topics()]
        if args.words == "schedules":
            return [schedule.name for schedule in service.schedules()]
        if args.words == "parameters":
            return [f"{name}=" for name in service.parameters(args.of)] if args.of else []
        in_folders, _ = workflows_in_folders()
        registered = [each.name for each in service.workflows()]
        return [*dict.fromkeys([*registered, *(each.name for each in in_folders)])]
