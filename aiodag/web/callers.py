"""Find who sends a request: by its token, or by the cookie of its session."""

import math

from aiodag.access import Caller
from aiodag.errors import NotAdmitted
from aiodag.service.access import given_tokens
from aiodag.web.desk import Desk
from aiodag.web.fastapi import Request
from aiodag.web.origins import headers_of
from aiodag.web.problems import Problem
from aiodag.web.sessions import WrongTokens, cookie_name

TOO_MANY = 429
WANTED = "this server wants a token: send `Authorization: Bearer TOKEN`"
NOT_VALID = "this is not a valid token: it was mistyped, revoked, or has expired"


class Callers:
    """Who may use the service of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._given = given_tokens(desk.options.token_file)
        self._wrong = WrongTokens()

    async def find(self, request: Request, address: str) -> Caller:
        """Return who sends a request. Raises `NotAdmitted`, and `Problem` for an address that goes on with wrong tokens."""
        sent = headers_of(request.scope, b"authorization")
        if not sent:
            return await self._caller_of_cookie(request)
        scheme, _, token = sent[0].partition(" ")
        if len(sent) > 1 or scheme.lower() != "bearer":
            raise NotAdmitted(WANTED)
        found = await self._desk.ask(self._desk.service.caller_of_token, token.strip(), given=self._given)
        if found is None:
            self._slow_down(address)
            raise NotAdmitted(NOT_VALID)
        return found

    async def _caller_of_cookie(self, request: Request) -> Caller:
        secret = request.cookies.get(cookie_name(request), "")
        if secret:
            found = await self._desk.ask(self._desk.service.caller_of_session, secret, given=self._given)
            if found is not None:
                return found
        raise NotAdmitted(WANTED)

    async def log_in(self, token: str, address: str) -> str:
        """Begin a session, and return the secret of its cookie. Raises `NotAdmitted`, and `Problem`."""
        try:
            return await self._desk.ask(self._desk.service.begin_session, token, given=self._given)
        except NotAdmitted:
            self._slow_down(address)
            raise

    def _slow_down(self, address: str) -> None:
        """Note a wrong token. Raises `Problem` for an address that has sent many of them."""
        wait = self._wrong.note(address)
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            raise Problem(
                TOO_MANY, f"{NOT_VALID}; many wrong ones came from here: come back in {wait:.0f} s", headers=headers
            )

    async def is_still_valid(self, caller: Caller) -> bool:
        """Return True if somebody who was let in before would be let in now, too."""
        return await self._desk.ask(self._desk.service.is_still_valid, caller, given=self._given)
