"""Find a store by what people write: an address, a path, or nothing for the usual place."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from aiodag.abc import Journal, Runs
from aiodag.errors import StoreError
from aiodag.records import KEEP, checked_keep
from aiodag.stores.memory import Memory
from aiodag.stores.sql.sqlite import SQLite
from aiodag.wording import hide_password

if TYPE_CHECKING:
    from aiodag._core.run import Run

ENTERING = 32  # runs of one loop that are being opened in one store at a time
WANTED = "a path, 'sqlite:///runs.db', 'postgresql://HOST/DATABASE', 'memory:', or a store"
SCHEMES = ("postgresql", "postgres")


def usual_place() -> str:
    """Return where runs are kept by default: `AIODAG_STORE`, else a file in the user's state directory (XDG).

    Source: the XDG Base Directory Specification, version 0.8.

    >>> import os
    >>> from aiodag.stores import usual_place
    >>> os.environ["AIODAG_STORE"] = "sqlite:////srv/runs.db"
    >>> usual_place()
    'sqlite:////srv/runs.db'
    """
    given = os.environ.get("AIODAG_STORE")
    if given:
        return given
    state = os.environ.get("XDG_STATE_HOME", "")
    directory = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return f"sqlite:///{directory / 'aiodag' / 'runs.db'}"


def store_at(place: object = None) -> Runs:
    """Return the store at an address. Raises `StoreError` for what is none.

    >>> str(store_at("sqlite:///runs.db"))
    'sqlite:///runs.db'
    """
    if place is None:
        place = usual_place()
    if isinstance(place, os.PathLike):
        return SQLite(Path(place))
    if not isinstance(place, str):
        if callable(getattr(place, "journal", None)):
            return cast("Runs", place)
        msg = f"store={place!r}: {WANTED}"
        raise StoreError(msg)
    scheme, separator, rest = place.partition(":")
    if scheme == "memory" and separator:
        return Memory.named(rest)
    if scheme == "sqlite" and separator:
        return sqlite_at(place, rest)
    if scheme in SCHEMES and separator:
        return postgres_at(place, rest)
    if "://" in place or place.startswith("file:"):
        msg = f"store={hide_password(place)!r}: {WANTED}"
        raise StoreError(msg)
    path, _, options = place.partition("?")
    if options.partition("=")[0] in {"synchronous", "keep", "backup"}:
        msg = f"store={place!r}: a path takes no options: write 'sqlite:///{path}?{options}'"
        raise StoreError(msg)
    return SQLite(place)


def whole_address(store: Runs) -> str:
    """Return an address at which another process opens the same store; with its password, if it has one.

    Raises `StoreError` for one in the memory of this process.
    """
    if isinstance(store, SQLite):
        return f"sqlite:///{store.path.absolute()}?synchronous={store.synchronous}"
    from urllib.parse import quote  # noqa: PLC0415 - slow to load, and only a server asks

    address = getattr(store, "address", None)
    if address is None:
        msg = f"{store} is in the memory of this process, and no other one can read it: use a file or PostgreSQL"
        raise StoreError(msg)
    return f"{address.conninfo}{'&' if '?' in address.conninfo else '?'}schema={quote(address.schema)}"


async def open_journal(run: "Run", place: object) -> Journal:
    """Return what writes a run to the store at an address, opened. Raises `StoreError`, and `RunOwned`."""
    doors = DOORS.setdefault(run.loop, {})
    key = os.fspath(place) if isinstance(place, str | os.PathLike) else id(place)
    door = doors.get(key)
    if door is None:
        door = doors[key] = Door()
    door.runs += 1
    try:
        async with door.room:
            store = store_at(place)
            journal = store.journal(run, ours=store is not place)
            await journal.open()
            return journal
    finally:
        door.runs -= 1
        if not door.runs:
            doors.pop(key, None)


class Door:
    """Lets runs of one loop begin in one store, a bounded number at a time.

    Thousands at once must not stop the loop. And what waits here is a `Run` and no more: a journal is some fifty objects,
    through which the garbage collector goes again and again.
    """

    def __init__(self) -> None:
        self.runs = 0  # that are in it, or wait for that
        self.room = asyncio.Semaphore(ENTERING)


DOORS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[object, Door]] = WeakKeyDictionary()


def sqlite_at(place: str, rest: str) -> SQLite:
    """Return the store of an address such as sqlite:///runs.db, or sqlite:////var/runs.db with an absolute path."""
    path, _, options = rest.partition("?")
    if not path.startswith("///") or path == "///":
        msg = f"store={place!r}: three slashes and a path, such as 'sqlite:///runs.db'"
        raise StoreError(msg)
    given = options_of_address(options) if options else {}
    synchronous = given.pop("synchronous", "NORMAL")
    keep = given.pop("keep", str(KEEP))
    backup = given.pop("backup", "yes")
    if backup not in {"yes", "no"}:
        msg = f"store={place!r}: backup is yes or no, not {backup!r}"
        raise StoreError(msg)
    if given:
        msg = f"store={place!r}: its options are synchronous, keep and backup, not {', '.join(given)}"
        raise StoreError(msg)
    kept = int(keep) if keep.isdecimal() else checked_keep(keep)
    return SQLite(path[3:], synchronous=synchronous, keep=kept, backup=backup == "yes")


def postgres_at(place: str, rest: str) -> Runs:
    """Return the store of an address such as postgresql://me@db.example/runs."""
    if not rest.startswith("//"):
        msg = f"store={place!r}: two slashes, a host and a database, such as 'postgresql://db.example/runs'"
        raise StoreError(msg)
    from aiodag.stores.sql.server import PostgreSQL  # noqa: PLC0415 - it needs an extra, and most have a file

    return PostgreSQL(place)


def options_of_address(text: str) -> dict[str, str]:
    """Return the options of an address."""
    from urllib.parse import parse_qsl  # noqa: PLC0415 - slow to load, and few addresses have options

    return dict(parse_qsl(text))
