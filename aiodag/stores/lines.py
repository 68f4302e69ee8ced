"""Keep what bodies log: the lines that reach the root logger from inside a run."""

import logging
from typing import TYPE_CHECKING

from aiodag._core.context import current_node, current_run

if TYPE_CHECKING:
    from aiodag.stores.recorder import Recorder


class Lines(logging.Handler):
    """Gives a recorder the lines of its run. Levels are as the program has set them."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__()
        self._recorder = recorder
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, with the node whose body it comes from, whichever thread that runs in."""
        if current_run() is not self._recorder.run:
            return
        try:
            text = self.format(record)
            self._recorder.log(record.created, current_node(), record.levelname, record.name, text)
        except Exception:  # noqa: BLE001 - as every handler of logging: a line must not end the program
            self.handleError(record)
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and not handled_elsewhere(record.name):
            last.handle(record)  # where nobody set up logging, warnings go to stderr: they must go on doing so

    def close(self) -> None:
        """Keep no more."""
        logging.getLogger().removeHandler(self)
        super().close()


def handled_elsewhere(name: str) -> bool:
    """Tell whether a logger has handlers of somebody's own, or another run tells the last resort already."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if not all(isinstance(handler, Lines) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
