"""Print what completes the commands and their options in a shell, made from the parser: nothing to keep in step.

Written here and not taken from a package: it must be there in the base install, and is this one page. The scripts are
static, so that completing never starts Python.
"""

import argparse
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

from aiodag.cli import output
from aiodag.cli.grammar import build
from aiodag.cli.parser import Parser


class Option(NamedTuple):
    """An option of a command: how it can be written, what it takes, what it is for."""

    names: tuple[str, ...]
    takes: bool
    choices: tuple[str, ...]
    purpose: str


def print_completion(args: Namespace) -> int:
    """Print the script for a shell."""
    scripts = {"bash": bash, "zsh": zsh, "fish": fish}
    output.write(scripts[args.shell](build()))
    return 0


def options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    """Yield the options of a command."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to ask
        if action.option_strings:
            choices = tuple(map(str, action.choices or ()))
            yield Option(tuple(action.option_strings), action.nargs != 0, choices, action.help or "")


def words(parser: argparse.ArgumentParser) -> list[str]:
    """Return what an argument of a command can be, where that is known."""
    return [
        str(word)
        for action in parser._actions  # noqa: SLF001 - as above
        if not action.option_strings and not isinstance(action.choices, dict)
        for word in action.choices or ()
    ]


def summaries(parser: Parser) -> dict[str, str]:
    """Return what each command is for."""
    return {name: (each.description or "").rstrip(".") for name, each in parser.commands.items()}


def bash(parser: Parser) -> str:
    """Return the script for bash."""
    everything = {"": parser, **parser.commands}
    cases = [
        f"    {name or repr('')}) words='{' '.join([*words(each), *(parser.commands if not name else ())])}'; "
        f"options='{' '.join(spelling for option in options(each) for spelling in option.names)}' ;;"
        for name, each in everything.items()
    ]
    found = {option for each in everything.values() for option in options(each) if option.takes}
    plain = sorted(spelling for option in found if not option.choices for spelling in option.names)
    chosen = [
        f"    {'|'.join(option.names)}) COMPREPLY=($(compgen -W '{' '.join(option.choices)}' -- \"$word\")); return ;;"
        for option in sorted(found)
        if option.choices
    ]
    return "\n".join(
        [
            "_aiodag() {",
            "  local word=${COMP_WORDS[COMP_CWORD]} command='' words='' options='' each",
            '  for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
            f"    case $each in {'|'.join(parser.commands)}) command=$each; break ;; esac",
            "  done",
            "  COMPREPLY=()",
            "  case ${COMP_WORDS[COMP_CWORD-1]} in",
            *chosen,
            f"    {'|'.join(plain)}) return ;;",
            "  esac",
            "  case $command in",
            *cases,
            "  esac",
            "  [[ $word == -* ]] && words=$options",
            '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
            "}",
            "complete -o default -F _aiodag aiodag",
            "",
        ]
    )


def zsh(parser: Parser) -> str:
    """Return the script for zsh."""
    cases: list[str] = []
    for name, each in parser.commands.items():
        described = " ".join(
            quoted(f"{spelling}:{option.purpose}") for option in options(each) for spelling in option.names
        )
        cases.append(f"    {name}) options=({described}); arguments=({' '.join(words(each))}) ;;")
    commands = " ".join(quoted(f"{name}:{summary}") for name, summary in summaries(parser).items())
    return "\n".join(
        [
            "#compdef aiodag",
            "_aiodag() {",
            "  local each command=''",
            "  local -a commands options arguments",
            f"  commands=({commands})",
            '  for each in "${(@)words[2,CURRENT-1]}"; do',
            f"    case $each in {'|'.join(parser.commands)}) command=$each; break ;; esac",
            "  done",
            "  case $command in",
            "    '') _describe command commands; return ;;",
            *cases,
            "  esac",
            "  if [[ $PREFIX == -* ]]; then _describe -o option options",
            "  elif (( $#arguments )); then compadd -a arguments",
            "  else _files; fi",
            "}",
            'if [[ $funcstack[1] == _aiodag ]]; then _aiodag "$@"; else compdef _aiodag aiodag; fi',
            "",
        ]
    )


def fish(parser: Parser) -> str:
    """Return the script for fish."""
    commands = " ".join(parser.commands)
    first = f"complete -c aiodag -n 'not __fish_seen_subcommand_from {commands}'"
    lines = [f"{first} -f -a {name} -d {quoted(summary)}" for name, summary in summaries(parser).items()]
    lines += [f"{first} {fish_option(option)}" for option in options(parser)]
    for name, each in parser.commands.items():
        given = f"complete -c aiodag -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{given} -f -a {quoted(' '.join(words(each)))}"] if words(each) else []
        lines += [f"{given} {fish_option(option)}" for option in options(each)]
    return "\n".join([*lines, ""])


def fish_option(option: Option) -> str:
    """Return an option as fish wants it."""
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    parts += ["-r"] if option.takes else []
    parts += [f"-f -a {quoted(' '.join(option.choices))}"] if option.choices else []
    return " ".join([*parts, f"-d {quoted(option.purpose)}"])


def quoted(text: str) -> str:
    """Return a text in single quotes. Our own texts have no such quote in them: the shells escape it differently."""
    assert "'" not in text
    return f"'{text}'"
