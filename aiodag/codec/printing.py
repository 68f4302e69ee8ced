"""Print plain values the same way on every Python.

`repr()` shows the letters that its own Unicode tables know and escapes all others, so a new letter is printed in one way by
Python 3.11 and in another by 3.13. Here a letter is shown if every supported version shows it, and escaped otherwise.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

# What `repr()` shows in 3.11, the oldest one, in runs that no later version has changed or could: without short runs, for
# an escaped letter is right too, only longer. It enters keys, so it must never change, and need not grow.
SHOWN = """
    a1-ac ae-377 38e-3a1 3a3-52f 531-556 559-58a 591-5c7 5d0-5ea 606-61b 61d-6dc 6de-70d 710-74a 74d-7b1 7c0-7fa
    7fd-82d 840-85b 870-88e 898-8e1 8e3-983 993-9a8 9e6-9fe a13-a28 a66-a76 a93-aa8 b13-b28 b66-b77 be6-bfa c12-c28
    c2a-c39 c77-c8c c92-ca8 d12-d44 d54-d63 d66-d7f d85-d96 d9a-db1 e01-e3a e3f-e5b e8c-ea3 ea7-ebd f00-f47 f49-f6c
    f71-f97 f99-fbc 1000-10c5 10d0-1248 1260-1288 1290-12b0 12d8-1310 1318-135a 135d-137c 1380-1399 13a0-13f5
    1400-167f 1681-169c 16a0-16f8 1700-1715 171f-1736 1740-1753 1780-17dd 1820-1878 1880-18aa 18b0-18f5 1900-191e
    1944-196d 1980-19ab 19b0-19c9 19de-1a1b 1a1e-1a5e 1a60-1a7c 1ab0-1ace 1b00-1b4c 1b50-1b7e 1b80-1bf3 1bfc-1c37
    1c4d-1c88 1c90-1cba 1cd0-1cfa 1d00-1f15 1f20-1f45 1f5f-1f7d 1f80-1fb4 1fdd-1fef 2010-2027 2030-205e 2074-208e
    20a0-20c0 20d0-20f0 2100-218b 2190-2426 2460-2b73 2b76-2b95 2b97-2cf3 2cf9-2d25 2d30-2d67 2d7f-2d96 2de0-2e5d
    2e80-2e99 2e9b-2ef3 2f00-2fd5 3001-303f 3041-3096 3099-30ff 3105-312f 3131-318e 3190-31e3 31f0-321e 3220-a48c
    a490-a4c6 a4d0-a62b a640-a6f7 a700-a7ca a7f2-a82c a840-a877 a880-a8c5 a8e0-a953 a95f-a97c a980-a9cd a9de-a9fe
    aa00-aa36 aa5c-aac2 aadb-aaf6 ab30-ab6b ab70-abed ac00-d7a3 d7b0-d7c6 d7cb-d7fb f900-fa6d fa70-fad9 fb1d-fb36
    fb46-fbc2 fbd3-fd8f fd92-fdc7 fdf0-fe19 fe20-fe52 fe54-fe66 fe76-fefc ff01-ffbe 10080-100fa 10137-1018e
    10400-1049d 10600-10736 10857-1089e 10a60-10a9f 10c00-10c48 11000-1104d 11180-111df 11400-1145b 11480-114c7
    11600-11644 118a0-118f2 11a00-11a47 11a50-11aa2 11ab0-11af8 11fff-12399 12400-1246e 12480-12543 12f90-12ff2
    13000-1342e 14400-14646 16800-16a38 16a6e-16abe 16b00-16b45 16e40-16e9a 16f00-16f4a 17000-187f7 18800-18cd5
    1b000-1b122 1b170-1b2fb 1bc00-1bc6a 1cf50-1cfc3 1d000-1d0f5 1d129-1d172 1d17b-1d1ea 1d200-1d245 1d300-1d356
    1d400-1d454 1d456-1d49c 1d4c5-1d505 1d552-1d6a5 1d6a8-1d7cb 1d7ce-1da8b 1e800-1e8c4 1e900-1e94b 1ec71-1ecb4
    1f030-1f093 1f100-1f1ad 1f300-1f6d7 1f700-1f773 1f780-1f7d8 1f900-1fa53 1fb00-1fb92 20000-2a6df 2a700-2b738
    2b740-2b81d 2b820-2cea1 2ceb0-2ebe0 2f800-2fa1d 30000-3134a e0100-e01ef
"""
# What later versions of Unicode have added, by the first Python that shows it.
ADDED = {
    "3.12": """
        cf3 ece 10efd-10eff 1123f-11241 11b00-11b09 11f00-11f10 11f12-11f3a 11f3e-11f59 1342f 13440-13455 1b132
        1b155 1d2c0-1d2d3 1df25-1df2a 1e030-1e06d 1e08f 1e4d0-1e4f9 1f6dc 1f774-1f776 1f77b-1f77f 1f7d9 1fa75-1fa77
        1fa87-1fa88 1faad-1faaf 1fabb-1fabd 1fabf 1face-1facf 1fada-1fadb 1fae8 1faf7-1faf8 2b739 31350-323af
    """,
    "3.13": "2ffc-2fff 31ef 2ebf0-2ee5d",
}
OLDER = ("3.11", "3.12", "3.13")  # the Pythons on which keys were made with `repr()`
ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[0-9a-f]{4}|\\U[0-9a-f]{8})")


def letters(ranges: str) -> str:
    r"""Return ranges of code points, as they are written above, for the inside of a character class.

    >>> letters("61-63 7a")
    '\\U00000061-\\U00000063\\U0000007a'
    """
    return re.sub(r"([0-9a-f]+)(-?)\s*", lambda found: f"\\U{found[1]:0>8}{found[2]}", ranges.strip())


def python_text(value: object) -> str:
    r"""Return a plain value as Python writes it: the same text on every version.

    >>> python_text(("Größe", 1)), python_text(chr(0x31350))
    ("('Größe', 1)", "'\\U00031350'")
    """
    text = repr(value)
    return text if text.isascii() else hidden_letters().sub(escape_letter, text)


@cache
def hidden_letters() -> re.Pattern[str]:
    """Return the letters that are escaped. Most texts have none, and the pattern takes 10 ms to compile."""
    return re.compile(rf"[^\0-\x7f{letters(SHOWN)}]")


def escape_letter(found: re.Match[str]) -> str:
    """Return a letter as an escape sequence."""
    return ascii(found[0])[1:-1]


def printed_by(python: str) -> Callable[[Any], str]:
    """Return the `repr()` of an older Python, which this one may print otherwise."""

    def printed_then(value: object) -> str:
        text = repr(value)
        if text.isascii() and "\\u" not in text and "\\U" not in text:
            return text
        shown, hidden = letters_since(python)
        if hidden is not None:
            text = hidden.sub(escape_letter, text)
        return text if shown is None else ESCAPE.sub(lambda found: found[1] + unescape_letter(found[2], shown), text)

    return printed_then


@cache
def letters_since(python: str) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """Return the letters that a Python shows and 3.11 does not, and those that only later ones show."""
    place = OLDER.index(python)
    parts = (
        "".join(map(letters, map(ADDED.__getitem__, OLDER[1 : place + 1]))),
        "".join(map(letters, map(ADDED.__getitem__, OLDER[place + 1 :]))),
    )
    shown, hidden = (re.compile(f"[{part}]") if part else None for part in parts)
    return shown, hidden


def unescape_letter(sequence: str, shown: re.Pattern[str]) -> str:
    """Return the letter of an escape sequence if it is one of those that are shown."""
    letter = sequence.encode("ascii").decode("unicode-escape")
    return letter if shown.match(letter) else sequence
