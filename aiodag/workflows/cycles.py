"""Put vertices in an order in which each comes after what it waits for, and find the cycles for which there is none."""

from collections.abc import Iterable, Sequence


def order_vertices(upstream: Sequence[Iterable[int]], order: list[int]) -> list[list[int]]:
    """Write into `order` each vertex after what it waits for, and return cycles: some of them if they share vertices.

    A search into the depth, upstream first, with its own stack.
    """
    fresh, opened, done = 0, 1, 2
    states = bytearray(len(upstream))
    entangled = bytearray(len(upstream))
    rings: list[list[int]] = []
    for root, ups in enumerate(upstream):
        if states[root] != fresh:
            continue
        if not ups:
            states[root] = done
            order.append(root)
            continue
        states[root] = opened
        way, left = [root], [iter(ups)]
        while way:
            here = next(left[-1], None)
            if here is None:
                left.pop()
                order.append(way.pop())
                states[order[-1]] = done
            elif states[here] == fresh:
                states[here] = opened
                way.append(here)
                left.append(iter(upstream[here]))
            elif states[here] == opened:
                ring = back_to(here, way, entangled)
                rings += [ring] if ring else []
    return rings


def back_to(vertex: int, way: list[int], entangled: bytearray) -> list[int]:
    """Return the cycle that leads back to a vertex of the way, unless it meets one that was told already.

    What is walked over has the same cycles, and is not walked over again: all walks together are linear.
    """
    ring: list[int] = []
    for each in reversed(way):
        if entangled[each]:
            return []
        entangled[each] = True
        ring.append(each)
        if each == vertex:
            break
    return [ring[-1], *ring[:-1]]
