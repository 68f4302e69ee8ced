"""The form of a workflow: a field for each parameter that it declares, and the values that a person gives in them.

What was typed comes back as it was, with the complaint at its field. A field that is left as it was gives nothing: then
the default of the workflow holds, also if that is another one by now.
"""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

from aiodag.errors import WorkflowError
from aiodag.service.declarations import Declaration, check_given

PREFIX = "param-"  # of the names of fields, so that a parameter may be called like anything else in the form
INPUTS = {
    "int": "number",
    "float": "number",
    "date": "date",
    "list": "textarea",
    "map": "textarea",
    "json": "textarea",
}
HINTS = {
    "int": "a whole number",
    "float": "a number",
    "date": "a day, such as 2024-01-31",
    "datetime": "a moment, such as 2024-01-31T08:30:00+01:00",
    "list": "a list in JSON",
    "map": "an object in JSON",
    "json": "a value in JSON",
}


class FormField(NamedTuple):
    """One field of a form. `kind` is text, number, date, textarea or select; `choices` are what a select offers."""

    name: str
    label: str
    kind: str
    value: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    hint: str = ""
    complaint: str = ""


def fields_of_declarations(
    declarations: Iterable[Declaration],
    typed: Mapping[str, str] | None = None,
    complaints: Mapping[str, str] | None = None,
) -> list[FormField]:
    """Return a field for each declared parameter, with what was typed, or else with its default."""
    given, wrong = typed or {}, complaints or {}
    named = [(PREFIX + each.name, each) for each in declarations]
    return [
        field_of_declaration(each, given.get(name, default_text(each)), wrong.get(name, "")) for name, each in named
    ]


def field_of_declaration(declared: Declaration, value: str, complaint: str) -> FormField:
    """Return the field of one parameter."""
    kind = "textarea" if declared.many or "\n" in value else INPUTS.get(declared.type, "text")
    choices = choices_of(declared)
    if choices:
        kind = "select" if value in choices else "text"
    elif not fits_input(kind, value):
        kind = "text"
    return FormField(
        PREFIX + declared.name, declared.name, kind, value, declared.required, choices, hint_of(declared), complaint
    )


def choices_of(declared: Declaration) -> tuple[str, ...]:
    """Return what can be chosen, with nothing as the first where that is a value too."""
    options = ("true", "false") if declared.type == "bool" else tuple(map(typed_text, declared.options))
    if declared.many or not options:
        return ()
    return options if default_text(declared) in options else ("", *options)


def default_text(declared: Declaration) -> str:
    """Return the default of a parameter as it stands in its field; of one with many values each in a line."""
    if declared.default is None:
        return ""
    if declared.many:
        lines = [typed_text(each) for each in declared.default]
        in_json = any("\n" in line or line != line.strip() or line[:1] in {"", "["} for line in lines)
        return json.dumps(declared.default, ensure_ascii=False) if in_json else "\n".join(lines)
    is_json = declared.type in {"list", "map", "json"}
    return json.dumps(declared.default, ensure_ascii=False) if is_json else typed_text(declared.default)


def typed_text(value: object) -> str:
    """Return a value as people type it: a text as it is, anything else as in JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def hint_of(declared: Declaration) -> str:
    """Return what belongs into a field, for people."""
    what = "one value in each line" if declared.many else HINTS.get(declared.type, "")
    return "; ".join(each for each in (declared.description.rstrip("."), what) if each)


def fits_input(kind: str, text: str) -> bool:
    """Return True if a browser shows a text in an input of a kind: it empties that of a date or a number which is none."""
    if not text or kind not in {"date", "number"}:
        return True
    try:
        return date.fromisoformat(text).isoformat() == text if kind == "date" else math.isfinite(float(text))
    except ValueError:
        return False


# What was typed


def given_in_form(declarations: Iterable[Declaration], typed: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that a form gives: of the fields that are not as they were."""
    given: dict[str, Any] = {}
    for each in declarations:
        text = typed.get(PREFIX + each.name)
        usual = default_text(each)
        if text is None or text == usual:
            continue
        if each.many:
            given |= {each.name: values_in_lines(text)}
        elif text.strip() or (each.type == "str" and usual):  # nothing is a text, too, where there would be another one
            given[each.name] = text
    return given


def values_in_lines(text: str) -> list[str]:
    r"""Return the values of a field with one in each line; a list in JSON is one, however long.

    >>> values_in_lines("monday\n tuesday\n\n")
    ['monday', 'tuesday']
    """
    if text.lstrip().startswith("["):
        return [text.strip()]
    return [line.strip() for line in text.split("\n") if line.strip()]


def complaints_about(document: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the values for a workflow, by the names of their fields; nothing if they fit."""
    try:
        check_given(dict(document), given)
    except WorkflowError as error:
        return {PREFIX + each.place.removeprefix("params."): each.text for each in error.complaints}
    return {}
