"""The looks of a state: a glyph and colours, in light and in dark.

Nobody has to tell colours apart: each state has its glyph, failed is the only one that is filled dark, and what did
not run has a broken outline. Glyphs are paths and not letters, since a font may lack them.
"""

from typing import NamedTuple

from aiodag.states import State


class Colours(NamedTuple):
    """Colour a box: its inside, its outline, what is written in it."""

    fill: str
    line: str
    ink: str


class Look(NamedTuple):
    """Show a state; the glyph is a path in a square of 12 pixels, `broken` the dashes of the outline."""

    glyph: str
    light: Colours
    dark: Colours
    broken: str = ""


LOOKS = {
    State.WAITING: Look(
        "M2.2 6h.01M6 6h.01M9.8 6h.01",
        Colours("#ffffff", "#8c959f", "#57606a"),
        Colours("#161b22", "#6e7681", "#9da7b3"),
        "2 3",
    ),
    State.QUEUED: Look(
        "M4 2.5v7M8 2.5v7",
        Colours("#fff3c4", "#9a6700", "#4d3800"),
        Colours("#3d2e00", "#d29922", "#f2d58a"),
    ),
    State.RUNNING: Look(
        "M3.5 2L10 6L3.5 10z",
        Colours("#cfe8ff", "#0969da", "#0a3069"),
        Colours("#0c2d52", "#4493f8", "#cfe5ff"),
    ),
    State.SUCCEEDED: Look(
        "M1.8 6.6L4.8 9.6L10.4 2.8",
        Colours("#d8f3e6", "#0b7a55", "#0b3d2e"),
        Colours("#0b3527", "#3fb58b", "#c9f2e1"),
    ),
    State.FAILED: Look(
        "M2.5 2.5L9.5 9.5M9.5 2.5L2.5 9.5",
        Colours("#c4281c", "#9d1a10", "#ffffff"),
        Colours("#c93c37", "#ff8f87", "#ffffff"),
    ),
    State.SKIPPED: Look(
        "M2 2.5L5.5 6L2 9.5M6.5 2.5L10 6L6.5 9.5",
        Colours("#eceff2", "#6e7781", "#424a53"),
        Colours("#21262d", "#7d8590", "#b6bec8"),
        "5 3",
    ),
    State.CANCELLED: Look(
        "M6 1.2a4.8 4.8 0 1 0 .01 0zM2.7 9.3L9.3 2.7",
        Colours("#efe3fb", "#7a4fc4", "#3d2270"),
        Colours("#2d1f4a", "#a583e8", "#e2d5ff"),
        "5 3",
    ),
}

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
