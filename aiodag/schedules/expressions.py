"""Cron expressions: five fields, or six with a year, or a name such as `@daily`."""

from difflib import get_close_matches
from types import MappingProxyType

from aiodag.schedules.calendar import Calendar, days_from
from aiodag.schedules.days import DayRule, in_both, read_day, read_marks, read_weekday
from aiodag.schedules.fields import HOUR, MINUTE, MONTH, SHOWN, YEAR, Field, FieldFault, read_numbers, shown_text

LONGEST = 2000  # characters
NAMED = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
ORDER = "minute, hour, day-of-month, month, day-of-week"
SECONDS = "cron counts minutes: leave the field of the seconds out, or write every: SECONDS, Every(seconds)"


def read_expression(text: str, faults: list[str]) -> Calendar | None:
    """Return the calendar of an expression; what is wrong with it is added to `faults`.

    >>> read_expression("0 9 * * MON", faults := []).hours, faults
    ((9,), [])
    >>> read_expression("60 9 * * FOO", faults)
    >>> faults
    ["minute '60': 0 to 59", "day-of-week 'FOO': 0 to 7 or SUN to SAT"]
    """
    fields = split_fields(text, faults)
    if not fields:
        return None
    before = len(faults)
    minute, hour, day, month, weekday, *year = fields
    numbers = [read_field(*pair, faults) for pair in ((MINUTE, minute), (HOUR, hour))]
    of_month = read_marks(day, read_day, faults)
    months = read_field(MONTH, month, faults)
    days = DayRule(of_month, read_marks(weekday, read_weekday, faults), in_both(day, weekday))
    years = read_field(YEAR, year[0], faults) if year and year[0] != "*" else ()
    if year and len(faults) > before:
        faults.append(f"a sixth field is the year, {YEAR.range_text}; {SECONDS}")
    if len(faults) > before:
        return None
    wild = minute.startswith("*") or hour.startswith("*")
    calendar = Calendar(numbers[0], numbers[1], days, months, years, wild)
    if next(days_from(calendar, years[0] if years else 2000, 1, 1), None) is None:
        faults.append("it never fires: no date has " + named_days(fields))
        return None
    return calendar


def split_fields(text: str, faults: list[str]) -> list[str]:
    """Return the five or six fields of an expression, or none if it has others."""
    if len(text) > LONGEST:
        faults.append(f"{len(text):,} characters, and an expression has at most {LONGEST:,}")
        return []
    if text.strip().startswith("@"):
        return split_name(text.strip(), faults)
    fields = text.split()
    if len(fields) in {5, 6}:
        return fields
    hint = f"; {SECONDS}" if len(fields) > 6 else ""
    faults.append(f"{len(fields)} fields, and it takes five ({ORDER}), or six with a year{hint}")
    return []


def split_name(name: str, faults: list[str]) -> list[str]:
    """Return the five fields that a name such as `@daily` stands for."""
    if found := NAMED.get(name.lower()):
        return found.split()
    if name.lower() == "@reboot":
        faults.append("@reboot is not a moment; have the service manager of the machine begin the run when it starts")
    else:
        near = get_close_matches(name[:SHOWN].lower(), NAMED, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(NAMED)}"
        faults.append(f"{shown_text(name)}: is a name that is not known here; {hint}")
    return []


def read_field(field: Field, text: str, faults: list[str]) -> tuple[int, ...]:
    """Return the numbers of a field in order; what is wrong with its parts is added to `faults`."""
    found: set[int] = set()
    for part in text.split(","):
        try:
            found |= read_numbers(field, part)
        except FieldFault as fault:
            faults.append(str(fault))
    return tuple(sorted(found))


def named_days(fields: list[str]) -> str:
    """Return what an expression says of days, for the message that there is none."""
    names = ("day-of-month", "month", "day-of-week", "year")
    said = [f"{name} {text}" for name, text in zip(names, fields[2:], strict=False) if text not in {"*", "?"}]
    return " and ".join(said)
