"""Triggers as JSON: what files, stores and the command line write."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from aiodag.errors import TriggerError
from aiodag.schedules.cron import Cron
from aiodag.schedules.fields import shown_text, shown_thing
from aiodag.schedules.intervals import Every
from aiodag.schedules.moments import Moments, Once

OTHER_SPELLINGS = MappingProxyType({"cronjob": "cron", "tz": "timezone", "interval": "every", "once": "at"})
DEEPEST = 5  # levels of triggers that are excluded from others
KINDS: Mapping[str, Callable[..., Cron | Every | Moments]] = MappingProxyType(
    {"cron": Cron, "every": Every, "at": Once, "moments": Moments}
)
TRIGGER_KEYS = frozenset({*KINDS, *OTHER_SPELLINGS, "timezone", "start", "end", "exclude", "anchor"})


def trigger_of(form: Mapping[str, Any] | str, *, timezone: str = "UTC") -> Cron | Every | Moments:
    """Return the trigger that a text or a mapping says: the text of a cron expression, or one of these mappings.

    `{"cron": "*/5 * * * *"}` (or `cronjob`), `{"every": 300}` (seconds; or `interval`; with `anchor`), `{"at": "2026-03-01 09:00"}` (or `once`),
    `{"moments": [...]}`; each with `timezone` (or `tz`), `start`, `end` and `exclude`. `timezone` stands in where the form has none. Raises `TriggerError` with all that is wrong.

    >>> from aiodag.schedules import trigger_of
    >>> trigger_of("0 9 * * MON-FRI", timezone="Europe/Paris")
    Cron('0 9 * * MON-FRI', timezone='Europe/Paris')
    >>> trigger_of({"every": 300}).form()
    {'every': 300, 'timezone': 'UTC'}
    """
    return read_form(form, timezone, DEEPEST)


def read_form(form: Mapping[str, Any] | str, timezone: str, deepest: int) -> Cron | Every | Moments:
    """Return the trigger of a form whose exclusions may be forms, and so on, a few levels deep."""
    if isinstance(form, str):
        return Cron(form, timezone=timezone)
    faults: list[str] = []
    given = plain_keys(form, faults)
    kinds = [kind for kind in KINDS if kind in given]
    if len(kinds) != 1:
        faults.append(f"one of {', '.join(KINDS)} says when, and here it is {' and '.join(kinds) or 'none of them'}")
    if "anchor" in given and kinds != ["every"]:
        faults.append("anchor: only every has one")
    if faults:
        raise TriggerError("trigger", faults)
    when = given.pop(kinds[0])
    given.setdefault("timezone", timezone)
    if "exclude" in given:
        given["exclude"] = [excluded_trigger(each, given["timezone"], deepest - 1) for each in listed(given["exclude"])]
    return KINDS[kinds[0]](when, **given)


def plain_keys(form: object, faults: list[str]) -> dict[str, Any]:
    """Return a form with our own spellings, without keys that have no value. Unknown keys are added to `faults`."""
    if not isinstance(form, Mapping):
        faults.append(f"{shown_thing(form)}: a cron expression, or a mapping such as cron: '*/5 * * * *'")
        return {}
    found: dict[str, Any] = {}
    for key, value in form.items():
        name = OTHER_SPELLINGS.get(key, key) if isinstance(key, str) else key
        if name not in TRIGGER_KEYS:
            faults.append(f"{shown_text(str(key))}: is a key that is not known here{near_key(str(key))}")
        elif name in found:
            faults.append(f"{key}: says again what {name} says")
        elif value is not None:
            found[name] = value
    return found


def near_key(key: str) -> str:
    """Return a suggestion for a key that is nearly one."""
    near = get_close_matches(key, sorted(TRIGGER_KEYS), 1) if len(key) < 50 else []
    return f"; did you mean {near[0]}?" if near else ""


def listed(written: object) -> list[Any]:
    """Return one thing or a list of things as a list."""
    return list(written) if isinstance(written, list | tuple) else [written]


def excluded_trigger(written: object, timezone: str, deepest: int) -> object:
    """Return what is left out, with a mapping read as the trigger that it says."""
    if not isinstance(written, Mapping):
        return written
    if not deepest:
        raise TriggerError("trigger", [f"exclude stands in exclude more than {DEEPEST} levels deep"])
    return read_form(written, timezone, deepest)
