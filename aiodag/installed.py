"""What is installed here: versions, and which extras."""

import platform
import sqlite3
from importlib.util import find_spec

EXTRAS = {
    "cli": "rich",
    "draw": "resvg_py",
    "otel": "opentelemetry",
    "postgres": "psycopg",
    "kafka": "aiokafka",
    "yaml": "yaml",
    "ssh": "asyncssh",
    "agent": "starlette",
    "dask": "distributed",
    "ray": "ray",
    "fsspec": "fsspec",
}


def versions() -> dict[str, str]:
    """Return the versions of what aiodag stands on, and its own."""
    # Here: it takes longer to load than all that looks at runs, and hardly anybody asks.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    try:
        own = version("aiodag")
    except PackageNotFoundError:
        own = "not installed"
    return {"aiodag": own, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}


def extras() -> dict[str, str]:
    """Return which extras are there."""
    return {f"extra {extra}": "installed" if find_spec(module) else "missing" for extra, module in EXTRAS.items()}
