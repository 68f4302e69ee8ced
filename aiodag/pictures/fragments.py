"""Draw a graph and its timeline as parts of a page that has their style and `definitions` already."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from aiodag._core.graph import Graph
from aiodag.pictures.lettering import escape_xml
from aiodag.pictures.opened import opened_scene
from aiodag.pictures.scene import Scene, scene
from aiodag.pictures.svg import drawing, meanings
from aiodag.pictures.timeline import ROW, axis, bars, labels, rows_of, rules

EDGE, LOOP = 4, 24  # pixels around the boxes

Address = Callable[[int | str], str]
"""Where a node leads to, by its id, or a group, by the key that opens it."""


class GraphFragment(NamedTuple):
    """The picture of a graph, what the kinds of its lines mean, and the groups that are opened in it: key and title of each."""

    picture: str
    meanings: tuple[tuple[str, str], ...]
    opened: tuple[tuple[str, str], ...]
    headline: str
    grouped: bool


class TimelineFragment(NamedTuple):
    """The timeline of a graph in three pictures: the names of its rows, the axis above the bars, and the bars."""

    names: str
    axis: str
    tracks: str


def graph_fragment(graph: Graph, opened: Collection[str], address: Address) -> GraphFragment:
    """Draw a graph whose nodes and groups are links; a group leads to where it is opened."""
    found = opened_scene(graph, opened)
    shown = found.scene
    anchors = [(address(key), str(key) if isinstance(key, int) else "") for key in found.keys]
    drawn = drawing(shown, anchors=anchors)
    # The edge of a group to itself leaves its box at the right, and above.
    room = LOOP if any(link.source == link.target for link in shown.links) else EDGE
    wide, high = drawn.width + 2 * room, drawn.height + 2 * room
    size = f'width="{wide}" height="{high}" viewBox="{-room} {-room} {wide} {high}"'
    label = f'role="group" aria-label="The graph of {escape_xml(shown.name)}"'
    picture = "\n".join([f'<svg class="picture" {size} {label}>', *drawn.elements, "</svg>"])
    opened_groups = tuple(zip(found.opened, found.titles, strict=True))
    return GraphFragment(picture, tuple(meanings(shown)), opened_groups, shown.headline, bool(shown.groups))


def timeline_fragment(graph: Graph, address: Address) -> TimelineFragment | None:
    """Draw when each node ran, or each task if nodes are too many; nothing of a graph of which nothing has run."""
    shown = scene(graph)
    if shown.until <= 0:
        return None
    rows = rows_of(shown)
    names = labels(shown, rows, anchors_of_scene(shown, address))
    high = len(rows) * ROW
    return TimelineFragment(
        f'<svg width="{names.width}" height="{high}">{"".join(names.elements)}</svg>',
        f'<svg width="100%" height="24" aria-hidden="true">{"".join(axis(shown.until))}</svg>',
        f'<svg width="100%" height="{high}" role="img" aria-label="When each node ran">{"".join(rules(shown.until, high))}{"".join(bars(shown, rows))}</svg>',
    )


def anchors_of_scene(shown: Scene, address: Address) -> list[tuple[str, str]]:
    """Return the links of a scene in which nothing is opened."""
    if shown.groups:
        return [(address(group.name), "") for group in shown.groups]
    return [(address(node.id), str(node.id)) for node in shown.nodes]
