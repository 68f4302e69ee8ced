"""What stands behind `if` and `until`: an expression that says yes or no."""

from aiodag.errors import ExpressionError
from aiodag.workflows.expressions.evaluation import Names, Read
from aiodag.workflows.expressions.expression import Expression, expression_of, show_expression
from aiodag.workflows.expressions.lexemes import Malformed
from aiodag.workflows.expressions.template import ExpressionFaults
from aiodag.workflows.expressions.values import Unfit, is_true, show_value


class Condition:
    """A condition that has been read. `uses_status` is True where it calls success(), failure(), always() or cancelled().

    These ask `scope["status"]`, an object with four bools of those names.
    """

    __slots__ = ("expression", "names", "place", "uses_status")

    def __init__(self, expression: Expression, place: str = "") -> None:
        self.expression = expression
        self.place = place  # in a document, for errors
        self.names: frozenset[Read] = expression.names
        self.uses_status = expression.uses_status

    def holds(self, scope: Names) -> bool:
        """Return whether it holds: not for null, false, 0 and what is empty. Raises `ExpressionError`, for a text, too."""
        try:
            value = self.expression.value(scope)
            if not isinstance(value, str):
                return is_true(value)
            reason = f"a condition is true or false, and this gives {show_value(value)}: compare it, or say | bool"
        except ExpressionError as error:
            raise error.at(self.place) from error.__cause__
        except Unfit as error:
            reason = str(error)
        raise ExpressionError(self.expression.shown, reason, self.place)

    def located(self, place: str) -> "Condition":
        """Return the same condition at a place in a document, which errors then name."""
        return Condition(self.expression, place)


def condition_of(value: object) -> Condition:
    """Read a condition, with or without `${{ }}` around it. Raises `ExpressionFaults`."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        raise ExpressionFaults(
            [((), f"takes a condition, such as \"params.day == 'monday'\", and this is {show_value(value)}")]
        )
    source = value.strip()
    try:
        if source.startswith("${{") and source.endswith("}}"):
            source = source[3:-2].strip()
        expression = expression_of(source)
        expression.check(status=True)
    except Malformed as error:
        partly = "${{" in source or "}}" in source
        fault = "a condition is one expression: ${{ }} goes around all of it, or can be left out" if partly else error
        raise ExpressionFaults([((), f"{show_expression(source)}: {fault}")]) from None
    return Condition(expression)
