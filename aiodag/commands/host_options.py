"""What the options of hosts have in common: texts in one line, and paths."""

from os import PathLike, fspath
from pathlib import Path

from aiodag.errors import OptionError


def check_text(option: str, given: object) -> None:
    """Check one of the options that are words. Raises `OptionError`."""
    if given is not None and (not isinstance(given, str) or not given or not given.isprintable()):
        raise OptionError(option, given, "text in one line")


def check_host_name(given: object) -> None:
    """Check what a host is to be called; an empty name is none. Raises `OptionError`."""
    check_text("name", None if given == "" else given)


def checked_file_path(option: str, given: object) -> Path:
    """Return the path of a file. Raises `OptionError` for what cannot be one."""
    path = fspath(given) if isinstance(given, str | PathLike) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise OptionError(option, given, "the path of a file")
    return Path(path)
