"""Cut an expression into its smallest parts: names, numbers, texts and signs."""

import json
import re
from typing import Any, NamedTuple

from aiodag.wording import is_utf8, printable

LONGEST_EXPRESSION = 10_000  # characters
LARGEST_NUMBER = 10**30
SHOWN_PART = 40  # characters of a part of an expression in a message
# No part can be read in two ways, so that a hostile text takes no longer than another.
LEXEME = re.compile(
    r"""\s*(?:
    (?P<number> \d+ (?:\.\d+)? (?:[eE][+-]?\d+)? )
  | (?P<name> [^\W\d]\w* (?:-\w+)* )
  | (?P<single> '(?:[^']|'')*' )
  | (?P<double> "(?:[^"\\]|\\.)*" )
  | (?P<sign> &&|\|\||==|!=|<=|>=|//|\*\*|[<>!()\[\].,+\-*/%|] )
    )""",
    re.VERBOSE | re.DOTALL,
)
WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
SIGNS = frozenset({"and", "or", "not", "in"})
INSTEAD = {
    "=": "= means nothing here: == compares",
    "?": "? means nothing here: write a && b || c for b where a holds, else c",
    "&": "& means nothing here: && is and",
    "'": "the text that begins here has no closing '",
    '"': 'the text that begins here has no closing "',
    "{": "{ means nothing here: a map is written as fromJSON('{...}')",
    "}": "} means nothing here: }} ends an expression that ${{ begins",
    "$": "$ means nothing here: inside ${{ }} names stand alone, and variables of the environment are read outside",
}


class Malformed(Exception):
    """Carries what is wrong with an expression to where its text is known."""


class Lexeme(NamedTuple):
    """A part of an expression: `kind` is "value", "name", "sign" or "end"."""

    kind: str
    value: Any


def lexemes_of(text: str) -> list[Lexeme]:
    """Return the parts of an expression, and its end as the last. Raises `Malformed`."""
    found: list[Lexeme] = []
    place = 0
    while (match := LEXEME.match(text, place, LONGEST_EXPRESSION)) is not None:
        place = match.end()
        found.append(lexeme_of(match))
    rest = text[place:].strip()
    if len(text) > LONGEST_EXPRESSION and (not rest or rest[0] in "'\"" or place + 100 > LONGEST_EXPRESSION):
        raise Malformed(f"is longer than {LONGEST_EXPRESSION:,} characters")
    if rest:
        shown = printable(rest[0])
        raise Malformed(INSTEAD.get(rest[0], f"{shown} means nothing here") + f", at {cut_part(rest)!r}")
    return [*found, Lexeme("end", "")]


def lexeme_of(match: re.Match[str]) -> Lexeme:
    """Return what a part of an expression is. Raises `Malformed`."""
    kind = str(match.lastgroup)
    text = match[kind]
    if kind == "sign" and text != "**":
        return Lexeme(kind, text)
    if kind == "name":
        if text in WORDS:
            return Lexeme("value", WORDS[text])
        return Lexeme("sign" if text in SIGNS else "name", text)
    if kind == "sign":
        raise Malformed("** means nothing here: there are no powers")
    return Lexeme("value", number_of_digits(text) if kind == "number" else unquote_text(text))


def number_of_digits(text: str) -> int | float:
    """Return a number."""
    number = int(text) if text.isdecimal() and len(text) <= len(str(LARGEST_NUMBER)) else float(text)
    if number > LARGEST_NUMBER:
        raise Malformed(f"{cut_part(text)} is too large: numbers reach to 10^30")
    return number


def unquote_text(quoted: str) -> str:
    """Return a text without its quotes, as YAML reads it: in single ones only '' is one ', double ones have the escapes of JSON."""
    if quoted[0] == "'":
        text = quoted[1:-1].replace("''", "'")
    else:
        try:
            text = json.loads(quoted, strict=False)
        except ValueError:
            raise Malformed(f"{cut_part(quoted)} has an escape that JSON does not have") from None
    if "\0" in text or not is_utf8(text):
        raise Malformed("a text cannot have NUL or half of a surrogate pair in it")
    return text


def cut_part(text: str) -> str:
    """Return a part of an expression as messages show it."""
    shown = printable(text[: SHOWN_PART + 1])
    return shown if len(text) <= SHOWN_PART else f"{shown[:SHOWN_PART]}…"
