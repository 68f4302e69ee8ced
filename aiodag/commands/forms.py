"""From the form of a host, as files write it, to the host: `{"type": "slurm", "partition": "debug"}`.

What each type may hold stands here, and not with its class: a form is checked without the packages that the class needs.
A key is the keyword argument of that name.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from aiodag._core.doors import open_door
from aiodag.complaint import Complaint
from aiodag.errors import WorkflowError
from aiodag.typed_forms import (
    ADDRESS,
    AMOUNTS,
    FLAG,
    PATH,
    SECONDS,
    TEXT,
    TEXTS,
    WHOLE,
    Fault,
    FormType,
    KeyKind,
    fault_line,
    form_faults,
    is_mapping,
    is_text,
    target_form,
)

POOL = "pool"
SWITCHES = KeyKind(
    'a list of options, each in one piece, such as ["--constraint=avx2"]',
    lambda value: TEXTS.fits(value) and all(each.startswith("-") for each in value),
)
FLAGS = KeyKind(
    'an object of resources and options of sbatch, such as {"licences": "--licenses=matlab:{}"}',
    is_mapping(is_text, lambda value: is_text(value) and value.startswith("-")),
)
HOST_TYPES: Mapping[str, FormType] = MappingProxyType(
    {
        "local": FormType("local", "LocalHost", {"resources": AMOUNTS}),
        "ssh": FormType(
            "ssh",
            "SSH",
            {
                "address": ADDRESS,
                "user": TEXT,
                "key": PATH,
                "known_hosts": PATH,
                "config": FLAG,
                "agent": FLAG,
                "resources": AMOUNTS,
                "at_once": WHOLE,
                "keepalive": SECONDS,
            },
            needed=("address",),
            targets=True,
        ),
        "slurm": FormType(
            "slurm",
            "Slurm",
            {
                "partition": TEXT,
                "account": TEXT,
                "qos": TEXT,
                "time_limit": SECONDS,
                "options": SWITCHES,
                "flags": FLAGS,
                "directory": TEXT,
                "python": TEXT,
                "interval": SECONDS,
                "array": WHOLE,
            },
        ),
        "agent": FormType(
            "agents",
            "Agent",
            {"address": ADDRESS, "token_file": PATH, "certificate": PATH, "resources": AMOUNTS},
            needed=("address", "token_file"),
            targets=True,
        ),
        POOL: FormType(POOL, "HostPool", {}, needed=("targets",), targets=True),
    }
)


def host_faults(form: object) -> Iterator[Fault]:
    """Yield all that is wrong with the form of a host, each with its place in it.

    >>> from aiodag.commands.forms import host_faults
    >>> list(host_faults({"type": "slurm", "partion": "debug"}))
    [(('partion',), "is a key that is not known here; did you mean 'partition'?")]
    """
    return form_faults(form, HOST_TYPES)


def host_of_form(form: Mapping[str, Any], name: str = "", place: str = "") -> Any:
    """Return the host that a form stands for; `name` is how records call it, unless the form says so.

    Raises `WorkflowError` with all that is wrong, each at its place behind `place`, and `MissingExtra`.

    >>> from aiodag.commands.forms import host_of_form
    >>> host_of_form({"type": "ssh", "adress": "node1"}, place="aiodag.toml:3")
    Traceback (most recent call last):
    aiodag.WorkflowError: aiodag.toml:3: adress: is a key that is not known here; did you mean 'address'?
    aiodag.toml:3: lacks 'address'
    """
    faults = list(host_faults(form))
    if faults:
        raise WorkflowError([Complaint(place, fault_line(fault)) for fault in faults])
    try:
        return made_host(form, name)
    except ValueError as error:  # what only the class can know, such as an address
        raise WorkflowError([Complaint(place, str(error))]) from None


def made_host(form: Mapping[str, Any], name: str) -> Any:
    """Return the host of a form that is right."""
    kind = HOST_TYPES[form["type"]]
    named = {"name": name} if name else {}
    if "targets" in form:
        whole = [target_form(form, kind, target) for target in form["targets"]]
        targets = [made_host(target, target.get("address", "")) for target in whole]
        return open_door(POOL).HostPool(targets, **{**named, **({"name": form["name"]} if "name" in form else {})})
    given = {key: value for key, value in form.items() if key != "type"}
    return getattr(open_door(kind.door), kind.made_by)(**{**named, **given})
