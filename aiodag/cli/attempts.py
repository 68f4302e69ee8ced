"""Show the attempts of a task: what they ran, how they ended, what they wrote."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aiodag.cli import show as shown
from aiodag.cli.progress import seconds
from aiodag.errors import StoreError
from aiodag.records import AttemptRecord, LogRecord, NodeRecord, OutputRecord, RunRecord, left_out, output_text
from aiodag.service import Service
from aiodag.wording import printable

STREAMS = ("stdout", "stderr")
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


class Told(NamedTuple):
    """One attempt of a node of a run, with what it logged and wrote."""

    run: RunRecord
    node: NodeRecord
    attempt: AttemptRecord
    streams: dict[str, list[OutputRecord]]
    logs: list[LogRecord]


def told_of(service: Service, runs: Sequence[RunRecord], task: str) -> list[Told]:
    """Return the attempts of a task in several runs. Raises `StoreError` if none of them has the task."""
    found: list[Told] = []
    missing: list[StoreError] = []
    for run in runs:
        try:
            found += told(service, run, task)
        except StoreError as error:  # a run before or after an edit may not have it
            missing.append(error)
    if len(missing) == len(runs):
        raise missing[0]
    return found


def told(service: Service, run: RunRecord, task: str) -> Iterator[Told]:
    """Give every attempt of a task in a run, those of earlier executions included."""
    nodes = {node.number: node for node in service.matching(run.id, task)}
    logs: dict[int | None, list[LogRecord]] = defaultdict(list)
    for line in service.logs(run.id):
        logs[line.number].append(line)
    tries: dict[int, list[AttemptRecord]] = defaultdict(list)
    for each in service.attempts(run.id):
        tries[each.number].append(each)
    for number, node in nodes.items():
        for each in tries[number]:
            parts = service.output(run.id, number, each.attempt)
            streams = {name: [part for part in parts if part.stream == name] for name in STREAMS}
            mine = [line for line in logs[number] if is_of(line, each, tries[number])]
            yield Told(run, node, each, streams, mine)


def is_of(line: LogRecord, attempt: AttemptRecord, tries: list[AttemptRecord]) -> bool:
    """Return True if a line was logged in an attempt: after it began, and before the next one of its node did."""
    later = [each.started_at for each in tries if each.attempt > attempt.attempt]
    after = attempt.started_at is None or line.at >= attempt.started_at
    return after and all(began is None or line.at < began for began in later)


def document(each: Told) -> dict[str, Any]:
    """Return an attempt for JSON."""
    return {
        "run": each.run.id,
        "node": each.node.number,
        "name": each.node.name,
        "label": each.node.label,
        **shown.attempt_document(each.attempt),
        **{stream: output_text(parts) for stream, parts in each.streams.items()},
        **{f"{stream}_left_out": left_out(parts) for stream, parts in each.streams.items()},
        "facts": shown.plain_value(each.attempt.facts),
        "logs": [shown.log_document(line, {each.node.number: each.node}) for line in each.logs],
    }


def text(each: Told) -> str:
    """Show an attempt: a line, a few facts, then what it logged and wrote."""
    attempt = each.attempt
    head = f"{each.run.id}  {each.node.label}  attempt {attempt.attempt}  {shown.attempt_state(attempt)}{ending(attempt.facts)}"
    parts = [printable(head), shown.table([(f"  {name}", value) for name, value in facts_of(attempt)])]
    parts += [indented(f"{shown.moment(line.at)} {line.level} {line.text}") for line in each.logs]
    for stream, written in each.streams.items():
        missing = left_out(written)
        title = f"  {stream} ({missing:,} bytes were left out)" if missing else f"  {stream}"
        parts += [title, indented(output_text(written).removesuffix("\n"))] if written else []
    return "\n".join(filter(None, parts))


def ending(facts: Any) -> str:
    """Return how a program ended."""
    if facts.get("signal"):
        return f", by {facts['signal']}"
    return f", exit code {facts['code']}" if facts.get("code") is not None else ""


def facts_of(attempt: AttemptRecord) -> Iterator[tuple[str, str]]:
    """Give what is known of an attempt."""
    facts = attempt.facts
    if facts.get("command"):
        yield "command", printable(shown.command_line(facts["command"]))
    yield "started", shown.moment(attempt.started_at) or "never"
    if attempt.started_at is not None and attempt.ended_at is not None:
        yield "took", seconds((attempt.ended_at - attempt.started_at).total_seconds())
    if facts.get("host"):
        process = "" if facts.get("pid") is None else f", process {facts['pid']}"  # none of what never started
        yield "host", printable(f"{facts['host']}{process}")
    if facts.get("cpu_seconds") is not None:
        yield "cpu", seconds(float(facts["cpu_seconds"]))
    if facts.get("peak_bytes") is not None:
        yield "peak", size(int(facts["peak_bytes"]))
    if error := shown.attempt_error(attempt):
        yield "error", printable(error)


def size(count: int) -> str:
    """Return how many bytes there are.

    >>> size(512), size(12_600_000)
    ('512 bytes', '12.6 MB')
    """
    for unit, name in UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def indented(text: str) -> str:
    """Return lines a little to the right."""
    return "\n".join(f"    {line}" for line in text.split("\n")) if text else ""
