"""The former place of `SQLite`. It is removed in 1.5."""

from warnings import warn

from aiodag.stores import SQLite

__all__ = ["SQLite"]

warn(
    "aiodag.stores.sqlite is aiodag.stores since 1.4.0; the former name works until 1.5",
    DeprecationWarning,
    stacklevel=2,
)
