"""List the hosts of the settings."""

from argparse import Namespace

from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.agents import UNREACHABLE, resources_text, state_document, state_word
from aiodag.cli.answers import say
from aiodag.service.host_states import NamedState, look_at_hosts
from aiodag.wording import printable

HOSTS_HEAD = ("HOST", "TYPE", "TARGET", "STATE", "RUNNING", "FREE", "OF")


def hosts(args: Namespace) -> int:
    """List the hosts of the settings; return 1 if one cannot be reached."""
    found = look_at_hosts(args.host)
    say(args, [host_document(each) for each in found], shown.table([HOSTS_HEAD, *map(host_line, found)]))
    away = [each for each in found if not each.state.reachable]
    for each in away:
        output.error(printable(each.state.why))
    return UNREACHABLE if away else 0


def host_line(row: NamedState) -> tuple[str, ...]:
    """Return a host as a row of a table."""
    state = row.state
    running = "" if state.running is None else str(state.running)
    facts = (state_word(state), running, resources_text(state.free), resources_text(state.resources))
    return (printable(row.host), row.type, printable(row.target), *facts)


def host_document(row: NamedState) -> dict[str, object]:
    """Return a host as JSON."""
    return {"host": row.host, "type": row.type, "target": row.target, **state_document(row.state)}
