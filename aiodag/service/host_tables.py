"""The tables of a file with settings that name hosts and executors: `[hosts.hpc]`, `[executors.gpu]`."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from aiodag._core.doors import open_door
from aiodag._core.named import EXECUTORS, LOCAL
from aiodag.complaint import Complaint
from aiodag.typed_forms import FormType, describe_given, fault_line, placed_form, refuse_name, shown_key

NO_TABLE: Mapping[str, Any] = MappingProxyType({})


class MachineTable(NamedTuple):
    """One such table: names for which it has no row, what is wrong with a form, and the types that a form can have."""

    taken: tuple[str, ...]
    faults: Callable[[Any], Iterator[tuple[tuple[str | int, ...], str]]]
    types: Mapping[str, FormType]


def table_of(key: str) -> MachineTable:
    """Return what the rows of a table can be. The door is opened for those who write such a table."""
    if key == "hosts":
        forms = open_door("host_forms")
        return MachineTable((LOCAL,), forms.host_faults, forms.HOST_TYPES)
    forms = open_door("executor_forms")
    return MachineTable(EXECUTORS, forms.executor_faults, forms.EXECUTOR_TYPES)


def read_table(
    key: str, given: object, place_of: Callable[[str], str], complaints: list[Complaint]
) -> Iterator[tuple[str, Any]]:
    """Yield the name and the form of each row that is right; what is wrong is added to the complaints, at its line."""
    if not isinstance(given, Mapping):
        wanted = f"takes tables, such as [{key}.NAME] with a type; this is {describe_given(given)}"
        complaints.append(Complaint(place_of(key), f"{key}: {wanted}"))
        return
    table = table_of(key)
    for name, form in given.items():
        faults = [((), why)] if (why := refuse_name(name, table.taken)) else list(table.faults(form))
        for fault in faults:
            path = ".".join([key, name, *(str(part) for part in fault[0] if isinstance(part, str))])
            text = fault_line(((key, shown_key(name), *fault[0]), fault[1]))
            complaints.append(Complaint(place_of(path), text))
        if not faults:
            yield name, form


def placed_row(key: str, form: Any, folder: Path) -> Any:
    """Return a form with its paths as those of the folder in which its file stands."""
    return form if isinstance(form, str) else placed_form(form, table_of(key).types, folder)
