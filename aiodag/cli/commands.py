"""Look at runs, and change them: a function for each command, which calls the service and prints its answer."""

import asyncio
import sys
from argparse import Namespace
from pathlib import Path

from aiodag import Graph, State
from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say, say_text
from aiodag.cli.look_grammar import FORMATS
from aiodag.cli.opening import only_once, serving
from aiodag.errors import AiodagError, OptionError
from aiodag.records import RunRecord
from aiodag.service import Resumption
from aiodag.service.documents import (
    node_documents,
    plain_value,
    plan_document,
    readable_value,
    run_document,
    whole_document,
)
from aiodag.service.drawing import drawing_of
from aiodag.service.resumption import ParkedPlan
from aiodag.service.settings_shown import setting_rows, unread_variables
from aiodag.wording import count_text, printable

SETTINGS_HEAD = ("SETTING", "VALUE", "FROM")
MOST = 20  # runs that are listed unless somebody wants more

# Look


def runs(args: Namespace) -> int:
    """List the runs."""
    with serving(args) as service:
        whole = args.limit is None and (args.all or args.json)
        limit = None if whole else args.limit or MOST + 1  # one more than is shown: there may be others
        tags = only_once("--tag", args.tags)
        found = service.runs(
            name=args.name,
            state=args.state,
            tags=tags,
            since=args.since,
            limit=limit,
            queue=args.queue,
            parent=args.parent,
            schedule=args.schedule,
        )
        others = args.limit is None and not whole and len(found) > MOST
        # A document of all runs begins with the oldest, so that it only grows at its end.
        found = found if args.json and whole else found[::-1]
        found = found[:MOST] if others else found
        if not found:
            asked = (args.name, args.state, args.queue, args.parent, args.schedule, args.tags)
            chosen = any(asked) or args.since is not None
            print_remark(args, f"no {'such ' if chosen else ''}runs in {service.place}")
        text = shown.table([shown.HEAD, *map(shown.run_line, found)]) if found else ""
        say(args, [run_document(each) for each in found], text)
        if others:
            print_remark(args, f"the newest {len(found)}, and there are more: --all lists every one, -n N the newest N")
        return 0


def show(args: Namespace) -> int:
    """Show one run, or one node of it."""
    with serving(args) as service:
        run = service.head(args.run)
        if args.value:
            if args.node is None:
                msg = "--value of which node? Give one, as in `aiodag show RUN NODE --value`"
                raise AiodagError(msg)
            value = readable_value(service, run, args.node)
            say(args, plain_value(value), repr(value))
        elif args.node is not None:
            nodes = service.matching(run.id, args.node)
            say(args, node_documents(service, run, nodes), shown.nodes_text(service, run, nodes))
        elif args.failed:
            nodes = service.nodes(run.id, state=State.FAILED)
            say(args, node_documents(service, run, nodes), shown.nodes_text(service, run, nodes))
            if not nodes:
                print_remark(args, f"no node of run {run.id!r} failed")
        elif args.json:
            output.put_json(whole_document(service, run.id))
        else:
            say_text(shown.run_text(run, service.graph(run.id), service))
        return 0


def print_parked(args: Namespace) -> int:
    """Print which parked runs would not find again what they wait for; return 1 if there may be any."""
    with serving(args) as service:
        planned = asyncio.run(service.plan_parked(args.parked, args.run))
        if not planned and not service.runs(name=args.parked, limit=1):
            print_remark(args, f"no run in {service.place} has the name {args.parked!r}")
    doubtful = [each for each in planned if not each.finds]
    unsure = sum(bool(each.first) for each in doubtful)
    counts = f"{len(planned) - len(doubtful)} would find what they wait for, {len(doubtful) - unsure} would not"
    counts += f", {unsure} may" if unsure else ""
    lines = [line for each in doubtful for line in parked_lines(each)]
    lines.append(f"{count_text(len(planned), 'parked run')} of {printable(args.parked)}: {counts}")
    say(args, [each._asdict() for each in planned], "\n".join(lines))
    return int(bool(doubtful))


def parked_lines(plan: ParkedPlan) -> list[str]:
    """Return what is said of a parked run that would not find what it waits for, or not at once."""
    lines = [f"  {printable(plan.run)} waits for {printable(label)}" for label in plan.lost]
    lines += [f"    and would run {printable(label)} first: it may come to that then" for label in plan.first]
    return [*lines, f"    {printable(plan.why)}"] if plan.why else lines


def print_plan(args: Namespace) -> int:
    """Print what resuming a run, or running a file, would do."""
    if args.parked is not None:
        return print_parked(args)
    capacity = only_once("--capacity", args.capacity) or None
    with serving(args) as service:
        found = service.find(args.run, args.parameters, capacity=capacity)
        if isinstance(found, RunRecord):
            no_parameters(args)
            again = service.again(found.id, source=args.source, capacity=capacity)  # before the loop: it imports
            planned = asyncio.run(service.plan(again, capacity=capacity, again=args.again))
        elif args.source is not None:
            raise OptionError("--from", args.source, "effect with a run that is to be resumed")
        elif args.again:
            raise OptionError("--again", args.again[0], "effect with a run that is to be resumed")
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
        lines.append("it has not ended, so it is continued: what had failed stays failed")
    say(args, plan_document(planned), "\n".join(lines))
    return 0


def no_parameters(args: Namespace) -> None:
    """Refuse parameters for a run that exists."""
    if args.parameters:
        raise OptionError("-p", args.parameters[0], "a value for what has not begun; a run has its own")


def print_about(args: Namespace) -> int:
    """Print which versions, store and extras there are, and each setting with where it comes from."""
    with serving(args) as service:
        found = service.about()
    rows = list(setting_rows({"store": args.store}))
    document = {**found, "settings": {row.name: {"value": row.value, "from": row.origin} for row in rows}}
    lines = [SETTINGS_HEAD, *((row.name, printable(row.text), printable(row.origin)) for row in rows)]
    say(args, document, f"{shown.table(list(found.items()))}\n\n{shown.table(lines)}")
    for name, hint in unread_variables():
        print_remark(args, f"{printable(name)}: nothing reads this variable; {hint}")
    return 0


# Draw


def graph(args: Namespace) -> int:
    """Draw a run, or what a file would run."""
    form = format_of(args)
    content = drawing_of(graph_to_draw(args), form)
    if args.output:
        Path(args.output).write_bytes(content.encode() if isinstance(content, str) else content)
        print_remark(args, f"written: {args.output}")
    elif isinstance(content, bytes):
        if sys.stdout.isatty():
            raise OptionError("format", form, "-o FILE with it, or a pipe: it would do strange things to a terminal")
        output.write_bytes(content)
    elif form == "txt":
        say_text(content)
    else:
        output.write(content if content.endswith("\n") else f"{content}\n")
    return 0


def graph_to_draw(args: Namespace) -> Graph:
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


# Change


def cancel(args: Namespace) -> int:
    """Ask for a run to be cancelled."""
    with serving(args) as service:
        asked = service.cancel(args.run)
        state = service.head(args.run).state
        if not asked:
            text = f"run {args.run!r} has ended: {state}"
        else:
            text = f"run {args.run!r} is cancelled" if state.final else f"asked run {args.run!r} to cancel"
        say(args, {"id": args.run, "asked": asked, "state": str(state)}, "" if args.quiet else text)
        return 0
