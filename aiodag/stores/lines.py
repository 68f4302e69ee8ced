"""Keep what bodies log: the lines that reach the root logger from inside a run."""

import logging
import threading

from aiodag._core.context import current_node, current_run

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


class LogLines(logging.Handler):
    """Gives the lines of each run to its journal. Levels are as the program has set them.

    One for all runs: with a handler for each, every line would be offered to every run.
    """

    def __init__(self) -> None:
        super().__init__()
        self._runs = 0

    def attach(self) -> None:
        """Keep the lines of one run more."""
        with attaching:
            self._runs += 1
            if self._runs == 1:
                ABOVE.addHandler(LAST_RESORT)
                ABOVE.addHandler(self)
            logging.getLogger().parent = ABOVE

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, with the node whose body it comes from, whichever thread that runs in."""
        run = current_run()
        journal = None if run is None else run.journal
        if run is None or journal is None or run.state.final:  # its end is being written
            return
        try:
            journal.log(record.created, current_node(), record.levelname, record.name, self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of logging: a line must not end the program
            self.handleError(record)

    def detach(self, runs: int) -> None:
        """Keep the lines of some runs less. Not named `close`: `dictConfig` closes every handler, and this one must go on."""
        with attaching:
            self._runs -= runs
            if runs and not self._runs:
                ABOVE.removeHandler(self)
                ABOVE.removeHandler(LAST_RESORT)
                logging.getLogger().parent = None


LINES = LogLines()


def handled_elsewhere(name: str) -> bool:
    """Return True if a logger has handlers of the program's own."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger is not ABOVE:
        if logger.handlers:
            return True
        logger = logger.parent if logger.propagate else None
    return False
