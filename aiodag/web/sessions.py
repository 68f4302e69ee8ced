"""The sessions of browsers: their cookie, and how many wrong tokens an address may try."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from aiodag.web.fastapi import Request, Response

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
    """Counts the wrong tokens of each address, to tell a program that goes on with one to come back later.

    Tokens are too long to be guessed, so a right one gets in whatever came before from its address: many may share that.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, list[float]] = OrderedDict()

    def note(self, address: str) -> float:
        """Note a wrong token; return in how many seconds it makes sense to try another one, 0 for now."""
        network, now = network_of(address), self._clock()
        tries = [each for each in self._tries.pop(network, ()) if each > now - WITHIN]
        wait = tries[-TRIES] + WITHIN - now if len(tries) >= TRIES else 0.0
        self._tries[network] = [*tries, now][-TRIES:]
        if len(self._tries) > ADDRESSES:
            self._tries.popitem(last=False)
        return wait


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the half that belongs to one customer."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address
