"""Who may use a store in memory over HTTP, and what they changed."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

from aiodag.access import AuditRecord, Role, SessionRecord, TokenRecord
from aiodag.records import moment_for_people
from aiodag.stores.kept_runs import KeptRuns


@dataclass
class Admitted:
    """The tokens of a store in memory by number, the sessions by hash, and the audit lines by number."""

    tokens: dict[int, TokenRecord] = field(default_factory=dict)
    sessions: dict[str, SessionRecord] = field(default_factory=dict)
    audit: dict[int, AuditRecord] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def tokens_now(self) -> list[TokenRecord]:
        """Return the tokens, each in the state that it has now."""
        now = moment_for_people(time.time())
        return [replace(token, state=state_of_token(token, now)) for token in self.tokens.values()]

    def valid_tokens(self) -> list[TokenRecord]:
        """Return the tokens that let somebody in now."""
        return [token for token in self.tokens_now() if token.is_valid]


def state_of_token(token: TokenRecord, now: datetime) -> str:
    """Return whether a token is valid at a moment, was revoked, or has expired before that."""
    expired = token.expires_at is not None and token.expires_at <= now
    if expired and (token.revoked_at is None or token.revoked_at >= (token.expires_at or now)):
        return "expired"
    return "valid" if token.revoked_at is None else "revoked"


class KeptAccess(KeptRuns):
    """The tokens of a store in memory, the sessions that were begun with them, and the audit lines."""

    def __init__(self) -> None:
        super().__init__()
        self._admitted = Admitted()

    # Tokens

    def add_token(self, name: str, role: Role, hash_: str, *, lasting: float | None, only: bool = False) -> bool:
        """Keep a token; return False if one of that name is valid, or, with `only`, any at all."""
        with self._lock:
            if any(only or token.name == name for token in self._admitted.valid_tokens()):
                return False
            number, now = next(self._admitted.numbers), time.time()
            expires = None if lasting is None else moment_for_people(now + lasting)
            made = TokenRecord(number, name, role, hash_, moment_for_people(now), expires)
            self._end_expired(name)
            self._admitted.tokens[number] = made
            return True

    def _end_expired(self, name: str) -> None:
        for token in list(self._admitted.tokens.values()):
            if token.name == name and token.revoked_at is None:
                self._admitted.tokens[token.number] = replace(token, revoked_at=token.expires_at)

    def tokens(self) -> list[TokenRecord]:
        """Return all tokens, oldest first."""
        with self._lock:
            return self._admitted.tokens_now()

    def token_of_hash(self, hash_: str) -> TokenRecord | None:
        """Return the token of a hash if it is valid now, or None."""
        with self._lock:
            return next((token for token in self._admitted.valid_tokens() if token.hash == hash_), None)

    def note_token_used(self, number: int) -> None:
        """Note that a token was used now."""
        with self._lock:
            token = self._admitted.tokens[number]
            self._admitted.tokens[number] = replace(token, used_at=moment_for_people(time.time()))

    def revoke_token(self, name: str) -> bool:
        """Revoke the valid token of a name, and end its sessions; return whether there was one."""
        with self._lock:
            found = [token for token in self._admitted.valid_tokens() if token.name == name]
            for token in found:
                self._admitted.tokens[token.number] = replace(token, revoked_at=moment_for_people(time.time()))
                for hash_ in [each.hash for each in self._admitted.sessions.values() if each.token == token.hash]:
                    del self._admitted.sessions[hash_]
            return bool(found)

    # Sessions

    def add_session(self, hash_: str, token: str, *, lasting: float) -> None:
        """Keep a session, and forget those that have ended."""
        with self._lock:
            now = time.time()
            made = SessionRecord(hash_, token, moment_for_people(now), moment_for_people(now + lasting))
            self._admitted.sessions = {
                each.hash: each for each in self._admitted.sessions.values() if each.expires_at.timestamp() > now
            } | {hash_: made}

    def session_of_hash(self, hash_: str) -> SessionRecord | None:
        """Return the session of a hash if it has not ended, or None."""
        with self._lock:
            found = self._admitted.sessions.get(hash_)
            return found if found is not None and found.expires_at.timestamp() > time.time() else None

    def drop_session(self, hash_: str) -> None:
        """End a session."""
        with self._lock:
            self._admitted.sessions.pop(hash_, None)

    # Audit

    def note_request(self, who: str, role: str, what: str, about: str, address: str, details: Mapping[str, Any]) -> int:
        """Write an audit line for what somebody asks to change; return its number."""
        with self._lock:
            number, at = next(self._admitted.numbers), moment_for_people(time.time())
            kept = json.loads(json.dumps(dict(details)))
            self._admitted.audit[number] = AuditRecord(number, at, who, role, what, about, address, kept)
            return number

    def note_answer(self, number: int, outcome: int, about: str | None, details: Mapping[str, Any]) -> None:
        """Write how a request ended into its audit line, with what more is known of it by then."""
        with self._lock:
            line = self._admitted.audit.get(number)
            if line is not None:
                known = {**line.details, **json.loads(json.dumps(dict(details)))}
                told = line.about if about is None else about
                self._admitted.audit[number] = replace(line, outcome=outcome, about=told, details=known)

    def audit(
        self, *, limit: int | None = None, before: int | None = None, who: str | None = None, about: str | None = None
    ) -> list[AuditRecord]:
        """Return audit lines, newest first."""
        with self._lock:
            found = [
                line
                for line in reversed(self._admitted.audit.values())
                if (before is None or line.number < before) and who in {None, line.who} and about in {None, line.about}
            ]
        return found[:limit]

    def prune_audit(self, older: float) -> int:
        """Forget audit lines that are older than some seconds; return how many."""
        with self._lock:
            least = time.time() - older
            gone = [line.number for line in self._admitted.audit.values() if line.at.timestamp() < least]
            for number in gone:
                del self._admitted.audit[number]
            return len(gone)
