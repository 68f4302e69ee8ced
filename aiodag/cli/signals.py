"""Answer the signals by which people end a program: the first time, again, and for good."""

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """While it is entered, calls `answer(number, count)` for each signal, in its handler; the third ends the process.

    Not `loop.add_signal_handler`: its callback would never come while a body blocks the loop, and then the third
    could not end it either. A signal that the process was started to ignore (`nohup`, `&` in a script) stays ignored.
    """

    def __init__(self, answer: Callable[[int, int], object]) -> None:
        self._answer = answer
        self._before: dict[int, Any] = {}
        self._count = 0

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(ValueError):  # in another thread than the main one, nobody gets signals
                    self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _take(self, number: int, _: FrameType | None) -> None:
        self._answer(number, self._count + 1)
        self._count += 1  # not where the answer was to raise
        if self._count > 1:
            for each in self._before:
                signal.signal(each, signal.SIG_DFL)
