"""What passes between a process and its workers: calls, and what comes of them.

What cannot be unpickled would break the pipe for what comes after it. So a call and its answer travel in a `Letter`, which
tells why it could not be read in place of raising.
"""

import pickle
import traceback
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

from aiodag._core.failure import exception_line
from aiodag._core.function_like import body_to_call
from aiodag.errors import NotPicklable


class Letter:
    """Something on its way to another process: its content, or why that is lost.

    It is pickled when it is sent, in a thread, and not before: of a thousand calls with one large argument, few are on
    their way at a time. It is unpickled where it arrives, off the loop.
    """

    def __init__(self, content: Any = None, lost: str = "") -> None:
        self.content = content
        self.lost = lost

    def __reduce__(self) -> tuple[Any, ...]:
        if self.lost:
            return Letter, (None, self.lost)
        try:
            # As multiprocessing pickles, which knows more types.
            return open_letter, (bytes(ForkingPickler.dumps(self.content)),)
        except Exception as error:  # noqa: BLE001 - from foreign code
            return Letter, (None, exception_line(error))


def open_letter(content: bytes) -> Letter:
    """Read a letter that has arrived."""
    try:
        return Letter(pickle.loads(content))  # noqa: S301 - from our own process
    except Exception as error:  # noqa: BLE001 - from foreign code
        return Letter(None, exception_line(error))


class Outcome(NamedTuple):
    """What came of a call: the letter, whether a "call", "value" or "exception" is in it, and how that was raised."""

    letter: Letter
    what: str
    raised: str = ""
    traceback: str = ""

    def open(self, name: str) -> Any:
        """Return the value or raise the exception."""
        content, lost = self.letter.content, self.letter.lost
        if self.what == "value" and not lost:
            return content
        cause = RemoteTraceback(self.traceback) if self.traceback else None
        try:
            if not isinstance(content, BaseException):
                why = lost or f"it arrives as {type(content).__name__}"
                raise NotPicklable(name, self.what, why, raised=self.raised) from cause
            raise content from cause
        finally:
            del self, content  # the failure holds this frame


class RemoteTraceback(Exception):
    """Show, as the cause of an exception, where it was raised in the worker."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def answer_letter(call: Letter) -> Outcome:
    """Call in the worker, and answer whatever comes of it."""
    if call.lost:
        return Outcome(call, "call")
    try:
        fn, args, kwargs = call.content
        return Outcome(Letter(body_to_call(fn)(*args, **kwargs)), "value")
    except StopIteration as error:  # as in a coroutine: a future cannot hold it
        told = RuntimeError("a plain function raised StopIteration")
        told.__cause__ = error
        return failure_letter(told)
    except BaseException as error:  # noqa: BLE001 - raised again where the call came from
        return failure_letter(error)


def failure_letter(error: BaseException) -> Outcome:
    """Answer with an exception."""
    return Outcome(Letter(error), "exception", exception_line(error), "".join(traceback.format_exception(error)))
