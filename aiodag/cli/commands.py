"""Look at runs, and change them: a function for each command, which calls the service and prints its answer."""

import asyncio
import sys
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from aiodag._core.graph import Graph
from aiodag._core.plan import plan as planned
from aiodag._core.states import State
from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.grammar import FORMATS
from aiodag.cli.opening import serving
from aiodag.entry import bind, entry_of, loaded, parse_target
from aiodag.errors import OptionError
from aiodag.service import Service
from aiodag.stores.records import AttemptRecord, NodeRecord

PAUSE = 0.25  # seconds between two looks at a run that is followed


def say(args: Namespace, document: Any, text: str) -> None:
    """Print an answer: as JSON where that is asked for, else as text, coloured on a terminal that has rich."""
    if args.json:
        output.put_json(document)
    else:
        say_text(text)


def say_text(text: str) -> None:
    """Print a text, coloured on a terminal that has rich."""
    if text and not (output.is_terminal(sys.stdout) and coloured(text)):
        output.put(text)


def coloured(text: str) -> bool:
    """Print in colours; return whether that could be done."""
    try:
        rich = import_module("aiodag.cli.rich")
    except ImportError:
        return False
    rich.print_coloured(text)
    return True


def remark(args: Namespace, text: str) -> None:
    """Say what nobody asked for, unless nobody wants to hear it."""
    if not args.quiet:
        output.remark(text)


# Look


def runs(args: Namespace) -> int:
    """List the runs."""
    with serving(args) as service:
        found = service.runs(name=args.name, state=args.state, limit=args.limit)
        if not found:
            remark(args, f"no such runs in {service.place}")
        text = shown.table([shown.HEAD, *map(shown.run_line, found)]) if found else ""
        say(args, [shown.run_document(each) for each in found], text)
        return 0


def show(args: Namespace) -> int:
    """Show one run."""
    with serving(args) as service:
        run, nodes = service.run(args.run), service.nodes(args.run)
        attempts: dict[int, list[AttemptRecord]] = defaultdict(list)
        for each in service.attempts(args.run):
            attempts[each.number].append(each)
        document = {
            "run": shown.run_document(run),
            "nodes": [shown.node_document(node, attempts[node.number]) for node in nodes],
            "edges": [shown.edge_document(each) for each in service.edges(args.run)],
        }
        say(args, document, shown.run_text(run, service.graph(args.run), nodes, attempts))
        return 0


def plan(args: Namespace) -> int:
    """Say what resuming would do."""
    with serving(args) as service:
        found = asyncio.run(service.plan(args.run))
    lines = [*(f"  {label}" for label in found.run), f"{len(found.run)} would run, {found.recalled} would be recalled"]
    say(args, {"run": found.run, "recalled": found.recalled}, "\n".join(lines))
    return 0


def log(args: Namespace) -> int:
    """Print the lines of a run, and follow it if asked."""
    with serving(args) as service:
        lines = Log(service, args.run, args.node)
        if args.follow:
            return followed(args, lines)
        found = lines.new()
    say(args, found, "\n".join(map(shown.log_text, found)))
    return 0


def followed(args: Namespace, lines: "Log") -> int:
    """Print lines as they come."""
    for document in lines.follow():
        if args.json:
            output.put_json(document, indent=None)
        else:
            output.put(shown.log_text(document))
        output.flush()
    if shown.is_orphan(lines.run):
        remark(args, f"the process of run {args.run!r} has gone; `aiodag resume {args.run}` goes on with it")
    return 0


class Log:
    """The lines of one run, of all nodes or of one, each given once."""

    def __init__(self, service: Service, run_id: str, node: str | None) -> None:
        self.service = service
        self.id = run_id
        self.node = node
        self.run = service.run(run_id)
        self._after = 0
        self._told: set[tuple[int, int]] = set()

    def follow(self) -> Iterator[dict[str, Any]]:
        """Give the lines as they come, until the run has ended or its process has gone."""
        while True:
            # The state first: what ended before the lines were read has written them all.
            self.run = self.service.run(self.id)
            began = time.monotonic()
            yield from self.new()
            if self.run.ended_at is not None or shown.is_orphan(self.run):
                return
            # A run of many nodes takes long to read: leave the store alone for most of the time.
            time.sleep(max(PAUSE, 4 * (time.monotonic() - began)))

    def new(self) -> list[dict[str, Any]]:
        """Return the lines since the last time, in the order of time."""
        # The lines first: a node is written no later than what it logs.
        lines = self.service.logs(self.id, after=self._after)
        self._after += len(lines)
        nodes = {node.number: node for node in self.service.nodes(self.id, every=True)}
        wanted = self._wanted(nodes)
        found = [shown.log_document(each, nodes) for each in lines if wanted is None or each.number in wanted]
        for each in self.service.attempts(self.id):
            failed = each.state is State.FAILED and (wanted is None or each.number in wanted)
            if failed and (each.number, each.attempt) not in self._told:
                self._told.add((each.number, each.attempt))
                found.append(shown.failure_document(each, nodes))
        return sorted(found, key=lambda document: str(document["at"]))

    def _wanted(self, nodes: dict[int, NodeRecord]) -> set[int] | None:
        if self.node is None:
            return None
        if self.run.ended_at is None and not any(
            self.node in {str(each.number), each.name, each.label} for each in nodes.values()
        ):
            return set()  # it may still be called
        return {each.number for each in self.service.matching(self.id, self.node)}


def about(args: Namespace) -> int:
    """Say which versions, store and extras there are."""
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
    """Return the graph of a file before anything runs, or of a run."""
    if parse_target(args.target)[0].endswith(".py"):
        entry = entry_of(args.target, args.parameters)
        found = loaded(entry)
        # The body that calls the others: of the task itself, a plan is one node. A plain function calls none.
        body = getattr(found, "fn", found)
        return planned(body if iscoroutinefunction(body) else found, **bind(entry, found))
    if args.parameters:
        raise OptionError("-p", args.parameters[0], "a value where the graph is that of a file; a run has its own")
    with serving(args) as service:
        return service.graph(args.target)


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
    # By name: only who wants a picture loads what draws it.
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


def delete(args: Namespace) -> int:
    """Delete runs."""
    with serving(args) as service:
        by_age = args.older is not None or args.keep is not None
        if by_age == bool(args.runs):
            raise OptionError("delete", " ".join(args.runs), "the ids of runs, or else --older AGE, --keep N or both")
        ids = list(dict.fromkeys(args.runs))
        if by_age:
            ids = service.prune(older=args.older, keep=args.keep)
        else:
            service.delete(*ids)
        text = "\n".join([*(f"deleted {each}" for each in ids), *([] if ids else ["nothing to delete"])])
        say(args, {"deleted": ids}, "" if args.quiet else text)
        return 0
