"""From the form of an executor, as files write it, to the executor: `{"type": "dask", "address": "tcp://127.0.0.1:8786"}`.

What each type may hold stands here, and not with its class: a form is checked without the packages that the class needs.
A key is the keyword argument of that name.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from aiodag._core.doors import open_door
from aiodag._core.named import EXECUTORS
from aiodag.complaint import Complaint
from aiodag.errors import WorkflowError
from aiodag.typed_forms import (
    ADDRESS,
    AMOUNT,
    AMOUNTS,
    TEXTS,
    WHOLE,
    Fault,
    FormType,
    fault_line,
    form_faults,
    near_words,
)

EXECUTOR_TYPES: Mapping[str, FormType] = MappingProxyType(
    {
        "dask": FormType(
            "dask",
            "Dask",
            {"address": ADDRESS, "by_value": TEXTS, "keep_from": WHOLE, "resources": AMOUNTS},
            needed=("address",),
            named=False,
        ),
        "ray": FormType(
            "ray",
            "Ray",
            {
                "address": ADDRESS,
                "by_value": TEXTS,
                "keep_from": WHOLE,
                "num_cpus": AMOUNT,
                "num_gpus": AMOUNT,
                "resources": AMOUNTS,
            },
            named=False,
        ),
    }
)


def executor_faults(form: object) -> Iterator[Fault]:
    """Yield all that is wrong with the form of an executor, each with its place in it; "thread" and "process" are forms too.

    >>> from aiodag.executors.forms import executor_faults
    >>> list(executor_faults({"type": "desk"}))
    [(('type',), "is 'desk', and no type has that name; did you mean 'dask'?")]
    """
    if form in EXECUTORS:
        return
    if isinstance(form, str):
        yield (
            (),
            f'is neither an object with a "type" nor the name of an executor of this machine; {near_words(form, EXECUTORS)}',
        )
    else:
        yield from form_faults(form, EXECUTOR_TYPES)


def executor_of_form(form: Any, place: str = "") -> Any:
    """Return the executor that a form stands for. Raises `WorkflowError` with all that is wrong, and `MissingExtra`.

    >>> from aiodag.executors.forms import executor_of_form
    >>> executor_of_form("thread")
    'thread'
    """
    if form in EXECUTORS:
        return form
    faults = list(executor_faults(form))
    if faults:
        raise WorkflowError([Complaint(place, fault_line(fault)) for fault in faults])
    kind = EXECUTOR_TYPES[form["type"]]
    given = {key: value for key, value in form.items() if key != "type"}
    try:
        return getattr(open_door(kind.door), kind.made_by)(**given)
    except ValueError as error:  # what only the class can know
        raise WorkflowError([Complaint(place, str(error))]) from None
