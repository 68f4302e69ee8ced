"""The sessions of browsers: their cookie, and how many wrong tokens an address may try."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from aiodag.service.access import PREFIX
from aiodag.web.fastapi import Request, Response

OURS = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)  # 32 random bytes
TRIES, WITHIN = 10, 60.0  # wrong tokens of one address, in so many seconds
ADDRESSES = 1_000  # that are remembered


def cookie_name(request: Request) -> str:
    """Return the name of the cookie: browsers keep one jar for all ports of a machine, so that says the port."""
    _, port = request.scope.get("server") or ("", None)
    return f"aiodag_session_{port or 0}"


def set_cookie(response: Response, request: Request, secret: str, lasting: float) -> None:
    """Have a browser keep the secret of its session."""
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(lasting),
        path=request.scope.get("root_path") or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


class WrongTokens:
    """Counts the wrong tokens of each address, so that tokens which people made up cannot be guessed.

    Those that were made here have 32 random bytes. They are looked up however many wrong ones came before, so that nobody
    can lock others out of a server behind one address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str, token: str) -> float:
        """Return in how many seconds a token may be looked up: 0 for now."""
        tries = self._tries.get(network_of(address), ())
        if OURS.fullmatch(token) or len(tries) < TRIES:
            return 0.0
        return max(0.0, tries[-TRIES] + WITHIN - self._clock())

    def note(self, address: str) -> None:
        """Note a wrong token."""
        network = network_of(address)
        self._tries[network] = [*self._tries.pop(network, ()), self._clock()][-TRIES:]
        if len(self._tries) > ADDRESSES:
            self._tries.popitem(last=False)


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the half that belongs to one customer."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address
