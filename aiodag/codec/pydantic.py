"""Models of pydantic as records: the JSON that they make of themselves, and check again when it is read."""

from typing import Any

from pydantic import BaseModel

from aiodag.codec.packages import ForeignPackage
from aiodag.codec.refusals import RefusedType, check_comes_back


def model_form(value: object, kind: type) -> tuple[str, Any]:
    """Return the tag and the text of a model. Raises `RefusedType` where it would not come back equal."""
    if not isinstance(value, BaseModel):
        raise RefusedType(kind, "is not a pydantic model: return one that holds it, or its text")
    text = value.model_dump_json(round_trip=True, by_alias=False)
    check_comes_back(kind, lambda: bool(read_model(kind, text) == value))
    return "pydantic", text


def model_fields(value: Any) -> dict[str, Any]:
    """Return what a model holds, by the names of its fields."""
    return {**value.__dict__, **(value.__pydantic_extra__ or {})}


def read_model(kind: Any, text: str) -> Any:
    """Make a model again. Raises any `Exception` where its class does not take the text."""
    if not issubclass(kind, BaseModel):
        msg = "it is not a pydantic model"
        raise TypeError(msg)
    return kind.model_validate_json(text, by_alias=False, by_name=True)


PYDANTIC = ForeignPackage("pydantic", model_form, read_model, BaseModel, model_fields)
