"""The combinations of a matrix, by the rules of GitHub Actions: exclude first, then include.

The first axis turns slowest. An entry of `exclude` takes away each combination that has all of its values. An entry of `include`
is added to each combination whose axes it does not change; if there is none, it is a combination of its own, which later entries
leave alone. The source of the rules: "Running variations of jobs in a workflow" in the documentation of GitHub Actions.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from hashlib import blake2b
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from aiodag.wording import printable
from aiodag.workflows.files.json import Fault, cut
from aiodag.workflows.files.shapes import describe_value

if TYPE_CHECKING:
    from aiodag.workflows.jobs.model import Matrix

Choice: TypeAlias = Mapping[str, Any]  # the values of one combination, by the names of its variables

MOST_COMBINATIONS = 10_000
COMPARISONS = 5_000_000  # of combinations with entries that name different axes
SHOWN_AXES = 8  # in a message
VALUE_SHOWN = 60  # characters of a value in a name
NAME_SHOWN = 300  # characters of the name of a combination
AMBIGUOUS = re.compile(r"""[,=\[\]{}"'\\]|^\s|\s$|^$""")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
ENTRIES = ("include", "exclude")


class MatrixRefused(Exception):
    """Carry what is wrong with a matrix, with paths inside it, to where its place is known."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(text for _, text in faults))
        self.faults = faults


# What a matrix may be


def faults_of_matrix(axes: object, include: object = (), exclude: object = ()) -> Iterator[Fault]:
    """Yield what is wrong with the axes and the entries of a matrix, and at last if they give too many combinations."""
    found = [*faults_of_axes(axes), *faults_of_entries("include", include), *faults_of_entries("exclude", exclude)]
    yield from found
    if found or not isinstance(axes, dict):
        return
    yield from faults_of_size(axes, [*each_entry(include)], [*each_entry(exclude)])
    for place, entry in enumerate(each_entry(exclude)):
        unknown = [name for name in entry if name not in axes]
        for name in unknown:
            yield ("exclude", place, name), "excludes nothing: it is a variable that the matrix does not have"


def faults_of_axes(axes: object) -> Iterator[Fault]:
    """Yield what is wrong with the axes."""
    if not isinstance(axes, dict):
        yield (), f"takes names of variables and lists of values; this is {describe_value(axes)}"
        return
    for name, values in axes.items():
        yield from faults_of_variable(name, (cut(str(name)),))
        if not isinstance(values, list | tuple):
            yield (cut(str(name)),), f"takes a list of values; this is {describe_value(values)}"
            continue
        seen: dict[str, int] = {}
        for place, value in enumerate(values):
            first = seen.setdefault(value_key(value), place)
            if first != place:
                yield (name, place), f"is {cut(value_text(value))}, as [{first}] is: a value is there once"


def faults_of_entries(key: str, entries: object) -> Iterator[Fault]:
    """Yield what is wrong with `include` or `exclude`."""
    if not isinstance(entries, list | tuple):
        yield (key,), f"takes a list of mappings of variables and values; this is {describe_value(entries)}"
        return
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not entry:
            what = "an empty one" if entry == {} else describe_value(entry)
            yield (key, place), f"takes a mapping of variables and values; this is {what}"
            continue
        for name in entry:
            yield from faults_of_variable(name, (key, place, str(name)))


def faults_of_variable(name: object, path: tuple[str | int, ...]) -> Iterator[Fault]:
    """Yield what is wrong with the name of a variable."""
    if not isinstance(name, str) or not VARIABLE.fullmatch(name) or len(name) > VALUE_SHOWN:
        yield path, "cannot name a variable: names are letters, digits, - and _, and at most 60 of them"


def faults_of_size(
    axes: Mapping[str, Sequence[Any]], include: Sequence[Choice], exclude: Sequence[Choice]
) -> Iterator[Fault]:
    """Yield a fault if there are too many combinations, before any is made."""
    count = prod(len(values) for values in axes.values()) if axes else 0
    if count + len(include) > MOST_COMBINATIONS and count:
        factors = [f"{len(values):,} {cut(name)}" for name, values in axes.items()]
        product_text = " × ".join(factors[:SHOWN_AXES] + ["…"] * (len(factors) > SHOWN_AXES))
        more = f", and {len(include):,} of include" if include else ""
        yield (), f"has {product_text} = {count_shown(count)} combinations{more}: at most {MOST_COMBINATIONS:,} can run"
    elif len(include) > MOST_COMBINATIONS:
        yield ("include",), f"has {len(include):,} entries: at most {MOST_COMBINATIONS:,} combinations can run"
    for key, entries in zip(ENTRIES, (include, exclude), strict=True):
        if count <= MOST_COMBINATIONS and count * len({axis_names(entry, axes) for entry in entries}) > COMPARISONS:
            yield (key,), "names too many different sets of variables to compare them with all combinations"


def count_shown(count: int) -> str:
    """Return a number for people, who need not see all digits of a very large one."""
    return (
        f"{count:,}" if count < 10**30 else f"more than 10^{len(str(count)) - 1}" if count < 10**4000 else "very many"
    )


def each_entry(entries: Any) -> Iterable[Choice]:
    """Return the entries of `include` or `exclude`, of what may be neither."""
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list | tuple) else ()


# Combining


def combinations(
    axes: Mapping[str, Sequence[Any]], include: Sequence[Choice] = (), exclude: Sequence[Choice] = ()
) -> list[dict[str, Any]]:
    """Return the combinations in their order. What comes in has been found right.

    >>> combinations({"region": ["eu", "us"], "size": ["s"]}, [{"size": "s", "big": False}], [{"region": "us"}])
    [{'region': 'eu', 'size': 's', 'big': False}]
    """
    excluded = entries_by_names(exclude, axes)
    made: list[dict[str, Any]] = []
    if axes:
        made = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        made = [each for each in made if not any(value_keys(each, names) in excluded[names] for names in excluded)]
    where = places_by_names(made, [entry for entry in include if axes], axes)
    alone: list[dict[str, Any]] = []
    for entry in include:
        names = axis_names(entry, axes)
        places = where[names].get(value_keys(entry, names), ()) if made else ()
        for place in places:
            made[place].update(entry)
        if not places:
            alone.append(dict(entry))
    return made + alone


def axis_names(entry: Choice, axes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the axes that an entry has values of, in the order of the axes."""
    return tuple([name for name in axes if name in entry])


def value_keys(choice: Choice, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what some values of a combination are compared by."""
    return tuple([value_key(choice[name]) for name in names])


def entries_by_names(entries: Sequence[Choice], axes: Mapping[str, Any]) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """Return entries by the axes that they name, as what they are compared by."""
    found: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for entry in entries:
        if entry.keys() <= axes.keys():  # others have a variable that no combination has
            names = axis_names(entry, axes)
            found.setdefault(names, set()).add(value_keys(entry, names))
    return found


def places_by_names(
    made: Sequence[Choice], include: Sequence[Choice], axes: Mapping[str, Any]
) -> dict[tuple[str, ...], dict[tuple[str, ...], list[int]]]:
    """Return, for each set of axes that entries name, the combinations by their values there."""
    found: dict[tuple[str, ...], dict[tuple[str, ...], list[int]]] = {}
    for names in dict.fromkeys(axis_names(entry, axes) for entry in include):
        places = found[names] = {}
        for place, choice in enumerate(made):
            places.setdefault(value_keys(choice, names), []).append(place)
    return found


def value_key(value: Any) -> str:
    """Return a text that is the same for equal values: 1 and 1.0 are, and neither is true or '1'.

    >>> value_key(1) == value_key(1.0), value_key(1) == value_key("1"), value_key(1) == value_key(True)
    (True, False, False)
    """
    if type(value) is float and value.is_integer():
        value = int(value)
    return f"'{value}" if type(value) is str else json.dumps(value, sort_keys=True, default=repr)


# Names


def combination_names(made: Iterable[Choice]) -> dict[str, Choice]:
    """Return combinations by their names. Raises `MatrixRefused` if two have the same."""
    found: dict[str, Choice] = {}
    twice: list[Fault] = []
    for choice in made:
        name = combination_name(choice)
        if found.setdefault(name, choice) is not choice:
            twice.append(((), f"gives the combination {name} twice"))
    if twice:
        raise MatrixRefused(twice[:10])
    return found


def combination_name(choice: Choice) -> str:
    """Return the name of a combination.

    >>> combination_name({"region": "eu", "size": 3, "flags": ["a", True], "note": "x=1, y"})
    'region=eu,size=3,flags=["a",true],note="x=1, y"'
    """
    name = ",".join([f"{key}={value_shown_short(value)}" for key, value in choice.items()])
    return name if len(name) <= NAME_SHOWN else shortened(name, name, NAME_SHOWN)


def value_shown_short(value: Any) -> str:
    """Return a value as the name of its combination has it."""
    text = value_text(value)
    return text if len(text) <= VALUE_SHOWN else shortened(text, value_key(value), VALUE_SHOWN)


def shortened(text: str, whole: str, length: int) -> str:
    """Return the beginning of a text, with a mark that tells it from others that begin alike."""
    mark = blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{text[: length - 9]}…{mark}"


def value_text(value: Any) -> str:
    """Return a value in one line that does nothing to a terminal; text is quoted only where it could be misread."""
    if isinstance(value, str) and not AMBIGUOUS.search(value):
        return printable(value)
    if isinstance(value, date):  # a moment, too
        return value.isoformat()
    return printable(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))


# At run time


def combinations_of(matrix: "Matrix", scope: Mapping[str, Any]) -> dict[str, Choice]:
    """Return the combinations of a job's matrix by their names, with what is known when the job begins.

    Raises `MatrixRefused`, and `ExpressionError` for a template that gives nothing.
    """
    if matrix.known is not None:
        return combination_names(matrix.known)
    axes = matrix.axes.render(scope)
    include = () if matrix.include is None else matrix.include.render(scope)
    exclude = () if matrix.exclude is None else matrix.exclude.render(scope)
    if isinstance(axes, dict):  # a whole matrix in one template has its entries inside
        include = [*each_list(include), *each_list(axes.get("include"))]
        exclude = [*each_list(exclude), *each_list(axes.get("exclude"))]
        axes = {name: values for name, values in axes.items() if name not in ENTRIES}
    faults = list(faults_of_matrix(axes, include, exclude))
    if faults:
        raise MatrixRefused(faults)
    return combination_names(combinations(axes, include, exclude))


def each_list(entries: Any) -> Any:
    """Return entries as a list: none of None, and what cannot be an entry as something to complain of."""
    if entries is None:
        return ()
    return entries if isinstance(entries, list | tuple) else (entries,)
