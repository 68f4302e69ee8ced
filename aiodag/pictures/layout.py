"""Place boxes in layers from left to right, and lead the edges between them.

Written here because no package fits. grandalf, igraph and netgraph are under the GPL; pydot and pygraphviz need Graphviz
on the system. Of those that pip alone installs, fast-sugiyama and graphlay are young and have few users, took 3.6 and
2.1 seconds for 1,000 boxes and 3,000 edges, where this takes a half, and SVG and HTML would no longer come with the base
install.

The steps are those of Sugiyama, Tagawa and Toda (1981): layers and their order (`layers.py`), heights, columns. In
the end what no edge joins is packed into rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from math import isqrt
from typing import NamedTuple

from aiodag.pictures.layers import Edge, Layers

Route = tuple[tuple[int, int], ...]

_BESIDE, _BESIDE_SLOT = 14, 8  # pixels between boxes of a layer, and around slots
_LOW, _BESIDE_LOW = 30, 7  # pixels: low boxes are closer to each other
_BETWEEN = 44  # pixels between layers, and more where edges climb
_MOST_BETWEEN = 140
_APART = 30  # pixels between parts of the graph that no edge joins
_PULLS, _SLACK = 14, 1.1  # how often heights are pulled straight, and in how much more than they need


class Box(NamedTuple):
    """A box: its upper left corner and its size, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Layout(NamedTuple):
    """Hold a box for each index, and for each edge the points that it goes through.

    A route has an even number of points: it bends from the first to the second, goes straight to the third, bends to
    the fourth, and so on. That of an edge from a box to itself is empty.
    """

    width: int
    height: int
    boxes: dict[int, Box]
    routes: dict[Edge, Route]


def layout(sizes: Sequence[tuple[int, int]], edges: Iterable[Edge]) -> Layout:
    """Lay out a box of each size (width, height); edges join them by their indices. Boxes of a layer are as wide as its widest.

    >>> layout([(90, 40), (90, 40)], [(0, 1)]).boxes
    {0: Box(x=0, y=0, width=90, height=40), 1: Box(x=134, y=0, width=90, height=40)}
    """
    wanted = dict.fromkeys(edges)
    parts = [_join_parts(members, sizes, inner) for members, inner in _components(len(sizes), wanted)]
    packed = _pack_parts(parts)
    packed.routes.update({edge: () for edge in wanted if edge[0] == edge[1]})
    return packed


def _components(count: int, edges: Iterable[Edge]) -> Iterator[tuple[list[int], list[Edge]]]:
    """Yield the parts that no edge joins, each with its edges but for loops; what is alone comes last."""
    near: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        near[source].append(target)
        near[target].append(source)
    part = [-1] * count
    members: list[list[int]] = []
    for start in range(count):
        if part[start] < 0:
            part[start] = len(members)
            found = [start]
            for at in found:  # it grows on the way
                for other in near[at]:
                    if part[other] < 0:
                        part[other] = part[start]
                        found.append(other)
            members.append(sorted(found))
    inner: list[list[Edge]] = [[] for _ in members]
    for source, target in edges:
        if source != target:
            inner[part[source]].append((source, target))
    order = sorted(range(len(members)), key=lambda at: -len(members[at]))
    return ((members[at], inner[at]) for at in order)


def _join_parts(members: list[int], sizes: Sequence[tuple[int, int]], edges: list[Edge]) -> Layout:
    if len(members) == 1:
        # All that stand alone are equally wide, so that they make a table.
        wide, high = max(size[0] for size in sizes), sizes[members[0]][1]
        return Layout(wide, high, {members[0]: Box(0, 0, wide, high)}, {})
    number = {member: at for at, member in enumerate(members)}
    own = [sizes[member] for member in members]
    drawn = _Part(own, [(number[source], number[target]) for source, target in edges])
    boxes, routes = drawn.boxes(), drawn.routes()
    return Layout(
        max(box.x + box.width for box in boxes),
        max([box.y + box.height for box in boxes] + [y for route in routes.values() for _, y in route]),
        dict(zip(members, boxes, strict=True)),
        {(source, target): routes[number[source], number[target]] for source, target in edges},
    )


def _pack_parts(parts: list[Layout]) -> Layout:
    """Put the parts in rows; the whole is to be somewhat wider than high."""
    area = sum((part.width + _APART) * (part.height + _APART) for part in parts)
    room = max([isqrt(area * 8 // 5), *(part.width for part in parts)])
    x = y = wide = tall = 0
    boxes: dict[int, Box] = {}
    routes: dict[Edge, Route] = {}
    for part in parts:
        gap = _BESIDE if len(part.boxes) == 1 else _APART
        if x and x + part.width > room:
            x, y, tall = 0, y + tall + gap, 0
        boxes |= {at: box._replace(x=box.x + x, y=box.y + y) for at, box in part.boxes.items()}
        routes |= {edge: tuple((px + x, py + y) for px, py in route) for edge, route in part.routes.items()}
        wide, tall = max(wide, x + part.width), max(tall, part.height)
        x += part.width + gap
    return Layout(wide, y + tall, boxes, routes)


class _Part:
    """Lay out what edges join."""

    def __init__(self, sizes: list[tuple[int, int]], edges: list[Edge]) -> None:
        self.sizes = sizes
        self.count = len(sizes)
        wide, high = (max(size[side] for size in sizes) for side in (0, 1))
        self.beside = _BESIDE if high > _LOW else _BESIDE_LOW
        self.layers = Layers(self.count, edges, (wide + 2 * _BETWEEN) / (high + self.beside))
        self.middle = self._heights()
        self.columns = self._columns()

    def _heights(self) -> list[float]:
        """Return the middle of each point: pulled towards its neighbours, never on its next in the layer."""
        layers = self.layers.order
        middle = [0.0] * len(self.layers.layer)
        apart = [[0.0, *(self._apart(above, below) for above, below in pairwise(layer))] for layer in layers]
        for layer, steps in zip(layers, apart, strict=True):
            for point, height in zip(layer, accumulate(steps), strict=True):
                middle[point] = height - sum(steps) / 2
        # No layer may leave the band that the tallest one needs, or folded layers become stairs.
        band = max(map(sum, apart)) * _SLACK + 2 * _BESIDE
        for pull in range(_PULLS):
            both = pull >= _PULLS - 4
            for rank in range(len(layers))[:: -1 if pull % 2 else 1]:
                layer = layers[rank]
                wishes = [self._wish(at, middle, up=both or not pull % 2, down=both or bool(pull % 2)) for at in layer]
                for point, height in zip(layer, _spread(wishes, apart[rank], band), strict=True):
                    middle[point] = height
        top = min(height - self._high(at) / 2 for at, height in enumerate(middle))
        return [height - top for height in middle]

    def _high(self, at: int) -> int:
        return self.sizes[at][1] if at < self.count else 0

    def _apart(self, above: int, below: int) -> float:
        beside = (self.beside, min(self.beside, _BESIDE_SLOT), _BESIDE_SLOT / 2)[
            (above >= self.count) + (below >= self.count)
        ]
        return (self._high(above) + self._high(below)) / 2 + beside

    def _wish(self, at: int, middle: list[float], *, up: bool, down: bool) -> tuple[float, float]:
        """Return where a point would be best, and how much that weighs: what runs through slots is to be straight."""
        total = weight = 0.0
        for other in (self.layers.up[at] if up else []) + (self.layers.down[at] if down else []):
            pull = (1, 3, 8)[(at >= self.count) + (other >= self.count)]
            total += middle[other] * pull
            weight += pull
        return (total / weight, weight) if weight else (middle[at], 0.1)

    def _columns(self) -> list[tuple[int, int]]:
        """Return the left and right side of each layer; steep edges get more room between them."""
        columns: list[tuple[int, int]] = []
        x = 0
        for layer in self.layers.order:
            right = x + max((self.sizes[at][0] for at in layer if at < self.count), default=_BESIDE)
            columns.append((x, right))
            climbs = (abs(self.middle[at] - self.middle[to]) for at in layer for to in self.layers.down[at])
            x = right + min(_MOST_BETWEEN, _BETWEEN + round(max(climbs, default=0) / 8))
        return columns

    def boxes(self) -> list[Box]:
        """Return where the boxes are."""
        sides = [self.columns[self.layers.layer[at]] for at in range(self.count)]
        return [
            Box(left, round(middle - high / 2), right - left, high)
            for (left, right), middle, (_, high) in zip(sides, self.middle, self.sizes, strict=False)
        ]

    def routes(self) -> dict[Edge, Route]:
        """Return the points of each edge, from its source to its target."""
        routes: dict[Edge, Route] = {}
        for edge, path in self.layers.paths.items():
            sides = [(x, round(self.middle[at])) for at in path for x in self.columns[self.layers.layer[at]]][1:-1]
            routes[edge] = tuple(reversed(sides) if edge in self.layers.turned else sides)
        return routes


def _spread(wishes: list[tuple[float, float]], steps: list[float], band: float) -> list[float]:
    """Return the heights nearest to the wishes (height, weight) that keep the steps and the band around 0.

    That is isotonic regression, by pooling neighbours: without the steps before them, heights must not fall.
    """
    pools: list[tuple[float, float, int]] = []  # height, weight, how many
    offsets = list(accumulate(steps))
    for (wish, weight), offset in zip(wishes, offsets, strict=True):
        pool = wish - offset, weight, 1
        while pools and pools[-1][0] > pool[0]:
            height, heavy, count = pools.pop()
            both = heavy + pool[1]
            pool = (height * heavy + pool[0] * pool[1]) / both, both, count + pool[2]
        pools.append(pool)
    least, most = -band / 2, band / 2 - offsets[-1]
    heights = [min(max(height, least), most) for height, _, count in pools for _ in range(count)]
    return [height + offset for height, offset in zip(heights, offsets, strict=True)]
