"""The colours of pictures, in light and in dark."""

from aiodag.looks import LOOKS
from aiodag.states import State

LIGHT = {"page": "#ffffff", "ink": "#1f2328", "dim": "#57606a", "rule": "#e1e5ea", "edge": "#8c959f", "path": "#cf222e"}
DARK = {"page": "#0d1117", "ink": "#e6edf3", "dim": "#9198a1", "rule": "#262c36", "edge": "#768390", "path": "#ff6b61"}


def colours_by_name(theme: str) -> dict[str, str]:
    """Return each colour of a theme, "light" or "dark", by its name: "page", "ink", "failed-fill", "failed-line", ..."""
    colours = dict(DARK if theme == "dark" else LIGHT)
    for state, look in LOOKS.items():
        for part, colour in (look.dark if theme == "dark" else look.light)._asdict().items():
            colours[f"{state}-{part}"] = colour
    return colours


def glyphs() -> str:
    """Return the definitions that `glyph` uses."""
    return "".join(f'<path id="glyph-{state}" d="{look.glyph}"/>' for state, look in LOOKS.items())


def glyph(state: State, x: float, y: float) -> str:
    """Return the glyph of a state with its left upper corner there."""
    return f'<use href="#glyph-{state}" class="glyph {state}" x="{x:g}" y="{y:g}"/>'
