"""What can be typed to serve the page and the API."""

from aiodag.cli import table
from aiodag.cli.parser import CommandGroup, Parser, add_command, add_trace

# Options with a value: the key of `[serve]`, what is shown for the value, whether it may be repeated, and the help.
VALUES = (
    ("host", "ADDRESS", False, "where to listen (127.0.0.1: this machine alone)"),
    ("port", "PORT", False, "the port (2503); 0 picks one that is free"),
    ("root_path", "PATH", False, "the path below which a proxy shows it: /aiodag"),
    ("trust_proxy", "ADDRESS", True, "believe what this proxy, or this network, says of its clients; may be repeated"),
    ("allow_host", "NAME", True, "a name by which browsers may ask for it: example.com; may be repeated"),
    ("allow_origin", "ORIGIN", True, "a site whose pages may call the API: https://example.org; may be repeated"),
    ("token_file", "FILE", False, "a file with a token that may do everything, besides those of `aiodag token`"),
    ("env", "NAME", True, "a variable that documents which come over HTTP may read; may be repeated"),
    ("certificate", "FILE", False, "a PEM file with a certificate, for TLS"),
    ("key", "FILE", False, "the PEM file with its key, unless that stands in the same file"),
    ("queue", "QUEUE", True, "with --worker: a queue to take runs from; may be repeated"),
    ("limit", "N", False, "with --worker: how many runs go on at once"),
)
SWITCHES = (
    ("no_commands", "refuse documents with commands or code that come over HTTP"),
    ("only_registered", "begin only workflows that are registered here, and refuse all documents"),
    ("worker", "also work on submitted runs and on schedules, in a process of its own that ends with the server"),
)


def add_serve(group: CommandGroup) -> None:
    """Add `serve`."""
    parser = add_command(
        group,
        "serve",
        table.carry_out_serve,
        "serve the page and the API of a store, until Ctrl-C or SIGTERM",
        "aiodag serve --worker",
    )
    add_serve_options(parser)
    add_trace(parser, "requests, and of the runs of its worker,")
    parser.add_argument(
        "--check", action="store_true", help="say what is wrong with the settings, the store or the port, and end"
    )


def add_serve_options(parser: Parser) -> None:
    """Add all that `[serve]` of the settings can say, too."""
    for name, metavar, repeated, text in VALUES:
        action = "append" if repeated else "store"
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, action=action, help=text)
    for name, text in SWITCHES:
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", default=None, help=text)
