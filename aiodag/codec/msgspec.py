"""Structs of msgspec as records: the JSON that they make of themselves."""

from typing import Any

import msgspec

from aiodag.codec.refusals import Refused, check_comes_back

TAG = "msgspec"
KIND = msgspec.Struct


def form(value: Any, kind: Any) -> tuple[str, Any]:
    """Return the tag and the text of a struct. Raises `Refused` where it would not come back the same."""
    if not isinstance(value, msgspec.Struct):
        raise Refused(kind, "is not a msgspec Struct: return one that holds it")
    text = text_of(value)
    by_value = kind.__struct_config__.eq

    def again() -> bool:
        back = read(kind, text)
        return bool(back == value) if by_value else text_of(back) == text

    check_comes_back(kind, again)
    return TAG, text


def text_of(value: Any) -> str:
    """Return the JSON of a struct."""
    return msgspec.json.encode(value, order="deterministic").decode()


def fields(value: Any) -> dict[str, Any]:
    """Return what a struct holds, by the names of its fields."""
    return {name: getattr(value, name) for name in value.__struct_fields__}


def read(kind: Any, text: str) -> Any:
    """Make a struct again. Raises any `Exception` where its class does not take the text."""
    if not issubclass(kind, msgspec.Struct):
        msg = "it is not a msgspec Struct"
        raise TypeError(msg)
    return msgspec.json.decode(text, type=kind)
