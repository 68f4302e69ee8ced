"""What a run names: its hosts and executors, and those of its tasks that name none. And what is refused at the call."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiodag._core.callables import innermost, is_async
from aiodag._core.capacity import amounts_text, asked_amounts, check_request, request_at
from aiodag._core.middleware import compose
from aiodag._core.named import (
    EXECUTORS,
    LOCAL,
    NamedExecutor,
    executor_among,
    executor_named,
    hold_open,
    host_among,
    host_for,
)
from aiodag._core.options import executor_of, takes_async
from aiodag._core.veils import Unveiling
from aiodag.errors import NoCapacity, OptionError

if TYPE_CHECKING:
    from aiodag._core.run import Run
    from aiodag._core.task import Task

OURS = "aiodag."  # modules whose bodies stay on the loop: commands, waits, stages


class Elsewhere:
    """The hosts and executors of a run, checked. Raises `OptionError`."""

    def __init__(
        self, hosts: object = None, default_host: object = None, executors: object = None, executor: object = None
    ) -> None:
        self.hosts: dict[str, Any] = {name: host_of(host) for name, host in names_of("hosts", hosts, (LOCAL,)).items()}
        self.executors: dict[str, Any] = {
            name: named_executor_of(each) for name, each in names_of("executors", executors, EXECUTORS).items()
        }
        given: Any = default_host
        if isinstance(given, str):
            given = host_among(self.hosts, given, "default_host")
        self.default_host = None if given is None else host_of(given)
        self.executor = executor_of(executor)
        if isinstance(self.executor, NamedExecutor):
            self.executor = executor_among(self.executors, self.executor.name)
        self._sent: WeakKeyDictionary[Task[..., Any], Task[..., Any]] = WeakKeyDictionary()

    def all(self) -> list[Any]:
        """Return the hosts and executors."""
        found = [*self.hosts.values(), *self.executors.values(), self.default_host, self.executor]
        return [each for each in found if each is not None]

    def task_there(self, task: "Task[..., Any]") -> "Task[..., Any]":
        """Return a task as it runs where the run says: the same one if it stays, or has an executor of its own."""
        found = self._sent.get(task)
        if found is None:
            if (
                task.options.executor is not None
                or stays(task)
                or (is_async(task.fn) and not takes_async(self.executor))
            ):
                return task
            found = object.__new__(type(task))
            executor = Unveiling(self.executor, raw=task.raw) if getattr(task, "unveils", False) else self.executor
            vars(found).update(
                vars(task), there=self.executor, call=compose(task.options, task.fn, executor, inner=task._inner)
            )
            self._sent[task] = found
        return found


def name_elsewhere(run: "Run", *given: object) -> None:
    """Give a run its hosts and executors, in the order of `Elsewhere`, if it names any. Raises `OptionError`."""
    if any(each is not None for each in given):
        run.elsewhere = Elsewhere(*given)
        for each in run.elsewhere.all():
            hold_open(run, each)
        run._quieten()


def stays(task: "Task[..., Any]") -> bool:
    """Return True for a task whose body is not a function of the user's: it stays on the loop whatever the run says."""
    if task.stands_in or task.barrier or task.encloses or task.waits or task.at_home:
        return True
    return str(getattr(innermost(task.fn), "__module__", "")).startswith(OURS)


class Nowhere:
    """Stands for what a run names that names nothing: without a dict of its own for each run."""

    hosts: Mapping[str, Any] = {}
    executors = hosts
    default_host = executor = None


NOWHERE: Any = Nowhere()


def names_of(option: str, given: object, taken: tuple[str, ...]) -> dict[str, Any]:
    """Check a dict of names."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        wrong = [name for name in given if not isinstance(name, str) or not name.isprintable() or not name]
        if not wrong and not given.keys() & {*taken}:
            return dict(given)
    wanted = f"a dict of names, such as {{'hpc': ...}}, without {' and '.join(map(repr, taken))}, which always stand for this machine"
    raise OptionError(option, given, wanted)


def named_executor_of(given: object) -> Any:
    """Check an executor that gets a name: that cannot be another name."""
    found = executor_of(given)
    if found is None or isinstance(found, NamedExecutor):
        raise OptionError("executors", given, "executors as `executor=` of a task takes them, but no names of others")
    return found


def host_of(given: object) -> Any:
    """Check where a program runs."""
    named = isinstance(getattr(given, "name", None), str)
    if named and not isinstance(given, type) and callable(getattr(given, "run", None)):
        return given
    raise OptionError("host", given, "an object with a name and an async run(request, watch), as aiodag.abc.Host says")


def check_place(task: "Task[..., Any]", run: "Run | None") -> None:
    """Refuse a call that names what nothing has, or asks for what there will never be. Raises `OptionError`, `NoCapacity`."""
    host = None
    if run is None or not run.planned:  # where the run will be, names are known that are not here
        check_executor(task, run)
        host = host_for(task.fn, run)
    refuse = getattr(host, "refuse", None)
    if refuse is None:
        if task.options.resources:
            check_request(task, run)
        return
    request = request_at(task.options.resources, 1)
    why = refuse(asked_amounts(request))
    if why:
        raise NoCapacity(task.name, f"asks for {amounts_text(dict(request))}, and {why}")


def check_executor(task: "Task[..., Any]", run: "Run | None") -> None:
    """Refuse an executor by name that nothing has, or where an async function cannot run. Raises `OptionError`."""
    named = task.options.executor
    if isinstance(named, NamedExecutor):
        executor = executor_named(named.name, run)
        if is_async(task.fn) and not takes_async(executor):
            wanted = f"an executor that runs async functions, and {task.name} is one: {executor!r} has no loop for them"
            raise OptionError("executor", named.name, wanted)
