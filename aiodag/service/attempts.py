"""Join the attempts of a task with what they logged and wrote, over several runs."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aiodag.errors import StoreError
from aiodag.records import AttemptRecord, LogRecord, NodeRecord, OutputRecord, RunRecord, left_out, output_text
from aiodag.service.documents import Document, attempt_document, log_document, plain_value
from aiodag.service.look import Looking
from aiodag.service.recorded import attempts_by_node

STREAMS = ("stdout", "stderr")


class AttemptStory(NamedTuple):
    """One attempt of a node of a run, with what it logged and wrote."""

    run: RunRecord
    node: NodeRecord
    attempt: AttemptRecord
    streams: dict[str, list[OutputRecord]]
    logs: list[LogRecord]


def attempt_stories(service: Looking, runs: Sequence[RunRecord], task: str) -> list[AttemptStory]:
    """Return the attempts of a task in several runs. Raises `StoreError` if none of them has the task."""
    found: list[AttemptStory] = []
    missing: list[StoreError] = []
    for run in runs:
        try:
            found += attempts_in(service, run, task)
        except StoreError as error:  # a run before or after an edit may not have it
            missing.append(error)
    if len(missing) == len(runs):
        raise missing[0]
    return found


def attempts_in(
    service: Looking, run: RunRecord, task: str, last: int | None = None, before: int | None = None
) -> Iterator[AttemptStory]:
    """Yield every attempt of a task in a run, those of earlier executions included.

    Of each node only those `before` an attempt, and of these the `last` ones, if that is given.
    """
    nodes = {node.number: node for node in service.matching(run.id, task)}
    logs: dict[int | None, list[LogRecord]] = defaultdict(list)
    for line in service.store.logs(run.id, numbers=nodes):
        logs[line.number].append(line)
    attempts = attempts_by_node(service.attempts(run.id, nodes))
    for number, node in nodes.items():
        asked = [each for each in attempts[number] if before is None or each.attempt < before]
        for each in asked[-last:] if last else asked:
            parts = service.output(run.id, number, each.attempt)
            streams = {name: [part for part in parts if part.stream == name] for name in STREAMS}
            mine = [line for line in logs[number] if is_logged_in(line, each, attempts[number])]
            yield AttemptStory(run, node, each, streams, mine)


def is_logged_in(line: LogRecord, attempt: AttemptRecord, attempts: list[AttemptRecord]) -> bool:
    """Return True if a line was logged in an attempt: after it began, and before the next one of its node did."""
    later = [each.started_at for each in attempts if each.attempt > attempt.attempt]
    after = attempt.started_at is None or line.at >= attempt.started_at
    return after and all(began is None or line.at < began for began in later)


def story_document(story: AttemptStory) -> Document:
    """Return an attempt with what it logged and wrote for JSON."""
    return {
        "run": story.run.id,
        "node": story.node.number,
        "name": story.node.name,
        "label": story.node.label,
        **attempt_document(story.attempt),
        **{stream: output_text(parts) for stream, parts in story.streams.items()},
        **{f"{stream}_left_out": left_out(parts) for stream, parts in story.streams.items()},
        "facts": plain_value(story.attempt.facts),
        "logs": [log_document(line, {story.node.number: story.node.label}) for line in story.logs],
    }
