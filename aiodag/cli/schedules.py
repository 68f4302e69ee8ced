"""Put schedules, list them, show what became of their moments, and change them."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.opening import only_once, serving
from aiodag.cli.schedule_grammar import SCHEDULE_ACTIONS
from aiodag.errors import OptionError
from aiodag.firings import BackfillRecord, Firing, ScheduleRecord
from aiodag.records import RunRecord
from aiodag.service import Service, phrases
from aiodag.service.schedule_documents import (
    NEXT,
    backfill_documents,
    describe_trigger,
    firing_documents,
    last_run_of,
    next_of,
    schedule_document,
    target_text,
)
from aiodag.service.schedule_files import AddedSchedules
from aiodag.service.scheduled_runs import params_of_schedule
from aiodag.service.settings import settings
from aiodag.wording import describe_seconds, printable

HEAD = ("SCHEDULE", "WHEN", "STATE", "NEXT", "LAST", "TARGET")
FIRINGS = ("MOMENT", "KIND", "STATE", "RUN", "")
BACKFILLS = ("BACKFILL", "SCHEDULE", "FROM", "TO", "STATE", "AT", "RUNS", "THERE BEFORE", "UNFINISHED")
ONLY_RUNS = ("host", "executor", "key", "at", "expires", "wait", "strict")  # options of what is submitted once
BOUNDS = ("timezone", "start", "end", "exclude")
POLICIES = ("overlap", "catch_up", "jitter", "grace")


# Put


def is_scheduled(args: Namespace) -> bool:
    """Return True if what is submitted is a schedule. Raises `OptionError` for options of one without it."""
    if args.cron is not None or args.every is not None or (args.name is not None and args.at is not None):
        return True
    for option in ("name", *BOUNDS, *POLICIES):
        given = getattr(args, option)
        if given not in (None, []):
            wanted = "effect with --cron, with --every, or with --at and --name: it makes a schedule"
            raise OptionError(f"--{option.replace('_', '-')}", given, wanted)
    return False


def submit_schedule(args: Namespace) -> int:
    """Put a schedule, and print its name and next moment."""
    for option in ONLY_RUNS:
        given = getattr(args, option)
        if given not in (None, False) and not (option == "at" and args.cron is None and args.every is None):
            raise OptionError(f"--{option}", given, "effect with one run, and not with a schedule")
    policy = {each: getattr(args, each) for each in POLICIES}
    with serving(args) as service:
        record = service.put_schedule(
            args.name,
            args.target,
            trigger_given(args),
            args.parameters,
            queue=args.queue or settings().queue.value,
            priority=args.priority,
            tags=only_once("--tag", args.tags),
            retries=args.retries,
            max_active=args.max_active,
            **{name: each for name, each in policy.items() if each is not None},
        )
        say(args, schedule_document(record, None, number=NEXT), "" if args.quiet else put_text(record))
    return 0


def trigger_given(args: Namespace) -> Mapping[str, Any]:
    """Return the form of the trigger that was typed."""
    form: dict[str, Any] = {"cron": args.cron, "every": args.every}
    if args.cron is None and args.every is None:
        form["at"] = args.at.isoformat()
    bounds = {each: getattr(args, each) for each in BOUNDS}
    form |= {name: each.isoformat() if hasattr(each, "isoformat") else each for name, each in bounds.items()}
    return {name: each for name, each in form.items() if each not in (None, [])}


def put_text(record: ScheduleRecord) -> str:
    """Return in a line which schedule there is, and when it is due."""
    return f"{printable(record.name)}: {printable(describe_trigger(record))}, {next_text(record) or record.state}"


def next_text(record: ScheduleRecord) -> str:
    """Return the next moment of a schedule, with its offset; nothing for one that makes no runs."""
    found = next_of(record, 1)
    return f"next {found[0].isoformat(timespec='seconds')}" if found else ""


# Look and change


def schedules(args: Namespace) -> int:
    """List the schedules, show one, or change some."""
    if args.action in SCHEDULE_ACTIONS:
        if not args.names:
            raise OptionError("NAME", "", f"the name of a schedule, as in `aiodag schedules {args.action} nightly`")
        return change_schedules(args)
    if args.names:
        what = f"{' '.join([args.action, *args.names])!r}: one NAME is shown, and {', '.join(SCHEDULE_ACTIONS)} take several"
        raise OptionError("ACTION", args.action, what)
    with serving(args) as service:
        if args.action is not None:
            return show_schedule(args, service)
        found = service.schedules()
        lasts = {each.name: last_run_of(service, each) for each in found}
        if not found:
            print_remark(args, f"no schedules in {service.place}")
    rows = [schedule_line(each, lasts[each.name]) for each in found]
    documents = [schedule_document(each, lasts[each.name]) for each in found]
    say(args, documents, shown.table([HEAD, *rows]) if rows else "")
    return 0


def schedule_line(record: ScheduleRecord, last: RunRecord | None) -> tuple[str, ...]:
    """Return a schedule as a row of a table."""
    return (
        record.name,
        describe_trigger(record),
        "damaged" if record.damaged else record.state,
        next_text(record).removeprefix("next "),
        "" if last is None else phrases.run_state(last),
        target_text(record),
    )


def show_schedule(args: Namespace, service: Service) -> int:
    """Show one schedule, and what became of its moments."""
    record = service.schedule(args.action)
    last = last_run_of(service, record)
    firings = service.firings(record.name, limit=args.limit)
    document = schedule_document(record, last, number=NEXT) | {"firings": firing_documents(firings)}
    parts = [shown.table(schedule_facts(record, last))]
    if firings:
        parts.append(shown.table([FIRINGS, *map(firing_line, firings)]))
    say(args, document, "\n\n".join(parts))
    return 0


def schedule_facts(record: ScheduleRecord, last: RunRecord | None) -> list[tuple[str, str]]:
    """Return what a schedule is, for people."""
    made = record.submission
    state = f"{record.state}: {record.reason}" if record.reason else record.state
    facts = [("schedule", record.name), ("when", describe_trigger(record)), ("state", state)]
    facts += [("damaged", record.damaged)] if record.damaged else []
    facts += [("next", each.isoformat(timespec="seconds")) for each in next_of(record, NEXT)]
    facts += [("last", f"{last.id} {phrases.run_state(last)}")] if last is not None else []
    facts.append(("target", target_text(record)))
    facts += [("parameter", f"{name}={value}") for name, value in params_of_schedule(record).items()]
    facts += [("tag", f"{name}={value}") for name, value in made.tags.items()]
    facts += [("queue", f"{made.queue}, priority {made.priority}" if made.priority else made.queue)]
    facts += [("group", made.group)] if made.group else []
    facts += [("overlap", record.overlap), ("catch up", f"{record.catch_up}, after {describe_seconds(record.grace)}")]
    facts += [("jitter", describe_seconds(record.jitter))] if record.jitter else []
    return facts + ([("source", record.source)] if record.source else [])


def firing_line(firing: Firing) -> tuple[str, ...]:
    """Return what became of a moment, or of several in a row, as a row of a table."""
    at = phrases.moment_text(firing.at)
    if firing.count > 1:
        at = f"{at} to {phrases.moment_text(firing.until)}, {firing.count:,} moments"
    return at, firing.kind, firing.state, firing.run_id or "", firing.reason


def change_schedules(args: Namespace) -> int:
    """Do what is to be done with schedules, and print what they are then."""
    changes: dict[str, Callable[[Service, str], tuple[str, str]]] = {
        "pause": lambda service, name: ("state", service.pause_schedule(name).state),
        "resume": lambda service, name: ("state", service.resume_schedule(name).state),
        "run": lambda service, name: ("run", service.run_schedule(name)),
        "delete": delete_schedule,
    }
    with serving(args) as service:
        if args.action == "add":
            return say_added(args, service.add_schedules(*args.names))
        for name in args.names:
            service.schedule(name)  # all are there, or none is changed
        found = [(name, changes[args.action](service, name)) for name in args.names]
    lines = [value if key == "run" else f"{printable(name)}: {value}" for name, (key, value) in found]
    quiet = args.quiet and args.action != "run"
    say(args, [{"name": name, key: value} for name, (key, value) in found], "" if quiet else "\n".join(lines))
    return 0


def delete_schedule(service: Service, name: str) -> tuple[str, str]:
    """Delete a schedule, and return what that says of it."""
    service.drop_schedule(name)
    return "state", "deleted"


def say_added(args: Namespace, found: AddedSchedules) -> int:
    """Print what adding schedules has changed."""
    lines = [f"{printable(name)}: {change}" for change, names in found._asdict().items() for name in names]
    say(args, found._asdict(), "" if args.quiet else "\n".join(lines or ["no schedules: no workflow there has on"]))
    return 0


# Fill in


def backfill(args: Namespace) -> int:
    """Have a backfill made, list them, or end one."""
    if args.cancel is not None:
        return cancel_backfill(args)
    bounds = [each for each in (args.start, args.end) if each is not None]
    if bounds and (len(bounds) == 1 or args.name is None):
        wanted = "given with NAME, --from and --to, as in `aiodag backfill nightly --from 2026-01-01 --to 2026-02-01`"
        raise OptionError("--from" if args.start is not None else "--to", bounds[0], wanted)
    with serving(args) as service:
        if bounds:
            newest = args.order == "newest"
            made = service.backfill(
                args.name, args.start, args.end, args.parameters, limit=args.limit, newest_first=newest
            )
            text = f"backfill {made.number} of {printable(made.schedule)}: workers do it; `aiodag backfill` says how far it is"
            say(args, backfill_documents([made])[0], "" if args.quiet else text)
            return 0
        found = service.backfills(args.name)
        if not found:
            print_remark(args, f"no backfills in {service.place}")
    rows = [BACKFILLS, *map(backfill_line, found)]
    say(args, backfill_documents(found), shown.table(rows) if found else "")
    return 0


def backfill_line(backfill: BackfillRecord) -> tuple[str, ...]:
    """Return a backfill as a row of a table."""
    return (
        str(backfill.number),
        backfill.schedule,
        phrases.moment_text(backfill.start),
        phrases.moment_text(backfill.end),
        f"{backfill.state}: {backfill.reason}" if backfill.reason else backfill.state,
        phrases.moment_text(backfill.cursor) or "-",
        str(backfill.submitted),
        str(backfill.known),
        str(backfill.unfinished),
    )


def cancel_backfill(args: Namespace) -> int:
    """End a backfill."""
    with serving(args) as service:
        active = service.cancel_backfill(args.cancel)
        (found,) = backfill_documents([service.backfill_numbered(args.cancel)])
    text = f"backfill {args.cancel} {'makes no more runs' if active else 'has ended already'}"
    say(args, found, "" if args.quiet else text)
    return 0
