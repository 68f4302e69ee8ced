"""Open the groups of a large graph step by step: a task, then some hundreds of its nodes, then each of them."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from aiodag._core.graph import Graph
from aiodag.pictures.groups import group_nodes, part_of_task, too_large
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
    scene,
)

FEW = 30  # nodes that are shown when what holds them is opened
_STEP = 20  # nodes of the smallest part, and parts of a larger one
_MOST_CARDS = 600


class OpenedScene(NamedTuple):
    """A scene, and for each card the id of its node, or the key by which its group is opened; `opened` are the keys that are."""

    scene: Scene
    keys: tuple[int | str, ...]
    opened: tuple[str, ...] = ()


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
    until = _until(graph)
    found = group_nodes(graph, until)
    members: list[list[int]] = [[] for _ in found.groups]
    for place, group in enumerate(found.of_node):
        members[group].append(place)
    wholes = [
        Part(group.name, group.name, places, shut=group.barrier)
        for group, places in zip(found.groups, members, strict=True)
    ]
    parts, used = open_parts(wholes, set(opened))
    card_of: dict[int, int] = {}  # of each node, by its id
    cards: list[Card] = []
    keys: list[int | str] = []
    for part in parts:
        for place in part.places:
            card_of[graph.nodes[place].id] = len(cards)
        nodes = [graph.nodes[place] for place in part.places]
        if part.key or part.shut:
            cards.append(_group_card(part_of_task(part.title, nodes, graph.now, until)))
            keys.append(part.key)
        else:
            (node,) = nodes
            barrier = _barrier_card(node.state, f"({node.label})")
            cards.append(barrier if node.barrier else _node_card(node, graph.now, low=True))
            keys.append(node.id)
    links = _merge_links(graph, card_of, _failed_edges(graph))
    whole = scene(graph)
    shown = whole._replace(
        cards=tuple(cards), links=tuple(links), critical=(), of_node=tuple(card_of[node.id] for node in graph.nodes)
    )
    return OpenedScene(shown, tuple(keys), tuple(used))


def open_parts(wholes: list[Part], opened: set[str]) -> tuple[list[Part], list[str]]:
    """Return the parts that are shown, in their order, and the keys that were of use; a part without a key is a node."""
    shown: list[Part] = []
    used: list[str] = []
    stack = wholes[::-1]
    while stack:
        part = stack.pop()
        inside = list(smaller_parts(part)) if part.key in opened and not part.shut else []
        if inside and len(shown) + len(stack) + len(inside) <= _MOST_CARDS:
            used.append(part.key)
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
