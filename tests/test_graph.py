"""The graph: order, cycles, critical path, and every drawing of it."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag._core.graph import Graph, GraphEdge, GraphNode
from aiodag.errors import CycleError, OptionError
from aiodag.states import MOVES, NODE_STATES, State

MERMAID = Path(__file__).parent / "mermaid"
LONG = 100_000
HOSTILE = (
    'say "hi"',
    "a[0](b){c}<d>|e|",
    "x --> y; n1 -.-> n2",
    "#quot; #35; &lt;b&gt; &amp; <br/>",
    "two\nlines\r\n\tand a tab\x00\x1b[31m",
    "end",
    "subgraph x",
    "%%{init: {}}%%",
    "`**bold** _it_ __init__`",
    "1. one",
    "- item",
    "# title",
    "style:red#a;b;",
    "classDef x fill:#fff;",
    "fa:fa-car https://example.org www.example.org a@b.org $$x^2$$",
    "click n1 href",
    "back\\slash\\",
    "naïve 日本語 🙂 \u202e \ud800",
    ":::failed",
    "---",
    "",
)


def a_node(id_: int, label: str = "", state: State = State.WAITING, **rest: Any) -> GraphNode:
    return GraphNode(id=id_, name=label or f"n{id_}", label=label or f"n{id_}", state=state)._replace(**rest)


def a_chain(length: int) -> Graph:
    edges = (GraphEdge(at, at + 1, "endogenous") for at in range(length - 1))
    return Graph("chain", map(a_node, range(length)), edges)


def ran(id_: int, label: str, start: float, end: float, *, created: float = 0.0) -> GraphNode:
    moves = ((State.WAITING, created), (State.QUEUED, start), (State.RUNNING, start), (State.SUCCEEDED, end))
    return a_node(id_, label, State.SUCCEEDED, moves=moves, attempts=1)


def etl() -> Graph:
    """Return the pipeline of the README, as it was when it had run."""
    seconds = {"a1": 1.0, "a2": 2.0, "b1": 4.0, "b2": 0.5, "c1": 6.0, "c2": 3.5}
    nodes = [ran(at, f"fetch({key!r})", 0.0, end) for at, (key, end) in enumerate(seconds.items(), 1)]
    upstreams = {7: (1, 2), 8: (3, 4), 9: (5, 6), 10: (7, 8), 11: (7,), 12: (10,), 13: (9,), 14: (11, 12, 13)}
    ends = dict(enumerate(seconds.values(), 1))
    for id_, upstream in upstreams.items():
        start = max(ends[up] for up in upstream)
        ends[id_] = start + 1
        label = "concatenate" if id_ <= 10 else "strip_numbers" if id_ <= 13 else "upload"
        nodes.append(ran(id_, label, start, start + 1))
    edges = [GraphEdge(up, id_, "endogenous") for id_, upstream in upstreams.items() for up in upstream]
    return Graph("etl", nodes, edges, now=9.0)


def styled() -> Graph:
    """Return a graph with every state, every kind of edge, and a nested node."""
    nodes = [a_node(at, f"job({at})", state, attempts=at) for at, state in enumerate(NODE_STATES)]
    kinds = ("endogenous", "exogenous")
    edges = [GraphEdge(at, at + 1 + (at % 3 == 0), kinds[at % 2], settled=at in {2, 3}) for at in range(5)]
    return Graph("styled", [*nodes, a_node(7, "inside", parent=0)], edges)


def hostile() -> Graph:
    nodes = [a_node(at, error=label, state=State.FAILED)._replace(label=label) for at, label in enumerate(HOSTILE)]
    return Graph("\n".join(HOSTILE), nodes, [GraphEdge(a.id, b.id, "exogenous") for a, b in pairwise(nodes)])


def labels(nodes: Iterable[GraphNode]) -> list[str]:
    return [node.label for node in nodes]


# States


def test_final_states_are_those_without_a_move() -> None:
    """A final state is never left, and only final states are dead ends."""
    assert {state for state in State if state.final} == {state for state, moves in MOVES.items() if not moves}
    assert [*MOVES] == [state for state in State if state is not State.PARKED]


def test_every_state_can_be_reached_from_waiting() -> None:
    """No row of the table is dead."""
    seen = {State.WAITING}
    for _ in MOVES:
        seen |= {target for state in seen for target in MOVES[state]}

    assert seen == set(MOVES)


# Structure


def test_order_puts_each_node_after_its_upstreams() -> None:
    """order() is topological, whatever the order of the nodes given."""
    graph = etl()
    place = {node.id: at for at, node in enumerate(Graph("x", reversed(graph.nodes), graph.edges).order())}

    assert len(place) == len(graph) == 14
    assert all(place[edge.source] < place[edge.target] for edge in graph.edges)


def test_upstream_and_downstream_name_each_node_once() -> None:
    """Two edges between the same nodes are one neighbour."""
    edges = [GraphEdge(0, 1, "endogenous"), GraphEdge(0, 1, "exogenous")]
    graph = Graph("x", [a_node(0), a_node(1)], edges)

    assert (graph.downstream(0), graph.upstream(1), graph.upstream(0)) == ((1,), (0,), ())
    assert [node.id for node in graph.order()] == [0, 1]


def test_a_cycle_is_named_from_end_to_end() -> None:
    """The error shows the way round, along the edges, without the nodes that merely hang on it."""
    names = ["before", "a", "b", "c", "after"]
    pairs = [(0, 1), (1, 2), (2, 3), (3, 1), (3, 4)]
    graph = Graph("x", [a_node(*pair) for pair in enumerate(names)], [GraphEdge(*pair, "endogenous") for pair in pairs])

    with pytest.raises(CycleError, match=" -> ") as caught:
        graph.order()

    path = caught.value.path
    assert path[0] == path[-1]
    assert set(path) == {"a", "b", "c"}
    assert all(step in {("a", "b"), ("b", "c"), ("c", "a")} for step in pairwise(path))


def test_a_node_that_waits_for_itself_is_a_cycle() -> None:
    """The shortest cycle has one node."""
    with pytest.raises(CycleError) as caught:
        Graph("x", [a_node(0, "a")], [GraphEdge(0, 0, "endogenous")]).order()

    assert caught.value.path == ("a", "a")


def test_a_cycle_is_drawn_all_the_same() -> None:
    """Drawing is for finding mistakes, so a mistaken graph can be drawn: edges or nesting in a ring, all nodes shown."""
    ring = Graph("x", [a_node(0, "a"), a_node(1, "b")], [GraphEdge(0, 1, "endogenous"), GraphEdge(1, 0, "endogenous")])
    nest = Graph("x", [a_node(0, "a", parent=1), a_node(1, "b", parent=0)], [])

    for graph in (ring, nest):
        assert [line.split("· ")[1][0] for line in graph.to_text().splitlines()[1:]] == ["a", "b"]
        assert "n0" in graph.to_mermaid() + graph.to_dot()


def test_a_cycle_is_named_without_harm_to_the_terminal() -> None:
    """Names may come from anywhere, such as a file."""
    with pytest.raises(CycleError, match=r"cycle: a\\x1b\[2J -> a\\x1b\[2J"):
        Graph("x", [a_node(0, "a\x1b[2J")], [GraphEdge(0, 0, "endogenous")]).order()


@pytest.mark.parametrize("id_", ["n0", '0"] --> n1["x', -1, 1.5, True, None])
def test_an_id_is_a_number(id_: Any) -> None:
    """Drawings use ids as they are."""
    with pytest.raises(TypeError, match="an id is an int of 0 or more"):
        Graph("x", [a_node(0)._replace(id=id_)], [])


def test_graph_refuses_what_does_not_fit_together() -> None:
    """An id is given once; an edge has two ends."""
    with pytest.raises(ValueError, match="more than one node with the id 3"):
        Graph("x", [a_node(3), a_node(3)], [])
    with pytest.raises(ValueError, match="no node for an end of the edge 0 -> 9"):
        Graph("x", [a_node(0)], [GraphEdge(0, 9, "endogenous")])


def test_counts_leave_out_the_zeros() -> None:
    """counts() is in the order of the states."""
    graph = Graph("x", [a_node(0, state=State.FAILED), a_node(1), a_node(2)], [])

    assert list(graph.counts().items()) == [(State.WAITING, 2), (State.FAILED, 1)]


@pytest.mark.parametrize("graph", [etl(), styled(), Graph("empty", [], [])], ids=lambda graph: graph.name)
def test_json_is_there_and_back(graph: Graph) -> None:
    """from_dict undoes to_dict, also by way of JSON."""
    again = Graph.from_dict(json.loads(graph.to_json(indent=1)))

    assert (again.nodes, again.edges) == (graph.nodes, graph.edges)
    assert (again.name, again.now) == (graph.name, graph.now)
    assert all(type(node["state"]) is str for node in graph.to_dict()["nodes"])


def test_json_of_any_name_can_be_written() -> None:
    """A lone surrogate has no encoding; escaped it goes there and back."""
    graph = Graph("naïve \ud800", [a_node(0, "\udfff\x1b\n")], [])

    assert Graph.from_dict(json.loads(graph.to_json().encode("utf-8"))).nodes == graph.nodes


@pytest.mark.parametrize(
    ("nodes", "edges", "sizes"), [(0, 0, "0 nodes, 0 edges"), (1, 1, "1 node, 1 edge"), (2, 2, "2 nodes, 2 edges")]
)
def test_repr_counts(nodes: int, edges: int, sizes: str) -> None:
    """One is one."""
    graph = Graph("etl", map(a_node, range(nodes)), [GraphEdge(0, 0, "endogenous")] * edges)

    assert repr(graph) == str(graph) == f"<Graph 'etl': {sizes}>"


def test_a_graph_without_nodes_is_true() -> None:
    """`if graph:` asks whether there is a graph, not whether it has nodes."""
    assert Graph("x", [], [])


# Critical path


def test_critical_path_goes_up_by_what_settled_last() -> None:
    """It is the chain that a faster node would shorten."""
    assert labels(etl().critical_path()) == ["fetch('c1')", "concatenate", "strip_numbers", "upload"]


def test_critical_path_before_the_run_is_the_longest_chain() -> None:
    """Without times, nodes are counted."""
    graph = etl()
    plan = Graph("etl", [node._replace(state=State.WAITING, moves=()) for node in graph.nodes], graph.edges)

    assert labels(plan.critical_path())[1:] == ["concatenate", "concatenate", "strip_numbers", "upload"]


def test_critical_path_of_a_skip_leads_to_the_failure() -> None:
    """A skipped node settles with its failed upstream; another upstream that ends later did not hold it up."""
    failed = a_node(0, "broken", State.FAILED, moves=((State.RUNNING, 0.0), (State.FAILED, 2.0)))
    skipped = a_node(2, "join", State.SKIPPED, moves=((State.WAITING, 0.0), (State.SKIPPED, 2.0)))
    running = a_node(1, "slow", State.RUNNING, moves=((State.RUNNING, 0.0),))
    edges = [GraphEdge(0, 2, "endogenous"), GraphEdge(1, 2, "endogenous")]

    assert labels(Graph("x", [failed, running, skipped], edges, 3.0).critical_path()) == ["broken", "join"]


def span(id_: int, name: str, called: float, end: float | None, parent: int | None = None) -> GraphNode:
    """Return a node that ran from its call to its end."""
    last = () if end is None else ((State.SUCCEEDED, end),)
    moves = ((State.WAITING, called), (State.QUEUED, called), (State.RUNNING, called), *last)
    return a_node(id_, name, State.SUCCEEDED if last else State.RUNNING, moves=moves)._replace(parent=parent)


def test_critical_path_leads_through_the_bodies_of_nodes() -> None:
    """A body waits for what it calls: one after another, and several at once."""
    nodes = [
        span(0, "etl", 0, 9),
        span(1, "list", 0, 1, parent=0),
        span(2, "pull a", 1, 3, parent=0),
        span(3, "pull b", 1, 4, parent=0),
        span(4, "inner", 4.5, 5, parent=5),
        span(5, "load", 4, 8.5, parent=0),
        span(6, "write", 5, 8, parent=5),
        span(7, "log", 4, 4.1, parent=0),
    ]

    path = Graph("x", nodes, []).critical_path()

    assert labels(path) == ["etl", "list", "pull b", "load", "inner", "write"]


def test_critical_path_comes_out_of_a_body_by_an_upstream_of_outside() -> None:
    """What a node inside waited for may have been called outside, and the body that called it before that."""
    nodes = [
        span(0, "fetch", 0, 5),
        span(1, "config", 0, 0.5),
        span(2, "etl", 0, 7),
        span(3, "parse", 1, 6, parent=2),
    ]
    edges = [GraphEdge(0, 3, "endogenous"), GraphEdge(1, 2, "endogenous")]

    assert labels(Graph("x", nodes, edges).critical_path()) == ["fetch", "etl", "parse"]


def test_critical_path_of_a_run_that_goes_on_ends_at_what_settled_last() -> None:
    """The body around it has not settled, and what was called in it one after another is a chain all the same."""
    nodes = [span(0, "etl", 0, None), span(1, "a", 0, 1, parent=0), span(2, "b", 1, 2, parent=0)]

    assert labels(Graph("x", nodes, [], 3.0).critical_path()) == ["a", "b"]


def test_critical_path_does_not_mind_bodies_inside_each_other() -> None:
    """A graph may have been read from a file."""
    nodes = [span(0, "a", 0, 1, parent=1), span(1, "b", 0, 1, parent=0), span(2, "c", 0, 1, parent=2)]

    assert {node.name for node in Graph("x", nodes, []).critical_path()} <= {"a", "b", "c"}


def test_critical_path_of_nothing_is_nothing() -> None:
    """An empty graph has an empty path."""
    assert Graph("x", [], []).critical_path() == ()


# Text


def test_text_of_the_etl() -> None:
    """Each node is on one line, below all that it waits for; earlier upstreams point down to it."""
    expected = """\
etl: 14 nodes, 14 succeeded, after 9 s
├─ ✓ fetch('a1')                succeeded, 1 s  → concatenate #7
├─ ✓ fetch('a2')                succeeded, 2 s
│  └─ ✓ concatenate #7          succeeded, 1 s  → concatenate #10
│     └─ ✓ strip_numbers #11    succeeded, 1 s  → upload
├─ ✓ fetch('b1')                succeeded, 4 s  → concatenate #8
├─ ✓ fetch('b2')                succeeded, 500 ms
│  └─ ✓ concatenate #8          succeeded, 1 s
│     └─ ✓ concatenate #10      succeeded, 1 s
│        └─ ✓ strip_numbers #12 succeeded, 1 s  → upload
├─ ✓ fetch('c1')                succeeded, 6 s  → concatenate #9
└─ ✓ fetch('c2')                succeeded, 3.5 s
   └─ ✓ concatenate #9          succeeded, 1 s
      └─ ✓ strip_numbers #13    succeeded, 1 s
         └─ ✓ upload            succeeded, 1 s"""

    assert etl().to_text() == expected


def test_text_tells_edges_apart() -> None:
    """Exogenous edges are dashed, settled ones say so, nested nodes hang on a circle."""
    nodes = [a_node(0, "a"), a_node(1, "b"), a_node(2, "c"), a_node(3, "d", parent=0), a_node(4, "e", parent=0)]
    edges = [GraphEdge(0, 1, "exogenous"), GraphEdge(0, 2, "exogenous"), GraphEdge(1, 2, "endogenous", settled=True)]
    expected = """\
x: 5 nodes, 5 waiting
└─ · a               waiting  ⇢ c
   ├╌ · b            waiting
   │  └─ settled · c waiting
   └○ · d            waiting
      └─ · e         waiting"""

    assert Graph("x", nodes, [*edges, GraphEdge(3, 4, "endogenous")]).to_text() == expected


def joined() -> Graph:
    """Return nodes of a workflow that a barrier joins with others."""
    nodes = [
        ran(0, "pull[1]", 0.0, 1.0),
        ran(1, "pull[2]", 0.0, 1.0),
        ran(3, "clean[1]", 1.0, 2.0),
        a_node(4, "clean[2]"),
    ]
    barrier = ran(2, "all of pull", 1.0, 1.5)._replace(barrier=True, attempts=4)
    edges = [GraphEdge(*ends, "exogenous") for ends in ((0, 2), (1, 2), (2, 3), (2, 4))]
    return Graph("x", [*nodes, barrier], edges, now=2.0)


def test_text_shows_a_barrier_as_a_fork() -> None:
    """It is not a node to the reader: it has no state, no time and no attempts."""
    expected = """\
x: 4 nodes, 1 waiting, 3 succeeded, after 2 s
├─ ✓ pull[1]        succeeded, 1 s  ⇢ (all of pull)
└─ ✓ pull[2]        succeeded, 1 s
   └╌ (all of pull)
      ├╌ ✓ clean[1] succeeded, 1 s
      └╌ · clean[2] waiting"""

    assert joined().to_text() == expected


def test_a_barrier_has_no_time() -> None:
    """A graph in which nothing else has happened has not run, and a timeline has no row for a barrier."""
    alone = Graph("x", [ran(0, "all of pull", 0.0, 1.0)._replace(barrier=True)], [], now=1.0)

    assert "all of pull" not in joined().timeline()
    assert alone.timeline() == "x: 0 nodes\nnothing has run yet"


def test_text_tells_errors_and_attempts() -> None:
    """A failed node shows its error on its own line."""
    failed = a_node(0, "fetch", State.FAILED, attempts=3, error="TimeoutError: no\nanswer")

    assert Graph("x", [failed], []).to_text().splitlines()[1:] == [
        r"└─ ✗ fetch failed, 3 attempts: TimeoutError: no\nanswer"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1e-9, "0.001 µs"),
        (0.0000656, "65.6 µs"),
        (0.00099949, "999 µs"),
        (0.00099951, "1 ms"),
        (0.001384, "1.38 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.234, "1.23 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (86_400.0, "1 d 0 h"),
    ],
)
def test_text_tells_durations_in_three_digits_and_from_a_minute_on_in_two_units(seconds: float, text: str) -> None:
    """The unit is the one that needs the fewest signs."""
    graph = Graph("x", [ran(0, "a", 0.0, seconds)], [], now=seconds)

    assert graph.to_text().splitlines() == [f"x: 1 node, 1 succeeded, after {text}", f"└─ ✓ a succeeded, {text}"]


def test_text_numbers_equal_labels_by_their_ids() -> None:
    """The number leads on: to `upstream`, to Mermaid, to JSON."""
    drawn = Graph("x", [a_node(at, label) for at, label in ((1, "parse"), (2, "load"), (5, "parse"))], []).to_text()

    assert [line.split("· ")[1].split(" waiting")[0].strip() for line in drawn.splitlines()[1:]] == [
        "parse #1",
        "load",
        "parse #5",
    ]


def test_text_of_a_plan_has_no_times() -> None:
    """Before anything has run, the moments of the calls are nobody's concern."""
    moves = ((State.WAITING, 0.0), (State.QUEUED, 0.001))
    graph = Graph("x", [a_node(0, "a", State.QUEUED, moves=moves)], [], now=0.00138)

    assert graph.to_text() == "x: 1 node, 1 queued\n└─ : a queued"
    assert graph.timeline() == "x: 1 node, 1 queued\nnothing has run yet"


def test_text_counts_the_pointers_that_it_leaves_out() -> None:
    """A node that leads to many joins stays on one readable line."""
    nodes = [a_node(at) for at in range(12)]
    edges = [GraphEdge(up, down, "endogenous") for up in (0, 1) for down in range(2, 12)]

    assert "→ n6 and 5 more" in Graph("x", nodes, edges).to_text().splitlines()[1]


@settings(deadline=None, max_examples=50)
@given(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda pair: pair[0] < pair[1])))
def test_text_has_each_node_once_below_its_upstreams(pairs: set[tuple[int, int]]) -> None:
    """Reading from the top, every node comes after all that it waits for."""
    drawn = Graph("x", map(a_node, range(13)), [GraphEdge(*pair, "endogenous") for pair in pairs]).to_text()
    order = [int(line.split(" · n")[1].split()[0]) for line in drawn.splitlines()[1:]]

    assert sorted(order) == list(range(13))
    assert all(order.index(up) < order.index(down) for up, down in pairs)


# Timeline


def test_timeline_of_the_etl() -> None:
    """Rows are in order of start, bars in proportion, the mark stands where the node settled."""
    expected = """\
etl: 14 nodes, 14 succeeded, after 9 s
fetch('a1')       │ █████✓
fetch('a2')       │ ███████████✓
fetch('b1')       │ ██████████████████████✓
fetch('b2')       │ ██✓
fetch('c1')       │ ██████████████████████████████████✓
fetch('c2')       │ ███████████████████✓"""
    drawn = etl().timeline().splitlines()

    assert drawn[:7] == expected.splitlines()
    assert drawn[-2].strip().startswith("seconds └─0─")
    assert drawn[-1] == "· waiting  █ running  ✓ succeeded"


@pytest.mark.parametrize("width", [1, 40, 72, 200])
def test_timeline_is_as_wide_as_asked(width: int) -> None:
    """No line of the chart is wider, but 40 columns are the least."""
    chart = etl().timeline(width).splitlines()[1:-1]

    assert max(map(len, chart)) == max(width, 40)


def test_timeline_shows_waits_retries_and_the_present() -> None:
    """A node that runs is drawn until now; a retry goes back to queued."""
    retried = a_node(
        0,
        "a",
        State.RUNNING,
        moves=(
            (State.WAITING, 0.0),
            (State.QUEUED, 2.0),
            (State.RUNNING, 4.0),
            (State.QUEUED, 6.0),
            (State.RUNNING, 8.0),
        ),
    )
    bar = Graph("x", [retried], [], now=10.0).timeline(45).splitlines()[1]

    assert bar == "a │ ········::::::::████████::::::::████████"


def test_timeline_folds_what_is_beyond_forty_rows() -> None:
    """A large run stays on one screen, and says how much it left out."""
    drawn = Graph("x", [ran(at, "", at, at + 1) for at in range(100)], [], now=100.0).timeline()

    assert len(drawn.splitlines()) == 1 + 40 + 1 + 2
    assert "60 more nodes" in drawn


def test_timeline_of_a_plan_says_so() -> None:
    """Without moves there is nothing to draw."""
    assert a_chain(3).timeline().splitlines()[-1] == "nothing has run yet"


def test_timeline_of_no_time_says_so() -> None:
    """On a virtual clock, a run may take none."""
    assert Graph("x", [ran(0, "a", 0.0, 0.0)], []).timeline().splitlines()[-1] == "no time has passed"


@pytest.mark.parametrize("span", [1e-7, 0.003, 0.3, 1.0, 59.9, 86_400.0])
def test_timeline_axis_has_readable_steps(span: float) -> None:
    """From microseconds to days, there are some ticks but not too many, and the line keeps its length."""
    axis = Graph("x", [ran(0, "a", 0.0, span)], [], now=span).timeline().splitlines()[-2]
    ticks = [tick for tick in axis.split("└─")[1].split("─") if tick]

    assert 2 <= len(ticks) <= 10


# Size


def test_long_chains_are_no_trouble() -> None:
    """Nothing recurses, nothing is quadratic: 100,000 nodes in a row."""
    graph = a_chain(LONG)
    began = time.process_time()

    assert len(graph.order()) == len(graph.critical_path()) == LONG
    drawn = graph.to_text()
    assert drawn.count("\n") == LONG
    assert max(map(len, drawn.splitlines())) < 120
    assert len(Graph.from_dict(graph.to_dict())) == LONG
    assert graph.to_mermaid().count("-->") == graph.to_dot().count("->") == LONG - 1
    assert time.process_time() - began < 60  # ten times as long as it takes; a quadratic one takes many minutes


def test_a_long_cycle_is_found() -> None:
    """The walk that finds a cycle does not recurse either."""
    graph = a_chain(LONG)

    with pytest.raises(CycleError):
        Graph("ring", graph.nodes, [*graph.edges, GraphEdge(LONG - 1, 0, "endogenous")]).order()


# Mermaid and Graphviz


def test_mermaid_tells_edges_and_states_apart() -> None:
    """Dashed is exogenous, a label says settled, a circle is nested, a class is a state."""
    drawn = styled().to_mermaid("TB").splitlines()

    assert drawn[0] == "flowchart TB"
    assert '    n4["✗ job(4) ×4"]:::failed' in drawn
    assert "    n1 -.-> n2" in drawn
    assert "    n2 -->|settled| n3" in drawn
    assert "    n3 -.->|settled| n5" in drawn
    assert "    n0 --o n7" in drawn
    assert sum("classDef" in line for line in drawn) == len(NODE_STATES)


def test_mermaid_refuses_a_direction_that_it_does_not_have() -> None:
    """The direction goes into the text as it is, so it has to be one of five."""
    with pytest.raises(OptionError, match="LR, RL, TB, TD, BT"):
        etl().to_mermaid("LR; click")


def test_every_drawing_keeps_a_hostile_label_on_its_line() -> None:
    """No label ends a line, a quote or the encoding."""
    graph = hostile()

    assert len(graph.to_text().splitlines()) == 1 + len(HOSTILE)
    assert len(graph.to_mermaid().splitlines()) == 2 * len(HOSTILE) + 1
    assert all(drawn.encode() for drawn in (graph.to_text(), graph.to_mermaid(), graph.to_dot(), graph.timeline()))
    assert all(line.isprintable() for line in "\n".join((graph.to_text(), graph.timeline(), str(graph))).split("\n"))
    assert all(line.count('"') == 2 for line in graph.to_mermaid().splitlines() if "[" in line)


def mermaid_type(text: str) -> str:
    node = shutil.which("node")
    if not (MERMAID / "node_modules").exists():
        pytest.skip("Mermaid's parser is not installed: npm install --no-package-lock in tests/mermaid")
    assert node, "tests/mermaid/node_modules is there, but node is not on the PATH"
    done = subprocess.run(
        [node, str(MERMAID / "parse.mjs")], input=text.encode(), capture_output=True, check=False, timeout=60
    )
    assert not done.returncode, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    "graph", [etl(), styled(), hostile(), Graph("empty", [], [])], ids=["etl", "styled", "hostile", "empty"]
)
def test_mermaid_parses_it(graph: Graph) -> None:
    """Mermaid's own parser takes every drawing."""
    assert mermaid_type(graph.to_mermaid()) == "flowchart-v2"


def test_mermaid_parser_says_no() -> None:
    """The parser that the tests trust refuses what is wrong."""
    with pytest.raises(AssertionError, match="Parse error"):
        mermaid_type('flowchart LR\n a[x"] --> end')


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed: no dot on the PATH")
@pytest.mark.parametrize("graph", [etl(), styled(), hostile()], ids=["etl", "styled", "hostile"])
def test_graphviz_draws_it(graph: Graph) -> None:
    """`dot` takes every drawing, and the labels it draws are those that went in."""
    done = subprocess.run(["dot", "-Tjson"], input=graph.to_dot().encode(), capture_output=True, check=True, timeout=60)
    drawn = json.loads(done.stdout)

    assert not done.stderr
    assert len(drawn["objects"]) == len(graph)


# What waits for something outside of the run


def waiting_graph() -> Graph:
    """Return a message that came, one that has not, and a plain node."""
    came = ran(0, "message('PAYMENT')", 0.0, 40.0)._replace(waits="message")
    comes = span(1, "message('SHIPPED')", 40.0, None)._replace(waits="message")
    return Graph("order", [came, comes, ran(2, "ship", 40.0, 50.0)], [GraphEdge(0, 2, "endogenous")], now=60.0)


def test_text_tells_what_waits_and_what_has_waited_from_what_ran() -> None:
    """Neither the sign nor the words of a wait are those of work."""
    assert waiting_graph().to_text().splitlines()[1:] == [
        "├─ ✓ message('PAYMENT') succeeded, waited 40 s",
        "│  └─ ✓ ship            succeeded, 10 s",
        "└─ ‖ message('SHIPPED') waits, 20 s",
    ]


def test_mermaid_and_graphviz_draw_waits_with_round_ends() -> None:
    """The shape says that a node waits or has waited, the class that it still does."""
    graph = waiting_graph()

    mermaid, dot = graph.to_mermaid().splitlines(), graph.to_dot().splitlines()

    assert "    n0([\"✓ message('PAYMENT')\"]):::succeeded" in mermaid
    assert "    n1([\"‖ message('SHIPPED')\"]):::parked" in mermaid
    assert sum(line.startswith("    classDef parked ") for line in mermaid) == 1
    assert ["shape=oval" in line for line in dot if "label=" in line] == [True, True, False]


def test_a_timeline_has_no_bar_of_work_where_a_node_waited() -> None:
    """The time of a wait belongs to nobody here."""
    came, ship, comes, _, legend = waiting_graph().timeline(60).splitlines()[1:]

    assert ["█" in came, "█" in ship, "█" in comes] == [False, True, False]
    assert ["‖‖‖" in came, "‖‖‖" in ship, "‖‖‖" in comes] == [True, False, True]
    assert "‖ waited for something outside" in legend


def test_waits_come_back_from_json_and_older_graphs_have_none() -> None:
    """A graph that was kept by an earlier version is read as it was."""
    graph = waiting_graph()
    kept = graph.to_dict()
    for node in kept["nodes"]:
        del node["waits"]

    assert [node.waits for node in Graph.from_dict(graph.to_dict()).nodes] == ["message", "message", ""]
    assert [node.waits for node in Graph.from_dict(kept).nodes] == ["", "", ""]
