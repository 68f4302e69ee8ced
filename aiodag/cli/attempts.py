"""Show the attempts of a task: what they ran, how they ended, what they wrote."""

from collections.abc import Iterator, Mapping
from typing import Any

from aiodag.cli import show as shown
from aiodag.records import AttemptRecord, left_out, output_text
from aiodag.service import phrases
from aiodag.service.attempts import AttemptStory
from aiodag.service.documents import attempt_error
from aiodag.wording import describe_seconds, printable

UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def story_text(story: AttemptStory) -> str:
    """Return an attempt as text: a line, a few facts, then what it logged and wrote."""
    attempt = story.attempt
    head = f"{story.run.id}  {story.node.label}  attempt {attempt.attempt}  {phrases.attempt_state(attempt)}{ending(attempt.facts)}"
    parts = [printable(head), shown.table([(f"  {name}", value) for name, value in story_facts(attempt)])]
    parts += [indent_lines(f"{phrases.moment_text(line.at)} {line.level} {line.text}") for line in story.logs]
    for stream, written in story.streams.items():
        missing = left_out(written)
        title = f"  {stream} ({missing:,} bytes were left out)" if missing else f"  {stream}"
        parts += [title, indent_lines(output_text(written).removesuffix("\n"))] if written else []
    return "\n".join(filter(None, parts))


def ending(facts: Mapping[str, Any]) -> str:
    """Return how a program ended, or why nobody knows."""
    if facts.get("lost"):
        return f": {facts['lost']}"
    if facts.get("signal"):
        return f", by {facts['signal']}"
    return f", exit code {facts['code']}" if facts.get("code") is not None else ""


def story_facts(attempt: AttemptRecord) -> Iterator[tuple[str, str]]:
    """Yield what is known of an attempt."""
    facts = attempt.facts
    if facts.get("command"):
        yield "command", printable(shown.command_line(facts["command"]))
    yield "started", phrases.moment_text(attempt.started_at) or "never"
    if attempt.started_at is not None and attempt.ended_at is not None:
        yield "took", describe_seconds((attempt.ended_at - attempt.started_at).total_seconds())
    if facts.get("host"):
        process = "" if facts.get("pid") is None else f", process {facts['pid']}"  # none of what never started
        yield "host", printable(f"{facts['host']}{process}")
    if facts.get("cpu_seconds") is not None:
        yield "cpu", describe_seconds(float(facts["cpu_seconds"]))
    if facts.get("peak_bytes") is not None:
        yield "peak", size(int(facts["peak_bytes"]))
    if error := attempt_error(attempt):
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


def indent_lines(text: str) -> str:
    """Return lines a little to the right."""
    return "\n".join(f"    {line}" for line in text.split("\n")) if text else ""
