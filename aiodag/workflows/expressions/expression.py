"""One expression: read, looked through before it runs, and evaluated."""

from functools import lru_cache
from typing import Any

from aiodag.errors import ExpressionError
from aiodag.workflows.expressions.evaluation import Names, Read, evaluate, parts_of_tree, path_read
from aiodag.workflows.expressions.functions import STATUS, fault_of_call
from aiodag.workflows.expressions.grammar import FunctionCall, Lookup, parse_expression
from aiodag.workflows.expressions.lexemes import Malformed, cut_part
from aiodag.workflows.expressions.values import Unfit, Work, bounded_value


class Expression:
    """An expression that has been read. `names` are the paths that it reads; `source` is what was written.

    Raises `Malformed`.
    """

    __slots__ = ("calls", "names", "source", "tree")

    def __init__(self, source: str) -> None:
        self.source = source
        self.tree = parse_expression(source)
        parts = [*parts_of_tree(self.tree)]
        self.calls = [each for each in parts if isinstance(each, FunctionCall)]
        self.names: frozenset[Read] = frozenset(path_read(each) for each in parts if isinstance(each, Lookup)) - {()}

    def value(self, scope: Names) -> Any:
        """Return the value. Raises `ExpressionError`."""
        try:
            return bounded_value(evaluate(self.tree, scope, Work()))
        except Unfit as error:
            raise ExpressionError(self.shown, str(error)) from error.__cause__
        except RecursionError:  # who calls may have used up most of the stack
            raise ExpressionError(self.shown, "is nested too deep to be evaluated here") from None

    @property
    def shown(self) -> str:
        """How messages show it."""
        return show_expression(self.source)

    @property
    def uses_status(self) -> bool:
        """Whether it asks how it went so far."""
        return any(each.name in STATUS for each in self.calls)

    def check(self, *, status: bool) -> None:
        """Look for functions that are not there or take other arguments. Raises `Malformed`, at the first."""
        for each in self.calls:
            count = len(each.arguments)
            if each.name not in STATUS:
                fault = fault_of_call(each.name, count, is_filter=each.is_filter)
            elif not status:
                fault = f"{each.name}() is for conditions: `if` of a job or a stage"
            else:
                fault = f"{each.name}() takes no arguments" if count else ""
            if fault:
                raise Malformed(fault)


@lru_cache(maxsize=4096)
def expression_of(source: str) -> Expression:
    """Return an expression; of many that are the same, one. Raises `Malformed`."""
    return Expression(source)


def show_expression(source: str) -> str:
    """Return an expression for a message."""
    return f"${{{{ {cut_part(source.strip())} }}}}"
