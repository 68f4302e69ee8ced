"""Put tokens and audit lines into JSON. The keys are stable; moments are ISO 8601, UTC. No token is in any of them."""

from aiodag.access import AuditRecord, TokenRecord
from aiodag.service.documents import Document, damage_of, iso_moment, plain_value


def token_document(record: TokenRecord) -> Document:
    """Return a token for JSON: what is known of it, and not the token."""
    return {
        "name": record.name,
        "role": str(record.role),
        "state": "damaged" if record.damaged else record.state,
        "made_at": iso_moment(record.made_at),
        "expires_at": iso_moment(record.expires_at),
        "used_at": iso_moment(record.used_at),
        "revoked_at": iso_moment(record.revoked_at),
        **damage_of(record),
    }


def audit_document(record: AuditRecord) -> Document:
    """Return an audit line for JSON."""
    return {
        "number": record.number,
        "at": iso_moment(record.at),
        "who": record.who,
        "role": record.role,
        "what": record.what,
        "about": record.about or None,
        "address": record.address or None,
        "details": plain_value(record.details),
        "outcome": record.outcome,
        **damage_of(record),
    }
