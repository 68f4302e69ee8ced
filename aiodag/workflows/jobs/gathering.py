"""What the readers of a jobs form share: faults, templates and plain values, each with the place where it stands."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from aiodag.wording import read_duration
from aiodag.workflows.expressions.conditions import Condition, condition_of
from aiodag.workflows.expressions.template import ExpressionFaults, Template, template_of
from aiodag.workflows.files.forms import Hints
from aiodag.workflows.files.json import DEEPEST, Fault, Path, Places, cut
from aiodag.workflows.files.shapes import describe_value, is_document_text, is_name, is_number
from aiodag.workflows.jobs.model import NEVER, RetryPolicy

R = TypeVar("R")
LARGEST = 10**30  # numbers of a document, as of an expression
DURATION_WANTED = "seconds, or a text such as 90s, 5m, 2h or 1d"
LONGEST_NAME = 500
NO_WORDS: Mapping[str, str] = {}


class Gathering:
    """One document on its way to a definition. What is wrong gathers here, and the rest goes on."""

    def __init__(self, places: Places, *, recorded: bool = False) -> None:
        self.places = places
        self.recorded = recorded  # a store had it: hooks are looked for when they are called
        self.faults: list[Fault] = []
        self.hints = Hints()
        self._alike: dict[Any, Any] = {}
        self.reads: list[tuple[Path, Any, Collection[tuple[str, ...]], Any]] = []  # what templates read, and where

    def fault(self, path: Path, text: str) -> None:
        """Note what is wrong."""
        self.faults.append((path, text))

    # Mappings and their keys

    def mapping(self, value: object, path: Path, wanted: str = "keys and values") -> dict[str, Any]:
        """Return a mapping; of what is none, an empty one."""
        if isinstance(value, dict):
            return value
        self.fault(path, f"takes {wanted}; this is {describe_value(value)}")
        return {}

    def keys(
        self, form: Mapping[str, Any], known: Collection[str], path: Path, words: Mapping[str, str] = NO_WORDS
    ) -> None:
        """Complain of keys that are not known."""
        for key in form:
            if key in known:
                continue
            advice = words.get(key)
            if advice is None:
                advice = self.hints.near(str(key), known).removeprefix("; ") or f"the keys here are {', '.join(known)}"
            self.fault((*path, str(key)), f"is a key that is not known here: {advice}")

    # Plain values

    def text(self, value: object, path: Path, wanted: str = "text") -> str | None:
        """Return a text that is not blank."""
        if isinstance(value, str) and value.strip():
            return value
        self.fault(path, f"takes {wanted}; this is {describe_value(value)}")
        return None

    def name(self, form: Mapping[str, Any], path: Path, usual: str) -> str:
        """Return a name for people, or the usual one."""
        value = form.get("name", usual)
        if is_name(value) and (len(value) <= LONGEST_NAME or "name" not in form):
            return str(value)
        this = f"has {len(value):,} characters" if is_name(value) else f"is {describe_value(value)}"
        self.fault((*path, "name"), f"takes a name in one line, of at most {LONGEST_NAME} characters; this {this}")
        return usual

    def flag(self, form: Mapping[str, Any], key: str, path: Path, *, usual: bool) -> bool:
        """Return a yes or no."""
        value = form.get(key, usual)
        if isinstance(value, bool):
            return value
        self.fault((*path, key), f"takes true or false; this is {describe_value(value)}")
        return usual

    def whole(self, value: object, path: Path, least: int, most: int = 10**9) -> int | None:
        """Return a whole number."""
        if type(value) is int and least <= value <= most:
            return value
        self.fault(path, f"takes a whole number, {least} or more; this is {describe_value(value)}")
        return None

    def count(self, form: Mapping[str, Any], key: str, path: Path, within: Any) -> "int | Template | None":
        """Return a number of 1 or more, or a template that will give one."""
        value = form.get(key)
        if value is None:
            return None
        if isinstance(value, str) and "${{" in value:
            return self.template(value, (*path, key), within)
        return self.whole(value, (*path, key), 1)

    def duration(self, value: object, path: Path, within: Any, *, unit: float = 1.0) -> "float | Template | None":
        """Return seconds, or a template that will give a duration."""
        if isinstance(value, str) and "${" in value:
            return self.template(value, path, within)
        seconds = seconds_of_value(value)
        if seconds is None or not 0 < seconds * unit <= 10**9:
            self.fault(path, f"takes {DURATION_WANTED}; this is {describe_value(value)}")
            return None
        return seconds * unit

    def timeout(self, form: Mapping[str, Any], path: Path, within: Any) -> "float | Template | None":
        """Return the timeout of a job or a stage."""
        if "timeout" in form and "timeout-minutes" in form:
            self.fault((*path, "timeout-minutes"), "is given besides timeout: write one of them")
        if "timeout" in form:
            return self.duration(form["timeout"], (*path, "timeout"), within)
        if "timeout-minutes" not in form:
            return None
        minutes = form["timeout-minutes"]
        if not is_number(minutes):  # a template would give minutes where seconds are read
            self.fault((*path, "timeout-minutes"), "takes a number of minutes; write timeout for what is computed")
            return None
        return self.duration(minutes, (*path, "timeout-minutes"), within, unit=60.0)

    def retry(self, form: Mapping[str, Any], path: Path, known: Collection[str]) -> RetryPolicy:
        """Return how often something is tried again."""
        if "retry" not in form:
            return NEVER
        value, path = form["retry"], (*path, "retry")
        if isinstance(value, int) and not isinstance(value, bool):
            return RetryPolicy(self.whole(value, path, 0) or 0)
        given = self.mapping(value, path, "a number of retries, or {retries, backoff, factor, maximum}")
        self.keys(given, known, path)
        retries = given.get("retries", 0)
        if "max-attempts" in given:
            if "retries" in given:
                self.fault((*path, "max-attempts"), "is given besides retries: write one of them")
            retries = (self.whole(given["max-attempts"], (*path, "max-attempts"), 1) or 1) - 1
        elif isinstance(value, dict) and "retries" not in given and given.keys() <= set(known):
            self.fault(path, "does not say how often: write retries")
        if "backoff" in given and "delay" in given:
            self.fault((*path, "delay"), "is given besides backoff: write one of them")
        backoff = self._pause(given, "delay" if "delay" in given else "backoff", path, NEVER.backoff)
        maximum = self._pause(given, "maximum", path, NEVER.maximum)
        return RetryPolicy(self.whole(retries, (*path, "retries"), 0) or 0, backoff, self._factor(given, path), maximum)

    def _pause(self, given: Mapping[str, Any], key: str, path: Path, usual: float) -> float:
        seconds = seconds_of_value(given.get(key, usual))
        if seconds is not None and 0 <= seconds <= 10**9:
            return seconds
        self.fault((*path, key), f"takes {DURATION_WANTED}; this is {describe_value(given[key])}")
        return usual

    def _factor(self, given: Mapping[str, Any], path: Path) -> float:
        value = given.get("factor", NEVER.factor)
        if is_number(value) and 1 <= value <= 1000:
            return float(value)
        self.fault((*path, "factor"), f"takes a number from 1 to 1000; this is {describe_value(value)}")
        return NEVER.factor

    # Expressions

    def template(self, value: object, path: Path, within: Any, *, environment: bool = True) -> Template | None:
        """Return a template; `within` says what its expressions can read."""
        try:
            made = self._read(template_of, value, environment=environment)
        except ExpressionFaults as error:
            self.faults.extend(((*path, *inner), text) for inner, text in error.faults)
            return None
        if made.names:
            self.reads.append((path, value, made.names, within))
        return made.located(lambda inner: self.places.of((*path, *inner)))

    def _read(self, how: Callable[..., R], value: object, **options: bool) -> R:
        """Return a template or a condition: one for all that are written alike, as thousands are in one document."""
        if not isinstance(value, str):
            return how(value, **options)
        key = how, value, *options.values()
        if key not in self._alike:
            self._alike[key] = how(value, **options)
        made: R = self._alike[key]
        return made

    def condition(self, form: Mapping[str, Any], key: str, path: Path, within: Any) -> Condition | None:
        """Return a condition."""
        value = form.get(key)
        if value is None and key not in form:
            return None
        if not isinstance(value, str | bool) or value == "":
            self.fault(
                (*path, key), f"takes an expression, such as \"params.day != ''\"; this is {describe_value(value)}"
            )
            return None
        try:
            made = self._read(condition_of, value)
        except ExpressionFaults as error:
            self.faults.extend(((*path, key), text) for _, text in error.faults)
            return None
        if made.names:
            self.reads.append(((*path, key), value, made.names, within))
        return made.located(self.places.of((*path, key)))


def seconds_of_value(value: object) -> float | None:
    """Return the seconds that a number or a text says; None if it says none.

    >>> [seconds_of_value(value) for value in (90, "5m", "2.5", True, "soon")]
    [90.0, 300.0, 2.5, None, None]
    """
    if isinstance(value, str):
        seconds = read_duration(value)
        return read_duration(f"{value}s") if seconds is None else seconds
    return float(value) if is_number(value) and isinstance(value, int | float) else None


def faults_of_leaves(document: object) -> Iterable[Fault]:
    """Yield what no record of a document can hold: depth, NUL, half surrogates, numbers that are too large or none."""
    left: list[tuple[Path, Any]] = [((), document)]
    while left:
        path, container = left.pop()
        if len(path) > DEEPEST:
            yield path, f"is nested deeper than {DEEPEST} levels"
            return
        members: Iterable[tuple[Any, Any]] = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in members:
            if isinstance(key, str) and not is_document_text(key):
                yield path, f"has the key {cut(ascii(key))}, with NUL or half of a surrogate pair"
            elif not isinstance(key, str) and isinstance(container, dict):
                yield path, f"has the key {cut(repr(key))}, and keys are text: put it in quotes"
            elif isinstance(value, dict | list):
                left.append(((*path, key), value))
            elif isinstance(value, str):
                if not is_document_text(value):
                    yield (*path, key), "has NUL or half of a surrogate pair, which no record can hold"
            elif isinstance(value, float) and not math.isfinite(value):
                yield (*path, key), f"is {value}, which no record can hold"
            elif isinstance(value, int) and abs(value) > LARGEST:
                yield (*path, key), "is a number of more than 30 digits: put it in quotes"
            elif value is not None and not isinstance(value, int | float):
                yield (*path, key), f"is {describe_value(value)}"
