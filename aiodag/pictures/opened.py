"""Open the groups of a large graph step by step: a task, then some hundreds of its nodes, then each of them."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from aiodag._core.graph import Graph
from aiodag.pictures.groups import counted_group, tasks_of_graph, too_large
from aiodag.pictures.lettering import line
from aiodag.pictures.scene import (
    Card,
    Scene,
    _barrier_card,
    _failed_edges,
    _finite,
    _group_card,
    _merge_links,
    _node_card,
    _until,
    headline_of,
    scene,
)

FEW = 30  # nodes that are shown when what holds them is opened
_STEP = 20  # nodes of the smallest part, and parts of a larger one
_MOST_CARDS = 600


class OpenedScene(NamedTuple):
    """A scene, and for each card the id of its node, or the key by which its group is opened.

    `opened` are the keys of those that are open, and `titles` what they are called.
    """

    scene: Scene
    keys: tuple[int | str, ...]
    opened: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()


class Part(NamedTuple):
    """Some nodes of a task, by their places in the graph, under the key that opens them; `shut` if nobody can."""

    key: str
    title: str
    places: list[int]
    shut: bool = False


def opened_scene(graph: Graph, opened: Collection[str] = ()) -> OpenedScene:
    """Choose what to show of a graph: its nodes, or its tasks if there are too many, with those opened that keys name.

    Keys that open nothing are left out, and those that would show more than is readable.
    """
    if not too_large(graph):
        shown = scene(graph)
        return OpenedScene(shown, tuple(node.id for node in shown.nodes))
    graph = _finite(graph)
    tasks = tasks_of_graph(graph)
    wholes = [
        Part(name, name, places, shut=all(graph.nodes[at].barrier for at in places))
        for name, places in zip(tasks.names, tasks.members, strict=True)
    ]
    parts, used = open_parts(wholes, set(opened))
    card_of = {graph.nodes[at].id: card for card, part in enumerate(parts) for at in part.places}
    cards = tuple(part_card(graph, part) for part in parts)
    shown = Scene(
        nodes=graph.nodes,
        now=graph.now,
        name=line(graph.name, 100),
        headline=headline_of(graph, sum(not part.shut for part in wholes), _until(graph)),
        counts=graph.counts(),
        cards=cards,
        links=tuple(_merge_links(graph, card_of, _failed_edges(graph))),
        groups=tuple(counted_group(part.title, [graph.nodes[at] for at in part.places]) for part in wholes),
        critical=(),
        until=0.0,
        of_node=tuple(card_of[node.id] for node in graph.nodes),
    )
    keys = tuple(part.key or graph.nodes[part.places[0]].id for part in parts)
    return OpenedScene(shown, keys, tuple(part.key for part in used), tuple(line(part.title, 100) for part in used))


def part_card(graph: Graph, part: Part) -> Card:
    """Return what is drawn of a part: its counts, or its one node."""
    nodes = [graph.nodes[place] for place in part.places]
    if part.key:
        return _group_card(counted_group(part.title, nodes))
    node = nodes[0]
    return _barrier_card(node.state, f"({line(node.label)})") if node.barrier else _node_card(node, graph.now, low=True)


def open_parts(wholes: list[Part], opened: set[str]) -> tuple[list[Part], list[Part]]:
    """Return the parts that are shown, in their order, and those that are opened; a part without a key is a node."""
    shown: list[Part] = []
    used: list[Part] = []
    stack = wholes[::-1]
    while stack:
        part = stack.pop()
        inside = list(smaller_parts(part)) if part.key in opened and not part.shut else []
        if inside and len(shown) + len(stack) + len(inside) <= _MOST_CARDS:
            used.append(part)
            stack += inside[::-1]
        else:
            shown.append(part)
    return shown, used


def smaller_parts(part: Part) -> Iterator[Part]:
    """Yield what is in a part: its nodes if they are few, or else smaller parts, each of nodes that were called one after the other.

    How many are in one depends on how many there are in powers of 20: as long as a run grows within one, keys stay the same.
    """
    if not part.key:
        return
    if len(part.places) <= FEW:
        yield from (Part("", "", [place]) for place in part.places)
        return
    size = _STEP
    while len(part.places) > 2 * _STEP * size:
        size *= _STEP
    task, _, range_ = part.key.rpartition("@") if "@" in part.key and part.title != part.key else (part.key, "", "0+")
    first = int(range_.partition("+")[0])
    for begin in range(0, len(part.places), size):
        places = part.places[begin : begin + size]
        at = first + begin
        yield Part(f"{task}@{at}+{size}", f"{task} {at + 1:,}–{at + len(places):,}", places)
