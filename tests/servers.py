"""A real PostgreSQL server for the tests of one process, which they start and end themselves."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]))
# Below those of connections, from 32,768 on; and for each process of pytest-xdist others, whose servers stand still at times.
PART = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
PORTS = range(20_000 + 1_500 * PART, 21_500 + 1_500 * PART)
GIVEN = set()  # of this process
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def programs():
    """Return the directory of a server's programs. Skips the test where there is none, which CI takes for a failure."""
    if PROGRAMS:
        return PROGRAMS[-1]
    found = shutil.which("initdb")
    if found is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    return Path(found).resolve().parent


SHARED = Path("/proc/sysvipc/shm")


def is_attached(memory):
    """Return True while a process is attached to a piece of shared memory."""
    rows = [line.split() for line in SHARED.read_text().splitlines()[1:]] if SHARED.exists() else []
    return any(row[1] == memory and row[6] != "0" for row in rows)


def free_port():
    """Return a port for a server that starts later: none that the system could give to somebody's connection meanwhile."""
    while True:
        port = secrets.choice([each for each in PORTS if each not in GIVEN])
        with closing(socket.socket()) as made, suppress(OSError):
            made.bind(("127.0.0.1", port))
            GIVEN.add(port)
            return port


class PostgresServer:
    """One server with a directory of its own, below the system's directory for temporary files."""

    def __init__(self, **settings):
        self.programs = programs()
        # The server refuses to be root, and its user has to get to its files: not below pytest's directories, which are private.
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        self.root = Path(tempfile.mkdtemp(prefix="aiodag-postgres-"))
        if self.user:
            shutil.chown(self.root, "postgres", "postgres")
        self.settings = settings
        self.port = free_port()
        self.run(
            "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
        )

        # Ends it with this process, however that ends: the pipe is closed then.
        end = 'cat; "$0" -D "$1/data" -w -m immediate stop; rm -rf "$1"'
        self.watcher = subprocess.Popen(
            ["sh", "-c", end, self.programs / "pg_ctl", self.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **self.user,
        )
        # Of its members a password is asked; everybody else is trusted.
        rules = Path(self.data, "pg_hba.conf")
        rules.write_text(f"host all +guarded 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")

    @property
    def data(self):
        return str(self.root / "data")

    def run(self, program, *args):
        subprocess.run(
            [self.programs / program, *args],
            check=True,
            capture_output=True,
            cwd=self.root,
            env={"LC_ALL": "C"},
            **self.user,
        )

    def start(self):
        """Start it, and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.root,
            "max_connections": 200,
            "shared_buffers": "32MB",
            **self.settings,
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.run("pg_ctl", "-D", self.data, "-w", "-l", str(self.root / "log"), "-o", options, "start")
        if not self.execute("select 1 from pg_roles where rolname = 'guarded'"):
            self.execute("create role guarded")
        return self

    @property
    def pid(self):
        return int(Path(self.data, "postmaster.pid").read_text().split()[0])

    def stop(self, how=signal.SIGINT):
        """End it: SIGINT is the fast shutdown, SIGQUIT does not tidy up, SIGKILL is what it cannot hear."""
        with suppress(FileNotFoundError):
            pid = self.pid
            memory = Path(self.data, "postmaster.pid").read_text().split("\n")[6].split()[1]
            with suppress(ProcessLookupError):
                os.kill(pid, how)
                while True:
                    os.kill(pid, 0)
                    os.sched_yield()
            # What a killed server has started ends a moment later, and until then the next one refuses to start.
            while is_attached(memory):
                os.sched_yield()

    def remove(self):
        """Have it ended and its files deleted, whatever state it is in."""
        self.watcher.stdin.close()
        self.watcher.wait()

    def address(self, schema, *, database="postgres", user="postgres", password="", **options):
        secret = f":{password}" if password else ""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}?schema={schema}{more}"

    def execute(self, statement, values=(), *, schema="public"):
        """Execute a statement as the owner of everything, and return its rows."""
        import psycopg

        with psycopg.connect(self.address(schema).partition("?")[0], autocommit=True) as connection:
            connection.execute(f'set search_path to "{schema}"')
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
