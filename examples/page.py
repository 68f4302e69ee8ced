"""Look at a run on the page: a server with its worker, a workflow that fails half-way, and why.

In a terminal, the server goes on until Ctrl-C. Elsewhere the page is photographed, if chromium is there, and the server ends.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from aiodag.service import Service

NAMES = ("orders", "customers", "prices")
SIZE = (1280, 620)
PICTURE = Path(__file__).parent.parent / "build" / "page.png"
DIRECT = build_opener(ProxyHandler({}))  # whatever proxy the environment names: the server is here
PATIENCE = 20.0  # seconds


def nightly_load() -> dict[str, object]:
    """Return a workflow: three tables are fetched, cleaned and loaded; for one of them, that cannot be."""
    tasks: dict[str, object] = {}
    for name in NAMES:
        wrong = "echo connected; echo relation prices does not exist >&2; exit 3"
        load = wrong if name == "prices" else f"echo 1284 rows into {name}"
        tasks[f"fetch-{name}"] = {"command": ["sh", "-c", f"sleep 0.3; echo 1284 rows of {name}"]}
        tasks[f"clean-{name}"] = {"command": ["sh", "-c", "sleep 0.2"], "parents": [f"fetch-{name}"]}
        tasks[f"load-{name}"] = {"command": ["sh", "-c", load], "parents": [f"clean-{name}"]}
    tasks["report"] = {"command": ["echo", "all loaded"], "parents": [f"load-{name}" for name in NAMES]}
    return {"name": "nightly-load", "tags": {"team": "warehouse"}, "tasks": tasks}


class Server(NamedTuple):
    """A server that runs: its process, its address, its token, and the store that it serves."""

    process: "subprocess.Popen[str]"
    address: str
    token: str
    store: str

    def read(self, path: str) -> tuple[int, str, bytes]:
        """Return the status, the type and the content of an address."""
        asked = Request(  # noqa: S310 - the address of the server above
            f"{self.address}{path}", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with DIRECT.open(asked, timeout=PATIENCE) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except HTTPError as error:
            return error.code, error.headers.get_content_type(), error.read()


@contextmanager
def served(folder: Path) -> Generator[Server]:
    """Serve a store in a folder, with a worker, until the block ends."""
    token, store = secrets.token_urlsafe(32), f"sqlite:///{folder / 'runs.db'}"
    process = subprocess.Popen(
        [sys.executable, "-m", "aiodag", "serve", "--worker", "--port", "0"],
        env={**os.environ, "AIODAG_STORE": store, "AIODAG_TOKEN": token},
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        first = process.stderr.readline()
        if not first.startswith("page at "):
            sys.exit(first + process.stderr.read())
        reader = threading.Thread(target=process.stderr.read, daemon=True)  # so that it can go on writing
        reader.start()
        try:
            yield Server(process, first.split()[-1].rstrip("/"), token, store)
        finally:
            process.terminate()
            reader.join(PATIENCE)


def run_nightly_load(server: Server, folder: Path) -> str:
    """Register the workflow, have the worker run it to its end, and return the id of the run."""
    file = folder / "nightly-load.json"
    file.write_text(json.dumps(nightly_load(), indent=2))
    service = Service(server.store)
    try:
        service.register(str(file))
        run = service.submit(service.target("nightly-load"), key="demo")
        end = time.monotonic() + PATIENCE
        while not service.head(run).state.final and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        service.close()
    return run


def photograph(server: Server, path: str, picture: Path, program: str) -> None:
    """Have chromium make a picture of a page. It cannot log in, so it asks by way of somebody who has."""

    class Companion(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, content = (204, "text/plain", b"") if "/events" in self.path else server.read(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:  # type: ignore[override]
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Companion) as between, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=between.serve_forever, daemon=True).start()
        picture.parent.mkdir(exist_ok=True)
        subprocess.run(  # noqa: S603 - chromium, by its name on PATH
            [
                program,
                *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-proxy-server"),
                f"--user-data-dir={profile}",
                f"--window-size={SIZE[0]},{SIZE[1]}",
                f"--screenshot={picture}",
                f"http://127.0.0.1:{between.server_address[1]}{path}",
            ],
            env={**os.environ, "HOME": profile},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
        between.shutdown()


def main() -> None:
    """Serve, run, and show."""
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as server:
        run = run_nightly_load(server, Path(name))
        address = f"{server.address}/runs/{run}"
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if sys.stdout.isatty():
            print(f"\nthe page: {address}\n   token: {server.token}\n\nCtrl-C ends the server.")
            try:
                server.process.wait()
            except KeyboardInterrupt:
                print()
        elif chromium:
            photograph(server, f"/runs/{run}", PICTURE, chromium)
            print(f"\nthe page, of a run that failed: {PICTURE}")
        else:
            print(
                "\nthe page is at the address that `aiodag serve --worker` prints; here is neither terminal nor chromium"
            )


if __name__ == "__main__":
    main()
