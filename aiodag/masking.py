"""Keep the values of secrets out of every text that leaves this process.

One table for the process, since a log line or a traceback does not say which run it belongs to. It is empty until a
secret is read, and then each function here costs one look. A value is looked for as it is and as the usual ways of writing
text make it: `repr`, JSON, HTML, a shell's quotes, URLs, base64 and hexadecimal.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from threading import Lock
from types import TracebackType
from typing import Any, AnyStr, NamedTuple

MARK = "***"
LEAST = 6  # characters of a secret: a shorter one is found in texts that have nothing to do with it
RECENT = 16  # values that are remembered of one secret, so that hourly rotation does not fill the table


class Masks(NamedTuple):
    """What to look for, longest first. It is replaced as a whole, so that any thread reads it without a lock."""

    texts: tuple[str, ...]
    chunks: tuple[bytes, ...]
    whole: tuple[tuple[str, str], ...]  # without the single lines of values: each text with the name of its secret


class Table:
    """The values that have been read in this process, by what their secrets are known as: a name, or `name=file`."""

    def __init__(self) -> None:
        self.masks: Masks | None = None
        self._lock = Lock()
        self._values: dict[str, list[str]] = {}

    def add(self, name: str, value: str) -> None:
        """Mask a value from now on."""
        with self._lock:
            values = self._values.setdefault(name, [])
            if value in values:
                return
            values[:] = [*values, value][-RECENT:]
            if self.masks is None:
                watch_process()
            self.masks = masks_of(self._values)


TABLE = Table()


def masks_of(values: dict[str, list[str]]) -> Masks:
    """Return what to look for."""
    whole = {text: name for name in sorted(values) for value in values[name] for text in spellings(value)}
    lines = {line for each in values.values() for value in each for line in value_lines(value)}
    texts = sorted({*whole, *lines}, key=len, reverse=True)
    chunks = tuple(text.encode("utf-8", "surrogateescape") for text in texts)
    return Masks(tuple(texts), chunks, tuple((text, whole[text]) for text in texts if text in whole))


def value_lines(value: str) -> Iterator[str]:
    """Yield the lines of a value that has several: programs print and logs keep them one by one."""
    lines = [line.strip() for line in value.splitlines()]
    for line in lines if len(lines) > 1 else ():
        if len(line) >= LEAST:
            yield from spellings(line)


def spellings(value: str) -> set[str]:
    """Return a text as the usual ways of writing it spell it."""
    # Imported here: asyncio loads neither, and `import aiodag` loads nothing that asyncio does not.
    from html import escape  # noqa: PLC0415 - see above
    from urllib.parse import quote, quote_plus  # noqa: PLC0415 - see above

    once = quoted_form(value)
    twice = {
        text for each in once for text in quoted_form(each)
    }  # a JSON text in a JSON text, a text in a list in a text
    quoted = [write(value, safe="", errors="surrogateescape") for write in (quote, quote_plus)]
    quoted.append(quote(value, errors="surrogateescape"))
    return {
        value,
        value.replace("\n", "\r\n"),
        *once,
        *twice,
        *(text.replace("/", "\\/") for text in once),
        *quoted,
        *map(lower_escapes, quoted),
        escape(value),
        escape(value).replace("&#x27;", "&#39;"),
        value.replace("'", "'\"'\"'"),
        value.replace("'", "'\\''"),
        *encoded_forms(value.encode("utf-8", "surrogateescape")),
    }


def quoted_form(text: str) -> set[str]:
    """Return a text as it stands inside of quotes in Python and in JSON."""
    from json import dumps  # noqa: PLC0415 - as in spellings()

    # With both kinds of quotes before it, Python takes single ones and escapes those; a text with fewer may not.
    python = [write("'\"" + text)[4:-1] for write in (repr, ascii)]
    python.append(repr(b"'\"" + text.encode("utf-8", "surrogatepass"))[5:-1])
    json = [dumps(text, ensure_ascii=each)[1:-1] for each in (True, False)]
    return {*python, *(each.replace("\\'", "'") for each in python), *json}


def lower_escapes(quoted: str) -> str:
    """Return a quoted text with the digits of its escapes in lower case."""
    parts = quoted.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def encoded_forms(value: bytes) -> Iterator[str]:
    """Yield bytes in hexadecimal, and in base64 as it is wherever in a longer text they begin."""
    from base64 import b64encode  # noqa: PLC0415 - as in spellings()

    yield value.hex()
    yield value.hex().upper()
    for before in range(3):
        # What stands before takes up the first digits, and what comes after a part of the last one.
        whole = b64encode(bytes(before) + value).decode()
        digits = whole[-(-8 * before // 6) : 8 * (before + len(value)) // 6]
        yield digits
        yield digits.replace("+", "-").replace("/", "_")


# Texts


def masked(text: str) -> str:
    """Return a text with `***` in the place of each secret.

    >>> masked("nothing to hide")
    'nothing to hide'
    """
    masks = TABLE.masks
    return text if masks is None else cover_secrets(text, masks.texts, MARK)


def masked_bytes(content: bytes) -> bytes:
    """Return bytes with `***` in the place of each secret."""
    masks = TABLE.masks
    return content if masks is None else cover_secrets(content, masks.chunks, MARK.encode())


def cover_secrets(text: AnyStr, secrets: Iterable[AnyStr], mark: AnyStr) -> AnyStr:
    """Return a text with a mark in the place of what is to be hidden."""
    places = spans(text, secrets)
    if not places:
        return text
    parts: list[AnyStr] = []
    at = 0
    for start, end in places:
        parts += text[at:start], mark
        at = end
    parts.append(text[at:])
    empty: Any = text[:0]
    shown: AnyStr = empty.join(parts)
    return shown


def spans(text: AnyStr, secrets: Iterable[AnyStr]) -> list[tuple[int, int]]:
    """Return the ranges of all that is to be hidden, in order; those that overlap as one.

    Not a regular expression of all of them: it takes 12 to 20 times as long as looking for one after the other, and stops
    at the first of two that overlap, so that the end of the second would be shown.
    """
    found: list[tuple[int, int]] = []
    for each in secrets:
        start = text.find(each)
        while start >= 0:
            found.append((start, start + len(each)))
            start = text.find(each, start + 1)
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def secret_in(content: str | bytes) -> str | None:
    """Return the name of a secret whose value is in a text or in bytes, or None."""
    masks = TABLE.masks
    for text, name in () if masks is None else masks.whole:
        if text in content if isinstance(content, str) else text.encode("utf-8", "surrogateescape") in content:
            return name.partition("=")[0]
    return None


def by_names(text: str) -> str:
    """Return a text with the names of secrets in the place of their values: what a key is made of.

    So a body that passes a secret's value on calls the same node after the value has been replaced.
    """
    masks = TABLE.masks
    for secret, name in () if masks is None else masks.whole:
        if secret in text:
            text = text.replace(secret, f"\0secret {name}\0")  # no text of an argument has a NUL in it
    return text


class StreamMask:
    r"""Masks a stream that comes in chunks: a secret that is cut in two is masked, too.

    chunk 1            chunk 2
    ... token=hunt  |  er22-7f\n ...
              └──┬─┘
    held back, for a secret may begin there: never more than its length. What comes next decides.
    """

    def __init__(self) -> None:
        self._held = b""
        self._hidden = 0  # of what is held, how many bytes a mark that has gone out stands for
        self.count = 0  # secrets that were masked

    def add(self, chunk: bytes, *, last: bool = False) -> bytes:
        """Return what can go out now; of the last chunk, all that is left."""
        masks = TABLE.masks
        if masks is None:
            return chunk
        stream = self._held + chunk
        limit = len(stream) if last else first_partial(stream, masks.chunks)
        parts: list[bytes] = []
        at = self._hidden
        for start, end in spans(stream, masks.chunks):
            if start >= limit:
                break
            if start >= at:
                parts += [stream[at:start], MARK.encode()]
                self.count += 1
            at = max(at, end)
        parts.append(stream[at:limit])
        self._held, self._hidden = stream[limit:], max(at - limit, 0)
        return b"".join(parts)


def first_partial(stream: bytes, secrets: Iterable[bytes]) -> int:
    """Return where in a stream the first secret begins of which only a part has come; the length if there is none."""
    place = len(stream)
    for each in secrets:
        at = stream.find(each[:1], max(len(stream) - len(each) + 1, 0), place)
        while at >= 0 and not each.startswith(stream[at:]):
            at = stream.find(each[:1], at + 1, place)
        place = at if at >= 0 else place
    return place


# What Python itself writes


def watch_process() -> None:
    """Mask what goes to a log, whoever logs it, and what Python prints of an exception that ends the program or a thread.

    Records are masked when they are made: handlers are set up and replaced at any time, by anybody. What holds no secret
    passes as it was.
    """
    make_record = logging.getLogRecordFactory()
    print_exception, print_of_thread = sys.excepthook, threading.excepthook

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make_record(*args, **kwargs)
        mask_record(record)
        return record

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        printed = "".join(traceback.format_exception(kind, error, trace))
        if masked(printed) == printed:
            print_exception(kind, error, trace)
        else:
            sys.stderr.write(masked(printed))

    def hook_of_threads(args: threading.ExceptHookArgs, /) -> None:
        printed = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        if masked(printed) == printed:
            print_of_thread(args)
        else:
            name = "" if args.thread is None else args.thread.name
            sys.stderr.write(f"Exception in thread {name}:\n{masked(printed)}")

    logging.setLogRecordFactory(factory)
    sys.excepthook = hook
    threading.excepthook = hook_of_threads


def mask_record(record: logging.LogRecord) -> None:
    """Mask the message of a record, and the exception that comes with it."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - its arguments do not fit: its handler says so
        return
    shown = masked(message)
    if shown != message:
        record.msg, record.args = shown, None
    if record.exc_info and record.exc_info[0] is not None:
        printed = "".join(traceback.format_exception(*record.exc_info))
        if masked(printed) != printed:
            record.exc_text = masked(printed).rstrip("\n")
