"""Structs of msgspec as records: the JSON that they make of themselves."""

from typing import Any

import msgspec

from aiodag.codec.packages import ForeignPackage
from aiodag.codec.refusals import RefusedType, check_comes_back


def struct_form(value: object, kind: Any) -> tuple[str, Any]:
    """Return the tag and the text of a struct. Raises `RefusedType` where it would not come back the same."""
    if not isinstance(value, msgspec.Struct):
        raise RefusedType(kind, "is not a msgspec Struct: return one that holds it")
    text = struct_text(value)
    by_value = kind.__struct_config__.eq

    def again() -> bool:
        back = read_struct(kind, text)
        return bool(back == value) if by_value else struct_text(back) == text

    check_comes_back(kind, again)
    return "msgspec", text


def struct_text(value: object) -> str:
    """Return the JSON of a struct."""
    return msgspec.json.encode(value, order="deterministic").decode()


def struct_fields(value: Any) -> dict[str, Any]:
    """Return what a struct holds, by the names of its fields."""
    return {name: getattr(value, name) for name in value.__struct_fields__}


def read_struct(kind: Any, text: str) -> Any:
    """Make a struct again. Raises any `Exception` where its class does not take the text."""
    if not issubclass(kind, msgspec.Struct):
        msg = "it is not a msgspec Struct"
        raise TypeError(msg)
    return msgspec.json.decode(text, type=kind)


MSGSPEC = ForeignPackage("msgspec", struct_form, read_struct, msgspec.Struct, struct_fields)
