"""What people set once for all commands: in the environment, or in `aiodag.toml` or `pyproject.toml`.

An option of a command wins over the environment, and that over the file. The file is the first that is found from the working
directory upwards, or the one that `AIODAG_CONFIG` names. Paths in it are relative to its directory.
"""

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from aiodag.errors import Complaint, SettingsError
from aiodag.queue_defaults import DEFAULT_QUEUE, LINGER
from aiodag.service.host_tables import NO_TABLE, placed_row, read_table
from aiodag.stores.places import usual_place
from aiodag.stores.value_places import value_address
from aiodag.wording import printable, read_duration

FILES = ("aiodag.toml", "pyproject.toml")
CONFIG = "AIODAG_CONFIG"
TABLE = "tool.aiodag"  # of pyproject.toml
SWITCHES = MappingProxyType({"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False})
LARGEST = 1_000_000  # bytes of a file
LONGEST_GUESS = 100  # characters of a wrong key for which one that is near is looked for
DEFAULT, DIRECTORY = "default", "conf"


class Setting(NamedTuple):
    """The value of a setting, and where it comes from: "default", a variable of the environment, or FILE:LINE.

    `folder` is the directory in which its modules are looked for.
    """

    value: Any
    origin: str = DEFAULT
    folder: Path = Path()


class AllSettings(NamedTuple):
    r"""All settings. `aiodag info` shows them. `hosts` and `executors` have a setting for each name: its form, and where it stands.

    >>> import os
    >>> from pathlib import Path
    >>> size = Path("aiodag.toml").write_text('timezone = "Europe/Paris"\nqueue = "nightly"')
    >>> os.environ["AIODAG_QUEUE"] = "hourly"
    >>> found = settings()
    >>> found.timezone.value, found.timezone.origin.rpartition("/")[2]
    ('Europe/Paris', 'aiodag.toml:1')
    >>> found.queue.value, found.queue.origin
    ('hourly', 'AIODAG_QUEUE')
    """

    store: Setting
    timezone: Setting = Setting("UTC")
    conf: Setting = Setting((DIRECTORY,))
    registry: Setting = Setting(())
    registry_filters: Setting = Setting(())
    queue: Setting = Setting(DEFAULT_QUEUE)
    limit: Setting = Setting(None)
    linger: Setting = Setting(LINGER)
    values: Setting = Setting(None)
    default_host: Setting = Setting(None)
    token_file: Setting = Setting(None)
    trace: Setting = Setting(False)
    hosts: Mapping[str, Setting] = NO_TABLE
    executors: Mapping[str, Setting] = NO_TABLE


class SettingsFile(NamedTuple):
    """A file with settings: its path, what is in it, and the line of each key."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    def place(self, key: str) -> str:
        """Return where a key stands, such as `store` or `hosts.hpc.partition`; of one without a line, where that around it does."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines.get(key, 1)}"


def settings() -> AllSettings:
    """Return all settings, and where each comes from. Raises `SettingsError` with all that is wrong."""
    complaints: list[Complaint] = []
    file = settings_file(complaints)
    given: dict[str, Any] = {**from_file(file, complaints), **from_environment(complaints)}
    given |= {key: rows_in(file, key, complaints) for key in TABLES}
    if complaints:
        raise SettingsError(complaints)
    given.setdefault("store", Setting(usual_place()))
    if file is not None:
        given.setdefault("conf", Setting((str(file.path.parent / DIRECTORY),)))
    return AllSettings(**given)


# The file


def settings_file(complaints: list[Complaint]) -> SettingsFile | None:
    """Return the file with settings, if there is one: the one that is named, or the first from here upwards."""
    named = os.environ.get(CONFIG)
    if named:
        return read_settings(Path(named).absolute(), complaints, named=True)
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return None
    for folder in (here, *here.parents):
        for name in FILES:
            path = folder / name
            # A directory that is closed to us has no file for us.
            is_there = os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises there
            if is_there and (found := read_settings(path, complaints, named=name == FILES[0])):
                return found
    return None


def read_settings(path: Path, complaints: list[Complaint], *, named: bool) -> SettingsFile | None:
    """Return what a file sets. A `pyproject.toml` that nobody has named need not have anything for us in it."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            complaints.append(Complaint(str(path), f"is larger than the {LARGEST:,} bytes that are read"))
            return None
        found = parse_settings(path, content.decode())
    except OSError as error:
        complaints.append(Complaint(str(path), f"cannot be read: {error.strerror}"))
        return None
    except ValueError as error:
        complaints.append(Complaint(str(path), f"is not valid TOML: {printable(str(error))}"))
        return None
    if found is None and named:
        complaints.append(Complaint(str(path), f"has no [{TABLE}]"))
    return found


@lru_cache(maxsize=16)
def parse_settings(path: Path, text: str) -> SettingsFile | None:
    """Return what the text of a file sets, or None if it is about other programs. Raises ValueError for what is not TOML."""
    import tomllib

    if path.name != FILES[1]:
        return SettingsFile(path, tomllib.loads(text), lines_of_keys(text, ""))
    if "aiodag" not in text:
        return None  # and then it does not matter whether it can be read
    tool = tomllib.loads(text).get("tool", {})
    return SettingsFile(path, tool["aiodag"], lines_of_keys(text, TABLE)) if "aiodag" in tool else None


def lines_of_keys(text: str, table: str) -> dict[str, int]:
    """Return the line of each key of a table: the parser of the standard library tells none."""
    found: dict[str, int] = {}
    here, above = "", f"{table}." if table else ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            here = stripped.partition("#")[0].strip("[] ").replace('"', "").replace("'", "")
            found.setdefault(here.removeprefix(above), number)
        elif "=" in stripped and (here == table or here.startswith(above)):
            key = stripped.partition("=")[0].strip().replace('"', "").replace("'", "")
            inside = "" if here == table else f"{here.removeprefix(above)}."
            found.setdefault(f"{inside}{key}", number)
    return found


# What is set


def from_file(file: SettingsFile | None, complaints: list[Complaint]) -> dict[str, Setting]:
    """Return what a file sets. Unknown keys and wrong values are added to the complaints."""
    found: dict[str, Setting] = {}
    for key, value in file.values.items() if file else ():
        assert file is not None
        folder = file.path.parent
        if key in TABLES or key == SERVE:
            continue
        if key not in READERS:
            near = get_close_matches(key, KEYS, 1) if len(key) < LONGEST_GUESS else []
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(KEYS)}"
            complaints.append(Complaint(file.place(key), f"{printable(key)}: is a key that is not known here; {hint}"))
            continue
        try:
            read = READERS[key](value)
        except ValueError as error:
            complaints.append(Complaint(file.place(key), f"{key}: {error}"))
        else:
            found[key] = Setting(PLACED[key](read, folder) if key in PLACED else read, file.place(key), folder)
    return found


def rows_in(file: SettingsFile | None, key: str, complaints: list[Complaint]) -> Mapping[str, Setting]:
    """Return what a file has in one of its tables: by name, each with its line."""
    if file is None or key not in file.values:
        return NO_TABLE
    folder = file.path.parent
    rows = read_table(key, file.values[key], file.place, complaints)
    return {name: Setting(placed_row(key, form, folder), file.place(f"{key}.{name}"), folder) for name, form in rows}


def from_environment(complaints: list[Complaint]) -> dict[str, Setting]:
    """Return what the environment sets. An empty variable sets nothing. Wrong values are added to the complaints."""
    found: dict[str, Setting] = {}
    for key, read in READERS.items():
        name = variable_of(key)
        if text := os.environ.get(name):
            try:
                found[key] = Setting(read(text.split(os.pathsep) if key == "conf" else text), name)
            except ValueError as error:
                complaints.append(Complaint(name, str(error)))
    return found


def variable_of(key: str) -> str:
    """Return the variable of the environment that sets a key.

    >>> variable_of("registry_filters")
    'AIODAG_REGISTRY_FILTERS'
    """
    return f"AIODAG_{key.upper()}"


# One value, from a file or as a text from the environment


def read_word(value: object) -> str:
    """Return a text that is not empty."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise ValueError(f"{describe_wrong(value)} is not a text")


def read_value_place(value: object) -> str:
    """Return where large values are kept."""
    value_address(read_word(value))
    return read_word(value)


def read_zone(value: object) -> str:
    """Return the name of a zone."""
    from aiodag.schedules.zones import zone_of

    try:
        return zone_of(read_word(value)).key
    except ValueError as error:
        raise ValueError(str(error).removeprefix("timezone ")) from None


def read_names(value: object) -> tuple[str, ...]:
    """Return names: a list of texts, or a text with commas."""
    given = value.split(",") if isinstance(value, str) else value
    if isinstance(given, list):
        return tuple(read_word(each).strip() for each in given if each != "")
    raise ValueError(f"{describe_wrong(value)} is not a list of texts")


def read_folders(value: object) -> tuple[str, ...]:
    """Return folders: a text, or a list of them."""
    return read_names([value] if isinstance(value, str) else value)


def read_count(value: object) -> int:
    """Return a whole number of 1 or more."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0:
        return int(text)
    raise ValueError(f"{describe_wrong(value)} is not a whole number of 1 or more")


def read_seconds(value: object) -> float:
    """Return the seconds of a duration: a number, or a text such as `5s` or `2m`."""
    seconds = read_duration(value) if isinstance(value, str) else value
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < 10**9:
        return float(seconds)
    raise ValueError(f"{describe_wrong(value)} is not a duration: a number of seconds, or a text such as '5s' or '2m'")


def read_switch(value: object) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in SWITCHES:
        return SWITCHES[value.lower()]
    raise ValueError(f"{describe_wrong(value)} is neither true nor false")


def describe_wrong(value: object) -> str:
    """Return a wrong value for a message."""
    text = printable(repr(value))
    return text if len(text) < 60 else f"{text[:59]}…"


READERS: Mapping[str, Callable[[object], Any]] = {
    "store": read_word,
    "timezone": read_zone,
    "conf": read_folders,
    "registry": read_names,
    "registry_filters": read_names,
    "queue": read_word,
    "limit": read_count,
    "linger": read_seconds,
    "values": read_value_place,
    "default_host": read_word,
    "token_file": read_word,
    "trace": read_switch,
}
TABLES = ("hosts", "executors")  # which a file alone has
SERVE = "serve"  # the table of `aiodag serve`, which reads it
KEYS = (*READERS, *TABLES, SERVE)


# What stands in a file is relative to its directory


def placed_store(address: str, folder: Path) -> str:
    """Return the address of a store with the path of a file that is relative to a folder.

    >>> placed_store("sqlite:///runs.db", Path("/srv")), placed_store("runs.db", Path("/srv")), placed_store("memory:", Path("/srv"))
    ('sqlite:////srv/runs.db', '/srv/runs.db', 'memory:')
    """
    scheme = "sqlite:///" if address.startswith("sqlite:///") else ""
    path = address.removeprefix(scheme)
    if ":" in path.partition("/")[0] or path.startswith("~"):
        return address
    return f"{scheme}{folder / path}"


def placed_files(names: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Return names of modules, with the paths of those that are files."""
    return tuple(str(folder / name) if name.endswith(".py") else name for name in names)


def placed_folders(names: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Return the paths of folders."""
    return tuple(str(folder / name) for name in names)


def placed_file(path: str, folder: Path) -> str:
    """Return the path of a file that is relative to a folder, or to somebody's home."""
    return str(folder / Path(path).expanduser())


def placed_values(address: str, folder: Path) -> str:
    """Return the address of a place for values, with a path that is relative to a folder."""
    return address if "://" in address else str(folder / address)


PLACED: Mapping[str, Callable[[Any, Path], Any]] = {
    "store": placed_store,
    "conf": placed_folders,
    "registry": placed_files,
    "registry_filters": placed_files,
    "values": placed_values,
    "token_file": placed_file,
}
