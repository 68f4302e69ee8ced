"""Write exceptions as text, and read them back well enough for `except PaymentDeclined`.

An exception is made again without its `__init__`: what that left behind is recorded, in `args`, attributes and slots. Each
of these has a text of its own in the record, so that a fault in one does not make the others unreadable.
"""

from functools import partial
from traceback import format_exception
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from aiodag.codec.classes import fields_in
from aiodag.codec.kinds import checked_list, checked_text
from aiodag.codec.reader import decode
from aiodag.codec.writer import ValueWriter, encode, in_order, write_value
from aiodag.errors import NoCodec, RecordedError, RunFailed
from aiodag.masking import masked, masked_bytes
from aiodag.names import found_class, import_name

GROUP_LEVELS = 20
LINKS = {"args", "obj"}  # `obj` of an AttributeError is whatever had no such attribute


def encode_error(error: BaseException) -> str:
    """Return an exception as the text of a record: a JSON object with `type`, `text` and `traceback`, and what it held.

    Never raises: what has no codec is left out, and then the exception comes back as a `RecordedError`.

    >>> decode_error(encode_error(ValueError("no rows")))
    ValueError('no rows')
    """
    return masked_text_of(exception_record(error, GROUP_LEVELS))


def masked_text_of(value: object) -> str:
    """Return a value as text, with `***` in the place of each secret in it. Raises `NoCodec`, and what encoding raises."""
    text = encode(value)
    if masked(text) == text:
        return text
    text = write_value(Masking(), value, in_order, partial(NoCodec, ""))
    return masked(text)  # what is left of them is in names, or in numbers


class Masking(ValueWriter):
    """Writes values without the secrets in them: in texts, in bytes, and in the keys of dicts."""

    def tree(self, value: Any) -> Any:
        """Return the form of a value."""
        kind = type(value)
        if kind is str:
            value = masked(value)
        elif kind is bytes or kind is bytearray:
            value = kind(masked_bytes(bytes(value)))
        return super().tree(value)

    def mapping(self, value: dict[Any, Any]) -> dict[str, Any]:
        """Return the form of a dict."""
        return super().mapping({masked(key) if type(key) is str else key: each for key, each in value.items()})


def exception_record(error: BaseException, levels: int) -> dict[str, Any]:
    """Return the record of an exception; for a group, with the records of its members."""
    cause = error.__cause__
    notes = getattr(error, "__notes__", None)
    record = {
        **describe_exception(error),
        "traceback": traceback_text(error),
        "notes": [text_or_reason(note) for note in notes] if isinstance(notes, list) else [],
        "cause": None if cause is None else describe_exception(cause),
    }
    try:
        return {**record, **parts_of_exception(error, levels)}
    except Exception as fault:  # noqa: BLE001 - what user code raises here must not hide the error itself
        return {**record, "why": text_or_reason(fault)}


def describe_exception(error: BaseException) -> dict[str, str]:
    """Return the name of an exception's type, and what it says."""
    return {"type": import_name(type(error)), "text": text_or_reason(error)}


def text_or_reason(thing: object) -> str:
    """Return `str(thing)`, which may be code of a user that raises."""
    try:
        return f"{thing}"
    except Exception as fault:  # noqa: BLE001 - as above
        return f"<no text: {type(fault).__name__} in __str__>"


def traceback_text(error: BaseException) -> str:
    """Return the traceback as Python prints it, with those of causes and members."""
    try:
        return "".join(format_exception(error))
    except Exception:  # noqa: BLE001 - as above
        return ""


def parts_of_exception(error: BaseException, levels: int) -> dict[str, Any]:
    """Return what an exception holds; each part as a text. Raises `NoCodec`, and what a property of a user raises."""
    state = {name: value for name, value in vars(error).items() if name != "__notes__"}
    if isinstance(error, RunFailed):
        del state["failures"]  # they belong to the nodes of a loop; __new__ puts an empty tuple
    places = ((name, slot_value(error, slot)) for name, slot in slots(type(error)).items())
    record = {
        "attributes": masked_text_of(state),
        "slots": masked_text_of({name: value for name, value in places if value is not None}),
    }
    if not isinstance(error, BaseExceptionGroup):
        return {**record, "args": masked_text_of(list(error.args))}
    if not levels:
        msg = f"groups lie more than {GROUP_LEVELS} levels deep"
        raise ValueError(msg)
    members = [exception_record(member, levels - 1) for member in error.exceptions]
    return {**record, "args": masked_text_of([error.message]), "members": members}


def slots(kind: type) -> dict[str, Any]:
    """Return the places of an exception that are not in its `__dict__`: `__slots__`, and what built-in types have in C.

    An OSError has its file name there, which is not in its `args`.
    """
    return {
        name: place
        for each in reversed(kind.__mro__)
        if each is not BaseExceptionGroup  # __new__ sets what it has
        for name, place in vars(each).items()
        if type(place) in {MemberDescriptorType, GetSetDescriptorType} and name[:2] != "__" and name not in LINKS
    }


def slot_value(error: BaseException, slot: Any) -> Any:
    """Return what is in a slot; None where nothing is, as built-in types do."""
    try:
        return slot.__get__(error)
    except AttributeError:
        return None


def decode_error(text: str) -> BaseException:
    """Return the exception that `encode_error` has written: of its type, with its `args`, attributes and notes.

    Its cause is a `RecordedError`, and so is the exception itself where it cannot be rebuilt: its class is not among the
    loaded modules, or something that it held has no codec. Never raises, whatever the text is, and runs no `__init__`.

    >>> error = decode_error('{"type": "shop:Declined", "text": "card expired", "traceback": "", "notes": [], "cause": null}')
    >>> error.type_name, error.text
    ('shop:Declined', 'card expired')
    """
    try:
        return rebuilt(decode(text))
    except Exception as fault:  # noqa: BLE001 - never raises: hostile text
        return RecordedError("unknown", "an exception whose record cannot be read", why=text_or_reason(fault))


def rebuilt(record: Any) -> BaseException:
    """Return the exception of a record, or a `RecordedError`. Raises any `Exception` for what is not a record."""
    name, text, printed = (checked_text(record[part]) for part in ("type", "text", "traceback"))
    notes = [checked_text(note) for note in checked_list(record["notes"])]
    cause = record["cause"]
    if cause is not None:
        cause = RecordedError(checked_text(cause["type"]), checked_text(cause["text"]))
    error: BaseException
    try:
        error = rebuild_exception(name, record)
    except Exception as fault:  # noqa: BLE001 - whatever keeps it from being rebuilt
        error = RecordedError(name, text, printed, why=text_or_reason(fault))
    if notes:
        vars(error)["__notes__"] = notes
    if cause is not None:
        BaseException.__setattr__(error, "__cause__", cause)
    return error


def rebuild_exception(name: str, record: dict[str, Any]) -> BaseException:
    """Make the exception again, without its `__init__`. Raises any `Exception` where that cannot be."""
    if "why" in record:
        raise ValueError(record["why"])
    kind = found_class(name)
    if kind is None or not issubclass(kind, BaseException):
        msg = f"no loaded module has an exception {name}"
        raise LookupError(msg)
    args = checked_list(decode(record["args"]))
    of_group = issubclass(kind, BaseExceptionGroup)
    members = [[rebuilt(member) for member in checked_list(record["members"])]] if of_group else []
    make: Any = kind.__new__
    error: BaseException = make(kind, *args, *members)
    if type(error) is not kind:
        msg = f"{name} makes a {type(error).__name__}"
        raise TypeError(msg)
    if not of_group:
        BaseException.__setattr__(error, "args", tuple(args))
    vars(error).update(fields_in(decode(record["attributes"])))
    fill_slots(error, fields_in(decode(record["slots"])))
    return error


def fill_slots(error: BaseException, values: dict[str, Any]) -> None:
    """Put recorded values into the slots of an exception."""
    places = slots(type(error))
    for name, value in values.items():
        if slot_value(error, places[name]) != value:  # __new__ has set some, and of those some cannot be set
            places[name].__set__(error, value)
