"""Print what completes the commands and their options in a shell, made from the parser: nothing to keep in step.

Written here and not taken from a package: it must be there in the base install, and is this one page. Commands and options
stand in the scripts, so that completing them starts no Python; for ids of runs, names and parameters they ask `aiodag`.
"""

import argparse
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from aiodag.cli import output
from aiodag.cli.grammar import SHELLS, build_parser
from aiodag.cli.parser import Parser
from aiodag.errors import OptionError


class Option(NamedTuple):
    """An option of a command: how it can be written, what it takes, what it is for."""

    names: tuple[str, ...]
    takes: bool
    choices: tuple[str, ...]
    purpose: str


def print_completion(args: Namespace) -> int:
    """Print the script for a shell, or what it asks for."""
    if args.words is not None:
        from aiodag.cli.described import completion_words  # noqa: PLC0415 - a script is printed at once, without the service

        with suppress(Exception):  # nobody wants to read of an error while completing
            output.write("".join(f"{word}\n" for word in completion_words(args) if word.isprintable()))
        return 0
    if args.shell is None:
        raise OptionError("completion", args.shell, f"the shell: {', '.join(SHELLS)}")
    scripts = {"bash": bash, "zsh": zsh, "fish": fish}
    output.write(scripts[args.shell](build_parser()))
    return 0


def options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    """Yield the options of a command."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to ask
        if action.option_strings:
            choices = tuple(map(str, action.choices or ()))
            if action.help != argparse.SUPPRESS:
                yield Option(tuple(action.option_strings), action.nargs != 0, choices, action.help or "")


def words(parser: Parser) -> list[str]:
    """Return what an argument of a command can be, where that is known."""
    return [
        *parser.words,
        *(
            str(word)
            for action in parser._actions  # noqa: SLF001 - as above
            if not action.option_strings and not isinstance(action.choices, dict)
            for word in action.choices or ()
        ),
    ]


def words_to_ask(parser: Parser) -> list[str]:
    """Return what has to be asked for the arguments of a command."""
    if parser.asked:
        return [*parser.asked]
    places = {str(action.metavar) for action in parser._actions if not action.option_strings}  # noqa: SLF001 - as above
    ids = any("RUN" in place for place in places)
    names = any(part in place for place in places for part in ("TARGET", "NAME"))
    return ["runs"] * ids + ["names"] * names + ["topics"] * ("TOPIC" in places) + ["hosts"] * ("HOST" in places)


def summaries(parser: Parser) -> dict[str, str]:
    """Return what each command is for."""
    return {name: (each.description or "").rstrip(".") for name, each in parser.commands.items()}


def bash(parser: Parser) -> str:
    """Return the script for bash."""
    everything = {"": parser, **parser.commands}
    asking = "aiodag completion --words"
    cases = [
        f"    {name or repr('')}) words='{' '.join([*words(each), *(parser.commands if not name else ())])}'; "
        f"asked='{' '.join(words_to_ask(each))}'; options='{' '.join(spelling for option in options(each) for spelling in option.names)}' ;;"
        for name, each in everything.items()
    ]
    found = {option for each in everything.values() for option in options(each) if option.takes}
    plain = sorted({spelling for option in found for spelling in option.names} - {"-p"})
    # By command: two may have an option of the same name that takes other words.
    chosen = [
        f"    {'|'.join(quote_for_shell(f'{name} {spelling}') for spelling in option.names)}) "
        f"COMPREPLY=($(compgen -W '{' '.join(option.choices)}' -- \"$word\")); return ;;"
        for name, each in everything.items()
        for option in options(each)
        if option.choices
    ]
    return "\n".join(
        [
            "_aiodag() {",
            "  local word=${COMP_WORDS[COMP_CWORD]} command='' words='' asked='' options='' target='' each",
            '  for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
            f"    case $each in {'|'.join(parser.commands)}) command=$each; break ;; esac",
            "  done",
            '  for each in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do',
            "    [[ $each == -* ]] || { target=$each; break; }",
            "  done",
            "  COMPREPLY=()",
            '  case "$command ${COMP_WORDS[COMP_CWORD-1]}" in',
            *chosen,
            "  esac",
            "  case ${COMP_WORDS[COMP_CWORD-1]} in",
            f'    -p) compopt -o nospace; COMPREPLY=($(compgen -W "$({asking} parameters --of "$target" 2>/dev/null)" -- "$word")); return ;;',
            *(
                f'    --{what}) COMPREPLY=($(compgen -W "$({asking} {what}s 2>/dev/null)" -- "$word")); return ;;'
                for what in ("host", "executor")
            ),
            f"    {'|'.join(plain)}) return ;;",
            "  esac",
            "  case $command in",
            *cases,
            "  esac",
            "  [[ $word == -* ]] && words=$options",
            "  [[ $word != -* ]] && for each in $asked; do",
            f'    words="$words $({asking} $each 2>/dev/null)"',
            "  done",
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
            quote_for_shell(f"{spelling}:{option.purpose}") for option in options(each) for spelling in option.names
        )
        asks = " ".join(f"$(aiodag completion --words {what} 2>/dev/null)" for what in words_to_ask(each))
        cases.append(f"    {name}) options=({described}); arguments=({' '.join(words(each))} {asks}) ;;")
    commands = " ".join(quote_for_shell(f"{name}:{summary}") for name, summary in summaries(parser).items())
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
            "  else (( $#arguments )) && compadd -a arguments; _files; fi",
            "}",
            'if [[ $funcstack[1] == _aiodag ]]; then _aiodag "$@"; else compdef _aiodag aiodag; fi',
            "",
        ]
    )


def fish(parser: Parser) -> str:
    """Return the script for fish."""
    commands = " ".join(parser.commands)
    first = f"complete -c aiodag -n 'not __fish_seen_subcommand_from {commands}'"
    lines = [f"{first} -f -a {name} -d {quote_for_shell(summary)}" for name, summary in summaries(parser).items()]
    lines += [f"{first} {fish_option(option)}" for option in options(parser)]
    for name, each in parser.commands.items():
        given = f"complete -c aiodag -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{given} -f -a {quote_for_shell(' '.join(words(each)))}"] if words(each) else []
        lines += [
            f"{given} -a {quote_for_shell(f'(aiodag completion --words {what} 2>/dev/null)')}"
            for what in words_to_ask(each)
        ]
        lines += [f"{given} {fish_option(option)}" for option in options(each)]
    return "\n".join([*lines, ""])


def fish_option(option: Option) -> str:
    """Return an option as fish wants it."""
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    parts += ["-r"] if option.takes else []
    parts += [f"-f -a {quote_for_shell(' '.join(option.choices))}"] if option.choices else []
    return " ".join([*parts, f"-d {quote_for_shell(option.purpose)}"])


def quote_for_shell(text: str) -> str:
    """Return a text in single quotes. Our own texts have no such quote in them: the shells escape it differently."""
    assert "'" not in text
    return f"'{text}'"
