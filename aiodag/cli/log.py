"""Show what happened in runs: states of the newest of a name, lines of one, attempts of a task; once, or as they come."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from aiodag.cli import attempts, output, views
from aiodag.cli import show as shown
from aiodag.cli.answers import on_terminal, remark, say, say_states, say_text
from aiodag.cli.opening import serving
from aiodag.cli.written import Written
from aiodag.errors import OptionError
from aiodag.records import NodeRecord, RunRecord
from aiodag.service import Service
from aiodag.service.recorded import among
from aiodag.states import State

PAUSE = 0.25  # seconds between two looks at a run that is followed
Document = dict[str, Any]


def log(args: Namespace) -> int:
    """Show the newest runs of a name, or the lines of one run, and follow it if asked."""
    if args.task is not None and (args.node is not None or args.style is not None):
        given = f"--style {args.style}" if args.node is None else args.node
        raise OptionError("--task", args.task, f"the attempts of one task, without {given}")
    with serving(args) as service:
        found = service.newest(args.run, args.limit)
        if not found:
            remark(args, f"workflow {args.run!r} has no runs yet")
            say(args, [], "")
            return 0
        if args.follow:
            return follow(args, service, found[0])
        answer(args, service, found)
    return 0


def answer(args: Namespace, service: Service, found: list[RunRecord]) -> None:
    """Print what was asked for about runs."""
    if args.task is not None:
        told = attempts.told_of(service, found, args.task)
        if not told:
            remark(args, f"{args.task!r} has had no attempt")
        say(args, list(map(attempts.document, told)), "\n\n".join(map(attempts.text, told)))
    elif is_about_lines(args, found):
        lines = Log(service, found[0].id, args.node).new(last=True)
        say(args, lines, "\n".join(map(shown.log_text, lines)))
    elif args.json:
        output.put_json([shown.whole(service, run) for run in found])
    else:
        views_of = [views.states_text(run, service.graph(run.id), args.style or "flat") for run in found]
        say_states("\n\n".join(views_of))


def is_about_lines(args: Namespace, found: list[RunRecord]) -> bool:
    """Return True if the lines of a run were asked for: by its id, or by a node."""
    return args.node is not None or (args.style is None and found[0].id == args.run)


# Follow


def follow(args: Namespace, service: Service, run: RunRecord) -> int:
    """Print lines as they come; on a terminal with rich, draw the states below them where these were asked for."""
    lines = Log(service, run.id, args.task if args.task is not None else args.node)
    states = args.style is not None or not (is_about_lines(args, [run]) or args.task is not None)
    make = on_terminal("Drawing") if states and not args.json else None
    drawing: AbstractContextManager[Any] = nullcontext() if make is None else make()
    with drawing as screen:
        for documents in lines.follow():
            for each in documents:
                put_line(args, each, say_text if screen is None else screen.put)
            if screen is not None:
                screen.draw(views.states_text(lines.run, service.graph(run.id), args.style or "flat"))
            output.flush()
    if states and make is None and not args.json:
        say_states(views.states_text(lines.run, service.graph(run.id), args.style or "flat"))
    if shown.is_orphan(lines.run):
        remark(args, f"the process of run {run.id!r} has gone; `aiodag resume {run.id}` goes on with it")
    return 0


def put_line(args: Namespace, document: Document, put: Callable[[str], object]) -> None:
    """Print one line of a log."""
    if args.json:
        output.put_json(document, indent=None)
    else:
        put(shown.log_text(document))


class Log:
    """The lines of one run, of all nodes or of one, each given once."""

    def __init__(self, service: Service, run_id: str, node: str | None) -> None:
        self.service = service
        self.id = run_id
        self.node = node
        self.run = service.run(run_id)
        self._after = 0
        self._told: set[tuple[int, int]] = set()
        self._written = Written()

    def follow(self) -> Iterator[list[Document]]:
        """Give the lines as they come, until the run has ended or its process has gone."""
        while True:
            # The state first: what ended before the lines were read has written them all.
            self.run = self.service.run(self.id)
            began = time.monotonic()
            over = self.run.ended_at is not None or shown.is_orphan(self.run)
            yield self.new(last=over)
            if over:
                return
            # A run of many nodes takes long to read: leave the store alone for most of the time.
            time.sleep(max(PAUSE, 4 * (time.monotonic() - began)))

    def new(self, *, last: bool) -> list[Document]:
        """Return the lines since the last time, in the order of time; the last time also those that nobody has ended."""
        # The lines first: a node is written no later than what it logs.
        lines = self.service.logs(self.id, after=self._after)
        self._after += len(lines)
        parts = self.service.output(self.id, after=self._written.after)
        nodes = {node.number: node for node in self.service.nodes(self.id, every=True)}
        wanted = self._wanted(nodes)
        found = [shown.log_document(each, nodes) for each in lines if wanted is None or each.number in wanted]
        written = self._written.lines(parts, last=last)
        found += [shown.written_document(each, nodes) for each in written if wanted is None or each.number in wanted]
        for each in self.service.attempts(self.id):
            failed = each.state is State.FAILED and (wanted is None or each.number in wanted)
            if failed and (each.number, each.attempt) not in self._told:
                self._told.add((each.number, each.attempt))
                found.append(shown.failure_document(each, nodes))
        return sorted(found, key=lambda document: str(document["at"]))

    def _wanted(self, nodes: dict[int, NodeRecord]) -> set[int] | None:
        if self.node is None:
            return None
        found = among(nodes.values(), self.node)
        if not found and self.run.ended_at is None:
            return set()  # it may still be called
        return {each.number for each in found or self.service.matching(self.id, self.node)}
