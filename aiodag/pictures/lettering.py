"""Make text fit to be drawn: one printable line, no wider than its place, escaped.

A label may hold anything, since it quotes arguments. All text of a picture passes `escaped`, after `line` or
`shortened` has made it one printable line; what is printable is legal in XML too.
"""

from functools import cache
from unicodedata import combining, east_asian_width

from aiodag.wording import printable

FONT = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', Aileron, sans-serif"
SIZE, SMALL = 12, 10.5  # pixels

_ELLIPSIS = "…"
_MOST_READ = 2_000  # characters: what is longer is cut before it is looked at
_MOST_LETTERS = 60  # letters without a width may be stacked without end
# Thousandths of the size, as Helvetica and its kin have them. A machine with another font is off by a tenth or so.
_WIDTHS = {
    letter: width
    for letters, width in (
        ("ijl'|", 225),
        (" !,./:;I[]\\ft", 280),
        ('()-`r"{}', 340),
        ("*^", 430),
        ("sckvxyzJ", 500),
        ("0123456789abdeghnopqu_?#$L+<=>~", 565),
        ("FTZABEKPSVXY&", 660),
        ("CDHNRUw", 725),
        ("GOQ", 780),
        ("mM%", 860),
        ("W@", 980),
    )
    for letter in letters
}
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})


def line(text: str, most: int = _MOST_READ) -> str:
    r"""Return one printable line of at most `most` characters.

    >>> print(line("a\n<b>"), line("a" * 9, most=4))
    a\n<b> aaa…
    """
    read = text[: most + 1]
    shown = printable(read)
    return shown if len(shown) <= most else shown[: most - 1] + _ELLIPSIS


def lines(text: str, most: int = _MOST_READ) -> str:
    r"""Return a text of at most `most` characters with its line ends, and each line as `line` gives it.

    >>> print(lines("a\n\tb\r\nc"))
    a
        b
    c
    """
    return "\n".join([line(each.expandtabs(4)) for each in line_ends(text[: most + 1])])[:most] + _ELLIPSIS * (
        len(text) > most
    )


def line_ends(text: str) -> list[str]:
    """Split a text where a terminal would go to the next line: other signs that end one are only shown."""
    return text.replace("\r\n", "\n").split("\n")


def escape_xml(text: str) -> str:
    """Return the text for XML and HTML, in elements and in quoted attributes.

    >>> escape_xml("a < 'b'")
    'a &lt; &#39;b&#39;'
    """
    return text.translate(_MARKUP)


def width(text: str, size: float = SIZE) -> float:
    """Return about how many pixels the text is wide."""
    return sum(map(_width, text)) * size / 1000


@cache
def _width(letter: str) -> int:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    if combining(letter):
        return 0
    return 1000 if east_asian_width(letter) in "WF" else 650


def shorten_to(text: str, room: float, size: float = SIZE) -> str:
    """Return one printable line that is at most `room` pixels wide.

    >>> shorten_to("concatenate('a1', 'a2')", 100)
    "concatenate('a1'…"
    """
    whole = line(text, _MOST_LETTERS)
    if width(whole, size) <= room:
        return whole
    left = room - width(_ELLIPSIS, size)
    kept = 0
    for letter in whole.removesuffix(_ELLIPSIS):
        left -= width(letter, size)
        if left < 0:
            break
        kept += 1
    return whole[:kept].rstrip() + _ELLIPSIS
