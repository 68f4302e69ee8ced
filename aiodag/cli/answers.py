"""Print the answer of a command: as JSON where that is asked for, else as text, in colours on a terminal that has rich."""

import sys
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from typing import Any

from aiodag.cli import output


def say(args: Namespace, document: Any, text: str) -> None:
    """Print an answer."""
    if args.json:
        output.put_json(document)
    else:
        say_text(text)


def say_text(text: str) -> None:
    """Print a text in which states have their colours."""
    paint("print_coloured", text)


def say_states(text: str) -> None:
    """Print lines that begin with the sign of a state, each in the colour of that state."""
    paint("print_states", text)


def paint(how: str, text: str) -> None:
    """Print a text in colours where that can be done, else plain."""
    if not text:
        return
    painter = on_terminal(how)
    if painter is None:
        output.put(text)
    else:
        painter(text)


def on_terminal(name: str) -> Callable[..., Any] | None:
    """Return what `aiodag.cli.rich` calls so, if the output is a terminal and there is rich."""
    if not output.is_terminal(sys.stdout):
        return None
    try:
        return getattr(import_module("aiodag.cli.rich"), name)  # type: ignore[no-any-return]  # by name
    except ImportError:
        return None


def remark(args: Namespace, text: str) -> None:
    """Print a remark, unless the command is to be quiet."""
    if not args.quiet:
        output.remark(text)
