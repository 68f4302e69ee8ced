"""Turn SVG into PNG with resvg: one wheel for each system, no system package (MIT)."""

from pathlib import Path
from tempfile import TemporaryDirectory

from aiodag.errors import MissingExtra
from aiodag.pictures.pillow import font

try:
    import resvg_py
except ImportError as error:
    raise MissingExtra("aiodag.pictures.png()", "resvg-py", "draw") from error


def render_png(svg: str, scale: float) -> bytes:
    """Return the picture as PNG. Text is set in the first of its fonts that the system has, or else in one that comes along.

    >>> render_png('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>', scale=1)[1:4]
    b'PNG'
    """
    with TemporaryDirectory() as directory:
        # A slim container has no fonts at all, and resvg leaves out the text that it has none for.
        carried = Path(directory, "font.ttf")
        carried.write_bytes(font())
        return resvg_py.svg_to_bytes(svg_string=svg, zoom=scale, font_files=[str(carried)])
