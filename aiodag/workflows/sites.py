"""Where the tasks of a workflow are to run: whether there is such a place, and whether it can have what they ask for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aiodag._core.capacity import amounts_text, asked_amounts
from aiodag._core.doors import open_door
from aiodag._core.holdings import Request
from aiodag._core.named import LOCAL, host_among
from aiodag._core.task import Task
from aiodag.workflows.machines import Machines, missing_name, name_among
from aiodag.workflows.model import WorkflowTask
from aiodag.workflows.parameters import is_command

if TYPE_CHECKING:
    from aiodag._core.elsewhere import Elsewhere

HINTED = 20  # names for which one that is near is looked for


class Sites:
    """The places of the tasks of one workflow; of many tasks that are alike each is looked for once."""

    def __init__(self, machines: Machines, *, elsewhere: bool = False) -> None:
        self.machines = machines
        self.elsewhere = elsewhere  # whether another process will know the names that this one does not
        self._known: dict[Task[..., Any], str] = {}  # what is wrong, by tasks of which many are alike
        self._in_settings: dict[str, Sequence[str]] = {}  # read once, and only for names that the run has not
        self._missing: dict[tuple[str, str], str] = {}
        self._found: Elsewhere | None = None

    def faults(self, tasks: Iterable[WorkflowTask[Any]] = ()) -> Iterator[tuple[WorkflowTask[Any] | None, str]]:
        """Yield what is wrong with the places of tasks, and first with those of tasks that name none."""
        machines = self.machines
        defaults = (("default_host", "hosts", machines.default_host), ("executor", "executors", machines.executor))
        for key, names, given in defaults:
            why = self.why_missing(names, name_among(given))
            if why:
                yield None, f"{key} is {why}"
        for task in tasks:
            text = self.fault_of(task.task)
            if text:
                yield task, f"{task.name!r} {text}"

    def fault_of(self, task: Task[..., Any]) -> str:
        """Return what is wrong with the place of a task."""
        pattern: Task[..., Any] = getattr(task, "pattern", task)
        known = self._known.get(pattern)
        if known is None:
            known = self._known[pattern] = self._fault_of(pattern)
        return known

    def _fault_of(self, task: Task[..., Any]) -> str:
        body: Any = task.fn
        if task.encloses:  # a job
            why = self.why_missing("hosts", getattr(task, "runs_on", None))
            return f"is to run on the host {why}" if why else ""
        if is_command(task):
            why = self.why_missing("hosts", name_among(body.host))
            return f"is to run on the host {why}" if why else ""
        why = self.why_missing("executors", name_among(task.options.executor))
        return f"is to run on the executor {why}" if why else ""

    def why_missing(self, names: str, name: str | None) -> str:
        """Return what is wrong with a name of `hosts` or `executors`, nothing if it is there."""
        if name is None or self.elsewhere:
            return ""
        if (names, name) not in self._missing:
            hint = len(self._missing) < HINTED
            own = getattr(self.machines, names)
            if name not in own and names not in self._in_settings:
                self._in_settings[names] = open_door("settings_hosts").names_in_settings(names)
            settings = self._in_settings.get(names, ())
            self._missing[names, name] = missing_name(names, name, own, settings, hint=hint)
        return self._missing[names, name]

    def refusal(self, task: Task[..., Any], asked: Request) -> str | None:
        """Return why the host of a command can never have what it asks for, nothing if it can; None if it counts nothing."""
        if not is_command(task) or self.fault_of(task):
            return None
        given = self._given_host(task)
        if self.elsewhere and isinstance(given, str) and given != LOCAL:
            return ""  # it is for that process to say
        host = self._host_of(task)
        refuse = getattr(host, "refuse", None)
        if refuse is None:
            return None
        why = refuse(asked_amounts(asked))
        return f"asks for {amounts_text(dict(asked))}, and {why}" if why else ""

    def _given_host(self, task: Task[..., Any]) -> Any:
        body: Any = getattr(task, "pattern", task).fn
        return self.machines.default_host if body.host is None else body.host

    def _host_of(self, task: Task[..., Any]) -> Any:
        given = self._given_host(task)
        if not isinstance(given, str):
            return given
        if self._found is None:
            self._found = self.machines.elsewhere()
        return host_among(self._found.hosts, given)
