"""Read values back from the text of a record.

The text may be anything: what is not a record raises `Undecodable`, and nothing in it can run code. Every tag has a function
that takes plain parts; classes are found by `classes`, which imports nothing.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import partial
from json import JSONDecoder
from math import isinf
from typing import Any, Never

from aiodag.codec import classes
from aiodag.codec.foreign import PACKAGES
from aiodag.codec.kinds import KINDS, checked_list, checked_text
from aiodag.codec.registered import REGISTERED, Types
from aiodag.codec.writer import FACTORIES
from aiodag.errors import Undecodable
from aiodag.secret import Secret

FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def pairs_in(parts: object) -> list[tuple[Any, Any]]:
    """Return keys and values of a mapping."""
    return [(key, value) for key, value in (checked_list(pair, 2) for pair in checked_list(parts))]


def deque_of(parts: object) -> deque[Any]:
    """Make a deque again."""
    values, length = checked_list(parts, 2)
    return deque(checked_list(values), length)


def defaultdict_of(parts: object) -> defaultdict[Any, Any]:
    """Make a defaultdict again."""
    factory, pairs = checked_list(parts, 2)
    return defaultdict(None if factory is None else FACTORIES[factory], pairs_in(pairs))


def counter_of(parts: object) -> Counter[Any]:
    """Make a Counter again. Its own `update` adds to what is there."""
    counter: Counter[Any] = Counter()
    dict.update(counter, pairs_in(parts))
    return counter


def read_secret(parts: object) -> Secret:
    """Make a secret again: it is known by its name, and read where it was."""
    name, file = (parts, None) if type(parts) is str else checked_list(parts, 2)
    return Secret(name, file=file)


BUILD: dict[str, Callable[[Any], Any]] = {
    **{kind.tag: kind.build for kind in KINDS.values()},
    "str": lambda parts: bytes.fromhex(parts).decode("utf-8", "surrogatepass"),
    "int": lambda parts: int(checked_text(parts), 16),
    "float": lambda parts: FLOATS[parts],
    "tuple": lambda parts: tuple(checked_list(parts)),
    "set": lambda parts: set(checked_list(parts)),
    "frozenset": lambda parts: frozenset(checked_list(parts)),
    "deque": deque_of,
    "dict": lambda parts: dict(pairs_in(parts)),
    "OrderedDict": lambda parts: OrderedDict(pairs_in(parts)),
    "Counter": counter_of,
    "defaultdict": defaultdict_of,
    "enum": classes.member,
    "namedtuple": classes.named_tuple,
    "dataclass": classes.dataclass_instance,
    "attrs": classes.attrs_instance,
    "number": classes.rebuild_number,
    **{package: partial(classes.foreign, package) for package in PACKAGES},
    "Secret": read_secret,
}


def build_object(found: dict[str, Any], types: Types = REGISTERED) -> Any:
    """Return what an object of JSON stands for; what it holds has been built already."""
    if "$" not in found:
        return found
    tag = found["$"]
    if type(tag) is not str or (tag not in BUILD and tag != "registered") or len(found) != 2 or "v" not in found:
        msg = f"it has no kind of value that is called {tag!r:.80}"
        raise Undecodable(msg)
    try:
        return types.decode_registered(*checked_list(found["v"], 2)) if tag == "registered" else BUILD[tag](found["v"])
    except Undecodable:
        raise
    except Exception as error:
        msg = f"it has a {tag} that cannot be: {type(error).__name__}: {error!s:.200}"
        raise Undecodable(msg) from error


def finite_float(text: str) -> float:
    """Return a number; Python reads one that is too large as inf."""
    value = float(text)
    if isinf(value):
        msg = "a number is too large"
        raise ValueError(msg)
    return value


def refuse_constant(text: str) -> Never:
    """Refuse NaN and Infinity, which are not JSON."""
    msg = f"{text} is not JSON"
    raise ValueError(msg)


read_plain = JSONDecoder(parse_float=finite_float, parse_constant=refuse_constant).decode
read_tagged = JSONDecoder(parse_float=finite_float, parse_constant=refuse_constant, object_hook=build_object).decode


def decode(text: str, types: Types = REGISTERED) -> Any:
    """Return the value that `encode` has written: equal, and of the same type.

    Types of users that the text names are looked up among loaded modules, never imported, and made without their `__init__`.
    Raises `Undecodable`, whatever the text is.

    >>> decode('{"$": "tuple", "v": [1, 2]}')
    (1, 2)
    """
    try:
        if '"$"' not in text:
            return read_plain(text)
        if types is REGISTERED:
            return read_tagged(text)
        hook = partial(build_object, types=types)
        return JSONDecoder(parse_float=finite_float, parse_constant=refuse_constant, object_hook=hook).decode(text)
    except Undecodable:
        raise
    except RecursionError:
        msg = "it is nested deeper than the stack here has room for"
        raise Undecodable(msg) from None
    except Exception as error:
        msg = f"it is not JSON of ours: {error!s:.200}"
        raise Undecodable(msg) from error
