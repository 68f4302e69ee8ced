"""What people write for a server: its address, what of it is ours, and what nobody may see."""

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from aiodag.errors import StoreError
from aiodag.records import KEEP, checked_keep
from aiodag.wording import hide_password

SCHEMA = "aiodag"
LONGEST = 63  # bytes of a name in PostgreSQL
OURS = ("schema", "keep")
PRIVATE = ("password", "sslpassword")


class ServerAddress(NamedTuple):
    """The address of a store on a server."""

    shown: str  # without passwords
    conninfo: str  # what libpq takes: as it was given, without our own options
    schema: str
    keep: int
    private: tuple[str, ...]  # texts that are shown nowhere

    def hide(self, text: str) -> str:
        """Return a text of libpq without what is private."""
        text = text.replace(self.conninfo, self.shown)
        for secret in self.private:
            for before, after in ((":", "@"), ("=", ""), ('"', '"')):
                text = text.replace(f"{before}{secret}{after}", f"{before}***{after}")
        return text


def server_address(given: str) -> ServerAddress:
    """Return what an address says. Raises `StoreError` where our part of it is wrong; the rest is libpq's to judge."""
    shown = hide_password(given)
    place, _, text = given.partition("?")
    options = parse_qsl(text, keep_blank_values=True)
    ours = {name: value for name, value in options if name in OURS}
    schema = ours.get("schema", SCHEMA)
    if not 0 < len(schema.encode("utf-8", "replace")) <= LONGEST or "\0" in schema or schema.startswith("pg_"):
        msg = f"store={shown!r}: schema={schema!r} names no schema: 1 to {LONGEST} bytes, and not pg_..."
        raise StoreError(msg)
    keep = ours.get("keep", str(KEEP))
    theirs = [(name, value) for name, value in options if name not in OURS]
    user, at, _ = place.partition("://")[2].rpartition("@")
    password = user.partition(":")[2] if at else ""
    secrets = {password, unquote(password), *(value for name, value in theirs if name in PRIVATE)}
    return ServerAddress(
        shown,
        f"{place}?{urlencode(theirs, quote_via=quote)}" if theirs else place,
        schema,
        int(keep) if keep.isdecimal() else checked_keep(keep),
        tuple(secret for secret in secrets if secret),
    )
