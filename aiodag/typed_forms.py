"""Forms that say what they are by their `type`, such as those of hosts and of executors: what each may hold, all checked at once.

A form is plain JSON. The same checks serve a workflow file, `aiodag.toml` and a program, and no optional package is imported.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from aiodag.wording import is_utf8, printable

Fault: TypeAlias = tuple[tuple[str | int, ...], str]  # where in the form, and what is wrong
LONGEST_GUESS = 100  # characters of a wrong key for which one that is near is looked for
LEAST_AMOUNT = 0.000001  # of a resource: they are counted in millionths
LONGEST_NAME = 500  # characters of the name of a host or executor
SEARCHED, LISTED = 1_000, 30  # names among which one that is near is looked for, and that a message lists
DEEPEST = 4  # forms within forms


class KeyKind(NamedTuple):
    """What the value of a key can be: words for it, a test, and whether it is a path, relative to the file that says it."""

    wanted: str
    fits: Callable[[Any], bool]
    is_path: bool = False


class FormType(NamedTuple):
    """One type of form: the late door to its class, the name of that, and its keys. `needed` are those that must be there."""

    door: str
    made_by: str
    keys: Mapping[str, KeyKind]
    needed: tuple[str, ...] = ()
    targets: bool = False  # whether "targets" in it is short for a pool of such forms
    named: bool = True  # whether records call it by a name, which its form may say


# What a value is


def is_text(value: object) -> bool:
    """Return True for a text that people can read and every system takes."""
    return isinstance(value, str) and value != "" and value.isprintable() and is_utf8(value)


def is_finite(value: Any) -> bool:
    """Return True for a number that a float can hold."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_mapping(key: Callable[[Any], bool], value: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a test for objects whose keys and values pass tests."""
    return lambda given: isinstance(given, Mapping) and all(map(key, given)) and all(map(value, given.values()))


def is_address(value: object) -> bool:
    """Return True for an address without a password, which nobody keeps in a file that others read."""
    return is_text(value) and not (isinstance(value, str) and ":" in value.rpartition("://")[2].rpartition("@")[0])


TEXT = KeyKind("text", is_text)
ADDRESS = KeyKind("an address, without a password", is_address)
PATH = KeyKind("the path of a file", is_text, is_path=True)
FLAG = KeyKind("true or false", lambda value: isinstance(value, bool))
WHOLE = KeyKind("a whole number, 1 or more", lambda value: type(value) is int and 0 < value < 10**9)
SECONDS = KeyKind("seconds above 0", lambda value: is_finite(value) and 0 < value < 10**9)
AMOUNT = KeyKind("a number, 0 or more", lambda value: is_finite(value) and 0 <= value < 10**9)
AMOUNTS = KeyKind(
    'an object of resources and numbers above 0, such as {"cores": 4}',
    is_mapping(is_text, lambda value: is_finite(value) and value >= LEAST_AMOUNT),
)
TEXTS = KeyKind("a list of texts", lambda value: isinstance(value, list) and all(map(is_text, value)))
NAMED: Mapping[str, KeyKind] = {"name": TEXT}  # how records call what a form stands for


def describe_given(value: object) -> str:
    """Return a wrong value for a message, in one short line."""
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    try:
        text = printable(repr(value))
    except ValueError:  # an int with more digits than Python writes
        return "a number of very many digits"
    return text if len(text) < 60 else f"{text[:59]}…"


def refuse_name(name: object, taken: Iterable[str]) -> str:
    """Return why a host or executor cannot have a name, or nothing; `taken` are those that always stand for this machine."""
    if not isinstance(name, str) or not is_text(name) or len(name) > LONGEST_NAME:
        return f"cannot be a name: names are text of {LONGEST_NAME} characters or fewer, in one line"
    return "is a name that is taken: it always stands for this machine" if name in taken else ""


def near_words(wrong: object, known: Iterable[str]) -> str:
    """Return which of the known words may have been meant, or all of them.

    >>> near_words("partion", ["partition", "account"]), near_words("x", ["partition", "account"])
    ("did you mean 'partition'?", 'known are partition, account')
    """
    # Imported here: asyncio does not load difflib.
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    choices = list(known)
    searched = choices if isinstance(wrong, str) and len(wrong) < LONGEST_GUESS else []
    near = get_close_matches(str(wrong), searched[:SEARCHED], 1)
    more = f" and {len(choices) - LISTED:,} others" if len(choices) > LISTED else ""
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(choices[:LISTED]) or 'none'}{more}"


# A form


def form_faults(form: object, types: Mapping[str, FormType], path: tuple[str | int, ...] = ()) -> Iterator[Fault]:
    """Yield all that is wrong with a form, each with its place in it.

    >>> types = {"ssh": FormType("ssh", "SSH", {"address": TEXT, "config": FLAG}, needed=("address",))}
    >>> list(form_faults({"type": "ssh", "adress": "node1", "config": 1}, types))
    [(('adress',), "is a key that is not known here; did you mean 'address'?"), (('config',), 'takes true or false; this is 1'), ((), "lacks 'address'")]
    """
    if not isinstance(form, Mapping):
        yield path, f'takes an object with a "type"; this is {describe_given(form)}'
        return
    given = form.get("type")
    if not isinstance(given, str) or given not in types:
        what = f"is {describe_given(given)}, and no type has that name" if "type" in form else "is missing"
        yield (*path, "type"), f"{what}; {near_words(given, types)}"
        return
    yield from key_faults(form, types[given], types, path)


def key_faults(
    form: Mapping[Any, Any], kind: FormType, types: Mapping[str, FormType], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    """Yield what is wrong with the keys of a form."""
    with_targets = kind.targets and "targets" in form
    known = {**(NAMED if kind.named else {}), **kind.keys, **({"targets": TEXT} if kind.targets else {})}
    for key, value in form.items():
        if key == "type":
            continue
        if key == "targets" and kind.targets:
            yield from target_faults(form, kind, types, path)
        elif key not in known:
            yield (*path, shown_key(key)), f"is a key that is not known here; {near_words(key, known)}"
        elif not known[key].fits(value):
            shown = "another" if known[key] is ADDRESS and is_text(value) else describe_given(value)
            yield (*path, key), f"takes {known[key].wanted}; this is {shown}"
    for key in kind.needed:
        if key not in form and not with_targets:
            yield path, f"lacks {key!r}"


def shown_key(key: object) -> str:
    """Return a key for a place."""
    return printable(str(key))[:LONGEST_GUESS]


def target_faults(
    form: Mapping[Any, Any], kind: FormType, types: Mapping[str, FormType], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    """Yield what is wrong with the targets of a form: addresses, or forms of the same type; of a pool, forms of any."""
    targets = form["targets"]
    if not isinstance(targets, list) or not targets:
        yield (*path, "targets"), f"takes a list of one target or more; this is {describe_given(targets)}"
        return
    if len(path) > DEEPEST:
        yield (*path, "targets"), "are pools within pools within pools: put the targets into one"
        return
    for place, target in enumerate(targets):
        yield from form_faults(target_form(form, kind, target), types, (*path, "targets", place))


def target_form(form: Mapping[Any, Any], kind: FormType, target: Any) -> Any:
    """Return the whole form of a target: of its type, with the keys of the form around it where it has none of its own.

    >>> ssh = FormType("ssh", "SSH", {"address": TEXT, "key": PATH}, targets=True)
    >>> target_form({"type": "ssh", "key": "id", "targets": ["node1"]}, ssh, "node1")
    {'type': 'ssh', 'key': 'id', 'address': 'node1'}
    """
    if not kind.keys:  # a pool
        return target
    own = {"address": target} if isinstance(target, str) else target
    if not isinstance(own, Mapping):
        return own
    shared = {key: value for key, value in form.items() if key not in {"name", "targets", "address"}}
    return {**shared, **own}


def placed_form(form: Mapping[str, Any], types: Mapping[str, FormType], folder: Path) -> dict[str, Any]:
    """Return a form that is right with its relative paths as those of the folder in which its file stands.

    >>> types = {"ssh": FormType("ssh", "SSH", {"key": PATH})}
    >>> placed_form({"type": "ssh", "key": "keys/id"}, types, Path("/srv"))
    {'type': 'ssh', 'key': '/srv/keys/id'}
    """
    kind = types[form["type"]]
    placed: dict[str, Any] = {}
    for key, value in form.items():
        if key == "targets":
            placed[key] = [
                each if isinstance(each, str) else placed_form({"type": form["type"], **each}, types, folder)
                for each in value
            ]
        else:
            is_path = key in kind.keys and kind.keys[key].is_path
            placed[key] = str(folder / Path(value).expanduser()) if is_path else value
    return placed


def fault_line(fault: Fault) -> str:
    """Return what is wrong in one line: its place in the form, and the text."""
    path, text = fault
    return f"{'.'.join(map(str, path))}: {text}" if path else text
