"""Put the states of runs into lines: one after the other, or as a tree that follows the edges.

Each line begins with the sign of a state, after what a tree draws before it: by that sign a terminal gives it its colour.
"""

import re
from collections import Counter

from aiodag import Graph, GraphNode
from aiodag.cli.show import begin_text, with_brief_errors
from aiodag.looks import LOOKS
from aiodag.records import RunRecord
from aiodag.service.phrases import run_state, state_counts, took_text
from aiodag.states import State
from aiodag.wording import first_line, printable

SIGNS = {state: look.sign for state, look in LOOKS.items()}
# What a tree draws before the sign of a node: lines, how deep it is where that is too deep to draw, what an edge accepts.
LEAD = re.compile(rf"(?:[│├└─╌○ ]|\d+: |settled )*(?=(?P<sign>[{''.join(SIGNS.values())}]) )")
WIDEST = 60  # columns of names that are aligned


def states_text(run: RunRecord, graph: Graph, style: str) -> str:
    """Show one run: a line about the run, and one for each node."""
    lines = tree(graph) if style == "tree" else flat(graph)
    return "\n".join([run_headline(run, graph), *lines])


def run_headline(run: RunRecord, graph: Graph) -> str:
    """Return in one line what became of a run."""
    again = [f"execution {run.execution}"] if run.execution > 1 else []
    parts = [
        printable(run.id),
        run_state(run),
        begin_text(run),
        took_text(run),
        *again,
        state_counts(Counter(node.state for node in graph.nodes if not node.barrier)),
    ]
    return "  ".join(filter(None, parts))


def tree(graph: Graph) -> list[str]:
    """Return the lines of a tree: a node under the last of its upstreams, and marked where it appears besides."""
    return with_brief_errors(graph).to_text().split("\n")[1:]


def flat(graph: Graph) -> list[str]:
    """Return a line for each node, in the order of their calls."""
    nodes = [node for node in graph.nodes if not node.barrier]
    labels = {node.id: printable(node.label) for node in nodes}
    count = Counter(labels.values())
    names = {id_: f"{label} #{id_}" if count[label] > 1 else label for id_, label in labels.items()}
    width = max((len(name) for name in names.values() if len(name) <= WIDEST), default=0)
    return [f"{SIGNS[node.shown_as]} {names[node.id]:<{width}}  {node_words(node, graph.now)}" for node in nodes]


def node_words(node: GraphNode, now: float) -> str:
    """Return what became of a node."""
    words, error = node.describe(now), printable(first_line(node.error))
    return f"{words}: {error}" if error else words


def state_at(line: str) -> tuple[State | None, int]:
    """Return the state that a line tells, and where its sign is; None for a line about something else.

    >>> state_at("├─ ✗ fetch   failed")
    (<State.FAILED: 'failed'>, 3)
    """
    found = LEAD.match(line)
    if found is None:
        return None, 0
    return next(state for state, sign in SIGNS.items() if sign == found["sign"]), found.end()
