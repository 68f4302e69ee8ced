"""What `aiodag serve` is told: by options, by `AIODAG_SERVE_...`, and by the table `[serve]` of the file with settings.

An option wins over the environment, and that over the file, as for all settings. Everything that is wrong is said at once.
"""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from aiodag._core.doors import open_door
from aiodag.errors import Complaint, OptionError, SettingsError
from aiodag.service.access import given_tokens
from aiodag.service.settings import (
    SERVE,
    SettingsFile,
    describe_wrong,
    read_count,
    read_names,
    read_switch,
    read_word,
    settings_file,
    variable_of,
)
from aiodag.typed_forms import describe_given, near_words

if TYPE_CHECKING:
    from aiodag.service.service import Service

HOST, PORT = "127.0.0.1", 2503


class ServeOptions(NamedTuple):
    """All that a server is told.

    `environment` names the variables that documents which come over HTTP may read.
    """

    host: str = HOST
    port: int = PORT
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    token_file: Path | None = None
    environment: tuple[str, ...] = ()
    no_commands: bool = False
    only_registered: bool = False
    certificate: Path | None = None
    key: Path | None = None
    worker: bool = False
    queues: tuple[str, ...] = ()
    limit: int | None = None

    @property
    def is_exposed(self) -> bool:
        """True if other machines can reach it."""
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:  # it is a name
            return self.host != "localhost"


class ServeKey(NamedTuple):
    """How a key of `[serve]` is read, which field it is, and whether it is a path in the directory of its file."""

    read: Callable[[object], Any]
    field: str
    is_path: bool = False


def read_port(value: object) -> int:
    """Return a port; 0 is one that the system picks."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.fullmatch(r"[0-9]{1,5}", text) and int(text) < 2**16:
        return int(text)
    raise ValueError(f"{describe_wrong(value)} is not a port: a number up to 65535, and 0 for one that is free")


def read_address(value: object) -> str:
    """Return a name or an address to listen on.

    >>> read_address("[::1]"), read_address("0.0.0.0")
    ('::1', '0.0.0.0')
    """
    text = read_word(value)
    if re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]+|[\w.-]+", text):
        return text.strip("[]")
    raise ValueError(f"{describe_wrong(value)} is not an address to listen on, such as 127.0.0.1 or ::1")


def read_root_path(value: object) -> str:
    """Return the path below which a proxy shows the server; without a slash at its end.

    >>> read_root_path("/aiodag/"), read_root_path("/")
    ('/aiodag', '')
    """
    if isinstance(value, str) and re.fullmatch(r"(?:/[\w.~-]+)*/?", value) and ".." not in value:
        return value.rstrip("/")
    raise ValueError(f"{describe_wrong(value)} is not a path such as /aiodag")


def read_networks(value: object) -> tuple[str, ...]:
    """Return addresses and networks of proxies."""
    found = read_names(value)
    for each in found:
        try:
            ip_network(each)
        except ValueError:
            wanted = "is not the address of a proxy, such as 127.0.0.1, or a network, such as 10.0.0.0/8"
            raise ValueError(f"{describe_wrong(each)} {wanted}") from None
    return found


def read_host_names(value: object) -> tuple[str, ...]:
    """Return names by which browsers may ask for the server."""
    found = read_names(value)
    for each in found:
        if not re.fullmatch(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", each):
            raise ValueError(f"{describe_wrong(each)} is not the name of a host, such as example.com; without a port")
    return tuple(each.lower() for each in found)


def read_origins(value: object) -> tuple[str, ...]:
    """Return origins: a scheme and a host."""
    found = read_names(value)
    for each in found:
        if not re.fullmatch(r"https?://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", each):
            raise ValueError(f"{describe_wrong(each)} is not an origin, such as https://example.org")
    return tuple(each.lower() for each in found)


def read_variables(value: object) -> tuple[str, ...]:
    """Return names of variables of the environment."""
    found = read_names(value)
    for each in found:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", each):
            raise ValueError(f"{describe_wrong(each)} is not the name of a variable of the environment")
    return found


SERVE_KEYS: Mapping[str, ServeKey] = MappingProxyType(
    {
        "host": ServeKey(read_address, "host"),
        "port": ServeKey(read_port, "port"),
        "root_path": ServeKey(read_root_path, "root_path"),
        "trust_proxy": ServeKey(read_networks, "trusted_proxies"),
        "allow_host": ServeKey(read_host_names, "allowed_hosts"),
        "allow_origin": ServeKey(read_origins, "allowed_origins"),
        "token_file": ServeKey(read_word, "token_file", is_path=True),
        "env": ServeKey(read_variables, "environment"),
        "no_commands": ServeKey(read_switch, "no_commands"),
        "only_registered": ServeKey(read_switch, "only_registered"),
        "certificate": ServeKey(read_word, "certificate", is_path=True),
        "key": ServeKey(read_word, "key", is_path=True),
        "worker": ServeKey(read_switch, "worker"),
        "queue": ServeKey(read_names, "queues"),
        "limit": ServeKey(read_count, "limit"),
    }
)


def serve_options(typed: Mapping[str, object]) -> ServeOptions:
    """Return what a server is told; `typed` has options by the keys of `[serve]`. Raises `SettingsError` with all that is wrong.

    >>> serve_options({"port": "8080"})[:2]
    ('127.0.0.1', 8080)
    """
    complaints: list[Complaint] = []
    found = {
        **options_in_file(settings_file(complaints), complaints),
        **options_in_environment(complaints),
        **typed_options(typed, complaints),
    }
    options = ServeOptions(**found)
    if options.key is not None and options.certificate is None:
        complaints.append(Complaint("key", "is the key of a certificate, so it is given with one"))
    alone = [name for name in ("queue", "limit") if name in typed and not options.worker]
    complaints += [Complaint(f"--{name}", "is for the worker of this server, which --worker starts") for name in alone]
    if complaints:
        raise SettingsError(complaints)
    return options


def page_server(service: "Service", options: ServeOptions, spans: Any = None) -> Any:
    """Return the server of a store, which `run` runs, with spans of requests if it traces them. Raises `OptionError` and `MissingExtra`."""
    return open_door("web").PageServer(service, options, spans)


def refuse_exposed(service: "Service", options: ServeOptions) -> None:
    """Refuse to listen for other machines where nobody has decided who may use it. Raises `OptionError`."""
    if not tokens_of_server(options) and options.is_exposed and not any(token.is_valid for token in service.tokens()):
        wanted = "an address of this machine alone, or a store with a token, which `aiodag token new NAME --role operate` makes; or --token-file"
        raise OptionError("--host", options.host, wanted)


def tokens_of_server(options: ServeOptions) -> tuple[str, ...]:
    """Return the tokens that a server is started with. Raises `OptionError`."""
    return given_tokens(options.token_file)


def options_in_file(file: SettingsFile | None, complaints: list[Complaint]) -> dict[str, Any]:
    """Return what `[serve]` of a file says, by fields."""
    given = {} if file is None else file.values.get(SERVE, {})
    if file is None or not given:
        return {}
    if not isinstance(given, Mapping):
        wanted = f"takes a table, [{SERVE}]; this is {describe_given(given)}"
        complaints.append(Complaint(file.place(SERVE), f"{SERVE}: {wanted}"))
        return {}
    found: dict[str, Any] = {}
    for name, value in given.items():
        place = file.place(f"{SERVE}.{name}")
        if name not in SERVE_KEYS:
            complaints.append(Complaint(place, f"{describe_wrong(name)}: {near_words(name, SERVE_KEYS)}"))
            continue
        put_option(found, name, value, place, complaints, file.path.parent)
    return found


def options_in_environment(complaints: list[Complaint]) -> dict[str, Any]:
    """Return what the environment says, by fields. An empty variable says nothing."""
    found: dict[str, Any] = {}
    for name in SERVE_KEYS:
        variable = variable_of(f"{SERVE}_{name}")
        if text := os.environ.get(variable):
            put_option(found, name, text, variable, complaints, Path())
    return found


def typed_options(typed: Mapping[str, object], complaints: list[Complaint]) -> dict[str, Any]:
    """Return what was typed, by fields."""
    found: dict[str, Any] = {}
    for name, value in typed.items():
        put_option(found, name, value, f"--{name.replace('_', '-')}", complaints, Path())
    return found


def put_option(
    found: dict[str, Any], name: str, value: object, place: str, complaints: list[Complaint], folder: Path
) -> None:
    """Put an option among those that were found, or what is wrong with it among the complaints."""
    key = SERVE_KEYS[name]
    try:
        read = key.read(value)
    except ValueError as error:
        complaints.append(Complaint(place, str(error)))
    else:
        found[key.field] = folder / Path(read).expanduser() if key.is_path else read
