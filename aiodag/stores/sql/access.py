"""Who may use a store in SQL over HTTP, and what they changed."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiodag.access import AuditRecord, Role, SessionRecord, TokenRecord
from aiodag.stores.sql.database import Database
from aiodag.stores.sql.inbox import listing
from aiodag.stores.sql.rows import (
    EPOCH,
    LAST,
    Column,
    count_column,
    mapping,
    moment_column,
    optional,
    record_maker,
    text_column,
)
from aiodag.stores.sql.session import Session


class RecordedAccess(Database):
    """The tokens of a database, the sessions that were begun with them, and the audit lines."""

    # Tokens

    def add_token(self, name: str, role: Role, hash_: str, *, lasting: float | None, only: bool = False) -> bool:
        """Keep a token; return False if one of that name is valid, or, with `only`, any at all."""
        with self.writing() as session:
            now = session.now()
            if only and session.perform("any_valid_token", (now,)).fetchone() is not None:
                return False
            session.perform("end_expired_token", (name, now))
            row = (name, str(role), hash_, now, None if lasting is None else now + lasting)
            return session.perform("add_token", row).fetchone() is not None

    def tokens(self) -> list[TokenRecord]:
        """Return all tokens, oldest first."""
        return self._tokens(None)

    def token_of_hash(self, hash_: str) -> TokenRecord | None:
        """Return the token of a hash if it is valid now, or None."""
        return next((token for token in self._tokens(hash_) if token.is_valid), None)

    def _tokens(self, hash_: str | None) -> list[TokenRecord]:
        with self.reading() as session:
            statement = listing(session, "tokens_listed", {"hash = :hash": hash_})
            rows = session.execute(statement, {"hash": hash_, "now": session.now()}).fetchall()
        return [token_record(row) for row in rows]

    def note_token_used(self, number: int) -> None:
        """Note that a token was used now."""
        with self.writing() as session:
            session.perform("note_token_used", (session.now(), number))

    def revoke_token(self, name: str) -> bool:
        """Revoke the valid token of a name, and end its sessions; return whether there was one."""
        # Sessions are deleted here by their token, and by whoever begins one by their age: in an order that a server may undo.
        return self.transact(partial(end_token, name))

    # Sessions

    def add_session(self, hash_: str, token: str, *, lasting: float) -> None:
        """Keep a session, and forget those that have ended."""
        self.transact(partial(begin_session_row, hash_, token, lasting))

    def session_of_hash(self, hash_: str) -> SessionRecord | None:
        """Return the session of a hash if it has not ended, or None."""
        with self.reading() as session:
            row = session.perform("session_of_hash", (hash_, session.now())).fetchone()
        return None if row is None else session_record(row)

    def drop_session(self, hash_: str) -> None:
        """End a session."""
        with self.writing() as session:
            session.perform("drop_session", (hash_,))

    # Audit

    def note_request(self, who: str, role: str, what: str, about: str, address: str, details: Mapping[str, Any]) -> int:
        """Write an audit line for what somebody asks to change; return its number."""
        with self.writing() as session:
            row = (session.now(), who, role, what, about, address, json.dumps(dict(details)))
            return int(session.perform("note_request", row).fetchone()[0])

    def note_answer(self, number: int, outcome: int, about: str | None, details: Mapping[str, Any]) -> None:
        """Write how a request ended into its audit line, with what more is known of it by then."""
        with self.writing() as session:
            row = session.perform("audit_details", (number,)).fetchone()
            if row is not None:
                known = json.dumps({**mapping(row[0]), **details})
                values = {"number": number, "outcome": outcome, "about": about, "details": known}
                session.perform("note_answer", values)

    def audit(
        self, *, limit: int | None = None, before: int | None = None, who: str | None = None, about: str | None = None
    ) -> list[AuditRecord]:
        """Return audit lines, newest first."""
        asked = {"number < :before": before, "who = :who": who, "about = :about": about}
        values = {"before": before, "who": who, "about": about, "limit": LAST if limit is None else limit}
        with self.reading() as session:
            rows = session.execute(listing(session, "audit_listed", asked), values).fetchall()
        return [audit_record(row) for row in rows]

    def prune_audit(self, older: float) -> int:
        """Forget audit lines that are older than some seconds; return how many."""
        with self.writing() as session:
            return session.perform("prune_audit", (session.now() - older,)).rowcount


def end_token(name: str, session: Session) -> bool:
    """Revoke the valid token of a name, and end its sessions; return whether there was one."""
    found = session.perform("revoke_token", {"name": name, "at": session.now()}).fetchall()
    session.put_each("drop_sessions_of_token", found)
    return bool(found)


def begin_session_row(hash_: str, token: str, lasting: float, session: Session) -> None:
    """Keep a session, and forget those that have ended."""
    now = session.now()
    session.perform("drop_ended_sessions", (now,))
    session.perform("add_session", (hash_, token, now, now + lasting))


TOKEN = (
    Column("number", count_column, 0),
    Column("name", text_column, "?"),
    Column("role", Role, Role.READ),
    Column("hash", text_column, ""),
    Column("made_at", moment_column, EPOCH),
    Column("expires_at", optional(moment_column), None),
    Column("used_at", optional(moment_column), None),
    Column("revoked_at", optional(moment_column), None),
    Column("state", text_column, "revoked"),
)
SESSION = (
    Column("hash", text_column, ""),
    Column("token", text_column, ""),
    Column("made_at", moment_column, EPOCH),
    Column("expires_at", moment_column, EPOCH),
)
AUDIT = (
    Column("number", count_column, 0),
    Column("at", moment_column, EPOCH),
    Column("who", text_column, "?"),
    Column("role", text_column, "?"),
    Column("what", text_column, "?"),
    Column("about", text_column, ""),
    Column("address", text_column, ""),
    Column("details", mapping, {}),
    Column("outcome", optional(count_column), None),
)
token_record: Callable[[tuple[Any, ...]], TokenRecord] = record_maker(TokenRecord, TOKEN)
session_record: Callable[[tuple[Any, ...]], SessionRecord] = record_maker(SessionRecord, SESSION)
audit_record: Callable[[tuple[Any, ...]], AuditRecord] = record_maker(AuditRecord, AUDIT)
