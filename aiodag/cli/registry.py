"""Keep workflows by their names, list, export and import them, delete them and runs, and print the schema of their files."""

import json
import sys
from argparse import Namespace
from pathlib import Path

from aiodag.cli import output
from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.opening import serving
from aiodag.errors import AiodagError, OptionError
from aiodag.records import WorkflowRecord
from aiodag.service import phrases
from aiodag.service.changes import tasks_in
from aiodag.service.documents import workflow_document
from aiodag.service.listed_workflows import ListedWorkflow, listed_document, listed_workflows
from aiodag.wording import count_text, printable

DELETABLE = "ids or names, as in `aiodag delete monday`; or --older, --keep or both, as in `aiodag delete --older 30d --keep 10`"
NAMED = 5  # runs that a remark names
HEAD = ("NAME", "TASKS", "TARGET", "TAGS", "REGISTERED", "RUNS", "LAST")


def register_target(args: Namespace) -> int:
    """Keep a workflow by its name."""
    with serving(args) as service:
        record = service.register(args.target, name=args.name, replace=args.replace)
    text = (
        f"registered {printable(record.name)}: {count_text(len(tasks_in(record.document)), 'task')}, of {record.target}"
    )
    say(args, workflow_document(record, 0, None), "" if args.quiet else text)
    return 0


def workflows(args: Namespace) -> int:
    """List the registered workflows, and those that the folders of definitions have."""
    rows: list[tuple[str, ...]] = [HEAD]
    with serving(args) as service:
        found, complaints = listed_workflows(service)
        rows += map(workflow_line, found)
        if not found:
            print_remark(args, f"no workflow is registered in {service.place}")
    documents = list(map(listed_document, found))
    say(args, documents, shown.table(rows) if documents else "")
    for complaint in complaints:
        print_remark(args, printable(str(complaint)))
    return 0


def workflow_line(listed: ListedWorkflow) -> tuple[str, ...]:
    """Return a workflow as a row of a table."""
    found, count, last = listed
    state = "" if last is None else phrases.run_state(last)
    if not isinstance(found, WorkflowRecord):
        return found.name, str(found.tasks), found.target, "", "in a folder", str(count), state
    tags = " ".join(f"{name}={value}" for name, value in found.tags.items())
    size, moment = str(len(tasks_in(found.document))), f"{found.registered_at:%Y-%m-%d %H:%M:%S}Z"
    return found.name, size, found.target, tags, moment, str(count), state


def export(args: Namespace) -> int:
    """Write registered workflows as JSON."""
    with serving(args) as service:
        documents = service.export(*args.names)
    if args.output is None:
        output.put_json(documents)
    else:
        Path(args.output).write_text(f"{json.dumps(documents, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
        print_remark(args, f"written: {args.output}")
    return 0


def take_in(args: Namespace) -> int:
    """Register the workflows in a file that `export` has written."""
    try:
        text = sys.stdin.read() if args.file == "-" else Path(args.file).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise OptionError("FILE", args.file, f"a file that can be read, or - for what is piped in ({error})") from None
    with serving(args) as service:
        records = service.take_in(text, args.file, replace=args.replace)
    lines = [f"registered {printable(each.name)}: of {each.target}" for each in records]
    say(args, [workflow_document(each, 0, None) for each in records], "" if args.quiet else "\n".join(lines))
    return 0


def delete_which(args: Namespace) -> int:
    """Delete runs, or a workflow with all runs of its name."""
    by_age = args.older is not None or args.keep is not None
    if not by_age and not args.which:
        msg = f"which runs? Give {DELETABLE}"
        raise AiodagError(msg)
    if by_age and args.which:
        msg = f"{' '.join(args.which)!r} and ended runs by age or count cannot be deleted at once: give {DELETABLE}"
        raise AiodagError(msg)
    with serving(args) as service:
        names: list[str] = []
        schedules: list[str] = []
        if by_age:
            ids = service.prune(older=args.older, keep=args.keep)
        else:
            gone = service.forget(*args.which)
            ids, names = [run.id for run in gone.runs], [each.name for each in gone.workflows]
            schedules += gone.schedules
    lines = [*(f"deleted {printable(each)}" for each in ids)]
    lines += [f"deleted workflow {printable(each)}" for each in names]
    lines += [f"deleted schedule {printable(each)}" for each in schedules]
    text = "\n".join(lines or ["nothing to delete"])
    found = {"deleted": ids, "workflows": names} | ({"schedules": schedules} if schedules else {})
    say(args, found, "" if args.quiet else text)
    return 0


def backup(args: Namespace) -> int:
    """Copy the store."""
    with serving(args) as service:
        service.backup(args.copy)
        say(args, {"store": service.place, "copy": args.copy}, "" if args.quiet else f"copied to {args.copy}")
    return 0


def migrate_store(args: Namespace) -> int:
    """Bring the store up to date."""
    with serving(args) as service:
        before, after = service.migrate()
        if before == after:
            text = f"{service.place} has version {after}: there is nothing to do"
        else:
            text = (
                f"{service.place} was brought from version {before} to {after}"
                if before
                else f"{service.place} is made"
            )
        say(args, {"store": service.place, "from": before, "to": after}, "" if args.quiet else text)
    return 0


def copy(args: Namespace) -> int:
    """Copy runs and workflows to another store."""
    if args.store is not None:
        raise OptionError(
            "--store", args.store, "left out: FROM and TO say which stores, as in `aiodag copy runs.db new.db`"
        )
    args.store = args.source
    with serving(args) as service:
        copied = service.copy_to(args.target, *args.which, skip_existing=args.skip_existing)
    document = copied._asdict()
    parts = [count_text(len(copied.runs), "run")]
    parts += [count_text(len(copied.workflows), "workflow")] if copied.workflows else []
    parts += [f"{count_text(len(copied.schedules), 'schedule')}, paused"] if copied.schedules else []
    there = f"; {count_text(len(copied.skipped), 'run')} there already" if copied.skipped else ""
    say(args, document, "" if args.quiet else f"copied {' and '.join(parts)}{there}")
    if copied.unfinished:
        named = ", ".join([*map(printable, copied.unfinished[:NAMED]), *(["..."] if copied.unfinished[NAMED:] else [])])
        print_remark(args, f"left out, since not ended: {count_text(len(copied.unfinished), 'run')}, {named}")
    return 0


def schema(args: Namespace) -> int:
    """Print the JSON Schema of workflow files of one form."""
    from importlib.resources import files  # noqa: PLC0415 - slow to load, and no other command here needs it

    name = {"tasks": "schema.json", "jobs": "jobs-schema.json"}[args.form]
    output.write(files("aiodag.workflows.files").joinpath(name).read_text(encoding="utf-8"))
    return 0
