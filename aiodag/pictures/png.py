"""Draw a graph as PNG: the picture of `svg`, in pixels."""

from math import inf, sqrt

from aiodag._core.graph import Graph
from aiodag.errors import OptionError
from aiodag.pictures.svg import sheet

# Beyond these a picture is of no use, and far beyond them the renderer ends the process for want of memory.
_MOST_PIXELS = 25_000_000
_SOON = 2_500_000  # pixels that take a fraction of a second: drawing and packing them is nearly all of the time
_LONGEST_SIDE = 20_000


def png(graph: Graph, *, scale: float | None = None) -> bytes:
    """Return the picture of `svg` as a PNG file, `scale` pixels for each of its pixels.

    Without a scale a picture has 2, and a large one less, down to 1, so that it is there within a second. The scale is
    lowered for a picture that would have more than 25 million pixels, or be longer than 20,000. Needs the
    extra `draw`: raises `MissingExtra` if it is not installed. Raises `OptionError` for a scale that is not above 0.

    >>> from aiodag import plan, task
    >>> from aiodag.pictures import png
    >>> @task
    ... async def fetch(name): ...
    >>> png(plan(fetch, "a1"), scale=1)[1:4]
    b'PNG'
    """
    # Imported when it is asked for: the rest of the package comes with the base install.
    from aiodag.pictures.resvg import render_png  # noqa: PLC0415 - see above

    if scale is not None and not 0 < scale < inf:
        raise OptionError("scale", scale, "a number above 0")
    drawn = sheet(graph, merged=True)
    if scale is None:
        scale = min(2.0, max(1.0, sqrt(_SOON / drawn.width / drawn.height)))
    most = min(sqrt(_MOST_PIXELS / drawn.width / drawn.height), _LONGEST_SIDE / max(drawn.width, drawn.height))
    return render_png("\n".join(drawn.elements), min(scale, most))
