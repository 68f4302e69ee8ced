"""Hosts and executors that have a name: which one it is, the run says, or else `aiodag.toml`."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aiodag._core.context import RUN
from aiodag._core.doors import open_door
from aiodag.errors import OptionError

if TYPE_CHECKING:
    from aiodag._core.run import Run

LOCAL = "local"  # the name of this machine as a host, which nothing else has
EXECUTORS = ("thread", "process")  # the names of executors that every run has
LONGEST_GUESS = 100  # characters of a name for which one that is near is looked for


class NamedExecutor:
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
    """Return the executor of a name. Raises `OptionError` if there is none."""
    return found_named("executor", name, {} if run is None else run.elsewhere.executors, EXECUTORS)


def host_named(name: str, run: "Run | None") -> Any:
    """Return the host of a name, None for this machine. Raises `OptionError` if there is none."""
    if name == LOCAL:
        return None
    return found_named("host", name, {} if run is None else run.elsewhere.hosts, (LOCAL,))


def found_named(option: str, name: str, own: Mapping[str, Any], always: tuple[str, ...]) -> Any:
    """Return what a run has under a name, or else the file with settings. Raises `OptionError`."""
    found = own.get(name)
    if found is None:
        others = open_door("settings_hosts")
        found = others.made_from_settings(f"{option}s", name)
        if found is None:
            raise unknown_name(option, name, [*always, *own, *others.names_in_settings(f"{option}s")])
    return found


def unknown_name(option: str, name: str, known: Iterable[str]) -> OptionError:
    """Return the error for a name that nothing has."""
    # Imported here: asyncio does not load difflib, and `import aiodag` loads nothing that asyncio does not.
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    names = list(dict.fromkeys(known))
    near = get_close_matches(name, names, n=2) if len(name) <= LONGEST_GUESS else []
    hint = f": did you mean {' or '.join(map(repr, near))}?" if near else ""
    wanted = (
        f"{', '.join(map(repr, names))}, or a name that Run({option}s={{...}}) or [{option}s] of aiodag.toml has{hint}"
    )
    return OptionError(option, name, wanted)
