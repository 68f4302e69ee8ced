"""Begin a run again when one round of its work is done, so that it can go on for years and stay small."""

from typing import NoReturn

from aiodag._core.generations import beginning_node
from aiodag.errors import BegunAgain


def begin_again(**arguments: object) -> NoReturn:
    """End this generation of a run: the body that calls this begins again, with these arguments.

    All that it has called settles first. Then the store forgets that, in the transaction that records the next generation:
    nodes, attempts, logs and output. So the run stays as large as one generation, however many there are. It keeps its id and
    what it was begun with; when it is continued or resumed, it goes on with its last generation. Keys of nodes, and so
    idempotency keys, differ between generations.

    Call it in the body that a run begins with, or in another that no body has called. What is not given has its default. It
    raises `BegunAgain`, which is no `Exception`; and `TypeError` for arguments that do not fit. What cannot be stored fails
    the node with `NoCodec`.

    >>> from aiodag import task
    >>> from aiodag.messages import begin_again
    >>> @task
    ... async def renew(month: int = 1) -> str:
    ...     if month < 12:
    ...         begin_again(month=month + 1)
    ...     return f"renewed for {month} months"
    >>> await renew()
    'renewed for 12 months'
    """
    beginning_node(arguments)
    raise BegunAgain(arguments)
