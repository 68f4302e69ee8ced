"""What the page shows that edits a run and resumes it: its definition, what is to run again and why, and what has changed."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiodag.records import EdgeRecord, NodeRecord, RunRecord
from aiodag.service import Service
from aiodag.service.changes import Change, definition_changes
from aiodag.states import State
from aiodag.web.page.definition_diffs import DefinitionDiff, definition_diff, pretty_json

EDITED, NEW, ASKED, NEEDS, UPSTREAM = "is edited", "is new", "is asked for", "needs", "needs what runs again"
WHYS = {
    State.FAILED: "failed",
    State.CANCELLED: "was cancelled",
    State.SKIPPED: "was skipped",
    State.RUNNING: "had not ended",
    State.PARKED: "had not ended",
    State.QUEUED: "had not ended",
    State.WAITING: "had not begun",
}
SHOWN = 500  # nodes that are listed
LONGEST = 2**20  # characters of a definition that a page can edit: laid out, it is some times as long


class Editor(NamedTuple):
    """A run that is to be resumed: its definition as text to edit, None where there is none to edit; `refusal` says why.

    `base` tells which definition was seen, and `execution` which execution of the run: what somebody else has done
    meanwhile is found by them.
    """

    run: RunRecord
    text: str | None
    refusal: str
    base: str


class PlannedNode(NamedTuple):
    """A node that would run, and why."""

    label: str
    why: str


class Preview(NamedTuple):
    """What resuming a run would do. `rest` is how many nodes would run that are not listed."""

    nodes: list[PlannedNode]
    counts: Mapping[str, int]
    rest: int
    recalled: int
    diff: DefinitionDiff | None


def open_editor(service: Service, run_id: str) -> Editor:
    """Return what the page edits of a run. Raises `UnknownRun`."""
    run = service.head(run_id)
    recorded = recorded_definition(service, run_id)
    base = digest_of_text(recorded)
    if recorded is None:
        return Editor(run, None, "This run continues with its Python code as that is when it is resumed.", base)
    if len(recorded) > LONGEST:
        return Editor(run, None, "Its definition is too long for a page: resume it with --from FILE.", base)
    return Editor(run, editable_text(recorded), "", base)


def recorded_definition(service: Service, run_id: str) -> str | None:
    """Return the text that a run was last built from, if it was built from one."""
    texts = service.definitions(run_id)
    return texts[-1][1] if texts else None


def editable_text(recorded: str) -> str:
    """Return a recorded definition as people edit it."""
    try:
        return "\n".join(pretty_json(json.loads(recorded)))
    except (ValueError, RecursionError):
        return recorded


def digest_of_text(text: str | None) -> str:
    """Return what tells a definition from others."""
    return hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()[:16]


def seal_of_edit(text: str | None, again: Iterable[str], base: str, execution: int) -> str:
    """Return what tells an edit from others: only what was planned can be confirmed."""
    return digest_of_text(json.dumps([text, sorted(again), base, execution]))


def is_same_definition(text: str, recorded: str) -> bool:
    """Return True if a text in JSON says what is recorded, however it is laid out."""
    try:
        same: bool = json.loads(text) == json.loads(recorded)
    except (ValueError, RecursionError):
        return text == recorded
    return same


def names_typed(text: str) -> list[str]:
    """Return names, one in each line."""
    return [line.strip() for line in text.split("\n") if line.strip()]


# What somebody else did meanwhile


class Conflict(NamedTuple):
    """What has changed of a run since its editor was opened: in words, and in its definition where it has another one."""

    text: str
    diff: DefinitionDiff | None


def conflict_of(service: Service, editor: Editor, base: str, execution: int) -> Conflict | None:
    """Return what has changed since an editor saw a definition and an execution; None if nothing has."""
    run = editor.run
    if run.execution == execution and editor.base == base:
        return None
    said = f"run {run.id} was resumed meanwhile: it is in execution {run.execution} now, and {run.state}; you saw execution {execution}"
    seen = [text for _, text in service.definitions(run.id) if digest_of_text(text) == base]
    now = recorded_definition(service, run.id)
    return Conflict(said, definition_diff(seen[-1], now) if seen and now and seen[-1] != now else None)


def refusal_of_state(run: RunRecord) -> str:
    """Return why a run cannot be resumed now; nothing if it can."""
    if run.state is State.QUEUED:
        return f"run {run.id} is queued already"
    if run.owner is not None and not run.owner.gone() and run.ended_at is None:
        return f"run {run.id} goes on in {run.owner}: cancel it first"
    return ""


# What would run


def preview_of(
    service: Service, run_id: str, plan: Mapping[str, Any], edited: str | None, again: Iterable[str]
) -> Preview:
    """Return what resuming a run would do, of its plan as JSON has it: `edited` is another definition in JSON, if there is one."""
    recorded = recorded_definition(service, run_id)
    diff = change = None
    if edited is not None and recorded is not None:
        diff = definition_diff(recorded, edited)
        change = definition_changes([(1, recorded), (2, edited)])[1]
    labels = [str(each) for each in plan.get("run", ())]
    reasons = Reasons(service.nodes(run_id, every=True), service.edges(run_id), labels, change, again)
    planned = [PlannedNode(label, reasons.why(label)) for label in labels]
    counts = Counter(UPSTREAM if each.why.startswith(NEEDS) else each.why for each in planned)
    rest = max(len(planned) - SHOWN, 0)
    return Preview(planned[:SHOWN], dict(counts.most_common()), rest, int(plan.get("recalled") or 0), diff)


class Reasons:
    """Why nodes would run: what was edited or asked for, how they ended, and what they need."""

    def __init__(
        self,
        nodes: Iterable[NodeRecord],
        edges: Iterable[EdgeRecord],
        labels: Iterable[str],
        change: Change | None,
        again: Iterable[str],
    ) -> None:
        self._nodes = {node.label: node for node in nodes}
        self._labels = {node.number: label for label, node in self._nodes.items()}
        self._runs = set(labels)
        self._edited = set() if change is None else set(change.changed)
        self._again = set(again)
        self._ups: dict[int, list[int]] = {}
        for edge in edges:
            self._ups.setdefault(edge.down, []).append(edge.up)

    def why(self, label: str) -> str:
        """Return why the node of a label would run."""
        node = self._nodes.get(label)
        if node is None:
            return NEW
        if self._again & {label, node.name, task_of_node(node), str(node.number)}:
            return ASKED
        if self._edited & {node.name, task_of_node(node)}:
            return EDITED
        if node.state in WHYS:
            return WHYS[node.state]
        ups = [self._labels.get(number, "") for number in self._ups.get(node.number, ())]
        return next((f"{NEEDS} {up}" for up in ups if up in self._runs), UPSTREAM)


def task_of_node(node: NodeRecord) -> str:
    """Return the name of the task that a node was made from: with parameters, theirs come after it."""
    return node.name.partition("[")[0]
