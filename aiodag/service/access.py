"""Make and revoke tokens, tell who sends a request, and keep audit lines of what is changed over HTTP.

token ── make_token ──► shown once; its hash is kept ──► caller_of_token
  └── begin_session ──► a cookie; its hash is kept ────► caller_of_session, as long as the token is valid
"""

import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiodag._core.options import check_seconds
from aiodag.access import AuditRecord, Caller, Role, TokenRecord
from aiodag.errors import NotAdmitted, NotFound, OptionError, StoreError
from aiodag.masking import masked
from aiodag.service.schedules import LONGEST, Scheduling
from aiodag.wording import is_utf8, printable

if TYPE_CHECKING:
    from aiodag.abc import Access, Runs

PREFIX = "aiodag_"  # by which tokens are found in texts where they should not be
OURS = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)  # others are in no store
LONGEST_TOKEN = 200  # characters: longer ones are looked for nowhere
LONGEST_NAME = 100  # characters
LEAST_GIVEN, LEAST_KINDS = 32, 10  # characters of a token that somebody has made up, and how many that differ
SESSION_LASTS = 7 * 86400.0  # seconds that a browser is logged in
SELDOM = 300.0  # seconds between two notes that a token is used
LARGEST_NUMBER = 2**53
LARGEST_DETAILS = 2000  # characters of an audit line
FIRST = "first"
GIVEN = "given"  # the name of a token that is in no store


class Admitting(Scheduling):
    """Who may use the runs of a store over HTTP, and who has changed what."""

    @property
    def _access(self) -> "Access":
        return access_of_store(self.store)

    # Tokens

    def make_token(self, name: str, role: str = Role.READ, *, expires: float | timedelta | None = None) -> str:
        """Make a token and return it: the store keeps its hash alone, so this is the only time that it can be seen.

        `role` is "read" or "operate", and `expires` after how many seconds the token is of no use any more. Raises
        `OptionError`, and `StoreError` for a name that a valid token has.

        >>> from aiodag.service import Service
        >>> service = Service("memory:made-token")
        >>> token = service.make_token("ci", "operate", expires=3600)
        >>> service.caller_of_token(token).name
        'ci'
        """
        checked_token_name(name)
        lasting = None if expires is None else check_seconds("expires", expires)
        token = new_secret(PREFIX)
        if self._access.add_token(name, checked_role(role), hash_of(token), lasting=lasting):
            return token
        msg = f"there is a token {name!r} in {self.place}: use another name, or revoke it first"
        raise StoreError(msg)

    def make_first_token(self) -> str | None:
        """Make a token that may operate, if the store has no valid one; return it, or None.

        >>> from aiodag.service import Service
        >>> service = Service("memory:first-token")
        >>> service.make_first_token() is None, service.make_first_token() is None
        (False, True)
        """
        token = new_secret(PREFIX)
        made = self._access.add_token(FIRST, Role.OPERATE, hash_of(token), lasting=None, only=True)
        return token if made else None

    def tokens(self) -> list[TokenRecord]:
        """Return all tokens, oldest first: without the tokens themselves, which nobody knows."""
        return self._access.tokens()

    def revoke_token(self, name: str) -> None:
        """Revoke a token: it lets nobody in any more, and its sessions end. Raises `StoreError` where there is none.

        >>> from aiodag.service import Service
        >>> service = Service("memory:revoked-token")
        >>> token = service.make_token("ci")
        >>> service.revoke_token("ci")
        >>> service.caller_of_token(token) is None
        True
        """
        if self._access.revoke_token(name):
            return
        from difflib import get_close_matches

        valid = [token.name for token in self._access.tokens() if token.is_valid]
        near = get_close_matches(name[:LONGEST_NAME], valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`aiodag token list` shows what there is"
        msg = f"no valid token {name[:LONGEST_NAME]!r} in {self.place}: {hint}"
        raise NotFound(msg, near=near[0] if near else None)

    # Who it is

    def caller_of_token(self, token: str, *, given: Iterable[str] = ()) -> Caller | None:
        """Return who sends a token, or None for one that is not valid. `given` are tokens of this process, which may operate."""
        if len(token) > LONGEST_TOKEN or not is_utf8(token):
            return None
        hash_ = hash_of(token)
        return self._caller_of_hash(hash_, given) if OURS.fullmatch(token) else given_caller(hash_, given)

    def _caller_of_hash(self, hash_: str, given: Iterable[str]) -> Caller | None:
        by_hand = given_caller(hash_, given)
        if by_hand is not None:
            return by_hand
        found = self._access.token_of_hash(hash_)
        if found is None or not hmac.compare_digest(found.hash, hash_):
            return None
        self._note_used(found)
        return Caller(found.name, found.role, hash_)

    def _note_used(self, token: TokenRecord) -> None:
        now = self._schedules.clock()
        if token.used_at is None or token.used_at.timestamp() < now - SELDOM:
            with suppress(StoreError):  # who looks is let in to a store that nobody can write to
                self._access.note_token_used(token.number)

    def is_still_valid(self, caller: Caller, *, given: Iterable[str] = ()) -> bool:
        """Return True if a caller of before would be let in now, too: of whoever reads a stream for hours."""
        if caller.session:
            return self.caller_of_session(caller.session, given=given) is not None
        return self._caller_of_hash(caller.hash, given) is not None

    def begin_session(self, token: str, *, given: Iterable[str] = ()) -> str:
        """Begin the session of a browser with a token, and return the secret of its cookie. Raises `NotAdmitted`.

        >>> from aiodag.service import Service
        >>> service = Service("memory:session")
        >>> cookie = service.begin_session(service.make_token("ann"))
        >>> service.caller_of_session(cookie).name
        'ann'
        >>> service.end_session(cookie)
        >>> service.caller_of_session(cookie) is None
        True
        """
        caller = self.caller_of_token(token, given=given)
        if caller is None:
            msg = "this is not a valid token: it was mistyped, revoked, or has expired"
            raise NotAdmitted(msg)
        secret = new_secret()
        self._access.add_session(hash_of(secret), caller.hash, lasting=SESSION_LASTS)
        return secret

    def caller_of_session(self, secret: str, *, given: Iterable[str] = ()) -> Caller | None:
        """Return whose session a browser is in, or None for one that has ended, or whose token is not valid any more."""
        if not secret or len(secret) > LONGEST_TOKEN or not is_utf8(secret):
            return None
        session = self._access.session_of_hash(hash_of(secret))
        if session is None or session.damaged:
            return None
        found = self._caller_of_hash(session.token, given)
        return None if found is None else found._replace(session=secret)

    def end_session(self, secret: str) -> None:
        """End the session of a browser."""
        self._access.drop_session(hash_of(secret))

    # What was changed

    def note_request(
        self, caller: Caller, what: str, about: str = "", *, address: str = "", details: Mapping[str, Any] | None = None
    ) -> int:
        """Write an audit line before something is changed, and return its number.

        `what` is the operation, `about` such as the id of a run, and `details` what else is worth knowing: never a value that
        could be a secret.
        """
        who, what, about, address = map(short_text, (caller.name, what, about, address))
        return self._access.note_request(who, str(caller.role), what, about, address, short_details(details or {}))

    def note_answer(
        self, number: int, outcome: int, about: str | None = None, *, details: Mapping[str, Any] | None = None
    ) -> None:
        """Write into an audit line what was answered, a status of HTTP, with what more is known by then."""
        self._access.note_answer(
            number, outcome, None if about is None else short_text(about), short_details(details or {})
        )

    def audit(
        self, *, limit: int | None = None, before: int | None = None, who: str | None = None, about: str | None = None
    ) -> list[AuditRecord]:
        """Return audit lines, newest first: those below a number, of the token of a name, about something such as a run."""
        return self._access.audit(limit=limit, before=before, who=who, about=about)

    def prune_audit(self, older: float | timedelta) -> int:
        """Forget audit lines that are older than some seconds; return how many.

        >>> from aiodag.service import Service
        >>> Service("memory:pruned").prune_audit(90 * 86400)
        0
        """
        return self._access.prune_audit(check_seconds("older", older))


def given_caller(hash_: str, given: Iterable[str]) -> Caller | None:
    """Return who sends a token that a server was started with, or None."""
    if any(hmac.compare_digest(hash_of(each), hash_) for each in given):
        return Caller(GIVEN, Role.OPERATE, hash_)
    return None


def access_of_store(store: "Runs") -> "Access":
    """Return the tokens and audit lines of a store. Raises `StoreError` for a store that keeps none."""
    if callable(getattr(store, "token_of_hash", None)):
        return cast("Access", store)
    msg = f"{store} keeps no tokens: use a store in a file, in PostgreSQL or in memory"
    raise StoreError(msg)


def new_secret(prefix: str = "") -> str:
    """Return 32 random bytes as a text that can stand in a header."""
    return f"{prefix}{secrets.token_urlsafe(32)}"


def hash_of(secret: str) -> str:
    """Return the SHA-256 of a token or a cookie."""
    return sha256(secret.encode()).hexdigest()


def form_token_of(session: str) -> str:
    """Return what each form of a session carries: another site cannot know it, and the cookie cannot be found from it."""
    return hmac.new(session.encode(), b"aiodag form", sha256).hexdigest()


def checked_token_name(name: object) -> None:
    """Refuse a name of a token that cannot be typed or told apart. Raises `OptionError`."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise OptionError("name", name, f"1 to {LONGEST_NAME} visible characters")
    if name == GIVEN:
        raise OptionError("name", name, "another one: audit lines call by it the token that a server is started with")


def checked_role(role: object) -> Role:
    """Return a role by its name. Raises `OptionError`."""
    if isinstance(role, str) and role in set(Role):
        return Role(role)
    raise OptionError("role", role, "'read' or 'operate'")


def checked_given(token: str, source: str) -> str:
    """Return a token that a server is given when it starts. Raises `OptionError` for one that could be guessed."""
    fits = LEAST_GIVEN <= len(token) <= LONGEST_TOKEN and len(set(token)) >= LEAST_KINDS
    if fits and token.isascii() and token.isprintable() and " " not in token:
        return token
    wanted = (
        f"{LEAST_GIVEN} to {LONGEST_TOKEN} visible ASCII characters, of which {LEAST_KINDS} differ, such as what "
        "`openssl rand -hex 32` prints"
    )
    raise OptionError(source, "***", wanted)


def given_tokens(file: Path | None) -> tuple[str, ...]:
    """Return the tokens that a server is started with: that of a file, or else of `AIODAG_TOKEN`. Raises `OptionError`."""
    if file is not None:
        try:
            text = file.read_text().strip()
        except (OSError, ValueError) as error:
            raise OptionError("token_file", str(file), f"a file with a token in it: {error}") from None
        return (checked_given(text, "token_file"),)
    given = os.environ.get("AIODAG_TOKEN")
    return (checked_given(given, "AIODAG_TOKEN"),) if given else ()


def short_text(text: str) -> str:
    """Return a text for an audit line: without secrets, in one line, cut."""
    return printable(masked(text))[:LONGEST]


def short_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return details for an audit line: texts, numbers and lists of texts, without secrets, and not many."""
    found: dict[str, Any] = {}
    left = LARGEST_DETAILS
    for name, value in details.items():
        shown = short_value(value)
        left -= len(name) + len(str(shown))
        if left < 0:
            return {**found, "…": "…"}
        found[short_text(name)] = shown
    return found


def short_value(value: object) -> Any:
    """Return a value for an audit line."""
    if isinstance(value, list | tuple):
        return [short_value(each) for each in value[:20] if not isinstance(each, list | tuple)]
    if isinstance(value, int):
        return value if abs(value) < LARGEST_NUMBER else "…"
    return None if value is None else short_text(str(value))
