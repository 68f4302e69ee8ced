"""What people write for a server: its address, what of it is ours, and what nobody may see."""

from typing import NamedTuple
from urllib.parse import unquote

from aiodag.errors import StoreError
from aiodag.records import KEEP, checked_keep
from aiodag.wording import hide_password, parts_of_address

SCHEMA = "aiodag"
LONGEST = 63  # bytes of a name in PostgreSQL
OURS = ("schema", "keep")


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
            _, at, rest = secret.partition("@")
            if at:  # libpq takes what is behind the first @ for the beginning of the host, and says that
                text = text.replace(f"{rest}@", "***@")
        return text


def server_address(given: str) -> ServerAddress:
    """Return what an address says. Raises `StoreError` where our part of it is wrong; the rest is libpq's to judge."""
    shown = hide_password(given)
    scheme, credentials, place, text = parts_of_address(given)
    # Not decoded and encoded again: what is libpq's stays as it was written.
    options = [option for option in text.split("&") if option]
    ours = {name: unquote(value) for name, _, value in (option.partition("=") for option in options) if name in OURS}
    schema = ours.get("schema", SCHEMA)
    if not 0 < len(schema.encode("utf-8", "replace")) <= LONGEST or "\0" in schema or schema.startswith("pg_"):
        msg = f"store={shown!r}: schema={schema!r} names no schema: 1 to {LONGEST} bytes, and not pg_..."
        raise StoreError(msg)
    keep = ours.get("keep", str(KEEP))
    theirs = [option for option in options if option.partition("=")[0] not in OURS]
    secrets = [credentials.partition(":")[2], *(option.partition("=")[2] for option in theirs if "password=" in option)]
    return ServerAddress(
        shown,
        f"{scheme}{credentials}{'@' if credentials else ''}{place}{'?' if theirs else ''}{'&'.join(theirs)}",
        schema,
        int(keep) if keep.isdecimal() else checked_keep(keep),
        tuple({text for secret in secrets for text in (secret, unquote(secret)) if text}),
    )
