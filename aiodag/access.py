"""Who may do what over HTTP: tokens with a role, sessions of browsers, and the audit lines of what was changed.

    read     looks at everything that is recorded
    operate  reads, and changes: begins, cancels, resumes and deletes runs, sends messages, pauses schedules

A store keeps the SHA-256 of a token, never the token. A token has 32 random bytes, so nobody finds it by trying, and a slow
hash, which passwords need, would add nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class Role(StrEnum):
    """What a token lets its holder do; equal to its name in lower case.

    >>> from aiodag.access import Role
    >>> Role.OPERATE.allows(Role.READ), Role.READ.allows(Role.OPERATE)
    (True, False)
    """

    READ = "read"
    OPERATE = "operate"

    def allows(self, wanted: "Role") -> bool:
        """Return True if who has this role may do what wants another one."""
        return self is Role.OPERATE or wanted is Role.READ


class Caller(NamedTuple):
    """Whoever sends a request: the name and the role of its token, and the hash by which that is found.

    >>> from aiodag.access import Caller, Role
    >>> Caller("ci", Role.READ).role.value
    'read'
    """

    name: str
    role: Role
    hash: str = ""
    session: str = ""  # the secret of the browser's session; empty for a token that came with the request


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as people see it: never the token itself. Moments are aware UTC.

    `state` is valid, revoked or expired, by the store's clock, and `used_at` up to some minutes old. A token whose row cannot
    be read says why in `damaged`, and lets nobody in.

    >>> from aiodag.service import Service
    >>> service = Service("memory:a-token")
    >>> secret = service.make_token("ci", "read")
    >>> [(token.name, token.role.value, token.state) for token in service.tokens()]
    [('ci', 'read', 'valid')]
    """

    number: int
    name: str
    role: Role
    hash: str = field(repr=False)
    made_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    state: str = "valid"
    damaged: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether the token lets somebody in."""
        return self.state == "valid" and not self.damaged


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """The session of a browser, known by the hash of its cookie: it is as good as the token that it was begun with."""

    hash: str = field(repr=False)
    token: str = field(repr=False)  # its hash
    made_at: datetime
    expires_at: datetime
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One audit line: who asked for which change, when, from where, and what the server answered.

    It is written before the change. `outcome` is the status of the answer, and None where the server died before it answered:
    then nobody knows whether the change was made.

    >>> from aiodag.access import Caller, Role
    >>> from aiodag.service import Service
    >>> service = Service("memory:audited")
    >>> number = service.note_request(Caller("ci", Role.OPERATE), "cancel", "monday")
    >>> service.note_answer(number, 202)
    >>> [(line.who, line.what, line.about, line.outcome) for line in service.audit()]
    [('ci', 'cancel', 'monday', 202)]
    """

    number: int
    at: datetime
    who: str
    role: str
    what: str
    about: str = ""
    address: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    outcome: int | None = None
    damaged: str = ""
