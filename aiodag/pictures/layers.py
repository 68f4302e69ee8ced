"""Put boxes in layers from left to right, and order each layer so that few edges cross.

Two turns of our own. A layer of very many boxes is folded into several columns, so that a wide graph is not a tall
sliver; the next layer begins to the right of them all. An edge that passes layers needs a slot in each; edges with a common end share theirs, as branches
share a trunk.

     ┌───┐      ┌───┐   ┌───┐      a ─► c passes the second layer in the slot of a,
     │ a ├─┬───►│ b │┌─►│ c │      and so would any other edge of a
     └───┘ └────slot─┘  └───┘
"""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

Edge = tuple[int, int]

_FEWEST_ROWS = 20
_WIDE = 0.55  # how wide a picture is at least, for each of its height
_SWEEPS, _PATIENCE = 24, 4  # how often a better order is looked for, and how often in vain


class Layers:
    """Hold the points of each layer, from top to bottom: boxes, numbered from 0 to `count`, and after them slots.

    `layer` has the layer of each point, `up` and `down` its neighbours in the adjacent layers, `paths` the points of
    each edge from left to right. An edge in `turned` runs from right to left: it would close a cycle.
    """

    def __init__(self, count: int, edges: list[Edge], pitch: float = 4.0) -> None:
        """Take the edges between `count` boxes, without loops. From layer to layer is as far as `pitch` boxes are high."""
        self.count = count
        self.turned = _turn_edges(count, edges)
        ahead = {(s, t): (t, s) if (s, t) in self.turned else (s, t) for s, t in edges}
        self.layer = _layer_of_each(count, list(ahead.values()), pitch)
        self.paths = self._paths(ahead)
        self.up: list[list[int]] = [[] for _ in self.layer]
        self.down: list[list[int]] = [[] for _ in self.layer]
        for source, target in dict.fromkeys(segment for path in self.paths.values() for segment in pairwise(path)):
            self.down[source].append(target)
            self.up[target].append(source)
        self.order = self._order_layers()

    def _paths(self, ahead: Mapping[Edge, Edge]) -> dict[Edge, list[int]]:
        """Return the points of each edge; makes the slots."""
        long = [(s, t) for s, t in dict.fromkeys(ahead.values()) if self.layer[t] - self.layer[s] > 1]
        leaving, coming = Counter(source for source, _ in long), Counter(target for _, target in long)
        slots: dict[Edge, int] = {}
        paths: dict[Edge, list[int]] = {}
        for edge, (source, target) in ahead.items():
            path = paths[edge] = [source]
            # The trunk belongs to the end with more branches. Targets are counted on from `count`.
            owner = source if leaving[source] >= coming[target] else self.count + target
            for at in range(self.layer[source] + 1, self.layer[target]):
                if (owner, at) not in slots:
                    slots[owner, at] = len(self.layer)
                    self.layer.append(at)
                path.append(slots[owner, at])
            path.append(target)
        return paths

    def _order_layers(self) -> list[list[int]]:
        layers: list[list[int]] = [[] for _ in range(max(self.layer) + 1)]
        for at in _depth_first(self.up, self.down):
            layers[self.layer[at]].append(at)
        place = {at: rank / len(layer) for layer in layers for rank, at in enumerate(layer)}
        best, fewest, tries = [list(layer) for layer in layers], self._crossings(layers, place), 0
        for sweep in range(_SWEEPS):
            if not fewest or tries > _PATIENCE:
                break
            near = self.down if sweep % 2 else self.up
            for layer in reversed(layers) if sweep % 2 else layers:
                wish = {at: _mean([place[other] for other in near[at]], place[at]) for at in layer}
                layer.sort(key=wish.__getitem__)
                place |= {at: rank / len(layer) for rank, at in enumerate(layer)}
            crossings = self._crossings(layers, place)
            tries += 1
            if crossings < fewest:
                best, fewest, tries = [list(layer) for layer in layers], crossings, 0
        return best

    def _crossings(self, layers: list[list[int]], place: Mapping[int, float]) -> int:
        count = 0
        for layer in layers:
            ends: list[float] = []
            for at in layer:
                mine = [place[other] for other in self.down[at]]
                count += sum(len(ends) - bisect_right(ends, end) for end in mine)
                for end in mine:
                    insort(ends, end)
        return count


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _layer_of_each(count: int, edges: list[Edge], pitch: float) -> list[int]:
    up: list[list[int]] = [[] for _ in range(count)]
    down: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        down[source].append(target)
        up[target].append(source)
    layer = [0] * count
    order = _depth_first(up, down)
    for at in order:
        layer[at] = max((layer[other] + 1 for other in up[at]), default=0)
    for at in reversed(order):
        # To the right, where that makes more edges shorter than longer.
        if len(up[at]) < len(down[at]):
            layer[at] = min(layer[other] for other in down[at]) - 1
    return _fold_layer(layer, order, pitch)


def _fold_layer(layer: list[int], order: list[int], pitch: float) -> list[int]:
    """Give a layer of too many boxes several columns, equally filled; what comes after them moves to the right."""
    sizes = Counter(layer)
    most = _rows(sorted(sizes.values()), pitch)
    first: dict[int, int] = {}
    column = 0
    for at in sorted(sizes):
        first[at] = column
        column += -(-sizes[at] // most)
    met: Counter[int] = Counter()
    columns = [0] * len(layer)
    for at in order:
        own = layer[at]
        columns[at] = first[own] + met[own] * -(-sizes[own] // most) // sizes[own]
        met[own] += 1
    return columns


def _rows(sizes: list[int], pitch: float) -> int:
    """Return the most boxes that a column has, so that the whole is not much higher than wide."""
    fold = 1
    while True:
        most = -(-sizes[-1] // fold)
        columns = sum(-(-size // most) for size in sizes)
        if most <= _FEWEST_ROWS or columns * pitch >= most * _WIDE:
            return most
        fold += 1


def _depth_first(up: Sequence[Sequence[int]], down: Sequence[Sequence[int]]) -> list[int]:
    """Return the points, each after all left of it, and what leads on from one before what is next to it."""
    missing = [len(each) for each in up]
    stack = [at for at in reversed(range(len(up))) if not missing[at]]
    order: list[int] = []
    while stack:
        at = stack.pop()
        order.append(at)
        for to in reversed(down[at]):
            missing[to] -= 1
            if not missing[to]:
                stack.append(to)
    return order


def _turn_edges(count: int, edges: list[Edge]) -> set[Edge]:
    """Return the edges that close a cycle, in a walk from the first box on."""
    out: defaultdict[int, list[int]] = defaultdict(list)
    for source, target in edges:
        out[source].append(target)
    turned: set[Edge] = set()
    seen = [False] * count
    under_way: set[int] = set()
    for start in range(count):
        stack = [start]
        while stack:
            at = stack[-1]
            if not seen[at]:
                seen[at] = True
                under_way.add(at)
            to = out[at].pop() if out[at] else None
            if to is None:
                under_way.discard(stack.pop())
            elif to in under_way:
                turned.add((at, to))
            elif not seen[to]:
                stack.append(to)
    return turned
