"""What jobs and stages are called in expressions: as somebody wrote it, or after their names."""

import re
from collections.abc import Sequence

from aiodag.workflows.files.json import Fault, Path, cut
from aiodag.workflows.files.shapes import describe_value
from aiodag.workflows.jobs.keys import KINDS

ID = re.compile(r"\w[\w-]*")
LONGEST_ID = 100
LONGEST_SLUG = 60


def ids_of(forms: Sequence[object], path: Path, faults: list[Fault]) -> list[str]:
    """Return the id of each stage of a list; an empty one for what is not a stage."""
    given = [own_id(form, (*path, place), faults) for place, form in enumerate(forms)]
    taken: dict[str, int] = {}
    for place, name in enumerate(given):
        if name and taken.setdefault(name, place) != place:
            text = f"is {cut(name)!r}, as that of [{taken[name]}] is: give it an id of its own"
            faults.append(((*path, place, "id"), text))
    counts: dict[str, int] = {}
    for place, form in enumerate(forms):
        if not given[place] and isinstance(form, dict):
            given[place] = made_id(form, taken, counts)
            taken[given[place]] = place
    return given


def own_id(form: object, path: Path, faults: list[Fault]) -> str:
    """Return the id that is written; an empty text if there is none that can be one."""
    if not isinstance(form, dict) or "id" not in form:
        return ""
    name = form["id"]
    if is_id(name):
        return str(name)
    faults.append(((*path, "id"), id_fault(name)))
    return ""


def made_id(form: dict[str, object], taken: dict[str, int], counts: dict[str, int]) -> str:
    """Return an id after the name of a stage, or after its kind, with a number where it has been given already."""
    slug = slug_of(form.get("name"))
    stem = slug or next((kind for kind in KINDS if kind in form), "stage")
    counts[stem] = counts.get(stem, 0) + 1
    name = stem if slug and counts[stem] == 1 else f"{stem}-{counts[stem]}"
    while name in taken:
        counts[stem] += 1
        name = f"{stem}-{counts[stem]}"
    return name


def slug_of(name: object) -> str:
    """Return an id made from a name.

    >>> slug_of("Retrieve API Data (${{ matrix.table }})"), slug_of("日本 1"), slug_of(None)
    ('retrieve-api-data', '日本-1', '')
    """
    if not isinstance(name, str):
        return ""
    words = re.findall(r"\w+", re.sub(r"\$\{\{.*?\}\}", " ", name[:1000]).lower())
    return "-".join(words)[:LONGEST_SLUG].rstrip("-")


def is_id(name: object) -> bool:
    """Return True if this can be the id of a job, a stage or a branch."""
    return isinstance(name, str) and len(name) <= LONGEST_ID and ID.fullmatch(name) is not None


def id_fault(name: object) -> str:
    """Return what is wrong with an id."""
    return f"is not an id: {describe_value(name)}. Write letters, digits, - and _, at most {LONGEST_ID}"
