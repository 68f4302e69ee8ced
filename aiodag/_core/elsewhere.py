"""What a run names: its hosts and executors, and those that its tasks have without naming any."""

from collections.abc import Mapping
from typing import Any

from aiodag._core.named import EXECUTORS, LOCAL, NamedExecutor
from aiodag._core.options import executor_of
from aiodag.errors import OptionError


class Elsewhere:
    """The hosts and executors of a run, checked."""

    def __init__(
        self, hosts: object = None, default_host: object = None, executors: object = None, executor: object = None
    ) -> None:
        self.hosts: dict[str, Any] = {name: host_of(host) for name, host in names_of("hosts", hosts, (LOCAL,)).items()}
        self.executors: dict[str, Any] = {
            name: named_executor_of(each) for name, each in names_of("executors", executors, EXECUTORS).items()
        }
        self.default_host = (
            default_host if default_host is None or isinstance(default_host, str) else host_of(default_host)
        )
        self.executor = executor_of(executor)


def names_of(option: str, given: object, taken: tuple[str, ...]) -> dict[str, Any]:
    """Check a dict of names."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        wrong = [name for name in given if not isinstance(name, str) or not name.isprintable() or not name]
        if not wrong and not given.keys() & {*taken}:
            return dict(given)
    raise OptionError(
        option, given, f"a dict of names, which are not {' or '.join(map(repr, taken))}, such as {{'hpc': ...}}"
    )


def named_executor_of(given: object) -> Any:
    """Check an executor that gets a name: that cannot be another name."""
    found = executor_of(given)
    if found is None or isinstance(found, NamedExecutor):
        raise OptionError("executors", given, "executors as `executor=` of a task takes them, but not names of others")
    return found


def host_of(given: object) -> Any:
    """Check where a program runs."""
    named = isinstance(getattr(given, "name", None), str)
    if named and not isinstance(given, type) and callable(getattr(given, "run", None)):
        return given
    raise OptionError("host", given, "an object with a name and an async run(request, watch), as aiodag.abc.Host says")


NOWHERE = Elsewhere()  # of a run that names nothing
