"""Structs of msgspec as records: the JSON that they make of themselves."""

from typing import Any

import msgspec

from aiodag.stores.refusals import Refused

TAG = "msgspec"
KIND = msgspec.Struct


def form(value: Any, kind: Any) -> tuple[str, Any]:
    """Return the tag and the text of a struct. Raises `Refused` where it would not come back the same."""
    if not isinstance(value, msgspec.Struct):
        raise Refused(kind, "is no Struct of msgspec: return one that holds it")
    text = msgspec.json.encode(value, order="deterministic").decode()
    try:
        again = read(kind, text)
        same = (
            again == value
            if kind.__struct_config__.eq
            else msgspec.json.encode(again, order="deterministic").decode() == text
        )
    except Exception as error:
        raise Refused(kind, f"is not read back from its own JSON: {type(error).__name__}: {error}") from error
    if not same:
        raise Refused(kind, "does not come back the same from its own JSON")
    return TAG, text


def fields(value: Any) -> dict[str, Any]:
    """Return what a struct holds, by the names of its fields."""
    return {name: getattr(value, name) for name in value.__struct_fields__}


def read(kind: Any, text: str) -> Any:
    """Make a struct again. Raises any `Exception` where its class does not take the text."""
    if not issubclass(kind, msgspec.Struct):
        msg = "it is no Struct of msgspec"
        raise TypeError(msg)
    return msgspec.json.decode(text, type=kind)
