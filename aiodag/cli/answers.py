"""Print the answer of a command: as JSON where that is asked for, else as text, in colours on a terminal that has rich."""

import sys
from argparse import Namespace
from types import ModuleType

from aiodag.cli import output


def say(args: Namespace, document: object, text: str) -> None:
    """Print an answer."""
    if args.json:
        output.put_json(document)
    else:
        say_text(text)


def say_text(text: str) -> None:
    """Print a text in which states have their colours."""
    rich = rich_here()
    if text:
        (output.write_lines if rich is None else rich.print_coloured)(text)


def say_states(text: str) -> None:
    """Print lines that begin with the sign of a state, each in the colour of that state."""
    rich = rich_here()
    if text:
        (output.write_lines if rich is None else rich.print_states)(text)


def rich_here() -> ModuleType | None:
    """Return what draws on a terminal, if the output is one and there is rich."""
    if not output.is_terminal(sys.stdout):
        return None
    try:
        from aiodag.cli import rich  # noqa: PLC0415 - only who has a terminal needs it
    except ImportError:
        return None
    return rich


def print_remark(args: Namespace, text: str) -> None:
    """Print a remark, unless the command is to be quiet."""
    if not args.quiet:
        output.write_remark(text)
