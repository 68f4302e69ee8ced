"""Lines that bodies log are kept, whatever the program does to the loggers meanwhile."""

import asyncio
import contextvars
import logging
import logging.config

import programs
import pytest

from aiodag import Run, task
from aiodag.stores import Memory

ROOT = logging.getLogger()
KEEP_LOGGERS = {"version": 1, "disable_existing_loggers": False, "root": {"handlers": []}}


@pytest.fixture(autouse=True)
def loggers():
    """The loggers as pytest has them, again afterwards."""
    handlers, level = ROOT.handlers[:], ROOT.level
    yield
    ROOT.handlers[:] = handlers
    ROOT.setLevel(level)


def emptied():
    ROOT.handlers = []


@pytest.mark.parametrize(
    "configure",
    [
        lambda: logging.config.dictConfig({"version": 1, "disable_existing_loggers": False}),
        lambda: logging.config.dictConfig(KEEP_LOGGERS),
        lambda: logging.config.dictConfig({"version": 1, "incremental": True, "root": {"level": "INFO"}}),
        lambda: logging.basicConfig(force=True),
        lambda: logging.basicConfig(force=True, level="ERROR"),
        lambda: ROOT.handlers.clear(),
        emptied,
        logging.shutdown,
    ],
)
def test_lines_are_kept_after_a_body_has_configured_logging(configure):
    store = Memory()
    log = logging.getLogger("app.configured")

    @task
    async def noisy(*after):
        log.error("before")
        configure()
        log.error("after")

    @task
    async def later(before):
        log.error("later")

    async def main():
        async with Run("r", store=store, id="r"):
            await later(noisy())

    asyncio.run(main())

    assert [(line.number, line.text) for line in store.logs("r")] == [(0, "before"), (0, "after"), (1, "later")]


def test_the_lines_of_two_runs_at_once_go_each_to_its_own():
    first, second = Memory(), Memory()
    log = logging.getLogger("app.two")

    @task
    async def noisy(name):
        log.error(name)

    async def one(store, name):
        async with Run(name, store=store, id=name):
            await noisy(name)

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(one(first, "a"))
            group.create_task(one(second, "b"))

    asyncio.run(main())

    assert [line.text for line in first.logs("a")] == ["a"]
    assert [line.text for line in second.logs("b")] == ["b"]


def test_warnings_go_to_stderr_once_where_nobody_set_up_logging_from_inside_and_outside_of_runs(monkeypatch):
    written = []
    log = logging.getLogger("app.unconfigured")
    monkeypatch.setattr(logging, "lastResort", Listing(written, log.name))
    ROOT.handlers.clear()

    @task
    async def noisy():
        log.warning("inside")

    async def main():
        async with Run("a", store=Memory(), id="a"), Run("b", store=Memory(), id="b"):
            await noisy()
            contextvars.Context().run(log.warning, "outside")

    asyncio.run(main())

    assert written == ["inside", "outside"]


class Listing(logging.Handler):
    """Lists what one logger says: threads of other tests may still have something to say."""

    def __init__(self, written, name):
        super().__init__(logging.WARNING)
        self.written, self.logger = written, name

    def emit(self, record):
        if record.name == self.logger:
            self.written.append(record.getMessage())


def test_nothing_is_left_at_the_root_logger_when_no_run_has_a_store_any_more():
    """In a process of its own: here another test may have closed a loop in the middle of a run, which is noticed later."""
    program = """
import asyncio, logging
from aiodag import Run
from aiodag.stores import Memory

root, own = logging.getLogger(), logging.NullHandler()
root.addHandler(own)

async def main():
    async with Run("r", store=Memory(), id="r"):
        print(root.parent is None, root.handlers == [own])

asyncio.run(main())
print(root.parent is None, root.handlers == [own])
"""
    ended = programs.run(program, "lines.py")

    assert (ended.stdout, ended.stderr) == ("False True\nTrue True\n", "")
