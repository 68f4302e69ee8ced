"""Show what happened in runs: states of the newest of a name, lines of one, attempts of a task; once, or as they come."""

from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext

from aiodag.cli import output, views
from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, rich_here, say, say_states, say_text
from aiodag.cli.attempts import story_text
from aiodag.cli.opening import serving
from aiodag.errors import AiodagError
from aiodag.records import RunRecord
from aiodag.service import Service
from aiodag.service.attempts import attempt_stories, story_document
from aiodag.service.documents import Document, whole_document
from aiodag.service.follow import SLOW

DRAWN = 0.25  # seconds between two looks at a run whose states are drawn


def log(args: Namespace) -> int:
    """Show the newest runs of a name, or the lines of one run, and follow it if asked."""
    if args.task is not None and (args.node is not None or args.style is not None):
        given = f"--style {args.style}" if args.node is None else f"the node {args.node!r}"
        msg = f"--task {args.task!r} cannot be combined with {given}. Leave one of them out: --task prints the attempts of one task, and nothing else"
        raise AiodagError(msg)
    with serving(args) as service:
        found = service.newest(args.run, args.limit)
        if not found:
            print_remark(args, f"workflow {args.run!r} has no runs yet")
            say(args, [], "")
            return 0
        if args.follow:
            return follow_log(args, service, found[0])
        print_log(args, service, found)
    return 0


def print_log(args: Namespace, service: Service, found: list[RunRecord]) -> None:
    """Print what was asked for about runs."""
    if args.task is not None:
        stories = attempt_stories(service, found, args.task)
        if not stories:
            print_remark(args, f"{args.task!r} has had no attempt")
        say(args, list(map(story_document, stories)), "\n\n".join(map(story_text, stories)))
    elif is_about_lines(args, found):
        lines = service.follow(found[0].id, args.node).look_at_all()
        if not lines:
            which = f"run {found[0].id!r}" if args.node is None else f"{args.node!r}"
            print_remark(args, f"{which} has logged and written nothing, and no attempt of it has failed")
        say(args, lines, "\n".join(map(shown.log_text, lines)))
    elif args.json:
        output.put_json([whole_document(service, run.id) for run in found])
    else:
        views_of = [views.states_text(run, service.graph(run.id), args.style or "flat") for run in found]
        say_states("\n\n".join(views_of))


def is_about_lines(args: Namespace, found: list[RunRecord]) -> bool:
    """Return True if the lines of a run were asked for: by its id, or by a node."""
    return args.node is not None or (args.style is None and found[0].id == args.run)


# Follow


def follow_log(args: Namespace, service: Service, run: RunRecord) -> int:
    """Print lines as they come; on a terminal with rich, draw the states below them where these were asked for."""
    follower = service.follow(run.id, args.task if args.task is not None else args.node)
    states = args.style is not None or not (is_about_lines(args, [run]) or args.task is not None)
    rich = rich_here() if states and not args.json else None
    drawing = nullcontext() if rich is None else rich.LiveStates()
    away = False
    with drawing as screen:
        for documents in follower.looks(patience=SLOW if screen is None else DRAWN):
            if follower.away and not away:
                print_remark(args, f"{follower.away}: it is waited for")
            away = bool(follower.away)
            for each in documents:
                put_line(args, each, say_text if screen is None else screen.put)
            if screen is not None and not away:
                screen.draw(views.states_text(follower.run, service.graph(run.id), args.style or "flat"))
            output.flush()
    if states and rich is None and not args.json:
        say_states(views.states_text(follower.run, service.graph(run.id), args.style or "flat"))
    if follower.run.orphan:
        print_remark(args, f"the process of run {run.id!r} has gone; `aiodag resume {run.id}` goes on with it")
    return 0


def put_line(args: Namespace, document: Document, put: Callable[[str], object]) -> None:
    """Print one line of a log."""
    if args.json:
        output.put_json(document, indent=None)
    else:
        put(shown.log_text(document))
