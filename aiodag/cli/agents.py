"""Run an agent until somebody stops it, and look after those of the settings."""

import asyncio
from argparse import Namespace
from typing import Any

from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.opening import only_once
from aiodag.cli.workers import speaker, stopping
from aiodag.errors import OptionError
from aiodag.programs import HostState
from aiodag.service.agents import (
    AgentOptions,
    NamedAgent,
    agent_server,
    is_exposed,
    look_at_agents,
    make_token,
)
from aiodag.wording import printable

HEAD = ("HOST", "ADDRESS", "STATE", "RUNNING", "FREE", "OF")
UNREACHABLE = 1  # the exit code


def run_agent(args: Namespace) -> int:
    """Run an agent until somebody stops this process; or make a token for one."""
    if args.new_token is not None:
        make_token(args.new_token)
        print_remark(args, f"written: {printable(args.new_token)}")
        return 0
    resources = only_once("--resources", args.resources) or None
    options = AgentOptions(
        args.listen,
        args.token_file,
        resources,
        args.certificate,
        args.key,
        args.orphan_grace,
        args.grace,
        args.directory,
    )
    server = agent_server(options)
    if is_exposed(options):
        print_remark(args, "without --certificate, others on the network can read the token and all that is sent")
    asyncio.run(serve_until_stopped(server, args))
    return 0


async def serve_until_stopped(server: Any, args: Namespace) -> None:
    """Serve until signals stop it."""
    with stopping(server.stop):
        await server.run(speaker(args))


def agents(args: Namespace) -> int:
    """List the agents of the settings, or drain one; return 1 if one cannot be reached."""
    if args.drain is not None and args.undrain is not None:
        raise OptionError("--undrain", args.undrain, "a host where --drain is not given: one at a time")
    change = "drain" if args.drain is not None else "undrain" if args.undrain is not None else None
    if change is not None and args.host is not None:
        raise OptionError("HOST", args.host, f"left out with --{change}, which names it")
    which = next((each for each in (args.drain, args.undrain, args.host) if each is not None), None)
    found = look_at_agents(which, change)
    if not found:
        print_remark(args, 'no agents in the settings: [hosts.NAME] with type = "agent" in aiodag.toml makes one')
    text = shown.table([HEAD, *map(agent_line, found)]) if found else ""
    say(args, [agent_document(each) for each in found], text)
    for each in found:
        if not each.state.reachable:
            output.error(printable(each.state.why))
    return UNREACHABLE if any(not each.state.reachable for each in found) else 0


def agent_line(agent: NamedAgent) -> tuple[str, ...]:
    """Return an agent as a row of a table."""
    state = agent.state
    return (
        printable(agent.host),
        agent.address,
        state_word(state),
        "" if state.running is None else str(state.running),
        resources_text(state.free),
        resources_text(state.resources),
    )


def state_word(state: HostState) -> str:
    """Return the state of a host in a word."""
    if not state.reachable:
        return "unreachable"
    return "drained" if state.drained else "ready"


def resources_text(amounts: Any) -> str:
    """Return resources in a line."""
    return " ".join(f"{printable(name)}={amount:.15g}" for name, amount in amounts.items()) or "-"


def agent_document(agent: NamedAgent) -> dict[str, object]:
    """Return an agent as JSON."""
    return {"host": agent.host, "address": agent.address, **state_document(agent.state)}


def state_document(state: HostState) -> dict[str, object]:
    """Return the state of a host as JSON."""
    return {
        "state": state_word(state),
        "why": state.why or None,
        "running": state.running,
        "free": dict(state.free),
        "resources": dict(state.resources),
    }
