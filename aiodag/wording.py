"""How texts of others are shown, and one way to say durations and numbers of things, wherever they are printed or drawn."""

import re

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|[smhd])", re.ASCII)


def read_duration(text: str) -> float | None:
    """Return the seconds of a duration with its unit; None if a text is not one.

    >>> [read_duration(text) for text in ("90s", "15m", "1.5h", "30d", "500ms", "90")]
    [90.0, 900.0, 5400.0, 2592000.0, 0.5, None]
    """
    found = DURATION.fullmatch(text)
    return None if found is None else float(found[1]) * UNITS[found[2]]


def printable(text: str) -> str:
    r"""Return a text in one line that does nothing to a terminal: what cannot be seen is shown by its escape.

    Line ends, lone surrogates and marks that turn the direction of writing cannot be seen either.

    >>> printable("pull\nrun one succeeded\x1b[2J")
    'pull\\nrun one succeeded\\x1b[2J'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def hide_password(address: str) -> str:
    """Return an address without its passwords: `***` stands in their places.

    >>> hide_password("postgresql://me:secret@db.example/runs?sslmode=require")
    'postgresql://me:***@db.example/runs?sslmode=require'
    """
    scheme, credentials, place, options = parts_of_address(address)
    name, colon, _ = credentials.partition(":")
    shown = [f"{option.partition('=')[0]}=***" if "password=" in option else option for option in options.split("&")]
    who = f"{name}:***" if colon else name
    return f"{scheme}{who}{'@' if credentials else ''}{place}{'?' if options else ''}{'&'.join(shown)}"


def parts_of_address(address: str) -> tuple[str, str, str, str]:
    """Return the scheme of an address with its slashes, who asks, which host and database, and the options.

    >>> parts_of_address("postgresql://me:a?b@db.example/runs?sslmode=require")
    ('postgresql://', 'me:a?b', 'db.example/runs', 'sslmode=require')
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return "", "", address, ""
    # As libpq does it: up to an @ that comes before a slash, whatever else is in it. And what libpq does not take, a password
    # with a slash, is one all the same.
    credentials, at, _ = rest.partition("/")[0].rpartition("@")
    if not at:
        credentials, at, _ = rest.partition("?")[0].rpartition("@")
    place, _, options = rest[len(credentials) + len(at) :].partition("?")
    return f"{scheme}://", credentials, place, options


def is_utf8(text: str) -> bool:
    r"""Return True if a text can be written as UTF-8. One with half of a surrogate pair cannot, and no store takes it.

    >>> is_utf8("größer"), is_utf8("\ud800")
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def first_line(text: str) -> str:
    r"""Return the first line of a text, with the next one where the first ends by announcing it.

    >>> first_line("two errors"), first_line("exit code 3; it wrote:\n  no such file\n  bye")
    ('two errors', 'exit code 3; it wrote: no such file')
    """
    first, _, rest = text.partition("\n")
    return f"{first} {rest.partition(chr(10))[0].strip()}" if first.endswith(":") and rest else first


def describe_seconds(seconds: float) -> str:
    """Return a duration for people: three digits, and from a minute on its two largest units.

    >>> [describe_seconds(seconds) for seconds in (0.00042, 0.0425, 1.25, 75, 7384, 200000)]
    ['420 µs', '42.5 ms', '1.25 s', '1 min 15 s', '2 h 3 min', '2 d 7 h']
    """
    if seconds < 59.95:
        for unit, size in (("s", 1), ("ms", 1e-3)):
            if seconds >= 0.9995 * size:  # what three digits round up to it
                return f"{seconds / size:.3g} {unit}"
        return f"{seconds * 1e6:.3g} µs" if seconds else "0 s"
    whole = round(seconds)
    for large, size, small, part in (("min", 60, "s", 1), ("h", 3600, "min", 60)):
        if whole < size * (24 if size == 3600 else 60):
            return f"{whole // size} {large} {whole % size // part} {small}"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def count_text(count: int, thing: str) -> str:
    """Return how many of a thing there are.

    >>> count_text(1, "task"), count_text(2000, "task")
    ('1 task', '2,000 tasks')
    """
    return f"{count:,} {thing}{'s' * (count != 1)}"
