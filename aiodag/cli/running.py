"""Start and resume runs: show them go, let them be interrupted, say how they ended."""

import asyncio
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag.cli import output
from aiodag.cli.answers import say
from aiodag.cli.opening import only_once, serving
from aiodag.cli.progress import Progress, ProgressLines, one_line
from aiodag.cli.signals import Signals
from aiodag.errors import OptionError, RunCancelled, RunFailed
from aiodag.service.documents import plain_value, run_document
from aiodag.service.sites import refuse_typed

if TYPE_CHECKING:
    from aiodag import Run

FAILED = 1
# A failure in the report of a run.
FAILURE = re.compile(r"(?P<before> +(?:first of all )?)(?P<failure>.*)  \(called at (?P<site>.*)\)")
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
# What says how this process runs it, and its option.
ONLY_HERE = {
    "limit": "--limit",
    "capacity": "--capacity",
    "host": "--host",
    "executor": "--executor",
    "values": "--values",
    "fail_fast": "--fail-fast",
}
Begin = Callable[..., Coroutine[Any, Any, Any]]


class Ended(NamedTuple):
    """How a run ended for this process: a value, or an error, and the first signal that came, or 0."""

    value: Any
    error: BaseException | None
    signal: int


def begin_run(args: Namespace) -> int:
    """Begin a run with a task or a workflow, and return the exit code."""
    tags = only_once("--tag", args.tags)
    capacity = only_once("--capacity", args.capacity) or None
    with serving(args) as service, watching(args) as progress:
        where = {"host": args.host, "executor": args.executor}
        target = service.target(args.target, args.parameters, capacity=capacity, **where)
        refuse_typed(target, where)
        begin = partial(service.start, target, run_id=args.id, tags=tags, capacity=capacity)
        ended = run_to_end(begin, args, progress, f"{service.spell(args.target, target)}, in {service.place}")
    return report_ended(args, progress, ended)


def resume(args: Namespace) -> int:
    """Go on with a run, or have a worker do so, and return the exit code."""
    if args.queue is not None:
        return requeue(args)
    with serving(args) as service, watching(args) as progress:
        capacity = only_once("--capacity", args.capacity) or None
        again = service.again(args.run, source=args.source, capacity=capacity)  # before the loop: it imports
        where = {"host": args.host, "executor": args.executor}
        again = again._replace(target=service.elsewhere(again.target, **where))
        refuse_typed(again.target, where)
        begin = partial(service.resume, again, again=args.again, capacity=capacity)
        edited = f" from {args.source}" if args.source else ""
        ended = run_to_end(begin, args, progress, f"resumed{edited}, in {service.place}")
    return report_ended(args, progress, ended)


def requeue(args: Namespace) -> int:
    """Queue a run again, and return the exit code."""
    for name, option in ONLY_HERE.items():
        if getattr(args, name) not in (None, False, []):
            raise OptionError(option, "", "effect without --queue: how a worker runs it is said where that is started")
    with serving(args) as service:
        run = service.requeue(args.run, source=args.source, again=args.again, queue=args.queue or None)
        edited = f" from {args.source}" if args.source else ""
        text = f"run {run.id!r} waits in the queue {run.queue!r}, to be resumed{edited}"
        say(args, run_document(run), "" if args.quiet else text)
    return 0


def watching(args: Namespace) -> Progress:
    """Return what shows the progress here: nothing, lines, or a drawing where there is a terminal and rich."""
    if args.quiet:
        return Progress()
    if output.is_terminal(sys.stderr):
        with suppress(ImportError):
            from aiodag.cli.rich import Screen  # noqa: PLC0415 - only who has a terminal needs it

            return Screen()
    return ProgressLines()


def run_to_end(begin: Begin, args: Namespace, progress: Progress, where: str) -> Ended:
    """Run to the end. What keeps the run from beginning is raised; what ends it later is returned."""
    with Interrupts(progress) as interrupts:

        def opened(run: "Run") -> None:
            interrupts.opened(run)
            progress.opened(run, where)
            run.loop.set_exception_handler(partial(report_hook, args, progress))

        coroutine = begin(observers=[progress], limit=args.limit, fail_fast=args.fail_fast, opened=opened)
        try:
            value = asyncio.run(coroutine)
        except (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit) as error:
            if progress.run is None:
                raise
            progress.finish()
            return Ended(None, error, interrupts.first)
    progress.finish()
    return Ended(value, None, interrupts.first)


def report_hook(args: Namespace, progress: Progress, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Print a line for a failed hook, as for a failed task. Leave other reports to the loop, which logs them."""
    if "hooks_of" not in context:
        loop.default_exception_handler(context)
        return
    if args.traceback:
        output.traceback(context["exception"])
    if not progress.speaks:
        output.error(f"{context['message']}: {one_line(context['exception'])}")


class Interrupts(Signals):
    """Answers signals: the first drains the run, the second stops it, the third ends the process."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(self._pass_on)
        self._progress = progress
        self._run: Run | None = None
        self.first = 0

    def opened(self, run: "Run") -> None:
        """Take note of the run that is to be drained."""
        self._run = run

    def _pass_on(self, number: int, count: int) -> None:
        if self._run is None or self._run.loop.is_closed():
            raise KeyboardInterrupt
        self.first = self.first or number
        # Said and done in the loop: a handler may come in the middle of printing, or of a move.
        self._run.loop.call_soon_threadsafe(self._end_run, self._run, number, count)

    def _end_run(self, run: "Run", number: int, count: int) -> None:
        name = NAMES[signal.Signals(number)]
        if count == 1:
            self._progress.say(f"{name}: what runs may end, nothing more starts; once again stops at once")
            run.drain()
        else:
            self._progress.leave()  # the next signal may end the process in the middle of a drawing
            self._progress.say(f"{name}: stopping; once again leaves what will not stop")
            run.stop()


# The end


def report_ended(args: Namespace, progress: Progress, ended: Ended) -> int:
    """Print the value, or say why there is none, and return the exit code."""
    run = progress.run
    assert run is not None
    reason = "" if ended.error is None else reason_of_end(run, ended)
    if args.json:
        output.put_json(
            {
                "id": run.id,
                "name": run.name,
                "state": str(run.state),
                "counts": {str(state): count for state, count in progress.counts.items() if count},
                "recalled": progress.recalled,
                "value": plain_value(ended.value),
                "error": reason or None,
            }
        )
    elif ended.value is not None and run.definition is None:
        output.write_lines(repr(ended.value))
    if ended.error is None:
        return 0
    if args.traceback:
        output.traceback(ended.error)
    output.error(reason if args.quiet else without_errors(reason, run))
    if isinstance(ended.error, RunFailed) and not ended.signal and not args.quiet and lasts(run):
        output.write_remark(f"`aiodag resume {run.id}` runs what has not succeeded")
    return 128 + ended.signal if ended.signal else 130 if isinstance(ended.error, KeyboardInterrupt) else FAILED


def lasts(run: "Run") -> bool:
    """Return True if another process can go on with a run: its store is not in the memory of this one."""
    return not str(run.store).startswith("memory:")


def reason_of_end(run: "Run", ended: Ended) -> str:
    """Return why a run has no value."""
    error = ended.error
    if isinstance(error, RunFailed):
        report = str(error.message)
        return f"{report}\n{how_to_go_on(run)}" if ended.signal else report
    if ended.signal or isinstance(error, KeyboardInterrupt):
        return how_to_go_on(run)
    if isinstance(error, RunCancelled):
        return str(error)
    if isinstance(error, asyncio.CancelledError):
        return f"run {run.id!r} was cancelled by its own tasks"
    if isinstance(error, SystemExit):
        called = f"run {run.id!r} was cancelled: sys.exit({error.code!r}) was called outside of the body of a task"
        return f"{called}, such as in an asyncio task that a body made (--traceback shows where)"
    assert error is not None
    return one_line(error)


def without_errors(report: str, run: "Run") -> str:
    """Return the report of a run whose failures have been told when they happened: where each was called."""
    labels = {each.text: each.root for each in run.failed}
    return "\n".join(without_error(line, labels) for line in report.split("\n"))


def without_error(line: str, labels: Mapping[str, str]) -> str:
    """Return a line of a report without the error, if it is one of a failure."""
    found = FAILURE.fullmatch(line)
    if found is None or found["failure"] not in labels:
        return line
    return f"{found['before']}{labels[found['failure']]}, called at {found['site']}"


def how_to_go_on(run: "Run") -> str:
    """Return how to go on."""
    return f"run {run.id!r} was interrupted; `aiodag resume {run.id}` runs what has not succeeded"
