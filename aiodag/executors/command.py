"""The former place of `aiodag.commands`. It is removed in 1.5."""

from warnings import warn

from aiodag.commands import CommandFailed, Finished, command, shell

__all__ = ["CommandFailed", "Finished", "command", "shell"]

warn(
    "aiodag.executors.command is aiodag.commands since 1.4.0; the former name works until 1.5",
    DeprecationWarning,
    stacklevel=2,
)
