"""What is wrong with a message, and what becomes of a body that waits for one."""

from collections.abc import Mapping
from typing import Any

from aiodag.errors.root import AiodagError, remade
from aiodag.faces import publish


class PayloadRefused(AiodagError, ValueError):
    """Raised for a message whose payload cannot be taken: it is not JSON, too large, or nested too deep. `why` says which.

    >>> from aiodag.messages.payloads import payload_text
    >>> payload_text(float("nan"))
    Traceback (most recent call last):
    aiodag.PayloadRefused: the payload of a message cannot be taken: payload is nan, and JSON has finite numbers only
    """

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the payload of a message cannot be taken: {why}")


class MessageRefused(AiodagError):
    """Raised by `send` of a transport for a message that can never be sent, such as one that is too large for a broker.

    It becomes a dead letter with the reason `why`; those that were to be sent together with it are sent again. `message_id` is its id.

    >>> from aiodag import MessageRefused
    >>> raise MessageRefused("m1", "more than 1 MiB")
    Traceback (most recent call last):
    aiodag.MessageRefused: message 'm1' can never be sent: more than 1 MiB
    """

    def __init__(self, message_id: str, why: str) -> None:
        self.message_id, self.why = message_id, why
        super().__init__(f"message {message_id!r} can never be sent: {why}")


class WaitLost(AiodagError):
    """Why a run failed that was woken: it waits for other things now, and never came to what was there for it.

    Its code has changed since it began to wait, or what it does before the wait differs each time. The message is back in the
    inbox. Resume the run with code that waits for it again.

    >>> from aiodag import WaitLost
    >>> raise WaitLost("order-17", 1)
    Traceback (most recent call last):
    aiodag.WaitLost: run 'order-17' was woken, and did not come to what has woken it: 1 wait that it had is not in its code now. ...
    """

    def __init__(self, run: str, count: int) -> None:
        waits = "1 wait that it had is" if count == 1 else f"{count} waits that it had are"
        super().__init__(
            f"run {run!r} was woken, and did not come to what has woken it: {waits} not in its code now. What has come is back in "
            "the inbox. Resume the run with code that waits for it; `aiodag plan --parked` finds such runs before deployment"
        )


class BegunAgain(BaseException):
    """Raised by `aiodag.messages.begin_again` out of a body, which begins again with these `arguments`.

    What drives the body catches it. It is no `Exception`, so that a body which handles failures does not see it.

    >>> from aiodag.errors import BegunAgain
    >>> BegunAgain({"month": 2}).arguments
    {'month': 2}
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__(arguments)
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args), vars(self) or None


publish("aiodag.errors", globals(), __name__)
