"""Run an agent here, and look after those of the settings."""

import asyncio
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from aiodag._core.capacity import request_of
from aiodag._core.doors import open_door
from aiodag.commands.agent_wire import read_token, write_token
from aiodag.commands.forms import HOST_TYPES
from aiodag.errors import AiodagError, OptionError
from aiodag.programs import HostState
from aiodag.service.settings import settings
from aiodag.typed_forms import near_words, target_form

LISTEN = "127.0.0.1:2504"
ORPHAN_GRACE, ORPHAN_GRACE_LEAST, ORPHAN_GRACE_MOST = 60.0, 1.0, 86_400.0
LOOPBACK = ("127.", "localhost:", "::1]")


class AgentOptions(NamedTuple):
    """What `aiodag agent` was told. Durations are seconds."""

    listen: str = LISTEN
    token_file: str | None = None
    resources: Mapping[str, float] | None = None
    certificate: str | None = None
    key: str | None = None
    orphan_grace: float = ORPHAN_GRACE
    grace: float = 30.0
    directory: str | None = None


def make_token(path: str) -> None:
    """Write a new token into a new file that only its owner can read. Raises `OptionError` if the file is there."""
    write_token(Path(path))


def agent_server(options: AgentOptions) -> Any:
    """Return the agent that was asked for, which `run` runs. Raises `OptionError` and `MissingExtra`."""
    if options.token_file is None:
        raise OptionError(
            "--token-file",
            "",
            "a file with a token, which `aiodag agent --new-token FILE` makes: an agent runs any command",
        )
    if not ORPHAN_GRACE_LEAST <= options.orphan_grace <= ORPHAN_GRACE_MOST:
        raise OptionError("--orphan-grace", f"{options.orphan_grace:g}s", "a time between one second and one day")
    if options.key is not None and options.certificate is None:
        raise OptionError("--key", options.key, "the key of a certificate, so it is given with --certificate")
    token = read_token(Path(options.token_file))
    address, port = listening_place(options.listen)
    resources = machine_resources() if options.resources is None else options.resources
    request_of("--resources", resources)
    # Here: only who runs an agent needs its packages.
    from aiodag.agent.serving import AgentServer  # noqa: PLC0415 - see above
    from aiodag.agent.table import AgentSettings  # noqa: PLC0415 - see above
    from aiodag.listening.uvicorn import Endpoint  # noqa: PLC0415 - see above

    certificate, key = (None if each is None else Path(each) for each in (options.certificate, options.key))
    directory = Path(options.directory) if options.directory else usual_directory(port)
    endpoint = Endpoint(address, port, certificate, key)
    return AgentServer(endpoint, AgentSettings(resources, directory, options.orphan_grace), token, options.grace)


def is_exposed(options: AgentOptions) -> bool:
    """Return True if others on the network can read what goes to an agent.

    >>> is_exposed(AgentOptions("[::1]:2504")), is_exposed(AgentOptions("[::1234]:2504"))
    (False, True)
    """
    return options.certificate is None and not options.listen.strip("[").startswith(LOOPBACK)


def listening_place(text: str) -> tuple[str, int]:
    """Return the address and the port to listen on. Raises `OptionError`.

    >>> listening_place("127.0.0.1:2504"), listening_place("[::1]:0")
    (('127.0.0.1', 2504), ('::1', 0))
    """
    found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[^\s:\[\]/@]+)):(?P<port>[0-9]{1,5})", text)
    if found is None or int(found["port"]) >= 2**16:
        raise OptionError("--listen", text, f"an address and a port, such as {LISTEN} or [::1]:2504")
    return found["six"] or found["four"], int(found["port"])


def machine_resources() -> dict[str, float]:
    """Return the cores that this process may use, and the memory of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found: dict[str, float] = {"cores": cores}
    with suppress(ValueError, OSError, AttributeError):
        found["memory_mb"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return found


def usual_directory(port: int) -> Path:
    """Return the directory of an agent that was given none."""
    state = os.environ.get("XDG_STATE_HOME") or (os.environ.get("HOME") and f"{os.environ['HOME']}/.local/state")
    if state:
        return Path(state) / "aiodag" / f"agent-{port}"
    return Path(tempfile.gettempdir()) / f"aiodag-agent-{os.getuid()}-{port}"


# The agents of the settings


class NamedAgent(NamedTuple):
    """An agent of the settings: the name of the host that it is, or is a target of, its address and its state."""

    host: str
    address: str
    state: HostState


def agent_forms() -> dict[str, list[Mapping[str, Any]]]:
    """Return the forms of all agents of the settings by the names of their hosts, those in pools too."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name, setting in settings().hosts.items():
        forms = [each for each in single_forms(setting.value) if each.get("type") == "agent"]
        if forms:
            found[name] = forms
    return found


def single_forms(form: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yield a form, or those of its targets."""
    if "targets" not in form:
        yield form
        return
    for target in form["targets"]:
        yield from single_forms(target_form(form, HOST_TYPES[form["type"]], target))


def chosen_forms(which: str | None) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the agents of one host by its name, or one by its own name or address, or all of them. Raises `OptionError`."""
    every = [(name, form) for name, forms in agent_forms().items() for form in forms]
    if which is None:
        return every
    asked = which.rstrip("/")
    addresses = [(name, form, form["address"].rstrip("/")) for name, form in every]
    chosen = [
        (name, form)
        for name, form, address in addresses
        if asked in {name, form.get("name"), address, address.partition("://")[2]}
    ]
    if not chosen:
        hint = near_words(which, dict.fromkeys(name for name, _ in every)) if every else "the settings have none"
        raise OptionError("HOST", which, f"the name of an agent of the settings, or its address; {hint}")
    return chosen


def look_at_agents(which: str | None = None, change: str | None = None) -> list[NamedAgent]:
    """Return the agents of the settings with their states, after a change ("drain" or "undrain") of those that are named.

    Raises `SettingsError`, `OptionError`, and `AiodagError` for an agent that cannot be changed.
    """
    return asyncio.run(look_at_all(chosen_forms(which), change))


async def look_at_all(forms: list[tuple[str, Mapping[str, Any]]], change: str | None) -> list[NamedAgent]:
    """Return agents with their states, all asked at once."""
    made = [(name, form["address"], agent_of_form(form, name)) for name, form in forms]
    if change is not None:
        changes = [change_agent(agent, change) for _, _, agent in made]
        failed = [why for why in await asyncio.gather(*changes) if why]
        if failed:
            raise AiodagError("; ".join(failed))
    states = await asyncio.gather(*[look_at_agent(agent) for _, _, agent in made])
    return [NamedAgent(name, address, state) for (name, address, _), state in zip(made, states, strict=True)]


def agent_of_form(form: Mapping[str, Any], name: str) -> Any:
    """Return the agent of a form, or the error that says why there is none."""
    try:
        return open_door("host_forms").host_of_form(form, name)
    except AiodagError as error:
        return error


async def change_agent(agent: Any, change: str) -> str:
    """Drain or undrain an agent; return why that could not be, or nothing."""
    if isinstance(agent, AiodagError):
        return str(agent)
    try:
        await (agent.drain() if change == "drain" else agent.undrain())
    except AiodagError as error:
        return str(error)
    return ""


async def look_at_agent(agent: Any) -> HostState:
    """Return the state of an agent, or why there is none."""
    if isinstance(agent, AiodagError):
        return HostState(reachable=False, why=str(agent))
    found: HostState = await agent.look()
    return found
