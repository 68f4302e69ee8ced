"""Keep what bodies log: the lines that reach the root logger from inside a run."""

import logging
import threading
from typing import TYPE_CHECKING

from aiodag._core.context import current_node, current_run

if TYPE_CHECKING:
    from aiodag.stores.recorder import Recorder

# What reaches the root logger goes on to its parent, which nothing else uses. A handler of the root logger itself would
# be lost as soon as a body configures logging: `dictConfig`, `basicConfig(force=True)` and `root.handlers.clear()` all
# begin by taking away every handler that is there.
ABOVE = logging.Logger("above the root logger")  # noqa: LOG001 - it must not be below the root, as getLogger has it
attaching = threading.Lock()  # runs may begin and end in several threads


class LastResort(logging.Handler):
    """Stands in for `logging.lastResort`, which logging asks only where it finds no handler at all: it finds ours.

    So where nobody has set up logging, warnings go to stderr still, also those that come from outside of every run.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, if the program has no handler for it."""
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and not handled_elsewhere(record.name):
            last.handle(record)


LAST_RESORT = LastResort()


class Lines(logging.Handler):
    """Gives a recorder the lines of its run. Levels are as the program has set them."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__()
        self._recorder = recorder
        with attaching:
            ABOVE.addHandler(LAST_RESORT)  # once, for the lines of all runs
            ABOVE.addHandler(self)
            logging.getLogger().parent = ABOVE

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, with the node whose body it comes from, whichever thread that runs in."""
        if current_run() is not self._recorder.run:
            return
        try:
            text = self.format(record)
            self._recorder.log(record.created, current_node(), record.levelname, record.name, text)
        except Exception:  # noqa: BLE001 - as every handler of logging: a line must not end the program
            self.handleError(record)

    def detach(self) -> None:
        """Keep no more. Not named `close`: `dictConfig` closes every handler, and this one must go on."""
        with attaching:
            ABOVE.removeHandler(self)
            if ABOVE.handlers == [LAST_RESORT]:
                ABOVE.removeHandler(LAST_RESORT)
                logging.getLogger().parent = None
        self.close()


def handled_elsewhere(name: str) -> bool:
    """Return True if a logger has handlers of the program's own."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger is not ABOVE:
        if logger.handlers:
            return True
        logger = logger.parent if logger.propagate else None
    return False
