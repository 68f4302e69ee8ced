"""Draw any graph: SVG, PNG, a timeline, and an HTML page that needs nothing else.

`png` needs the extra `draw`; all else comes with the base install.
"""

from aiodag.pictures.html import html as html
from aiodag.pictures.png import png as png
from aiodag.pictures.svg import svg as svg
from aiodag.pictures.timeline import timeline as timeline

__all__ = ["html", "png", "svg", "timeline"]
