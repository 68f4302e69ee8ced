"""The look of each state, in text, on a terminal and in pictures: the one table of them.

Nobody has to tell colours apart: each state has its sign and its glyph, failed is the only one that is filled dark, and what
did not run has a broken outline. Glyphs are paths and not letters, since a font may lack them.
"""

from typing import NamedTuple

from aiodag.states import State


class Colours(NamedTuple):
    """Colour a box: its inside, its outline, what is written in it."""

    fill: str
    line: str
    ink: str


class Look(NamedTuple):
    """How a state is shown, in text and in pictures.

    `sign` stands for it in text, `style` is its colour on a terminal, `drawn` are the fill and the border of its boxes where
    others draw them: Mermaid and Graphviz. In our own pictures `glyph` is a path in a square of 12 pixels, `light` and `dark`
    are the colours of its boxes, and `broken` the dashes of their outlines.
    """

    sign: str
    style: str
    drawn: tuple[str, str]
    glyph: str
    light: Colours
    dark: Colours
    broken: str = ""


LOOKS = {
    State.WAITING: Look(
        "·",
        "yellow",
        ("#f6f8fa", "#8c959f"),
        "M2.2 6h.01M6 6h.01M9.8 6h.01",
        Colours("#ffffff", "#8c959f", "#57606a"),
        Colours("#161b22", "#6e7681", "#9da7b3"),
        "2 3",
    ),
    State.QUEUED: Look(
        ":",
        "yellow",
        ("#fff8c5", "#9a6700"),
        "M4 2.5v7M8 2.5v7",
        Colours("#fff3c4", "#9a6700", "#4d3800"),
        Colours("#3d2e00", "#d29922", "#f2d58a"),
    ),
    State.RUNNING: Look(
        "▸",
        "blue",
        ("#ddf4ff", "#0969da"),
        "M3.5 2L10 6L3.5 10z",
        Colours("#cfe8ff", "#0969da", "#0a3069"),
        Colours("#0c2d52", "#4493f8", "#cfe5ff"),
    ),
    State.PARKED: Look(
        "‖",
        "cyan",
        ("#e6f6f6", "#1b7c83"),
        "M3 1.8h6L3 10.2h6z",
        Colours("#d9f2f2", "#1b7c83", "#0b3f43"),
        Colours("#0d3236", "#4fb8bf", "#c5eff1"),
    ),
    State.SUCCEEDED: Look(
        "✓",
        "green",
        ("#dafbe1", "#1a7f37"),
        "M1.8 6.6L4.8 9.6L10.4 2.8",
        Colours("#d8f3e6", "#0b7a55", "#0b3d2e"),
        Colours("#0b3527", "#3fb58b", "#c9f2e1"),
    ),
    State.FAILED: Look(
        "✗",
        "red",
        ("#ffebe9", "#cf222e"),
        "M2.5 2.5L9.5 9.5M9.5 2.5L2.5 9.5",
        Colours("#c4281c", "#9d1a10", "#ffffff"),
        Colours("#c93c37", "#ff8f87", "#ffffff"),
    ),
    State.SKIPPED: Look(
        "»",
        "dim",
        ("#eaeef2", "#57606a"),
        "M2 2.5L5.5 6L2 9.5M6.5 2.5L10 6L6.5 9.5",
        Colours("#eceff2", "#6e7781", "#424a53"),
        Colours("#21262d", "#7d8590", "#b6bec8"),
        "5 3",
    ),
    State.CANCELLED: Look(
        "⊘",
        "dim",
        ("#fbefff", "#8250df"),
        "M6 1.2a4.8 4.8 0 1 0 .01 0zM2.7 9.3L9.3 2.7",
        Colours("#efe3fb", "#7a4fc4", "#3d2270"),
        Colours("#2d1f4a", "#a583e8", "#e2d5ff"),
        "5 3",
    ),
}
