"""Run one command: parse, call, turn what is raised into a line and an exit code.

0 succeeded, 1 failed, 2 bad input: nothing has run; 130 interrupted (128 and the number of the signal).
"""

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiodag.cli import output
from aiodag.cli.grammar import parse
from aiodag.errors import AiodagError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line of `argv`, by default of this process, and return its exit code.

    Raises `SystemExit` as argparse does: for `--help`, `--version` and what cannot be parsed.

    >>> main(["--store", "memory:empty", "runs", "--json"])
    []
    0
    """
    output.prepare()
    args = parse(argv)
    try:
        with settings_typed(args.config, getattr(args, "values", None)):
            code = run_command(args)
        output.flush()
    except output.Closed as closed:
        output.discard()
        if closed.why:
            output.error(closed.why)
        return FAILED if closed.why else 0
    return code


@contextmanager
def settings_typed(file: str | None, values: str | None) -> Generator[None]:
    """Have settings as they were typed, here and in the processes that are started meanwhile: their file, a place for values."""
    if file is None and values is None:
        yield
        return
    from aiodag.service.settings import CONFIG, variable_of  # noqa: PLC0415 - help and completion must come at once

    before = dict(os.environ)
    if file is not None:
        os.environ[CONFIG] = str(Path(file).absolute())
    if values is not None:
        os.environ[variable_of("values")] = values
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_command(args: Namespace) -> int:
    """Run a command; say in one line what it raises."""
    try:
        carry_out: Callable[[Namespace], int] = args.carry_out
        return carry_out(args)
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        return report_end(args, error, "interrupted", INTERRUPTED)
    except AiodagError as error:
        return report_end(args, error, str(error), BAD_INPUT)
    except output.Closed:
        raise
    except SystemExit as error:  # once a run has begun, `running` says so
        text = f"nothing has run: what was imported or called to begin with called sys.exit({error.code!r})"
        return report_end(args, error, text, BAD_INPUT)
    except UnicodeEncodeError as error:  # of a text for a store: bytes that were typed, and are not valid UTF-8
        wrong = ascii(error.object[max(error.start - 20, 0) : error.end])
        return report_end(
            args, error, f"{wrong} ends with bytes that are not valid UTF-8: ids, names and values are text", BAD_INPUT
        )
    except OSError as error:
        return report_end(
            args, error, f"{error.filename}: {error.strerror}" if error.filename else str(error), BAD_INPUT
        )
    except Exception as error:  # noqa: BLE001 - people get a line and not a traceback, whatever it is
        hint = "" if args.traceback else " (--traceback shows where)"
        return report_end(args, error, f"{type(error).__name__}: {error}{hint}", FAILED)


def report_end(args: Namespace, error: BaseException, text: str, code: int) -> int:
    """Print why a command ended, with the traceback if that was asked for, and return the exit code."""
    if args.traceback:
        output.traceback(error)
    output.error(text)
    return code
