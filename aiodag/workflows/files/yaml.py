"""Texts of YAML as documents: the values that JSON has, with their lines. Nothing else is made of a text, whatever its tags say.

PyYAML reads the text and gives events; what they become is decided in `composing`. So a text costs no more than its size
allows: nothing recurses, and what aliases stand for is counted before it is copied.
"""

import re
from typing import Any

from aiodag.errors import Complaint, MissingExtra, WorkflowError
from aiodag.wording import printable
from aiodag.workflows.files.composing import Composing
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.marks import MarkedPlaces, mark_at
from aiodag.workflows.files.text import EMPTY, refuse_text

try:
    import yaml
except ImportError as error:
    raise MissingExtra("a workflow in YAML", "PyYAML", "yaml") from error

LARGEST = 10_000_000  # characters
# What the events are read with: in C where PyYAML was built so, which is twenty times as fast.
EVENTS: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
UNSEEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HINTS = tuple(  # what the parser says, what the line has, what to do
    (re.compile(problem), re.compile(line), hint)
    for problem, line, hint in (
        ("start any token", r"^\s*\t", "Indent with spaces: this line begins with a tab"),
        ("", r"\{\{", "Put quotes around a text with {{ }} that begins with it, or that stands inside [ ] or { }"),
        ("start any token", "[%@`]", "Put quotes around a text that begins with %, @ or `"),
        ("mapping values are not allowed", "", "Put quotes around a text with a colon and a space in it"),
        ("quoted scalar.*(?:end of stream|document)", "", "Does each quote have its end?"),
        ("expected key|block end", "", "Do the lines of one mapping or list begin in the same column?"),
    )
)


def parse_yaml(text: str, source: str) -> tuple[Any, MarkedPlaces, list[Complaint]]:
    r"""Return the document in a text, its places, and what else is wrong with it. Raises `WorkflowError` for what is not YAML.

    >>> document, places, complaints = parse_yaml("on: push\njobs:\n  build: {}\n", "ci.yaml")
    >>> document, places.of(("jobs", "build"))
    ({'on': 'push', 'jobs': {'build': {}}}, 'ci.yaml:3 $.jobs.build')
    """
    refuse_unreadable(text, source)
    composing = Composing(source)
    try:
        feed_events(text, composing)
    except yaml.MarkedYAMLError as error:
        complaint = describe_syntax(error, Places(source), text.splitlines())
        raise WorkflowError([*composing.complaints, complaint]) from None
    except yaml.YAMLError as error:
        refuse_text(source, f"is not valid YAML: {printable(str(error))}")
    composing.finish()
    return composing.document, MarkedPlaces(source, text, composing.marks), composing.complaints


def refuse_unreadable(text: str, source: str) -> None:
    """Refuse what no parser need see: too much, nothing, and characters that cannot be seen. Raises `WorkflowError`."""
    if len(text) > LARGEST:
        refuse_text(
            source, f"has {len(text):,} characters, and YAML is read up to {LARGEST:,}. Write JSON, or several files"
        )
    if not text.strip():
        refuse_text(source, EMPTY)
    unseen = UNSEEN.search(text)
    if unseen:
        line = text.count("\n", 0, unseen.start()) + 1
        column = unseen.start() - text.rfind("\n", 0, unseen.start())
        character = f"U+{ord(unseen.group()):04X}"
        refuse_text(
            Places(source).at(line), f"has the character {character} at column {column}, which YAML does not take"
        )


def feed_events(text: str, composing: Composing) -> None:
    """Have a document composed of the events of a text."""
    documents = 0
    for event in yaml.parse(text, Loader=EVENTS):
        at = event.start_mark
        assert at is not None
        mark = mark_at(at.line + 1, at.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            composing.add_scalar(event.value, event.anchor, mark, tag=event.tag, plain=event.implicit[0])
        elif isinstance(event, yaml.MappingStartEvent):
            composing.open_container({}, event.anchor, mark, tag=event.tag)
        elif isinstance(event, yaml.SequenceStartEvent):
            composing.open_container([], event.anchor, mark, tag=event.tag)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            composing.close_container()
        elif isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            composing.add_alias(event.anchor, mark)
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                second = Complaint(
                    Places(composing.source).at(at.line + 1), "begins a second document: write a file for each"
                )
                raise WorkflowError([*composing.complaints, second])
    if not documents:  # comments alone
        refuse_text(composing.source, EMPTY)


def describe_syntax(error: yaml.MarkedYAMLError, places: Places, lines: list[str]) -> Complaint:
    """Return what the parser says, with the hint that the line at fault asks for."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Complaint(places.source, f"is not valid YAML: {printable(str(error.problem))}")
    context = f"{error.context}, " if error.context else ""
    if error.context and error.context_mark and error.context_mark.line != mark.line:
        context = f"{error.context} that begins on line {error.context_mark.line + 1}, "
    line = lines[mark.line] if mark.line < len(lines) else ""
    said = f"{context}{error.problem}"
    hint = next((f". {hint}" for problem, wrong, hint in HINTS if problem.search(said) and wrong.search(line)), "")
    return Complaint(
        places.at(mark.line + 1), f"is not valid YAML: {printable(said)}, at column {mark.column + 1}{hint}"
    )
