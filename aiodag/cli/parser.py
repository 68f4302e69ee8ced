"""Parse as argparse does, and answer what cannot be parsed in one line that names the near miss."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn, Protocol

from aiodag.cli import output
from aiodag.cli.table import carry_out_help

MOST_TAKERS = 3  # commands that are named as those which take an option
REQUIRED = "the following arguments are required: "
CHOICE = re.compile(r"argument (?P<which>[^:]*): invalid choice: '?(?P<given>[^'\s]*)'? \(choose from (?P<known>.*)\)")

# Commands as people may call them, and where what they mean is.
CALLED = {"prune": "`aiodag delete --older 30d` deletes ended runs by age, and --keep by count"}


class Parser(argparse.ArgumentParser):
    """Ends with one line and exit code 2 where argparse would print its usage."""

    commands: "dict[str, Parser]"
    example = ""  # of a command
    words: Sequence[str] = ()  # that an argument can be, for completion, where it has no choices
    asked: Sequence[str] = ()  # what completion asks for, where the names of arguments do not say it

    def error(self, message: str) -> NoReturn:
        """Print what cannot be parsed, and what comes near to it."""
        choice = CHOICE.search(message)
        if choice:
            known = re.findall(r"[\w-]+", choice["known"])
            called = CALLED.get(choice["given"]) if choice["which"] == "COMMAND" else None
            hint = called or near_option(choice["given"], known) or f"one of {', '.join(known)}"
            what = "unknown command" if choice["which"] == "COMMAND" else f"{choice['which']} cannot be"
            message = f"{what} {choice['given']!r}; {hint}"
        if message.startswith(REQUIRED) and self.example:
            message = f"{self.prog} needs {message.removeprefix(REQUIRED)}, as in `{self.example}`"
        self.exit(2, f"aiodag: {message} (try: {self.prog} --help)\n")

    def options(self) -> list[str]:
        """Return every way to write an option."""
        return [option for action in self._actions for option in action.option_strings]

    def unknown(self, given: Sequence[str], others: Mapping[str, "Parser"]) -> NoReturn:
        """Refuse arguments that no option takes, but perhaps one of another command."""
        first = given[0].partition("=")[0]
        takers = [name for name, other in others.items() if first in other.options()] if first.startswith("-") else []
        takers = takers[:MOST_TAKERS]
        hint = near_option(first, self.options()) if first.startswith("--") else ""
        if re.fullmatch(r"\w+=.*", given[0], re.DOTALL) and "-p" in self.options():
            hint = f"a parameter is given as -p {given[0]}"
        if takers:
            hint = f"{' and '.join(takers)} {'do' if len(takers) > 1 else 'does'}, as in `{others[takers[0]].example}`"
        self.error(f"{self.prog} does not take {' '.join(given)!r}{hint and f'; {hint}'}")


class CommandGroup(Protocol):
    """What argparse adds commands to."""

    def add_parser(self, name: str, **options: Any) -> Parser:
        """Add a command."""
        ...


class Version(argparse.Action):
    """Prints the version. It is looked up only then: that takes longer than all the rest of the parser."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print it and exit."""
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

        try:
            found = version("aiodag")
        except PackageNotFoundError:
            found = "(not installed: it runs from its source)"
        output.write(f"aiodag {found}\n")
        parser.exit()


class TargetHelp(argparse.Action):
    """Prints the help, and after a target the parameters of that target."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        text = "show this help, and the parameters of a target that comes before it, and exit"
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=text)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any) -> None:
        """Print it and exit; or have the parameters of the target told as well, which needs more than the parser."""
        parser.print_help()
        if getattr(namespace, "target", None) is None:
            parser.exit()
        namespace.carry_out = carry_out_help


def near_option(given: str, known: Sequence[str]) -> str:
    """Return a question that names the nearest, or nothing."""
    found = get_close_matches(given, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]}?" if found else ""


def add_common(parser: argparse.ArgumentParser, default: Any) -> None:
    """Add what every command takes, before or after its name."""
    # Suppressed after the name: a default there would undo what was given before it.
    parser.add_argument(
        "--store",
        metavar="ADDRESS",
        default=default,
        help="a path, sqlite:///PATH, postgresql://HOST/DATABASE, or http://HOST:2503 of a server (default: $AIODAG_STORE, or that of the settings: see info)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=default,
        help="the file with settings (default: $AIODAG_CONFIG, or see info)",
    )
    parser.add_argument("--json", action="store_true", default=default, help="print one JSON document")
    parser.add_argument(
        "-q", "--quiet", action="store_true", default=default, help="no progress and no remarks, only errors"
    )
    parser.add_argument(
        "-v", "--traceback", action="store_true", default=default, help="show the traceback of an error"
    )


def add_command(
    group: CommandGroup,
    name: str,
    carry_out: Callable[[argparse.Namespace], int],
    summary: str,
    example: str,
    *,
    of_target: bool = False,
) -> Parser:
    """Add a command; its help may tell of a target."""
    added = group.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=not of_target,
    )
    if of_target:
        added.add_argument("-h", "--help", action=TargetHelp)
    added.example = example
    added.set_defaults(carry_out=carry_out)
    add_common(added, default=argparse.SUPPRESS)
    return added


def add_trace(parser: Parser, what: str) -> None:
    """Add that something is traced."""
    parser.add_argument(
        "--trace",
        action="store_true",
        help=f"send spans of {what} to OpenTelemetry, where its variables OTEL_... say",
    )
