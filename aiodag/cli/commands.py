"""Look at runs, and change them: a function for each command, which calls the service and prints its answer."""

import asyncio
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from aiodag._core.graph import Graph
from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.answers import remark, say, say_text
from aiodag.cli.grammar import FORMATS
from aiodag.cli.opening import only_once, serving
from aiodag.errors import OptionError
from aiodag.records import RunRecord
from aiodag.service.starting import Resumption
from aiodag.states import State
from aiodag.wording import printable

MOST = 20  # runs that are listed unless somebody wants more

# Look


def runs(args: Namespace) -> int:
    """List the runs."""
    with serving(args) as service:
        whole = args.limit is None and (args.all or args.json)
        limit = None if whole else args.limit or MOST + 1  # one more than is shown: there may be others
        tags = only_once("--tag", args.tags)
        found = service.runs(name=args.name, state=args.state, tags=tags, since=args.since, limit=limit)
        others = args.limit is None and not whole and len(found) > MOST
        # A document of all runs begins with the oldest, so that it only grows at its end.
        found = found if args.json and whole else found[::-1]
        found = found[:MOST] if others else found
        if not found:
            remark(args, f"no such runs in {service.place}")
        text = shown.table([shown.HEAD, *map(shown.run_line, found)]) if found else ""
        say(args, [shown.run_document(each) for each in found], text)
        if others:
            remark(args, f"the newest {len(found)}, and there are more: --all lists every one, -n N the newest N")
        return 0


def show(args: Namespace) -> int:
    """Show one run, or one node of it."""
    with serving(args) as service:
        run = service.run(args.run)
        if args.value:
            if args.node is None:
                raise OptionError("--value", args.run, "given with a node: aiodag show RUN NODE --value")
            value = shown.value_of(service, run, args.node)
            say(args, shown.plain_value(value), repr(value))
        elif args.node is not None:
            nodes = service.matching(run.id, args.node)
            say(args, shown.some(service, run, nodes), shown.nodes_text(service, run, nodes))
        elif args.failed:
            nodes = [node for node in service.nodes(run.id) if node.state is State.FAILED]
            say(args, shown.some(service, run, nodes), shown.nodes_text(service, run, nodes))
            if not nodes:
                remark(args, f"no node of run {run.id!r} failed")
        elif args.json:
            output.put_json(shown.whole(service, run))
        else:
            say_text(shown.run_text(run, service.graph(run.id), service))
        return 0


def plan(args: Namespace) -> int:
    """Print what resuming a run, or running a file, would do."""
    capacity = only_once("--capacity", args.capacity) or None
    with serving(args) as service:
        found = service.find(args.run, args.parameters, capacity=capacity)
        if isinstance(found, RunRecord):
            no_parameters(args)
            again = service.again(found.id, source=args.source, capacity=capacity)  # before the loop: it imports
            planned = asyncio.run(service.plan(again, capacity=capacity, again=args.again))
        elif args.source is not None:
            raise OptionError("--from", args.source, "given with a run that is to be resumed")
        elif args.again:
            raise OptionError("--again", args.again[0], "given with a run that is to be resumed")
        else:
            service.refuse(found, capacity)
            planned = Resumption([each.label for each in service.preview(found).nodes if not each.barrier], 0)
    counts = f"{len(planned.run)} would run, {planned.recalled} would be recalled"
    lines = [
        *(f"  {printable(label)}" for label in planned.run),
        *(f"  {printable(label)} stays failed" for label in planned.failed),
        counts,
    ]
    if planned.continues:
        lines.append("its process has died, so it is continued: what had failed stays failed")
    told: dict[str, Any] = {"run": planned.run, "recalled": planned.recalled}
    told |= {"failed": planned.failed} if planned.failed else {}
    told |= {"continues": True} if planned.continues else {}
    say(args, told, "\n".join(lines))
    return 0


def no_parameters(args: Namespace) -> None:
    """Refuse parameters for a run that exists."""
    if args.parameters:
        raise OptionError("-p", args.parameters[0], "a value for what has not begun; a run has its own")


def about(args: Namespace) -> int:
    """Print which versions, store and extras there are."""
    with serving(args) as service:
        found = service.about()
    say(args, found, shown.table(list(found.items())))
    return 0


# Draw


def graph(args: Namespace) -> int:
    """Draw a run, or what a file would run."""
    form = format_of(args)
    content = drawn(graph_of(args), form)
    if args.output:
        Path(args.output).write_bytes(content.encode() if isinstance(content, str) else content)
        remark(args, f"written: {args.output}")
    elif isinstance(content, bytes):
        if sys.stdout.isatty():
            raise OptionError("format", form, "-o FILE with it, or a pipe: it would do strange things to a terminal")
        output.write_bytes(content)
    elif form == "txt":
        say_text(content)
    else:
        output.write(content if content.endswith("\n") else f"{content}\n")
    return 0


def graph_of(args: Namespace) -> Graph:
    """Return the graph of a run, or of a file before anything runs."""
    with serving(args) as service:
        found = service.find(args.target, args.parameters)
        if not isinstance(found, RunRecord):
            return service.preview(found)
        no_parameters(args)
        return service.graph(found.id)


def format_of(args: Namespace) -> str:
    """Return the format: as said, else as the file ends, else text."""
    if args.format:
        return str(args.format)
    if args.json:
        return "json"
    if not args.output:
        return "txt"
    ending = Path(args.output).suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        raise OptionError(
            "-o", args.output, f"a file that ends in {', '.join(f'.{each}' for each in FORMATS)}; or say --format"
        )
    return ending


def drawn(graph: Graph, form: str) -> str | bytes:
    """Return a graph in a format."""
    if form == "txt":
        has_run = any(node.started is not None for node in graph.nodes)
        return "\n\n".join([graph.to_text(), *([graph.timeline()] if has_run else [])])
    texts = {"mmd": graph.to_mermaid, "dot": graph.to_dot}
    if form in texts:
        return texts[form]()
    if form == "json":
        return graph.to_json(indent=2)
    # By name: what draws is loaded only if a picture is wanted.
    picture: str | bytes = getattr(import_module("aiodag.pictures"), form)(graph)
    return picture


# Change


def cancel(args: Namespace) -> int:
    """Ask for a run to be cancelled."""
    with serving(args) as service:
        asked = service.cancel(args.run)
        state = service.run(args.run).state
        if not asked:
            text = f"run {args.run!r} has ended: {state}"
        else:
            text = f"run {args.run!r} is cancelled" if state.final else f"asked run {args.run!r} to cancel"
        say(args, {"id": args.run, "asked": asked, "state": str(state)}, "" if args.quiet else text)
        return 0
