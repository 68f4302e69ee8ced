"""The generations of a run whose body has begun again: how the last one is recorded, and which nodes it has called."""

import json
from collections import defaultdict
from collections.abc import Iterable

from aiodag.records import Generation


def text_of_generation(generation: Generation) -> str:
    """Return what is recorded of a generation, besides its number.

    >>> generation = Generation(1, 0, '{"month": 2}')
    >>> generation_of_text(1, text_of_generation(generation)) == generation
    True
    """
    return json.dumps([generation.node, generation.arguments])


def generation_of_text(number: int, text: str | None) -> Generation | None:
    """Return what is recorded of the last generation of a run; None if it is the first."""
    return None if text is None else Generation(number, *json.loads(text))


def nodes_below(top: int, enclosed: "Iterable[tuple[int, int]]") -> list[int]:
    """Return the numbers of the nodes that a body has called, and of what these have, of pairs of a node and what encloses it.

    >>> nodes_below(0, [(1, 0), (2, 1), (4, 3)])
    [1, 2]
    """
    inside: defaultdict[int, list[int]] = defaultdict(list)
    for number, around in enclosed:
        inside[around].append(number)
    found = list(inside.get(top, ()))
    for number in found:  # it grows as it is walked
        found += inside.get(number, ())
    return found
