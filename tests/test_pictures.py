"""Pictures of graphs: SVG, PNG, the timeline, the HTML page."""

import asyncio
import base64
import hashlib
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from collections import Counter
from itertools import combinations
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import ROOT

from aiodag import Graph, GraphEdge, GraphNode, OptionError, Run, RunFailed, Skip, State, pictures, plan, settled, task
from aiodag.errors import MissingExtra
from aiodag.looks import LOOKS
from aiodag.pictures.groups import MOST_NODES, group_nodes
from aiodag.pictures.layout import layout
from aiodag.pictures.lettering import line, shorten_to, width
from aiodag.pictures.palette import colours_by_name
from aiodag.pictures.scene import scene
from aiodag.pictures.svg import sheet
from aiodag.states import NODE_STATES
from aiodag.testing import run
from aiodag.workflows import Workflow

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = {
    "markup": "<script>document.title='owned'</script>",
    "end of a script": "</script><script>document.title='owned'</script><!--",
    "attribute": "\" onload=\"document.title='owned'\" x='",
    "entity": "&lt;&#60;&unknown;",
    "end of character data": "]]> <![CDATA[",
    "lines": "first\nsecond\r\n\tthird\u2028fourth",
    "control characters": "\x00\x01\x08\x1b[31m\x7f\x85",
    "surrogates": "\ud800 \udfff",
    "non-characters": "\ufffe\uffff",
    "direction of writing": "\u202egnirts\u2066",
    "marks without a width": "e" + "\u0301" * 500,
    "wide letters": "取得" * 50,
    "long": "x" * 10_000,
    "script of the page": "${alert(1)} `+alert(1)+` \\u003cscript>",
    "nothing": "",
}


@task
async def fetch(name, seconds=1, error=None):
    await asyncio.sleep(seconds)
    if error:
        raise error
    return name


@task
async def join(*parts):
    await asyncio.sleep(1)
    return parts


def graph_of(call):
    """Run what `call` starts on the virtual clock, and return the graph at the end."""

    async def main():
        try:
            async with Run("etl") as etl:
                call()
        except RunFailed:
            pass
        return etl.graph()

    return run(main())


def made(count, edges=(), **fields):
    """A graph of nodes that are alike."""
    given = {"state": State.SUCCEEDED} | fields
    nodes = [GraphNode(id=at, name="fetch", label=f"fetch({at})", **given) for at in range(count)]
    return Graph("made", nodes, [edge if len(edge) > 2 else GraphEdge(*edge, "endogenous") for edge in edges])


def layered(count, layers, edges, seed=1):
    """A graph of tasks in layers; an edge passes two layers at most, and has a place in the order."""
    chance = random.Random(seed)
    at = sorted(chance.randrange(layers) for _ in range(count))
    states = chance.choices(NODE_STATES, [1, 1, 1, 20, 1, 1, 1], k=count)
    nodes = [
        GraphNode(
            id=id_,
            name=f"task_{layer}",
            label=f"task_{layer}('item {id_}')",
            state=state,
            attempts=1,
            moves=((State.WAITING, 0.0), (State.RUNNING, float(layer)), (state, layer + chance.random())),
            site=f"flow.py:{layer}",
            error="TimeoutError: no answer" * (state is State.FAILED),
        )
        for id_, (layer, state) in enumerate(zip(at, states, strict=True))
    ]
    found = set()
    while len(found) < edges:
        source, target = sorted(chance.sample(range(count), 2))
        if 0 < at[target] - at[source] < 3:
            found.add((source, target))
    kinds = ("endogenous", "endogenous", "exogenous")
    drawn = [GraphEdge(*ends, chance.choice(kinds)) for ends in sorted(found)]
    return Graph("layered", nodes, drawn, now=float(layers))


def through_a_barrier(many, others, *, fails=False):
    """Nodes that a barrier joins with others, as a workflow has them."""
    down = State.SKIPPED if fails else State.SUCCEEDED
    known = [("pull", State.SUCCEEDED)] * many + [("all of pull", down)] + [("clean", down)] * others
    nodes = [
        GraphNode(
            at,
            name if name == "all of pull" else f"{name}[N={at}]",
            name if name == "all of pull" else f"{name}[N={at}]",
            state,
            attempts=1,
            moves=((State.WAITING, 0.0), (State.RUNNING, float(at > many)), (state, 1.0 + (at > many))),
            barrier=name == "all of pull",
        )
        for at, (name, state) in enumerate(known)
    ]
    if fails:
        nodes[0] = nodes[0]._replace(state=State.FAILED, moves=((State.RUNNING, 0.0), (State.FAILED, 1.0)))
    edges = [GraphEdge(at, many, "exogenous") for at in range(many)]
    edges += [GraphEdge(many, many + 1 + at, "exogenous") for at in range(others)]
    return Graph("joined", nodes, edges, now=2.0)


def dots_of(root):
    return [each for each in root.iter(f"{SVG}circle") if "dot" in each.get("class").split()]


def boxes_of(root):
    return [each for each in root.iter(f"{SVG}rect") if each.get("class") == "box" and each.get("height") != "18"]


def drawn(graph):
    return fromstring(pictures.svg(graph))


def nodes_of(root):
    return {int(each.get("data-node")): each for each in root.iter(f"{SVG}g") if each.get("data-node")}


def edges_of(root):
    """Every edge as (source, target, classes of its kind)."""
    return [
        (*map(int, path.get("data-edge").split()), *group.get("class").split()[1:])
        for group in root.iter(f"{SVG}g")
        for path in group.findall(f"{SVG}path")
        if path.get("data-edge")
    ]


def words_of(element):
    return [text.text or "" for text in element.iter(f"{SVG}text")]


# The picture


def test_every_node_and_every_edge_is_drawn_once():
    graph = layered(120, 6, 200)

    root = drawn(graph)

    assert len(nodes_of(root)) == 120
    assert Counter(edge[:2] for edge in edges_of(root)) == Counter((edge.source, edge.target) for edge in graph.edges)


def test_a_node_shows_its_label_and_how_it_went():
    graph = graph_of(lambda: join(fetch("a1", 2), fetch("a2", 0.5)))

    shown = {tuple(words_of(node)) for node in nodes_of(drawn(graph)).values()}

    assert shown == {("fetch('a1', 2)", "2 s"), ("fetch('a2', 0.5)", "500 ms"), ("join", "1 s")}


def test_a_failed_node_shows_the_type_of_its_error_and_tells_all_of_it():
    graph = graph_of(lambda: fetch("a1", error=TimeoutError("no answer")))

    (node,) = nodes_of(drawn(graph)).values()

    assert words_of(node)[1] == "TimeoutError"
    assert "TimeoutError: no answer" in node.find(f"{SVG}title").text


def test_attempts_are_counted():
    graph = graph_of(lambda: fetch.with_options(retries=2)("a1", error=TimeoutError("no answer")))

    (node,) = nodes_of(drawn(graph)).values()

    assert "ran 3 s in 3 attempts" in node.find(f"{SVG}title").text


@pytest.mark.parametrize("state", NODE_STATES)
def test_a_state_has_a_colour_a_glyph_and_a_word(state):
    root = drawn(made(1, state=state))
    (node,) = nodes_of(root).values()
    style = root.find(f"{SVG}style").text

    assert state in node.get("class").split()
    assert f".node.{state} .box,.bar.{state}{{fill:{LOOKS[state].light.fill};" in style
    assert [use.get("href") for use in node.iter(f"{SVG}use")] == [f"#glyph-{state}"]
    assert words_of(node)[1] == state


def test_states_differ_in_glyph_and_in_colour():
    assert len({look.glyph for look in LOOKS.values()}) == len(State)
    assert len({look.light for look in LOOKS.values()}) == len({look.dark for look in LOOKS.values()}) == len(State)


def luminance(colour):
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_read(theme):
    colour = colours_by_name(theme)

    assert contrast(colour["ink"], colour["page"]) >= 7
    assert contrast(colour["dim"], colour["page"]) >= 4.5
    for state in State:
        assert contrast(colour[f"{state}-ink"], colour[f"{state}-fill"]) >= 4.5
        assert contrast(colour[f"{state}-line"], colour["page"]) >= 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_failed_is_told_from_succeeded_without_colours(theme):
    colour = colours_by_name(theme)

    assert contrast(colour["failed-fill"], colour["succeeded-fill"]) >= 2


def test_exogenous_edges_are_dashed_and_settled_ones_say_so():
    def call():
        one = fetch("a1")
        fetch.after(one)("a2")
        fetch.after(settled(one))("a3")
        join(one)

    root = drawn(graph_of(call))

    assert sorted(edges_of(root)) == [(0, 1, "exogenous"), (0, 2, "exogenous"), (0, 3, "endogenous")]
    assert re.search(r"\.exogenous\{stroke-dasharray:", root.find(f"{SVG}style").text)
    assert [each.text for each in root.iter(f"{SVG}title")].count("settled: any outcome will do") == 1


def test_the_way_of_a_failure_is_marked():
    def call():
        bad, good = fetch("bad", error=TimeoutError("no answer")), fetch("good")
        joined = join(bad, good)
        upload = join(joined)
        join.after(settled(upload))()

    graph = graph_of(call)
    red = {edge[:2] for edge in edges_of(drawn(graph)) if "failed" in edge}

    assert [node.state for node in graph.nodes] == ["failed", "succeeded", "skipped", "skipped", "succeeded"]
    assert red == {(0, 2), (2, 3)}


def test_what_was_skipped_before_the_failure_is_not_on_its_way():
    @task
    async def nothing_to_do():
        raise Skip("no new rows")

    graph = graph_of(lambda: join(nothing_to_do(), fetch("bad", error=TimeoutError("no answer"))))

    assert {node.name: node.state for node in graph.nodes}["join"] == "skipped"
    assert not [edge for edge in edges_of(drawn(graph)) if "failed" in edge]


def test_a_node_that_was_called_inside_another_hangs_on_it():
    @task
    async def report(name):
        return await join(fetch(name))

    graph = graph_of(lambda: report("a1"))

    assert sorted(edges_of(drawn(graph))) == [(0, 1, "nested"), (1, 2, "endogenous")]


def test_a_recalled_node_is_not_said_to_have_run():
    moves = ((State.WAITING, 0.0), (State.QUEUED, 0.0), (State.SUCCEEDED, 0.1))

    graph = made(1, moves=moves)

    assert words_of(nodes_of(drawn(graph))[0])[1] == "recalled"
    assert "recalled" in pictures.timeline(graph)


def test_a_barrier_is_a_dot_without_words_that_tells_what_it_joins():
    root = drawn(through_a_barrier(10, 3))
    barrier = nodes_of(root)[10]
    (dot,) = dots_of(barrier)

    assert boxes_of(barrier) == words_of(barrier) == []
    assert float(dot.get("r")) < 6
    assert barrier.find(f"{SVG}title").text == (
        "(all of pull) joins pull[N=0], pull[N=1], pull[N=2] and 7 more with clean[N=11], clean[N=12], clean[N=13]"
    )


def test_there_are_as_many_boxes_as_the_heading_says():
    root = drawn(through_a_barrier(10, 4))

    assert root[0].text.startswith("joined: 14 nodes, ")
    assert (len(boxes_of(root)), len(dots_of(root))) == (14, 1)
    assert len(edges_of(root)) == 14
    assert {edge[2] for edge in edges_of(root)} == {"exogenous"}


def test_a_failure_goes_through_a_barrier():
    root = drawn(through_a_barrier(3, 3, fails=True))

    assert {edge[:2] for edge in edges_of(root) if "failed" in edge} == {(0, 3), (3, 4), (3, 5), (3, 6)}
    assert "failed" in dots_of(root)[0].get("class")


def test_what_a_generator_has_added_leads_to_what_waits_for_it():
    @task
    async def give():
        given = Workflow("given")
        given.add(join, name="part")
        return given

    flow = Workflow("growing")
    flow.add(join, name="after", after=flow.add(give, name="give", generator=True))
    found = []
    run(flow.run(opened=found.append))
    graph = found[0].graph()
    number = {node.name: node.id for node in graph.nodes}
    hidden = number["give generated"]

    edges = {edge[:2] for edge in edges_of(drawn(graph))}

    assert {(number["part"], hidden), (hidden, number["after"])} <= edges
    assert [name for name, _ in rows_of(graph)] == ["give", "part", "after"]


def test_dashes_fall_on_each_other_where_edges_come_together():
    """Edges that pass layers share their way to the barrier: out of step, their dashes are a solid line."""
    graph = through_a_barrier(50, 2)
    places = layout([card.size for card in scene(graph).cards], [(edge.source, edge.target) for edge in graph.edges])
    long = {edge for edge, route in places.routes.items() if len(route) > 2}
    lines = {
        tuple(map(int, line.get("data-edge").split())): line
        for line in drawn(graph).iter(f"{SVG}path")
        if line.get("data-edge")
    }
    level = {edge for edge in long if len({y for _, y in places.routes[edge]}) == 1}

    assert long
    assert {edge for edge, line in lines.items() if line.get("stroke-dashoffset")} == long
    for edge in level:  # a straight line has a length that is easy to tell
        (x, _), *_, (to_x, _) = places.routes[edge]
        assert float(lines[edge].get("stroke-dashoffset")) == (x - to_x) % 10


def test_the_legend_has_what_is_there_and_nothing_else():
    one, other = made(2, [(0, 1)]), made(2, [GraphEdge(0, 1, "exogenous")])

    assert words_of(drawn(one))[-1:] == ["2 succeeded"]
    assert words_of(drawn(other))[-2:] == ["2 succeeded", "exogenous: only waited for"]


@pytest.mark.parametrize(
    "graph",
    [
        made(0),
        made(1),
        made(30),
        made(6, [(0, 1), (1, 2), (3, 4)]),
        made(2, [(0, 1), (0, 1), GraphEdge(0, 1, "exogenous")]),
        made(1, [(0, 0)]),
        made(3, [(0, 1), (1, 2), (2, 0)]),
        made(2, [(0, 1), (1, 0), (1, 1)]),
        made(3, parent=1),
        made(1, moves=((State.WAITING, float("nan")), (State.RUNNING, float("inf")), (State.SUCCEEDED, 1.0))),
        made(1, moves=((State.WAITING, -5.0), (State.RUNNING, -1.0), (State.SUCCEEDED, -0.5))),
        made(1, state=State.SUCCEEDED, moves=((State.SUCCEEDED, 0.0),)),
    ],
    ids=[
        "empty",
        "one node",
        "no edges",
        "parts",
        "doubled edges",
        "loop",
        "cycle",
        "cycle of two",
        "own parent",
        "no numbers",
        "before the run",
        "from outside",
    ],
)
def test_any_graph_can_be_drawn(graph):
    root = drawn(graph)

    assert len(nodes_of(root)) == len(graph)
    assert Counter(edge[:2] for edge in edges_of(root) if "nested" not in edge) == Counter(
        (edge.source, edge.target) for edge in graph.edges
    )
    assert fromstring(pictures.timeline(graph)).tag == f"{SVG}svg"
    assert "NaN" not in pictures.html(graph)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(text):
    nodes = [GraphNode(0, text, text, State.FAILED, 1, ((State.RUNNING, 0.0), (State.FAILED, 1.0)), text, text)]
    graph = Graph(text, nodes, [], now=1.0)

    for root in (drawn(graph), fromstring(pictures.timeline(graph))):
        assert not list(root.iter(f"{SVG}script"))
        assert not [name for each in root.iter() for name in each.attrib if name.startswith("on")]
    assert len(pictures.svg(graph)) < 10_000
    (node,) = nodes_of(drawn(graph)).values()
    assert words_of(node)[0] == shorten_to(text, 230 - 36)
    assert pictures.html(graph).count("<script") == 2
    assert len(pictures.html(graph)) < 60_000
    assert pictures.html(graph).encode().decode() == pictures.html(graph)


@given(st.text())
def test_any_text_fits_its_place(text):
    fit = shorten_to(text, 100)

    assert width(fit) <= 100
    assert fit.isprintable()
    assert fit == line(text) or fit.endswith("…")


# The layout


@st.composite
def shapes(draw):
    count = draw(st.integers(1, 40))
    ends = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(ends, ends), max_size=80))
    return [(draw(st.integers(40, 200)), draw(st.sampled_from([40, 58]))) for _ in range(count)], edges


@given(shapes())
def test_no_box_covers_another_and_every_edge_joins_its_boxes(shape):
    sizes, edges = shape

    found = layout(sizes, edges)

    assert set(found.boxes) == set(range(len(sizes)))
    for one, other in combinations(found.boxes.values(), 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    for (wide, high), box in zip(sizes, (found.boxes[at] for at in range(len(sizes))), strict=True):
        assert (box.width >= wide, box.height) == (True, high)
        assert 0 <= box.x <= box.x + box.width <= found.width
        assert 0 <= box.y <= box.y + box.height <= found.height
    assert set(found.routes) == set(edges)
    for (source, target), route in found.routes.items():
        if source != target:
            assert touches(found.boxes[source], route[0])
            assert touches(found.boxes[target], route[-1])


def touches(box, point):
    x, y = point
    return x in {box.x, box.x + box.width} and box.y <= y <= box.y + box.height


@given(shapes())
def test_no_edge_runs_through_a_box(shape):
    sizes, edges = shape

    found = layout(sizes, edges)

    for route in found.routes.values():
        # Bends lie between layers; from the second point on, every other stretch is level and crosses one.
        for (x, y), (to_x, to_y) in zip(route[1:-1:2], route[2:-1:2], strict=True):
            left, right = sorted((x, to_x))
            assert y == to_y
            for box in found.boxes.values():
                assert right <= box.x or left >= box.x + box.width or y <= box.y or y >= box.y + box.height


def test_an_edge_leads_to_the_right_unless_it_closes_a_cycle():
    found = layout([(90, 40)] * 4, [(0, 1), (1, 2), (2, 0), (2, 3)])

    leads = {edge: route[0][0] < route[-1][0] for edge, route in found.routes.items()}

    assert leads == {(0, 1): True, (1, 2): True, (2, 0): False, (2, 3): True}


def test_a_wide_graph_is_folded():
    fan = [(0, at) for at in range(1, 301)] + [(at, 301) for at in range(1, 301)]

    found = layout([(110, 40)] * 302, fan)

    assert 0.5 < found.width / found.height < 2


def columns_of(found, members):
    return {found.boxes[at].x for at in members}


def test_layers_of_a_graph_of_200_nodes_keep_their_columns():
    chains = 66
    pulled, parsed, loaded = (range(1 + step * chains, 1 + (step + 1) * chains) for step in range(3))
    last = 1 + 3 * chains
    edges = [(0, at) for at in pulled] + [(at, last) for at in loaded]
    edges += [*zip(pulled, parsed, strict=True), *zip(parsed, loaded, strict=True)]

    found = layout([(150, 24)] * (last + 1), edges)

    assert [len(columns_of(found, layer)) for layer in (pulled, parsed, loaded)] == [1, 1, 1]


def test_a_layer_that_is_folded_lies_between_its_neighbours():
    chains = 330
    pulled, parsed = range(1, 1 + chains), range(1 + chains, 1 + 2 * chains)
    edges = [(0, at) for at in pulled] + [*zip(pulled, parsed, strict=True)]
    edges += [(at, 1 + 2 * chains) for at in parsed]

    found = layout([(150, 24)] * (2 + 2 * chains), edges)

    assert len(columns_of(found, pulled)) > 1
    assert max(columns_of(found, pulled)) < min(columns_of(found, parsed))
    assert max(columns_of(found, parsed)) < found.boxes[1 + 2 * chains].x
    assert found.width > found.height / 3


def test_many_nodes_have_their_words_in_one_line():
    few, many = drawn(made(100)), drawn(made(101))

    assert {box.get("height") for box in boxes_of(few)} == {"40"}
    assert {box.get("height") for box in boxes_of(many)} == {"24"}
    assert all("fetch" in "".join(node.itertext()) for node in nodes_of(many).values())


# Large graphs


def test_a_thousand_nodes_are_drawn_one_by_one():
    graph = layered(MOST_NODES, 14, 3_000)

    assert len(nodes_of(drawn(graph))) == MOST_NODES
    assert len(edges_of(drawn(graph))) == 3_000
    assert len(pictures.html(graph)) < 1_300_000


def test_more_nodes_are_drawn_by_task_with_counts():
    graph = layered(5_000, 5, 8_000)
    by_task = Counter(node.name for node in graph.nodes)

    root = drawn(graph)
    shown = {words_of(group)[0]: words_of(group) for group in nodes_of(root).values()}

    assert set(shown) == set(by_task)
    for name, words in shown.items():
        counts = Counter(node.state for node in graph.nodes if node.name == name)
        assert words[1] == f"{by_task[name]:,} nodes"
        assert words[2:] == [f"{counts[state]:,}" for state in State if counts[state]]
    assert {edge[:2] for edge in edges_of(root)} == {
        (int(graph.nodes[edge.source].name[5:]), int(graph.nodes[edge.target].name[5:])) for edge in graph.edges
    }


def test_a_hundred_thousand_nodes_are_drawn_by_task():
    nodes = [GraphNode(at, f"task_{at % 7}", "x", State.SUCCEEDED, 1) for at in range(100_000)]
    graph = Graph("large", nodes, [GraphEdge(at, at + 1, "endogenous") for at in range(99_999)])

    assert len(nodes_of(drawn(graph))) == 7
    assert "100,000 nodes, 99,999 edges, shown as 7 tasks" in pictures.svg(graph)
    assert len(pictures.html(graph)) < 100_000


def test_too_many_edges_are_drawn_by_task_too():
    edges = [(source, target) for source in range(150) for target in range(source)]

    assert len(nodes_of(drawn(made(150, edges)))) == 1


def test_a_graph_of_too_many_tasks_puts_the_smallest_together():
    nodes = [GraphNode(at, f"task_{min(at, 5_000)}", "x", State.SUCCEEDED) for at in range(6_000)]

    graph = Graph("many", nodes, [])
    titles = [words_of(group)[0] for group in nodes_of(drawn(graph)).values()]

    assert len(titles) == 401
    assert "task_5000" in titles
    assert "4,601 other tasks" in titles


def test_barriers_between_tasks_are_dots_too():
    members = [GraphNode(at, f"task_{at % 2}", "x", State.SUCCEEDED, 1) for at in range(2_000)]
    barrier = GraphNode(2_000, "all of task_0", "all of task_0", State.SUCCEEDED, 1, barrier=True)
    edges = [GraphEdge(*((at, 2_000) if at % 2 == 0 else (2_000, at)), "exogenous") for at in range(2_000)]
    graph = Graph("large", [*members, barrier], edges)

    root = drawn(graph)

    assert root[0].text == "large: 2,000 nodes, 2,000 edges, shown as 2 tasks"
    assert (len(nodes_of(root)), len(dots_of(root))) == (3, 1)
    assert nodes_of(root)[2].find(f"{SVG}title").text == "(all of task_0) only joins edges"
    assert {edge[2] for edge in edges_of(root)} == {"exogenous"}
    assert [name for name, _ in rows_of(graph)] == ["task_0", "task_1"]


def test_barriers_do_not_count_among_other_tasks():
    nodes = [GraphNode(at, f"task_{at}", "x", State.SUCCEEDED, barrier=at % 2 == 0) for at in range(2_000)]

    *_, others = group_nodes(Graph("many", nodes, []), 0.0).groups

    assert (others.name, others.size, others.barrier) == ("800 other tasks", 800, False)


def test_a_group_tells_its_worst_state_and_its_errors():
    nodes = [GraphNode(at, "fetch", "x", State.SUCCEEDED) for at in range(2_000)]
    nodes[7] = nodes[7]._replace(state=State.FAILED, error="TimeoutError: no answer")

    (group,) = nodes_of(drawn(Graph("large", nodes, []))).values()

    assert "failed" in group.get("class").split()
    assert "1 × TimeoutError: no answer" in group.find(f"{SVG}title").text


def test_a_group_knows_how_many_attempts_were_under_way():
    moves = ((State.WAITING, 0.0), (State.RUNNING, 1.0), (State.SUCCEEDED, 3.0))

    ((group,), _) = group_nodes(made(10, moves=moves), until=4.0)

    busy = [group.busy[at * len(group.busy) // 4] for at in range(4)]
    assert busy == [0, 10, 10, 0]
    assert sum(group.busy) * 4.0 / len(group.busy) == pytest.approx(group.seconds) == 20


# The timeline


def rows_of(graph):
    """The names of the rows from top to bottom, and how far they are indented."""
    root = fromstring(pictures.timeline(graph))
    rows = [each for each in root.iter(f"{SVG}g") if each.get("data-row") and each.find(f"{SVG}text") is not None]
    texts = [each.findall(f"{SVG}text")[0] for each in rows if each[0].tag == f"{SVG}use"]
    return [(text.text, int(text.get("x"))) for text in texts if text.get("dx") is None]


def bars_of(graph):
    root = fromstring(pictures.timeline(graph))
    return [
        (each.get("class").split()[-1], each.get("x"), each.get("width"))
        for row in root.iter(f"{SVG}g")
        if row.get("data-row")
        for each in row.findall(f"{SVG}rect")
    ]


def test_rows_are_in_order_of_start_and_what_is_inside_a_node_is_indented_below_it():
    @task
    async def report(name):
        return await join(fetch(name))

    def call():
        join(fetch("a1", 2))
        report("a2")

    names, indents = zip(*rows_of(graph_of(call)), strict=True)

    assert names == ("fetch('a1', 2)", "report('a2')", "fetch('a2')", "join", "join")
    assert [indent - indents[0] for indent in indents] == [0, 0, 14, 14, 0]


def test_a_barrier_has_no_row():
    graph = through_a_barrier(2, 1)

    assert [name for name, _ in rows_of(graph)] == ["pull[N=0]", "pull[N=1]", "clean[N=3]"]
    assert "all of pull" not in pictures.timeline(graph)


def test_each_attempt_has_a_bar_and_the_critical_path_a_line():
    graph = graph_of(lambda: fetch.with_options(retries=1, backoff=2)("a1", error=TimeoutError("no answer")))

    assert bars_of(graph) == [
        ("tried", "0%", "25%"),
        ("queued", "25%", "50%"),
        ("failed", "75%", "25%"),
        ("critical", "0%", "100%"),
    ]


def test_the_critical_path_is_that_of_the_graph():
    graph = graph_of(lambda: join(fetch("a1", 1), fetch("a2", 3)))

    root = fromstring(pictures.timeline(graph))
    bold = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "bold"]

    assert bold == [node.label for node in graph.critical_path()] == ["fetch('a2', 3)", "join"]


def test_a_plan_has_no_times():
    graph = plan(fetch, "a1")

    assert "nothing has run yet" in pictures.timeline(graph)
    assert "Nothing has run yet" in pictures.html(graph)
    assert " s</tspan>" not in pictures.svg(graph)


# PNG


def size_of(picture):
    assert picture[:16] == b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
    return struct.unpack(">II", picture[16:24])


@pytest.mark.parametrize("scale", [0.5, 1, 2.0])
def test_png_has_the_size_of_the_svg_times_the_scale(scale):
    graph = graph_of(lambda: join(fetch("a1"), fetch("a2")))
    root = drawn(graph)

    wide, high = size_of(pictures.png(graph, scale=scale))

    assert wide == pytest.approx(int(root.get("width")) * scale, abs=1)
    assert high == pytest.approx(int(root.get("height")) * scale, abs=1)


def test_a_large_png_has_fewer_pixels_so_that_it_is_there_soon():
    small, large = made(4), layered(200, 5, 300)
    scales = [size_of(pictures.png(graph))[0] / size_of(pictures.png(graph, scale=1))[0] for graph in (small, large)]

    assert scales[0] == 2
    assert 1 <= scales[1] < 2


def test_a_trunk_is_drawn_once_in_pixels():
    fan = [(0, at) for at in range(1, 301)] + [(at, 301) for at in range(1, 301)]
    whole, merged = (sheet(made(302, fan), merged=merged) for merged in (False, True))

    paths = [sum(line.startswith("<path") for line in each.elements) for each in (whole, merged)]
    lengths = [len("".join(each.elements)) for each in (whole, merged)]

    assert paths[1] <= paths[0] + 1
    assert lengths[1] < lengths[0]
    assert (whole.width, whole.height) == (merged.width, merged.height)


def test_png_is_not_larger_than_can_be_looked_at():
    chain = made(300, [(at, at + 1) for at in range(299)])

    wide, high = size_of(pictures.png(chain, scale=50))

    assert int(drawn(chain).get("width")) > 20_000 >= wide
    assert wide * high <= 25_000_000


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_that_cannot_be_is_refused(scale):
    with pytest.raises(OptionError, match=r"scale=.* takes a number above 0"):
        pictures.png(made(1), scale=scale)


def test_a_machine_without_fonts_has_text_all_the_same(tmp_path):
    import resvg_py

    from aiodag.pictures.pillow import font

    carried = tmp_path / "font.ttf"
    carried.write_bytes(font())
    text = pictures.svg(made(1))

    bare = resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True)
    written = resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True, font_files=[str(carried)])

    assert len(written) > len(bare) * 1.2


@pytest.mark.parametrize(("package", "module"), [("resvg-py", "resvg_py"), ("pillow", "PIL")])
def test_a_missing_extra_says_how_to_get_it(package, module, monkeypatch):
    for name in ("aiodag.pictures.resvg", "aiodag.pictures.pillow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtra) as caught:
        pictures.png(made(1))

    wanted = f"aiodag.pictures.png() needs {package}, which is not installed: pip install 'aiodag[draw]'"
    assert str(caught.value) == wanted


def test_svg_and_html_need_no_extra():
    code = (
        "import sys; sys.modules.update(resvg_py=None, PIL=None)\n"
        "from aiodag import Graph, GraphNode, State, pictures\n"
        "graph = Graph('one', [GraphNode(0, 'a', 'a', State.WAITING)], [])\n"
        "print(len(pictures.svg(graph)), len(pictures.html(graph)), len(pictures.timeline(graph)))"
    )

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout


def test_the_same_graph_gives_the_same_bytes_in_every_process():
    code = (
        "import hashlib, sys; sys.path.insert(0, 'tests')\n"
        "from test_pictures import layered\n"
        "from aiodag import pictures\n"
        "graphs = [layered(90, 6, 200), layered(2000, 6, 3000)]\n"
        "drawn = [draw(g) for g in graphs for draw in (pictures.svg, pictures.html, pictures.timeline)]\n"
        "drawn.append(pictures.png(graphs[0], scale=0.2).hex())\n"
        "print(*(hashlib.sha256(each.encode()).hexdigest() for each in drawn))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    }

    assert len(seen) == 1


# The page


def model_of(page):
    return json.loads(re.search(r'<script type="application/json" id="model">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_tells_all_of_a_node():
    graph = graph_of(lambda: join(fetch("a1", error=TimeoutError("no answer"))))

    model = model_of(pictures.html(graph))
    columns = model["columns"]

    assert columns["label"] == [node.label for node in graph.nodes]
    assert [model["states"][at] for at in columns["state"]] == ["failed", "skipped"]
    assert columns["errors"][0] == ["TimeoutError: no answer"]
    assert [model["sites"][at] for at in columns["site"]] == [node.site for node in graph.nodes]
    assert [model["tasks"][at] for at in columns["task"]] == ["fetch", "join"]
    assert columns["attempts"] == [1, 0]


def test_the_page_fetches_nothing_and_runs_its_own_script_only():
    page = pictures.html(layered(50, 5, 60))

    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"

    assert f'http-equiv="Content-Security-Policy" content="{policy}"' in page
    assert not re.search(r"https?://|@import|url\((?!#)", page)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH")


def opened(page, directory):
    """Open a page in a browser; return the document as the page's script left it, and what the console says."""
    path = directory / "page.html"
    path.write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    flags += [
        "--disable-component-update",
        "--no-first-run",
        "--disable-quic",
        f"--user-data-dir={directory / 'profile'}",
    ]
    flags += ["--window-size=1200,900", "--virtual-time-budget=3000", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [BROWSER, *flags, path.as_uri()], capture_output=True, text=True, encoding="utf-8", timeout=90, check=True
    )
    return done.stdout, [each for each in done.stderr.splitlines() if "CONSOLE" in each]


@in_a_browser
@pytest.mark.parametrize(
    "graph",
    [made(0), plan(fetch, "a1"), layered(60, 6, 100), layered(MOST_NODES, 14, 3_000), layered(5_000, 5, 8_000)],
    ids=["empty", "plan", "small", "a thousand nodes", "by task"],
)
def test_the_page_runs_without_an_error(graph, tmp_path):
    document, console = opened(pictures.html(graph), tmp_path)

    assert console == []
    assert re.search(r'<g id="view" transform="translate\([-.0-9]+ [-.0-9]+\) scale\([.0-9]+\)">', document)


@in_a_browser
def test_a_hostile_name_does_nothing_to_the_page(tmp_path):
    nodes = [
        GraphNode(at, text, text, State.FAILED, 1, ((State.RUNNING, 0.0), (State.FAILED, 1.0)), text, text)
        for at, text in enumerate(HOSTILE.values())
    ]
    page = pictures.html(Graph(HOSTILE["end of a script"], nodes, [], now=1.0))

    document, console = opened(page, tmp_path)

    assert console == []
    assert "<title>owned" not in document
    assert document.count("<script") == 2


STEPS = """
const out = {};
const get = (selector) => document.querySelector(selector);
const at = (name) => [...document.querySelectorAll("#picture [data-node]")].find((each) => each.textContent.includes(name));
const point = (target, kind, more = {}) => target.dispatchEvent(new PointerEvent(kind, { bubbles: true, pointerId: 1, ...more }));
const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, key }));
point(at("bad"), "pointerover");
out.hovered = get("#details").innerText;
point(get("#picture"), "pointerleave");
out.left = get("#details").hidden;
get("#search").value = "GOOD";
get("#search").dispatchEvent(new Event("input"));
out.found = get("#found").textContent;
press(get("#search"), "Enter");
out.kept = get("#details").innerText;
out.near = document.querySelectorAll("#picture [data-edge].near").length;
[...document.querySelectorAll("#details dd button")].pop().click();
out.next = get("#details h2").innerText;
press(document.body, "Escape");
out.closed = get("#details").hidden;
get('.chip[data-state="failed"]').click();
out.sifted = get("#found").textContent;
get('.chip[data-state="failed"]').click();
press(document.body, "0");
const before = get("#view").getAttribute("transform");
get("#picture").dispatchEvent(new WheelEvent("wheel", { deltaY: -100, clientX: 300, clientY: 300, cancelable: true }));
out.zoomed = get("#view").getAttribute("transform") !== before;
press(document.body, "0");
out.fitted = get("#view").getAttribute("transform") === before;
get("#critical").click();
out.critical = document.querySelectorAll(".critical-shown [data-node].key").length;
get("#chart .sheet").dispatchEvent(
  new PointerEvent("pointermove", { bubbles: true, clientY: get("#chart .sheet").getBoundingClientRect().top + 30 }),
);
out.row = get("#details h2").innerText;
document.body.dataset.out = JSON.stringify(out);
"""


def test_the_page_knows_what_is_no_node():
    model = json.loads(re.search(r'id="model">(.*?)</script>', pictures.html(through_a_barrier(2, 1)), re.DOTALL)[1])

    assert (model["barriers"], model["rows"]) == ([2], [0, 1, 3])


@in_a_browser
def test_the_page_neither_counts_nor_finds_a_barrier(tmp_path):
    page = pictures.html(through_a_barrier(2, 1))
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    steps = """
    const search = document.querySelector("#search");
    search.value = "pull";
    search.dispatchEvent(new Event("input"));
    const found = document.querySelector("#found").textContent;
    document.querySelector("#picture .barrier").dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    document.body.dataset.out = `${found}: ${document.querySelector("#details").innerText}`;
    """

    document, console = opened(free.replace("</body>", f"<script>{steps}</script></body>"), tmp_path)
    told = re.search(r'data-out="([^"]*)"', document)[1]

    assert console == []
    assert told.startswith("2 of 3: ")
    assert "(all of pull)" in told
    assert "joins edges" in told
    assert "succeeded" not in told


FAILED = """
const get = (selector) => document.querySelector(selector);
const named = [...document.querySelectorAll("#overview .failure b")].map((each) => each.textContent);
get("#overview .failure").click();
const box = (selector) => get(selector).getBoundingClientRect();
const told = get("#details").innerText;
get("#close").click();
get('.chip[data-state="failed"]').click();
const rows = [...document.querySelectorAll("#chart .names [data-row]")].filter((each) => each.style.display !== "none");
document.body.dataset.out = JSON.stringify({
  named, told, beside: box("#picture").right <= box("#side").left + 1, rows: rows.length,
  top: rows[0].getBoundingClientRect().top - box("#chart").top,
});
"""


@in_a_browser
@pytest.mark.parametrize("count", [300, 5_052], ids=["nodes", "tasks"])
def test_what_failed_is_named_on_the_page_and_one_click_away(count, tmp_path):
    nodes = [
        GraphNode(
            id=at,
            name=f"task_{at % 5}",
            label=f"task_{at % 5}({at})",
            state=State.FAILED if at % (count // 4) == 1 else State.SUCCEEDED,
            attempts=1,
            moves=((State.RUNNING, 0.0), (State.SUCCEEDED, 1.0)),
            error="TimeoutError: no answer\n  after 3 tries" * (at % (count // 4) == 1),
        )
        for at in range(count)
    ]
    page = pictures.html(Graph("many", nodes, [], now=2.0))
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)

    document, console = opened(free.replace("</body>", f"<script>{FAILED}</script></body>"), tmp_path)
    out = json.loads(re.search(r'data-out="([^"]*)"', document)[1].replace("&quot;", '"'))

    assert console == []
    assert out["named"] == [node.label for node in nodes if node.state is State.FAILED]
    assert "TimeoutError: no answer\n  after 3 tries" in out["told"]
    assert out["beside"]
    assert out["rows"] == len({node.label if count < 1_000 else node.name for node in nodes if node.error})
    assert out["top"] < 60


def test_an_error_keeps_its_lines_on_the_page():
    graph = made(1, state=State.FAILED, error="ValueError: first\n\x1b[31msecond\r\nthird")

    (shown,) = model_of(pictures.html(graph))["columns"]["errors"][0]

    assert shown == "ValueError: first\n\\x1b[31msecond\nthird"


@in_a_browser
def test_the_page_can_be_pointed_at_searched_sifted_and_zoomed(tmp_path):
    def call():
        bad, good = fetch("bad", 2, error=TimeoutError("no answer")), fetch("good", 1)
        join(bad, good)

    page = pictures.html(graph_of(call))
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)

    document, console = opened(free.replace("</body>", f"<script>{STEPS}</script></body>"), tmp_path)
    found = re.search(r'data-out="([^"]*)"', document)

    assert console == []
    out = json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))
    assert "TimeoutError: no answer" in out["hovered"]
    assert "1: 0 s to 2 s, failed" in out["hovered"]
    assert "test_pictures.py:" in out["hovered"]
    assert "fetch('good', 1)" in out["kept"]
    assert "downstream" in out["kept"]
    assert {name: value for name, value in out.items() if name not in {"hovered", "kept"}} == {
        "left": True,
        "found": "1 of 3",
        "near": 1,
        "next": "join",
        "closed": True,
        "sifted": "1 of 3",
        "zoomed": True,
        "fitted": True,
        "critical": 2,
        "row": "fetch('bad', 2)",
    }


# What waits for something outside of the run

WAITED = ((State.WAITING, 0.0), (State.RUNNING, 0.0), (State.SUCCEEDED, 40.0))
WAITS = ((State.WAITING, 40.0), (State.RUNNING, 40.0))


def waits_and_work():
    """A message that came, one that has not, and a node that runs."""
    return Graph(
        "order",
        [
            GraphNode(0, "message", "message('PAYMENT')", State.SUCCEEDED, 1, WAITED, waits="message"),
            GraphNode(1, "message", "message('SHIPPED')", State.RUNNING, 1, WAITS, waits="message"),
            GraphNode(2, "ship", "ship", State.RUNNING, 1, WAITS),
        ],
        [GraphEdge(0, 2, "endogenous")],
        now=60.0,
    )


def test_a_wait_has_round_ends_and_an_hourglass_until_it_is_over():
    root = drawn(waits_and_work())
    came, comes, ship = nodes_of(root).values()

    assert [int(each.find(f"{SVG}rect").get("rx")) for each in (came, comes, ship)] == [20, 20, 7]
    assert [each.find(f"{SVG}use").get("href") for each in (came, comes)] == ["#glyph-succeeded", "#glyph-parked"]
    assert words_of(comes) == ["message('SHIPPED')", "waits, 20 s"]
    assert "waits 20 s for a message" in comes.find(f"{SVG}title").text
    assert "waited 40 s for a message" in came.find(f"{SVG}title").text
    assert "waits for something outside, or has waited" in words_of(root)


def test_a_wait_in_a_timeline_is_no_bar_of_work():
    bars = [bar for bar in fromstring(pictures.timeline(waits_and_work())).iter(f"{SVG}rect") if bar.get("class")]
    found = [(bar.get("class"), bar.get("height")) for bar in bars if bar.get("class").startswith("bar ")]

    assert found[:3] == [("bar succeeded", "8"), ("bar parked", "8"), ("bar running", "15")]


def test_a_graph_without_waits_does_not_explain_them():
    assert "waits for something outside, or has waited" not in words_of(drawn(made(2)))
