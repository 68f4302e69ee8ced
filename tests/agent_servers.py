"""Agents as processes of their own, for tests."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers import free_port

PATIENCE = 60.0  # seconds, after which something hangs
TOKEN = "the-token-of-agents-in-tests"


class AgentProcess:
    """One agent. It may be killed, and started again at the same address."""

    def __init__(self, folder, *options, cores=64, **durations):
        for package in ("starlette", "uvicorn", "aiohttp"):
            pytest.importorskip(package)
        self.folder = folder
        self.token_file = Path(folder, "token")
        self.token_file.write_text(TOKEN)
        self.token_file.chmod(0o600)
        self.port = free_port()
        times = [f"--{name.replace('_', '-')}={seconds}s" for name, seconds in durations.items()]
        self.options = [f"--resources=cores={cores}", f"--directory={folder}/agent", *times, *options]
        self.process = None
        self.log = Path(folder, "agent.log")

    def start(self):
        """Start it, and wait until it answers."""
        if self.process is not None:
            self.process.wait(PATIENCE)
        command = [sys.executable, "-m", "aiodag", "agent", f"--listen=127.0.0.1:{self.port}"]
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, f"--token-file={self.token_file}", *self.options], stdout=file, stderr=file, cwd=self.folder
            )
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r"agent at (https?://\S+)", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)  # real time: another process is waited for
        self.address = found[1]
        return self

    def host(self, **options):
        """Give it as a host."""
        from aiodag.commands.agents import Agent

        return Agent(self.address, token_file=self.token_file, **options)

    def kill(self):
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def remove(self):
        """End it and what it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
