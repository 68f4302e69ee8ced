"""Who may use a store over HTTP, and what they changed: the part of a store that a server needs.

People import the seam, `Access`, from `aiodag.abc`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from aiodag.faces import publish

if TYPE_CHECKING:
    from aiodag.access import AuditRecord, Role, SessionRecord, TokenRecord


class Access(Protocol):
    """Tokens, sessions and audit lines: what a store has besides `Runs`, of which it is the same object.

    Secrets come here as hashes. Every method may block; each is one transaction. Moments are those of the store's clock.

    >>> from aiodag.abc import Access
    >>> from aiodag.access import Role
    >>> from aiodag.stores import Memory
    >>> def first(store: Access) -> bool:
    ...     return store.add_token("first", Role.OPERATE, "a hash", lasting=None)
    >>> store = Memory()
    >>> first(store), first(store)
    (True, False)
    """

    def add_token(self, name: str, role: "Role", hash_: str, *, lasting: float | None, only: bool = False) -> bool:
        """Keep a token, for `lasting` seconds; return False if one of that name is valid, or, with `only`, any at all.

        One of that name that was revoked or has expired stays in the list, under its own number.
        """
        ...

    def tokens(self) -> "list[TokenRecord]":
        """Return all tokens, oldest first, those that were revoked or have expired too."""
        ...

    def token_of_hash(self, hash_: str) -> "TokenRecord | None":
        """Return the token of a hash if it is valid now, or None."""
        ...

    def note_token_used(self, number: int) -> None:
        """Note that a token was used now."""
        ...

    def revoke_token(self, name: str) -> bool:
        """Revoke the valid token of a name, and end its sessions; return whether there was one."""
        ...

    def add_session(self, hash_: str, token: str, *, lasting: float) -> None:
        """Keep a session that was begun with the token of a hash, for `lasting` seconds. Those that have ended are forgotten."""
        ...

    def session_of_hash(self, hash_: str) -> "SessionRecord | None":
        """Return the session of a hash if it has not ended, or None."""
        ...

    def drop_session(self, hash_: str) -> None:
        """End a session."""
        ...

    def note_request(self, who: str, role: str, what: str, about: str, address: str, details: Mapping[str, Any]) -> int:
        """Write an audit line for what somebody asks to change; return its number."""
        ...

    def note_answer(self, number: int, outcome: int, about: str | None, details: Mapping[str, Any]) -> None:
        """Write how a request ended into its audit line, with what more is known of it by then."""
        ...

    def audit(
        self, *, limit: int | None = None, before: int | None = None, who: str | None = None, about: str | None = None
    ) -> "list[AuditRecord]":
        """Return audit lines, newest first: those below a number, of somebody, about something."""
        ...

    def prune_audit(self, older: float) -> int:
        """Forget audit lines that are older than some seconds; return how many."""
        ...


publish("aiodag.abc", globals(), __name__)
