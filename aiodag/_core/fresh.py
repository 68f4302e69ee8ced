"""Stand between an asyncio task and a coroutine that it awaits: to run that in a context of its own."""

from contextvars import Context
from types import FrameType
from typing import Any, Self


class Between:
    """An awaitable that drives a coroutine, and lets through what that awaits."""

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine

    def __await__(self) -> Self:
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self.coroutine.send(None)

    def send(self, value: Any) -> Any:
        """Take a step with a value."""
        return self.coroutine.send(value)

    def close(self) -> None:
        """End the coroutine."""
        self.coroutine.close()

    # As a coroutine, to those who walk along what is awaited, such as `get_stack`.

    @property
    def cr_frame(self) -> FrameType | None:
        """The frame of the coroutine."""
        frame: FrameType | None = getattr(self.coroutine, "cr_frame", None)
        return frame

    @property
    def cr_await(self) -> Any:
        """What the coroutine awaits."""
        return getattr(self.coroutine, "cr_await", None)


class InContext(Between):
    """An awaitable that drives a coroutine in a context.

    An asyncio task has one context for all its steps, and a variable that was set in it cannot be unset. A task of its
    own for each attempt would be seen: it is the node that is cancelled, awaited and asked for its stack. So each step
    of the coroutine is taken in the other context, and what it awaits goes through unchanged.
    """

    __slots__ = ("context",)

    def __init__(self, coroutine: Any, context: Context) -> None:
        super().__init__(coroutine)
        self.context = context

    def __next__(self) -> Any:
        return self.context.run(self.coroutine.send, None)

    def send(self, value: Any) -> Any:
        """Take a step with a value."""
        return self.context.run(self.coroutine.send, value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Take a step with an exception, which may come after its type."""
        try:
            return self.context.run(self.coroutine.throw, kind if value is None else value)
        finally:
            del kind, value, traceback  # what is thrown in comes out, and its traceback holds this frame

    def close(self) -> None:
        """End the coroutine."""
        self.context.run(self.coroutine.close)
