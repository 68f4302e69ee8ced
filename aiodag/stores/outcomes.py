"""Turn what nodes end with into what a store keeps, and back: values, errors, reasons."""

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from aiodag.abc import NOTHING
from aiodag.codec.arrays import NPY, read_array
from aiodag.codec.text import decode, decode_pickle, encode, encode_error, encode_pickle
from aiodag.errors import NoCodec, SecretInValue, Undecodable, ValueGone, ValueTooLarge
from aiodag.mail import MOMENT
from aiodag.masking import masked, secret_in
from aiodag.records import LARGEST, REFERENCE
from aiodag.states import State
from aiodag.stores.references import open_reference, reference_of
from aiodag.wording import is_utf8

if TYPE_CHECKING:
    from aiodag._core.node import Node
    from aiodag._core.task import Task


log = logging.getLogger("aiodag.stores")
MOST_BYTES = 4  # of a character in UTF-8
SHOWN = 1_000  # characters of a text that is too long for a store


def reason_text(node: "Node[Any]", state: State) -> str:
    """Return what is kept of the reason why a node has no value."""
    if state is State.FAILED and node.failure is not None:
        return record_exception(node.failure.report.exception)
    if state is State.SKIPPED:
        return str(node.failure) if node.failure is not None else masked(exception_text(node.exception()))
    return ""


def exception_text(reason: object) -> str:
    """Return the text of an exception, whatever its class makes of that."""
    try:
        return "" if reason is None else "".join(map(str, str(reason)))
    except BaseException:  # noqa: BLE001 - a node must settle, whatever its exception does
        return f"{type(reason).__name__}, which has no text"


def record_exception(error: BaseException) -> str:
    """Return an exception as it is kept."""
    try:
        text = encode_error(error)
        if len(text) <= LARGEST // MOST_BYTES:
            return text
        return encode_error(RuntimeError(f"{type(error).__name__}: {fit_text(masked(str(error)))}"))
    except BaseException:  # noqa: BLE001 - as above
        return encode_error(RuntimeError(f"{type(error).__name__}, which cannot be recorded"))


def writable(text: str) -> str:
    """Return a text without lone surrogates, which no file of UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def in_codec(codec: Any, task: str, value: object) -> tuple[str, str | bytes]:
    """Return the name of a codec and what it makes of a value of a task. Raises `NoCodec`."""
    if codec == "json":
        return codec, encode(value, task)
    if codec == "pickle":
        return codec, encode_pickle(value, task)
    try:
        made = codec.encode(value)
    except NoCodec:
        raise
    except Exception as error:
        raise NoCodec(task, type(value), "", f"is not taken by its codec: {type(error).__name__}: {error}") from error
    if not isinstance(made, bytes) and not (isinstance(made, str) and is_utf8(made)):
        raise NoCodec(task, type(value), "", f"is made a {type(made).__name__} by its codec, not text or bytes")
    return codec.name, made


def encode_value(task: "Task[..., Any]", value: object, largest: int) -> tuple[str, str | bytes]:
    """Return the codec of a task and a value in it. Raises `NoCodec`, `SecretInValue` and `ValueTooLarge`."""
    codec, text = in_codec(task.options.codec, task.name, value)
    check_stored_size(task.name, text, largest)
    secret = secret_in(text)
    if secret is not None:
        raise SecretInValue(task.name, secret)
    return codec, text


def check_stored_size(task: str, text: str | bytes, largest: int) -> None:
    """Raise `ValueTooLarge` for what a store cannot keep."""
    if len(text) > largest // MOST_BYTES and stored_size(text) > largest:
        raise ValueTooLarge(task, stored_size(text), largest)


def encode_answer(task: "Task[..., Any]", value: object, largest: int) -> tuple[str, str | bytes | None]:
    """Return a value as `encode_value` does; no codec and no value for one that cannot be stored, as it need not be."""
    try:
        return encode_value(task, value, largest)
    except (NoCodec, SecretInValue, ValueTooLarge):
        return "", None


def stored_size(text: str | bytes) -> int:
    """Return how many bytes a store needs for a text."""
    return len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))


def fit_text(text: str) -> str:
    """Return a text that a store can keep: as it is, or its beginning and how much is left out."""
    if len(text) <= LARGEST // MOST_BYTES:
        return text
    return f"{text[:SHOWN]}… ({len(text) - SHOWN:,} characters left out)"


def decode_value(task: "Task[..., Any]", codec: str, text: object) -> Any:
    """Return a stored value, or `NOTHING` if it is gone, or its task does not accept it any more. Raises `Undecodable`."""
    try:
        value = open_value(task, codec, text)
    except ValueGone as gone:
        log.warning("%s runs again: %s", task.name, gone)
        return NOTHING
    return value if task.accepts(value) else NOTHING


def open_value(task: "Task[..., Any]", codec: str, text: Any) -> Any:
    """Return a stored value. What the store says to be pickled is unpickled only for a task that asks for it."""
    if codec == REFERENCE:
        return open_reference(reference_of(text), partial(open_value, task))
    own: Any = task.options.codec
    if not isinstance(own, str) and own.name == codec:
        try:
            return own.decode(text)
        except Undecodable:
            raise
        except Exception as error:
            msg = f"its codec {codec!r} does not take it: {type(error).__name__}: {error}"
            raise Undecodable(msg) from error
    if codec in {"json", MOMENT}:
        return decode(text)
    if codec == NPY:
        return read_array(text)
    if codec == "pickle" and task.options.codec == "pickle":
        return decode_pickle(text)
    msg = f"it was written with the codec {codec!r}, and {task.name} does not ask for that"
    raise Undecodable(msg)


def payload_value(text: Any) -> Any:
    """Return the payload of a message as plain JSON. Raises `Undecodable`."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the payload of a message is not JSON in the store: {error}"
        raise Undecodable(msg) from error
