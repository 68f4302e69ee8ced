"""The font that Pillow carries (Aileron, CC0), for machines that have none."""

from aiodag.errors import MissingExtra

try:
    from PIL import ImageFont
except ImportError as error:
    raise MissingExtra("aiodag.pictures.png()", "pillow", "draw") from error


def font() -> bytes:
    """Return the font as the bytes of a TrueType file.

    >>> font()[:4].hex()
    '00010000'
    """
    carried = ImageFont.load_default(12)
    assert isinstance(carried, ImageFont.FreeTypeFont), "Pillow was built without FreeType, which its wheels have"
    return carried.font_bytes
