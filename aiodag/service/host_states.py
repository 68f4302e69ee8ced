"""The hosts of the settings, and what each says when somebody looks."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiodag._core.named import LOCAL
from aiodag.commands.local import machine_name
from aiodag.errors import AiodagError, OptionError
from aiodag.programs import HostState
from aiodag.service.agents import agent_of_form, single_forms
from aiodag.service.settings import settings
from aiodag.typed_forms import near_words

LONGEST_LOOK = 15.0  # seconds for a host: it should do with five


class NamedState(NamedTuple):
    """A host of the settings, or one target of it: its name, its type, where it is, and its state."""

    host: str
    type: str
    target: str
    state: HostState


def look_at_hosts(which: str | None = None) -> list[NamedState]:
    """Return the hosts of the settings with their states, all asked at once; of one with targets a row for each.

    Raises `OptionError` for a name that no host has, and `SettingsError`.
    """
    known = {LOCAL: {"type": LOCAL}, **{name: setting.value for name, setting in settings().hosts.items()}}
    if which is not None and which not in known:
        raise OptionError("HOST", which, f"the name of a host of the settings; {near_words(which, known)}")
    rows = [(name, each) for name, form in known.items() if which in {None, name} for each in single_forms(form)]
    return asyncio.run(states_of(rows))


async def states_of(rows: list[tuple[str, Mapping[str, Any]]]) -> list[NamedState]:
    """Return the states of the hosts of some forms."""
    states = await asyncio.gather(*[state_of(name, form) for name, form in rows])
    return [
        NamedState(name, form["type"], word_for_place(form), state)
        for (name, form), state in zip(rows, states, strict=True)
    ]


async def state_of(name: str, form: Mapping[str, Any]) -> HostState:
    """Return what a host says, or why it says nothing."""
    host: Any = agent_of_form(form, name)
    if isinstance(host, AiodagError):
        return HostState(reachable=False, why=str(host))
    if not hasattr(host, "look"):
        return HostState(reachable=True, resources=dict(form.get("resources", {})))
    try:
        async with asyncio.timeout(LONGEST_LOOK):
            found: HostState = await host.look()
    except TimeoutError:
        return HostState(reachable=False, why=f"{name} has not answered within {LONGEST_LOOK:g} s")
    finally:
        if hasattr(host, "close"):
            await host.close()
    return found


def word_for_place(form: Mapping[str, Any]) -> str:
    """Return where a host is, in a word.

    >>> word_for_place({"type": "ssh", "address": "node1"}), word_for_place({"type": "slurm", "partition": "debug"})
    ('node1', 'debug')
    """
    if form["type"] == LOCAL:
        return str(form.get("name") or machine_name())
    return str(form.get("name") or form.get("address") or form.get("partition") or "")
