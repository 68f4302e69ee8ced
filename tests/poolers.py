"""A real PgBouncer before a server of the tests: each transaction gets a connection of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from programs import SECONDS
from servers import free_port


def pooler_program():
    """Return the program. Skips the test where there is none, which CI takes for a failure."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip("no PgBouncer here: apt-get install pgbouncer")
    return found


class Pooler:
    """One pooler, in a mode such as "transaction", with a directory of its own."""

    def __init__(self, server, mode):
        program = pooler_program()
        self.server = server
        self.port = free_port()
        self.root = Path(tempfile.mkdtemp(prefix="aiodag-pgbouncer-"))
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": 3 if mode == "transaction" else 20,
            "server_login_retry": 1,  # seconds after which it tries again to reach a server that was away
            "ignore_startup_parameters": "extra_float_digits",
            "logfile": self.root / "log",
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={server.port} user=postgres", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (self.root / "pgbouncer.ini").write_text("\n".join(lines))
        if server.user:
            for each in (self.root, self.root / "pgbouncer.ini"):
                shutil.chown(each, "postgres", "postgres")
        self.process = subprocess.Popen(
            [program, "-q", str(self.root / "pgbouncer.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.root,
            **server.user,
        )
        self._wait()

    def _wait(self):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), 1.0)):
                return
            os.sched_yield()
        raise AssertionError(f"PgBouncer did not start: {(self.root / 'log').read_text()}")

    def address(self, schema):
        return self.server.address(schema).replace(f":{self.server.port}/", f":{self.port}/")

    def remove(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(SECONDS)
        shutil.rmtree(self.root, ignore_errors=True)
