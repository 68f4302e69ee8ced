"""What a workflow of jobs is given before it runs: declared with a type, and checked all at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from typing import Any

from aiodag.complaint import Complaint
from aiodag.errors import WorkflowError
from aiodag.wording import is_utf8
from aiodag.workflows.expressions.conversions import from_json, to_bool, to_date, to_datetime, to_float, to_int
from aiodag.workflows.expressions.environment import VARIABLE
from aiodag.workflows.expressions.lexemes import cut_part
from aiodag.workflows.expressions.values import Unfit, are_equal, bounded_value, show_value, text_of_value, to_json_text
from aiodag.workflows.files.json import Fault

PARAM_KEYS = ("type", "required", "default", "description", "desc", "options")
TYPE_ALIASES = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "timestamp": "datetime",
    "enum": "choice",
    "array": "list",
    "dict": "map",
    "object": "map",
}
LONGEST_PARAM_NAME = 500  # characters
TO_BE_GIVEN = "has to be given"
HINTED = 20  # unknown params that are compared with the known ones


@dataclass(frozen=True, slots=True)
class Param:
    """A declared param. `type` is one of str, int, float, bool, date, datetime, choice, list, map and json."""

    name: str
    type: str = "str"
    required: bool = True  # without a default, somebody has to give a value
    default: Any = None  # converted already
    description: str | None = None
    options: tuple[Any, ...] = ()  # of a choice
    place: str = field(default="", compare=False)  # where it is declared, such as `etl.yaml:3 $.params.day`


# Values


def read_param_text(value: object) -> str:
    """Return a text; numbers, bools and moments as they stand in one."""
    if value is None or not isinstance(value, str | bool | int | float | date):
        raise Unfit(f"{show_value(value)} is not a text")
    text = text_of_value(value)
    if "\0" in text or not is_utf8(text):
        raise Unfit("has NUL or half of a surrogate pair in it, which no store takes")
    return text


def read_param_int(value: object) -> int:
    """Return a whole number."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise Unfit(f"{show_value(value)} is not a whole number")
    try:
        return to_int(value)
    except Unfit:
        raise Unfit(f"{show_value(value)} is not a whole number") from None


def read_param_float(value: object) -> float:
    """Return a number."""
    if isinstance(value, bool):
        raise Unfit(f"{show_value(value)} is not a number")
    return to_float(value)


def read_param_bool(value: object) -> bool:
    """Return true or false; 1 and 0 are, too, and the texts yes, no, on and off."""
    if (isinstance(value, str) and value.strip()) or (isinstance(value, int) and value in (0, 1)):
        return to_bool(value)
    raise Unfit(f"{show_value(value)} is neither true nor false")


def read_param_json(value: object) -> Any:
    """Return what JSON has: a text is read as JSON."""
    if isinstance(value, str):
        return from_json(value)
    to_json_text(value)
    return value


def read_param_list(value: object) -> list[Any]:
    """Return a list, also from JSON in a text."""
    found = from_json(value) if isinstance(value, str) else value
    if not isinstance(found, list | tuple):
        raise Unfit(f'{show_value(value)} is not a list, such as ["a", "b"]')
    to_json_text(found)
    return list(found)


def read_param_map(value: object) -> dict[str, Any]:
    """Return a map, also from JSON in a text."""
    found = from_json(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise Unfit(f'{show_value(value)} is not a map, such as {{"a": 1}}')
    to_json_text(found)
    return dict(found)


READERS: dict[str, Callable[[Any], Any]] = {
    "str": read_param_text,
    "int": read_param_int,
    "float": read_param_float,
    "bool": read_param_bool,
    "date": to_date,
    "datetime": to_datetime,
    "list": read_param_list,
    "map": read_param_map,
    "json": read_param_json,
}
TYPES_OF_PARAMS = (*READERS, "choice")


def convert_param(param: Param, value: object) -> Any:
    """Return a given value as its param has it. Raises `Unfit`."""
    if param.type != "choice":
        return bounded_value(READERS[param.type](value))
    for option in param.options:
        if are_equal(option, value) or (isinstance(value, str) and text_of_value(option) == value):
            return option
    shown = ", ".join(text_of_value(option) for option in param.options)
    near = get_close_matches(str(value), [str(each) for each in param.options], n=1) if isinstance(value, str) else []
    raise Unfit(f"{show_value(value)} is none of {shown}{f'; did you mean {near[0]!r}?' if near else ''}")


def bind_params(params: Mapping[str, Param], given: Mapping[str, Any], source: str = "") -> dict[str, Any]:
    """Return the value of each param: converted, or its default, or None. null counts as not given.

    Raises `WorkflowError` with all complaints: values of another type, params that are missing, and those that nobody declared.
    `source` is the file that is named in them.

    >>> bind_params({"day": Param("day", "date"), "n": Param("n", "int", default=3, required=False)}, {"day": "2024-01-31"})
    {'day': datetime.date(2024, 1, 31), 'n': 3}
    """
    values: dict[str, Any] = {}
    unknown = [name for name in given if name not in params]
    faults = [(name, unknown_param(name, params, hint=place < HINTED)) for place, name in enumerate(unknown)]
    for name, param in params.items():
        value = given.get(name)
        try:
            if value is None and param.required:
                raise Unfit(f"is missing: a value of the type {param.type} {TO_BE_GIVEN}")
            values[name] = param.default if value is None else convert_param(param, value)
        except Unfit as error:
            faults.append((name, str(error)))
    if faults:
        raise WorkflowError([Complaint(place_of_param(name, params, source), text) for name, text in faults])
    return values


def place_of_param(name: str, params: Mapping[str, Param], source: str) -> str:
    """Return where a param is declared; of one that nobody declared, the file."""
    declared = params[name].place if name in params else ""
    return declared or f"{source} params.{cut_part(name)}".lstrip()


def unknown_param(name: str, params: Mapping[str, Param], *, hint: bool) -> str:
    """Return the complaint about a param that nobody declared."""
    near = get_close_matches(name, list(params), n=1) if hint and len(name) <= LONGEST_PARAM_NAME else []
    if near:
        return f"is not a param of this workflow; did you mean {near[0]!r}?"
    return f"is not a param of this workflow: it has {', '.join(map(repr, list(params)[:8])) or 'none'}"


# Declarations


def params_of(form: object, place_of: Callable[[str], str] = lambda _: "") -> tuple[dict[str, Param], list[Fault]]:
    """Read what stands under `params`: the params that are right, and the faults, with paths inside the form.

    `place_of` says where a param of a name is declared.
    """
    if form is None:
        return {}, []
    if not isinstance(form, Mapping):
        return {}, [((), f"takes a map of names and types, such as day: date, and this is {show_value(form)}")]
    params: dict[str, Param] = {}
    faults: list[Fault] = []
    for name, declared in form.items():
        wrong = [*faults_of_param(name, declared)]
        if not wrong:
            try:
                params[name] = replace(param_of(name, declared), place=place_of(name))
            except Unfit as error:
                wrong = [(("default",), str(error))]
        faults += [((name, *path), text) for path, text in wrong]
    return params, faults


def param_of(name: str, declared: object) -> Param:
    """Return a param whose keys are right. Raises `Unfit` for a default of another type."""
    form: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {"type": declared}
    kind: str = form.get("type") or "str"
    param = Param(
        name,
        TYPE_ALIASES.get(kind, kind),
        required="default" not in form and form.get("required", True),
        description=form.get("description", form.get("desc")),
        options=tuple(form.get("options", ())),
    )
    default = form.get("default")
    return param if default is None else replace(param, default=convert_param(param, default))


def faults_of_param(name: str, declared: object) -> Iterator[Fault]:
    """Yield what is wrong with a declaration, but for its default."""
    if not name or len(name) > LONGEST_PARAM_NAME or not name.isprintable():
        yield (), f"cannot be the name of a param: 1 to {LONGEST_PARAM_NAME} characters that can be printed"
    if declared is None or isinstance(declared, str):
        yield from faults_of_type((), declared)
        yield from faults_of_options({"type": declared})
    elif isinstance(declared, Mapping):
        yield from faults_of_keys(declared)
    else:
        yield (), f"takes a type, or a map with type, default and others, and this is {show_value(declared)}"


def faults_of_keys(form: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the keys of a declaration."""
    for key in form:
        if key not in PARAM_KEYS:
            near = get_close_matches(key, PARAM_KEYS, n=1) if len(key) <= LONGEST_PARAM_NAME else []
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(PARAM_KEYS)}"
            yield (key,), f"is a key that params do not have; {hint}"
    yield from faults_of_type(("type",), form.get("type"))
    if not isinstance(form.get("required", True), bool):
        yield ("required",), f"takes true or false, and this is {show_value(form['required'])}"
    for key in ("description", "desc"):
        if not isinstance(form.get(key, ""), str):
            yield (key,), f"takes a text, and this is {show_value(form[key])}"
    default = form.get("default")
    if isinstance(default, str) and ("${{" in default or VARIABLE.search(default)):
        yield ("default",), f"{cut_part(default)!r} is not filled in: a default is a plain value"
    yield from faults_of_options(form)


def faults_of_type(path: tuple[str, ...], kind: object) -> Iterator[Fault]:
    """Yield what is wrong with a type."""
    if kind is None or (isinstance(kind, str) and (kind in TYPES_OF_PARAMS or kind in TYPE_ALIASES)):
        return
    near = get_close_matches(kind, [*TYPES_OF_PARAMS, *TYPE_ALIASES], n=1) if isinstance(kind, str) else []
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(TYPES_OF_PARAMS)}"
    yield path, f"{show_value(kind)} is not a type of params; {hint}"


def faults_of_options(form: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with options: a choice has some, and nothing else has any."""
    options, kind = form.get("options"), form.get("type")
    is_choice = isinstance(kind, str) and TYPE_ALIASES.get(kind, kind) == "choice"
    if is_choice and (not isinstance(options, list) or not options):
        yield ("options",), "are missing: a choice takes a list of texts or numbers"
    elif is_choice and not all(isinstance(each, str | int | float) for each in options or ()):
        yield ("options",), "takes texts and numbers"
    elif options is not None and not is_choice:
        yield ("options",), "belongs to the type choice"
