"""Words of the page: moments, durations and shares, as templates say them."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from aiodag.records import RunRecord
from aiodag.service.phrases import run_state, took_text
from aiodag.states import State
from aiodag.wording import describe_seconds

WEEK = 7 * 86_400.0  # seconds after which people want the date
LONGEST_TEXT = 200_000  # characters of one text in a page
TERMINAL_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,999}(?:\x07|\x1b\\)|[@-Z^_])"
)  # as in page.js


def ago_words(at: datetime) -> str:
    """Return a moment as people say it: how long ago, or in how long; the date where that is more than a week.

    >>> from datetime import timedelta
    >>> ago_words(datetime.now(UTC) - timedelta(minutes=3, seconds=1)), ago_words(datetime(2024, 2, 3, tzinfo=UTC))
    ('3 min ago', '2024-02-03')
    """
    seconds = (datetime.now(UTC) - at).total_seconds()
    if abs(seconds) >= WEEK:
        return f"{at:%Y-%m-%d}"
    size = abs(seconds)
    if size < 1:
        return "now"
    unit, one = next((unit, one) for unit, one in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)) if size >= one)
    words = f"{int(size // one)} {unit}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def utc_words(at: datetime | None) -> str:
    """Return the whole of a moment, to the second.

    >>> utc_words(datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC))
    '2024-02-03 04:05:06 UTC'
    """
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def took_words(run: RunRecord) -> str:
    """Return how long a run took, or has taken until now."""
    if run.started_at is not None and run.ended_at is None and run.state is State.RUNNING and not run.orphan:
        return describe_seconds(max(0.0, (datetime.now(UTC) - run.started_at).total_seconds()))
    return took_text(run)


def span_words(began: datetime | None, ended: datetime | None) -> str:
    """Return how long something took, or has taken until now; nothing of what never began."""
    if began is None:
        return ""
    return describe_seconds(max(0.0, ((ended or datetime.now(UTC)) - began).total_seconds()))


def run_words(run: RunRecord) -> str:
    """Return one line about a run: which, how it is, since when."""
    at = run.ended_at or run.started_at or run.created_at
    return f"{run.id}: {run_state(run)}, {ago_words(at)}"


def state_shares(counts: Mapping[State, int]) -> Iterator[tuple[State, str, str]]:
    """Yield each state that something is in, with where its part of a bar begins and how wide it is, in per cent.

    >>> [(str(state), x, width) for state, x, width in state_shares({State.FAILED: 1, State.SUCCEEDED: 3})]
    [('failed', '0', '25'), ('succeeded', '25', '75')]
    """
    total = sum(counts.values())
    x = 0.0
    for state, count in counts.items():
        width = 100 * count / total if total else 0.0
        if count:
            yield state, f"{x:.4g}", f"{max(width, 0.5):.4g}"
        x += width


def whole_or_ends(text: object) -> str:
    """Return a text that a page can hold: the head and the tail of one that is very long."""
    whole = str(text)
    if len(whole) <= LONGEST_TEXT:
        return whole
    half = LONGEST_TEXT // 2
    return f"{whole[:half]}\n[{len(whole) - 2 * half:,} characters are left out here]\n{whole[-half:]}"


def without_escapes(text: str) -> str:
    r"""Return what a program wrote without what it told a terminal: colours, titles, moves.

    >>> without_escapes("\x1b[1;31mred\x1b[0m and \x1b]0;title\x07plain")
    'red and plain'
    """
    return TERMINAL_ESCAPE.sub("", text) if "\x1b" in text else text


def size_words(size: int) -> str:
    """Return a number of bytes for people.

    >>> size_words(512), size_words(11_354_112)
    ('512 B', '10.8 MiB')
    """
    for unit, one in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= one:
            return f"{size / one:.3g} {unit}"
    return f"{size} B"


def indented_json(text: str) -> str:
    r"""Return JSON with line ends and indents; another text as it is.

    >>> indented_json('{"a":[1]}'), indented_json("a: 1")
    ('{\n  "a": [\n    1\n  ]\n}', 'a: 1')
    """
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
