"""`aiodag serve` as a process of its own, for tests; unless `given` is False, it is started with a token."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

PATIENCE = 60.0  # seconds, after which something hangs
TOKEN = "the-token-of-servers-in-tests-0123456789abcdef"


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        """Read the body as JSON."""
        return json.loads(self.body)

    @property
    def text(self):
        """The body as text."""
        return self.body.decode()


class WebServer:
    """One server over a store, at a port that is free. It may be killed, and started again at the same address."""

    def __init__(self, folder, *options, store=None, env=None, given=True):
        for package in ("fastapi", "uvicorn", "jinja2"):
            pytest.importorskip(package)
        self.folder = Path(folder)
        self.store = store or f"sqlite:///{folder}/runs.db"
        self.token = TOKEN
        self.token_file = self.folder / "web-token"
        self.token_file.write_text(TOKEN)
        self.token_file.chmod(0o600)
        self.options = [*([f"--token-file={self.token_file}"] if given else []), *options]
        self.env = {**os.environ, "AIODAG_STORE": self.store, "NO_COLOR": "1", **(env or {})}
        self.port = 0  # the system picks one
        self.process = None
        self.log = self.folder / "web.log"

    def start(self):
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "aiodag", "serve", f"--port={self.port}", *self.options]
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=self.folder, env=self.env
            )
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"page at (https?://\S+?)/?\s", self.said)):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)  # real time: another process is waited for
        self.address = found[1]
        self.port = urlsplit(self.address).port
        return self

    @property
    def said(self):
        """What it has printed."""
        return self.log.read_text()

    def ask(self, path, body=None, *, method=None, headers=None, token=TOKEN, timeout=PATIENCE):
        """Send one request, with the token unless another or None is given; a body that is no text or bytes goes as JSON."""
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        if body is not None and not isinstance(body, str | bytes):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        parts = urlsplit(self.address)
        link = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        try:
            link.request(method or ("GET" if body is None else "POST"), parts.path + path, body, sent)
            answer = link.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            link.close()

    def kill(self):
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self, number=signal.SIGTERM):
        """End it as people do, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def remove(self):
        """End it, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
