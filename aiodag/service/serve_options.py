"""How a server was told to serve."""

from pathlib import Path
from typing import NamedTuple


class ServeOptions(NamedTuple):
    """What the server lets in, shows and does besides. Each has the cautious value by default."""

    host: str = "127.0.0.1"
    port: int = 2503
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    token_file: Path | None = None
    environment: tuple[str, ...] = ()  # names that documents which come over HTTP may read
    no_commands: bool = False
    only_registered: bool = False
    certificate: Path | None = None
    key: Path | None = None
    worker: bool = False
    queues: tuple[str, ...] = ()
    limit: int | None = None
