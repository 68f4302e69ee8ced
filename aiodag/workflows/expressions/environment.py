"""Variables of the environment in texts: `${NAME}`, with a default `${NAME:default}` or `${NAME:-default}`."""

import os
import re
from typing import Any

from aiodag.errors import ExpressionError
from aiodag.secret import Secret
from aiodag.workflows.expressions.evaluation import Names
from aiodag.workflows.expressions.lexemes import Malformed, cut_part
from aiodag.workflows.expressions.values import Unfit, bounded_text

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-?([^{}$]*))?\}")


class Variable:
    """A variable of the environment of the process that fills the text, at that moment."""

    __slots__ = ("default", "name")

    def __init__(self, name: str, default: str | None) -> None:
        self.name = name
        self.default = default

    def value(self, scope: Names) -> Any:
        """Return its text: a secret if it is declared as one. Raises `ExpressionError` if it is not set and has no default."""
        for secret in scope.get("secrets", {}).values():
            if isinstance(secret, Secret) and secret.name == self.name and secret.file is None:
                return secret
        text = os.environ.get(self.name, self.default)
        if text is None:
            reason = f"{self.name} is not set, and has no default: ${{{self.name}:-default}} gives it one"
            raise ExpressionError(f"${{{self.name}}}", reason)
        try:
            return bounded_text(text)
        except Unfit as error:
            raise ExpressionError(f"${{{self.name}}}", str(error)) from None


def variable_at(text: str, place: int) -> tuple[Variable, int]:
    """Read the variable that begins at a place, and return where it ends. Raises `Malformed`."""
    match = VARIABLE.match(text, place)
    if match is None:
        shown = cut_part(text[place:].partition("\n")[0])
        raise Malformed(
            f"{shown!r} is not a variable of the environment: ${{NAME}} or ${{NAME:-default}}, the default without braces "
            "and dollar signs. $${ stands for ${ itself"
        )
    return Variable(match[1], match[2]), match.end()
