"""What can be typed: the commands, their options, their help."""

import argparse
import sys
from collections.abc import Callable, Sequence

from aiodag.cli import (
    access_grammar,
    agent_grammar,
    begin_grammar,
    look_grammar,
    message_grammar,
    queue_grammar,
    schedule_grammar,
    serve_grammar,
    store_grammar,
    table,
)
from aiodag.cli.parser import CommandGroup, Parser, Version, add_command, add_common

SHELLS = ("bash", "zsh", "fish")
WORDS = ("runs", "names", "parameters", "topics", "schedules", "hosts", "executors")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what was typed. Ends the process with code 2 where that makes no sense."""
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(command_in(words))
    args, rest = parser.parse_known_args(words)
    if rest:
        parser.commands.get(args.command or "", parser).unknown(rest, build_parser().commands)
    if args.command is None:
        parser.error(f"which command? One of {', '.join(parser.commands)}")
    return args


def command_in(words: Sequence[str]) -> str:
    """Return the command that is typed first, or after `--store ADDRESS`; nothing where that takes a whole parser to say."""
    place = 2 if words and words[0] == "--store" else 0
    return words[place] if len(words) > place else ""


def build_parser(command: str = "") -> Parser:
    """Return the parser of the whole command line, or of what begins with a command: all of them take a while to make."""
    parser = Parser(
        prog="aiodag",
        description="Run tasks and workflows, look at runs, continue them after a crash.",
        epilog="`aiodag COMMAND --help` has the options of a command and an example.\n"
        "Exit codes: 0 succeeded, 1 failed, 2 bad input: nothing has run, 130 interrupted (143 by SIGTERM).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=Version)
    add_common(parser, default=None)
    parser.set_defaults(store=None, config=None, json=False, quiet=False, traceback=False)
    group = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    parser.commands = group.choices  # pyright: ignore[reportAttributeAccessIssue]  # made by parser_class
    for add in [COMMANDS[command]] if command in COMMANDS else COMMANDS.values():
        add(group)
    return parser


# Tell


def add_about(group: CommandGroup) -> None:
    """Add `info`."""
    add_command(
        group, "info", table.carry_out_about, "print the versions, the store and the extras", "aiodag info --json"
    )


def add_schema(group: CommandGroup) -> None:
    """Add `schema`."""
    parser = add_command(
        group, "schema", table.carry_out_schema, "print the JSON Schema of workflow files", "aiodag schema jobs"
    )
    parser.add_argument(
        "form", nargs="?", default="tasks", choices=("tasks", "jobs"), help="the form that it describes: tasks or jobs"
    )


def add_completion(group: CommandGroup) -> None:
    """Add `completion`."""
    parser = add_command(
        group,
        "completion",
        table.carry_out_completion,
        "print the completion of this command for a shell",
        'eval "$(aiodag completion bash)"',
    )
    parser.add_argument("shell", metavar="SHELL", nargs="?", choices=SHELLS, help="bash, zsh or fish")
    # Asked by the scripts, when somebody completes what only the store or a file knows.
    parser.add_argument("--words", choices=WORDS, help=argparse.SUPPRESS)
    parser.add_argument("--of", metavar="TARGET", help=argparse.SUPPRESS)


# By the names that they add, in the order of the help.
COMMANDS: dict[str, Callable[[CommandGroup], None]] = {
    "run": begin_grammar.add_run,
    "resume": begin_grammar.add_resume,
    "plan": begin_grammar.add_plan,
    "validate": begin_grammar.add_validate,
    "submit": queue_grammar.add_submit,
    "worker": queue_grammar.add_worker,
    "workers": queue_grammar.add_workers,
    "queues": queue_grammar.add_queues,
    "serve": serve_grammar.add_serve,
    "token": access_grammar.add_token,
    "audit": access_grammar.add_audit,
    "agent": agent_grammar.add_agent,
    "agents": agent_grammar.add_agents,
    "hosts": agent_grammar.add_hosts,
    "schedules": schedule_grammar.add_schedules_command,
    "next": schedule_grammar.add_next,
    "backfill": schedule_grammar.add_backfill,
    "runs": look_grammar.add_runs,
    "show": look_grammar.add_show,
    "log": look_grammar.add_log,
    "graph": look_grammar.add_graph,
    "send": message_grammar.add_send,
    "waits": message_grammar.add_waits,
    "messages": message_grammar.add_messages,
    "topics": message_grammar.add_topics,
    "register": store_grammar.add_register,
    "list": store_grammar.add_list,
    "export": store_grammar.add_export,
    "import": store_grammar.add_import,
    "cancel": store_grammar.add_cancel,
    "delete": store_grammar.add_delete,
    "backup": store_grammar.add_backup,
    "copy": store_grammar.add_copy,
    "migrate": store_grammar.add_migrate,
    "info": add_about,
    "schema": add_schema,
    "completion": add_completion,
}
