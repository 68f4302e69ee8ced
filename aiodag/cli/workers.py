"""Work on submitted runs until somebody stops the worker, and look who does."""

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.isolated import Children, Lifeline
from aiodag.cli.opening import serving, serving_store
from aiodag.cli.signals import Signals
from aiodag.queue_defaults import RUNS_AT_ONCE
from aiodag.service import Service, phrases
from aiodag.service.documents import worker_documents
from aiodag.service.loading import import_modules
from aiodag.service.relaying import carrier_of, end_tasks
from aiodag.service.scheduler import keep_scheduling
from aiodag.service.settings import DEFAULT, settings
from aiodag.service.tracing import run_traces
from aiodag.service.worker import QueueWorker, prune_hourly
from aiodag.submissions import WorkerRecord

HEAD = ("HOST", "PID", "STATE", "QUEUES", "LIMIT", "RUNS", "SINCE", "SEEN")
NOBODY = 1
DEAD = 1


def work(args: Namespace) -> int:
    """Work until somebody stops this process, and return the exit code."""
    with serving_store(args, "a worker") as service:
        queues = args.queues or [settings().queue.value]
        lifeline = Lifeline()
        observers = observers_wanted(args)
        supervises = args.isolate and not args.once
        if not supervises or args.transports:
            import_modules(args.modules)
        service.workers()  # which raises what is wrong with the store
        put_schedule_files(args, service)
        is_child = lifeline and args.once  # of a worker that keeps each run in a process of its own
        if not is_child:
            kept = "in processes of their own" if args.isolate else "at once"
            print_remark(args, f"works on {', '.join(queues)} in {service.place}, {runs_at_once(args)} runs {kept}")
        if supervises:
            return asyncio.run(supervise(args, service))
        worker = QueueWorker(
            service,
            queues,
            limit=1 if args.once else runs_at_once(args),
            grace=args.grace,
            pinned=args.pinned,
            keep=args.keep,
            once=args.once,
            linger=lingering(args),
            transports=args.transports,
            schedules=not is_child,  # who has started this process does that for all
            observers=observers,
            begun=lifeline.tell_taken if is_child else bool,
            say=speaker(args),
        )
        run_loop(worker)
    return 0


def put_schedule_files(args: Namespace, service: Service) -> None:
    """Add the schedules of the files that were named, and say what changed."""
    if args.schedule_files:
        found = service.add_schedules(*args.schedule_files)
        counts = ", ".join(f"{len(names)} {change}" for change, names in found._asdict().items())
        print_remark(args, f"schedules: {counts}")


def run_loop(worker: QueueWorker) -> None:
    """Run a loop with a worker. If a body ends it, as `sys.exit` in a task of asyncio does, this process dies of that."""
    with asyncio.Runner() as runner:
        try:
            runner.run(work_until_stopped(worker))
        except (KeyboardInterrupt, SystemExit, RuntimeError) as error:
            if not worker.works:
                raise
            # Given back, the run would be the first that the next worker takes, and end that one too, for ever.
            output.error(f"a body has ended the loop of this worker, which is counted as its death: {error!r}")
            output.flush()
            os._exit(DEAD)


def runs_at_once(args: Namespace) -> int:
    """Return how many runs go on at once: of those in processes of their own, one for each core."""
    given: int | None = args.limit or settings().limit.value
    return given or (os.cpu_count() or 1 if args.isolate else RUNS_AT_ONCE)


def traces_wanted(args: Namespace) -> bool:
    """Return whether runs and requests are to be traced."""
    return bool(args.trace or settings().trace.value)


def observers_wanted(args: Namespace) -> list[Any]:
    """Return what looks on at the runs of a worker. Raises `MissingExtra` and `OptionError`."""
    return [run_traces()] if traces_wanted(args) else []


def lingering(args: Namespace) -> float:
    """Return how many seconds a run that only waits is kept in the process."""
    given: float | None = args.linger
    return settings().linger.value if given is None else given


def speaker(args: Namespace) -> Callable[[str], object]:
    """Return what prints a line of a worker: with --quiet, nothing does."""
    return silent if args.quiet else output.write_remark


def silent(line: str) -> None:
    """Say nothing."""


async def work_until_stopped(worker: QueueWorker) -> None:
    """Work until signals stop the worker."""
    with stopping(worker.stop):
        await worker.run()


async def supervise(args: Namespace, service: Service) -> int:
    """Start workers of one run each until signals stop this process; return the exit code."""
    children = Children(args.store or usual_store(service), options_of_child(args), runs_at_once(args))
    async with carrier_of(service.store, args.transports, speaker(args)):
        works = [
            asyncio.create_task(prune_hourly(service, args.keep, speaker(args))),
            asyncio.create_task(keep_scheduling(service.store, speaker(args))),
        ]
        with stopping(children.stop):
            code = await children.run()
        await end_tasks(works)
    return code


def usual_store(service: Service) -> str:
    """Return the address of the store that nobody has named."""
    found = settings().store
    return service.place if found.origin == DEFAULT else str(found.value)


def options_of_child(args: Namespace) -> list[str]:
    """Return what a worker of one run is told."""
    options = [f"--queue={each}" for each in args.queues] + [f"--import={each}" for each in args.modules]
    options += (
        ["--trace"] * traces_wanted(args)
        + ["--pinned"] * args.pinned
        + ["--quiet"] * args.quiet
        + ["--traceback"] * args.traceback
    )
    return [*options, f"--grace={args.grace:f}s", f"--linger={lingering(args):f}s"]


def stopping(stop: Callable[[], object]) -> Signals:
    """Return what has the running loop call `stop` for each signal."""
    loop = asyncio.get_running_loop()
    return Signals(lambda *_: loop.call_soon_threadsafe(stop))


def workers(args: Namespace) -> int:
    """List the workers that are there; return 1 if there are none."""
    with serving(args) as service:
        found = [each for each in service.workers() if not args.queues or set(args.queues) & set(each.queues)]
        if not found:
            print_remark(args, f"no {'such ' if args.queues else ''}workers in {service.place}")
        text = shown.table([HEAD, *map(worker_line, found)]) if found else ""
        say(args, worker_documents(found), text)
    return 0 if found else NOBODY


def worker_line(worker: WorkerRecord) -> tuple[str, ...]:
    """Return a worker as a row of a table."""
    return (
        worker.owner.host,
        str(worker.owner.pid),
        worker.state,
        ",".join(worker.queues),
        str(worker.limit),
        " ".join(worker.runs) or "-",
        phrases.moment_text(worker.started_at),
        phrases.moment_text(worker.seen_at),
    )
