"""Where what a run begins with is to run: as was asked for when it began, as its workflow says, or as the settings do."""

from collections.abc import Mapping
from typing import Any

from aiodag._core.capacity import Anything
from aiodag.errors import Complaint, WorkflowError
from aiodag.service.entry import Entry, Target
from aiodag.service.settings import settings
from aiodag.workflows.machines import Machines
from aiodag.workflows.sites import Sites
from aiodag.workflows.workflow import Workflow


def elsewhere(target: Target, host: str | None, executor: str | None) -> Target:
    """Return a target with other names for where it runs, where they are not None."""
    wanted: dict[str, Any] = {
        name: value for name, value in (("host", host), ("executor", executor)) if value is not None
    }
    if not wanted:
        return target
    if isinstance(target, Entry):
        return target._replace(**wanted)
    made = target.but()
    if made.entry is None:  # nothing else is recorded of it but its definition
        made.machines = made.machines.changed({"default_host": host, "executor": executor})
    else:
        made.entry = {**made.entry, **wanted}
    return made


def capacity_to_read(given: "Mapping[str, float] | None", host: str | None) -> Any:
    """Return the capacity with which a file is read: any, where commands run on a host that may count resources itself."""
    return Anything() if given is None and (host or settings().default_host.value) else given


def machines_of_target(target: Target) -> Machines:
    """Return where a target runs. Raises `SettingsError`."""
    machines = target.machines if isinstance(target, Workflow) else Machines()
    entry: Mapping[str, Any] = (target.entry or {}) if isinstance(target, Workflow) else target.recorded()
    return machines._replace(
        default_host=entry.get("host") or machines.default_host or settings().default_host.value,
        executor=entry.get("executor") or machines.executor,
    )


def refuse_names(machines: Machines) -> None:
    """Refuse names that no host and no executor has. Raises `WorkflowError`."""
    faults = [Complaint("", text) for _, text in Sites(machines).faults()]
    if faults:
        raise WorkflowError(faults)


def refuse_typed(target: Target, typed: Mapping[str, str | None]) -> None:
    """Refuse what was typed as `--host` and `--executor`, and that nothing has, by the names of these. Raises `WorkflowError`."""
    sites = Sites(machines_of_target(target))
    found = {option: sites.why_missing(f"{option}s", name) for option, name in typed.items()}
    faults = [Complaint("", f"--{option} is {why}") for option, why in found.items() if why]
    if faults:
        raise WorkflowError(faults)
