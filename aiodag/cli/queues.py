"""Submit runs, wait for them, and look after queues."""

import asyncio
from argparse import Namespace

from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.opening import only_once, serving
from aiodag.cli.schedules import is_scheduled, submit_schedule
from aiodag.errors import OptionError, QueueError, RecordedError, RunCancelled, RunFailed
from aiodag.service import Service
from aiodag.service.documents import plain_value, queue_documents, run_document
from aiodag.service.settings import settings
from aiodag.submissions import QueueRecord
from aiodag.wording import describe_seconds

HEAD = ("QUEUE", "STATE", "RATE", "WAITING", "RUNNING")
FAILED = 1


def submit_target(args: Namespace) -> int:
    """Submit a run, and print its id or, where somebody waits, its value; or put a schedule of runs."""
    if is_scheduled(args):
        return submit_schedule(args)
    tags = only_once("--tag", args.tags)
    with serving(args) as service:
        run_id = service.submit(
            service.target(args.target, args.parameters, host=args.host, executor=args.executor),
            queue=args.queue or settings().queue.value,
            priority=args.priority,
            at=args.at,
            key=args.key,
            tags=tags,
            expires=args.expires,
            retries=args.retries,
            max_active=args.max_active,
            strict=args.strict,
        )
        if args.wait:
            print_remark(args, f"submitted {run_id}")
            return wait_for_result(args, service, run_id)
        say(args, run_document(service.run(run_id)), run_id)
    return 0


def wait_for_result(args: Namespace, service: Service, run_id: str) -> int:
    """Print the value of a run when it has ended, or say why it has none. Who interrupts this does not end the run."""
    value: object = None
    reason = ""
    try:
        value = asyncio.run(service.result(run_id))
    except Exception as error:
        run = service.run(run_id)
        if run.ended_at is None:  # nobody knows how it ends: the store failed, and not the run
            raise
        if args.traceback:
            output.traceback(error)
        reason = reason_of_failure(error)
    run = service.run(run_id)
    if args.json:
        output.put_json({**run_document(run), "value": plain_value(value), "error": reason or None})
    elif value is not None and run.definition is None:
        output.write_lines(repr(value))
    if reason:
        output.error(f"run {run_id} {run.state}: {reason}")
    return FAILED if reason else 0


def reason_of_failure(error: Exception) -> str:
    """Return why a run has no value, in words."""
    if isinstance(error, RunFailed):
        return "; ".join(f"{type(each).__name__}: {each}" for each in error.exceptions)
    if isinstance(error, QueueError | RunCancelled | RecordedError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def queues(args: Namespace) -> int:
    """List the queues, or change one."""
    if args.action == "list" and (args.queue is not None or args.rate is not None):
        raise OptionError("QUEUE", args.queue, "effect with an action: aiodag queues pause QUEUE")
    if args.action != "list" and args.queue is None:
        raise OptionError("QUEUE", "", f"the name of a queue, as in `aiodag queues {args.action} nightly`")
    if args.action != "add" and args.rate is not None:
        count, seconds = args.rate
        raise OptionError("--rate", f"{count}/{seconds:g}s", "effect with `aiodag queues add QUEUE` alone")
    with serving(args) as service:
        if args.action != "list":
            change_queue(service, args)
        found = [each for each in service.queues() if args.queue in {None, each.name}]
        if not found:
            print_remark(args, f"no queues in {service.place}")
    quiet = args.quiet and args.action != "list"
    say(args, queue_documents(found), "" if quiet or not found else shown.table([HEAD, *map(queue_line, found)]))
    return 0


def change_queue(service: Service, args: Namespace) -> None:
    """Do what is to be done with a queue."""
    if args.action == "add":
        rate, per = args.rate or (None, 1.0)
        service.add_queue(args.queue, rate=rate, per=per)
    elif args.action == "pause":
        service.pause_queue(args.queue)
    elif args.action == "resume":
        service.resume_queue(args.queue)
    else:
        service.drain_queue(args.queue)


def queue_line(queue: QueueRecord) -> tuple[str, ...]:
    """Return a queue as a row of a table."""
    rate = "" if queue.rate is None else f"{queue.rate} in {describe_seconds(queue.per or 0.0)}"
    return queue.name, queue.state, rate, str(queue.waiting), str(queue.running)
