"""A value as it stands within a text, for stages: what cannot be one fails the stage."""

from aiodag.errors import StageFailed
from aiodag.secret import Secret
from aiodag.workflows.expressions.values import Unfit, text_of_value


def text_within(value: object) -> str:
    """Return a value as a text has it. Raises `StageFailed`.

    >>> text_within(3), text_within(["a"]), text_within(None)
    ('3', '["a"]', '')
    """
    try:
        return text_of_value(value)
    except Unfit as error:
        msg = f"a value {error}"
        raise StageFailed(msg) from None


def text_or_secret(value: object) -> str | Secret:
    """Return a value as a text has it, or the secret that stands for one. Raises `StageFailed`."""
    return value if isinstance(value, Secret) else text_within(value)
