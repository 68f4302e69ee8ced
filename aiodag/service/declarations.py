"""The parameters that a workflow declares, from its document alone: what a form asks for. Nothing is imported for it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aiodag.complaint import Complaint
from aiodag.errors import EntryError, WorkflowError
from aiodag.service.documents import Document, plain_value
from aiodag.service.parameters import values_of
from aiodag.workflows.params import Param, bind_params, params_of

KINDS: Mapping[type, str] = {str: "str", int: "int", float: "float", bool: "bool"}


class Declaration(NamedTuple):
    """A parameter that a workflow declares. `default` and `options` are as JSON has them.

    `type` is one of str, int, float, bool, date, datetime, choice, list, map and json. Of a workflow of tasks, a parameter
    has as many values as its list, and `many` is True.
    """

    name: str
    type: str
    required: bool
    default: Any = None
    description: str = ""
    options: tuple[Any, ...] = ()
    many: bool = False


def parameter_declarations(document: Document) -> list[Declaration]:
    """Return the parameters that the document of a workflow declares.

    >>> parameter_declarations({"params": {"day": "date"}, "jobs": {}})
    [Declaration(name='day', type='date', required=True, default=None, description='', options=(), many=False)]
    >>> parameter_declarations({"parameters": {"n": [1, 2]}, "tasks": {}})
    [Declaration(name='n', type='int', required=False, default=[1, 2], description='', options=(), many=True)]
    """
    if "tasks" not in document:
        return [declaration_of_param(each) for each in params_of(document.get("params"))[0].values()]
    return [
        Declaration(name, kind_of_values(values), required=False, default=values, many=True)
        for name, values in values_in_tasks(document).items()
    ]


JSON_TYPES: Mapping[str, Mapping[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "list": {"type": "array"},
    "map": {"type": "object"},
}


def parameter_schema(document: Document) -> Document:
    """Return a JSON Schema of the parameters that the document of a workflow declares.

    >>> parameter_schema({"params": {"day": "date"}, "jobs": {}})["properties"]
    {'day': {'type': 'string', 'format': 'date'}}
    """
    declared = parameter_declarations(document)
    return {
        "type": "object",
        "properties": {each.name: schema_of_declaration(each) for each in declared},
        "required": [each.name for each in declared if each.required],
        "additionalProperties": False,
    }


def schema_of_declaration(declared: Declaration) -> Document:
    """Return the JSON Schema of one parameter; where it may have many values, of one or a list of them."""
    one: Document = {**JSON_TYPES.get(declared.type, {})} | ({"enum": [*declared.options]} if declared.options else {})
    found = {"anyOf": [one, {"type": "array", "items": one}]} if declared.many else one
    found |= {"description": declared.description} if declared.description else {}
    return found if declared.default is None else found | {"default": declared.default}


def declaration_of_param(param: Param) -> Declaration:
    """Return the declaration of a param of jobs."""
    return Declaration(
        param.name,
        param.type,
        param.required,
        plain_value(param.default),
        param.description or "",
        tuple(map(plain_value, param.options)),
    )


def values_in_tasks(document: Document) -> dict[str, list[Any]]:
    """Return all values that a document of tasks and its tasks declare, by the names of parameters."""
    found: dict[str, list[Any]] = {}
    for name, values in [each for form in forms_with_parameters(document) for each in form.items()]:
        found.setdefault(name, []).extend(values)
    return found


def forms_with_parameters(document: Document) -> Iterator[Mapping[str, list[Any]]]:
    """Yield what stands under the `parameters` of a document and of its tasks, where it has the right form."""
    for holder in (document, *mapping_in(document, "tasks").values()):
        given = mapping_in(holder, "parameters") if isinstance(holder, dict) else {}
        yield {name: values for name, values in given.items() if isinstance(values, list)}


def mapping_in(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping under a key; an empty one where there is something else."""
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def kind_of_values(values: list[Any]) -> str:
    """Return the type that all declared values have; json where they have several."""
    kinds = {type(each) for each in values}
    return KINDS.get(next(iter(kinds)), "json") if len(kinds) == 1 else "json"


def check_given(document: Document, given: Mapping[str, Any]) -> None:
    """Check the values for the parameters of a document. Raises `WorkflowError`: the place of each complaint is params.NAME.

    >>> check_given({"params": {"day": "date"}, "jobs": {}}, {"day": "2024-01-31"})
    """
    if "tasks" not in document:
        bind_params(params_of(document.get("params"))[0], given)
        return
    there = values_in_tasks(document)
    complaints = []
    for name, value in given.items():
        try:
            values_of(str(document.get("name", "")), name, value, there)
        except EntryError as error:
            complaints.append(Complaint(f"params.{name}", str(error)))
    if complaints:
        raise WorkflowError(complaints)
