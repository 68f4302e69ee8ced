"""Hosts and executors that have a name: which one it is, the run says, or else `aiodag.toml`."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aiodag._core.context import RUN
from aiodag._core.doors import open_door
from aiodag.errors import OptionError
from aiodag.states import State

if TYPE_CHECKING:
    from aiodag._core.run import Run

LOCAL = "local"  # the name of this machine as a host, which nothing else has
EXECUTORS = ("thread", "process")  # the names of executors that every run has
LONGEST_GUESS = 100  # characters of a name for which one that is near is looked for


class WithWorkers(ABC):
    """An executor whose attempts wait for a worker."""

    @abstractmethod
    async def place(self) -> Any:
        """Wait for a worker."""

    async def run(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
        """Return `fn(*args, **kwargs)` of a worker, once there is one."""
        worker = await self.place()
        try:
            return await worker.run(fn, *args, **kwargs)
        finally:
            worker.leave()


class NamedExecutor(WithWorkers):
    """Stands for the executor that a run has under a name: `@task(executor="gpu")`."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def place(self) -> Any:
        """Wait for a worker of it, if it has a limited number of them."""
        executor = executor_named(self.name, RUN.get())
        place = getattr(executor, "place", None)
        return Anywhere(executor) if place is None else await place()


class Anywhere:
    """Stands for a worker of an executor that has as many as are wanted."""

    def __init__(self, executor: Any) -> None:
        self.run = executor.run

    def leave(self) -> None:
        """Do nothing: nobody waits for it."""


def executor_named(name: str, run: "Run | None") -> Any:
    """Return the executor of a name, for a run to let go of it. Raises `OptionError` if there is none."""
    found = executor_among({} if run is None else run.elsewhere.executors, name)
    if run is not None:
        hold_open(run, found)
    return found


def host_named(name: str, run: "Run | None") -> Any:
    """Return the host of a name, None for this machine, for a run to let go of it. Raises `OptionError` if there is none."""
    found = host_among({} if run is None else run.elsewhere.hosts, name)
    if run is not None:
        hold_open(run, found)
    return found


def executor_among(own: Mapping[str, Any], name: str) -> Any:
    """Return the executor of a name among some, or of the file with settings. Raises `OptionError` if there is none."""
    return own.get(name) or found_in_settings("executor", "executors", name, (*EXECUTORS, *own))


def host_among(own: Mapping[str, Any], name: str, option: str = "host") -> Any:
    """Return the host of a name among some, or of the file with settings; None for this machine. Raises `OptionError`."""
    return None if name == LOCAL else own.get(name) or found_in_settings(option, "hosts", name, (LOCAL, *own))


def host_for(fn: Any, run: "Run | None") -> Any:
    """Return the host of the program that a body runs, None for this machine, and for the body of a function."""
    if not getattr(type(fn), "on_host", False):
        return None
    given = fn.host
    if given is None and run is not None:
        given = run.elsewhere.default_host
    return host_named(given, run) if isinstance(given, str) else given


def found_in_settings(option: str, table: str, name: str, known: Iterable[str]) -> Any:
    """Return what the file with settings has under a name. Raises `OptionError`."""
    others = open_door("settings_hosts")
    found = others.made_from_settings(table, name)
    if found is None:
        raise unknown_name(option, table, name, [*known, *others.names_in_settings(table)])
    return found


def hold_open(run: "Run", used: Any) -> None:
    """Note what a run uses by name: it lets go of connections when the last such run has ended."""
    if hasattr(used, "close") and not any(each is used for each in run.uses):
        run.uses.append(used)
        if run.state is State.RUNNING:
            note_use(run.loop, [used])


def note_use(loop: Any, things: list[Any]) -> None:
    """Note that one more run of a loop may use some hosts and executors."""
    used = loop.aiodag_engine.used
    for each in things:
        used[id(each)] = each, used.get(id(each), (each, 0))[1] + 1


async def end_use(loop: Any, things: list[Any], patience: float) -> None:
    """Note that a run uses some hosts and executors no more, and have those let go of connections that no other run uses."""
    for each in things:
        used = loop.aiodag_engine.used
        _, users = used.pop(id(each))
        if users > 1:
            used[id(each)] = each, users - 1
            continue
        try:
            async with asyncio.timeout(patience):
                await each.close()
        except Exception as error:  # noqa: BLE001 - the run has ended, whatever the end of a connection is
            loop.call_exception_handler({"message": f"closing {each!r} failed", "exception": error})


def unknown_name(option: str, table: str, name: str, known: Iterable[str]) -> OptionError:
    """Return the error for a name that nothing has."""
    # Imported here: asyncio does not load difflib, and `import aiodag` loads nothing that asyncio does not.
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    names = list(dict.fromkeys(known))
    near = get_close_matches(name, names, n=2) if len(name) <= LONGEST_GUESS else []
    hint = f": did you mean {' or '.join(map(repr, near))}?" if near else ""
    wanted = f"{', '.join(map(repr, names))}, or a name that Run({table}={{...}}) or [{table}] of aiodag.toml has{hint}"
    return OptionError(option, name if len(name) <= LONGEST_GUESS else f"{name[:LONGEST_GUESS]}…", wanted)
