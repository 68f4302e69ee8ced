"""Run code as people type it: cells of a notebook, and the `>>>` sessions of docstrings, with `await` at top level."""

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import sys
import traceback

PARSER = doctest.DocTestParser()
CHECKER = doctest.OutputChecker()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def compiled(source, mode, where="example"):
    return compile(source, where, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def waits(code):
    return bool(code.co_flags & inspect.CO_COROUTINE)


async def evaluate(code, names):
    """Run compiled code on the loop that runs, and return its value."""
    value = eval(code, names)
    return await value if inspect.iscoroutine(value) else value


async def run_cell(source, names):
    """Run a cell as a notebook does, and return the value of its last expression."""
    tree = ast.parse(source)
    last = None
    if isinstance(tree.body[-1], ast.Expr):
        last = compiled(ast.Expression(tree.body.pop().value), "eval")
    for code in (compiled(tree, "exec"), last):
        value = await evaluate(code, names) if code else None
    return value


def run_session(text, names):
    """Run the examples of a docstring; return each that answers something else than it says, with what it answers.

    One that awaits runs as in `python -m asyncio`: all of its examples on one loop. Any other runs as in `python`.
    """
    examples = PARSER.get_examples(text)
    codes = [compiled(each.source, "single") for each in examples]

    async def on_a_loop():
        return [(each, await answer(evaluate(code, names))) for each, code in zip(examples, codes, strict=True)]

    if any(map(waits, codes)):
        answers = asyncio.run(on_a_loop())
    else:
        answers = [(each, plain_answer(code, names)) for each, code in zip(examples, codes, strict=True)]
    return [f"{each.source}got: {got}" for each, got in answers if not is_expected(each, *got)]


def plain_answer(code, names):
    with printed() as out:
        try:
            exec(code, names)
        except Exception as error:  # noqa: BLE001 - an example may raise anything
            return out.getvalue(), error
    return out.getvalue(), None


async def answer(step):
    with printed() as out:
        try:
            await step
        except Exception as error:  # noqa: BLE001 - an example may raise anything
            return out.getvalue(), error
    return out.getvalue(), None


@contextlib.contextmanager
def printed():
    """Take what is printed, and what an expression shows."""
    hook, sys.displayhook = sys.displayhook, sys.__displayhook__
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            yield out
    finally:
        sys.displayhook = hook


def is_expected(example, out, error):
    if example.exc_msg is None or error is None:
        return error is None and CHECKER.check_output(example.want, out, FLAGS)
    return CHECKER.check_output(example.exc_msg, told(error), FLAGS)


def told(error):
    """What a traceback says of an exception, without the notes on it."""
    last = traceback.TracebackException.from_exception(error)
    last.__notes__ = None
    return "".join(last.format_exception_only())
