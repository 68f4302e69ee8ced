"""A real Dask cluster for tests, which they start and end themselves: a scheduler and two workers, each a process."""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
STARTS = 180.0  # seconds that the start of a process may take on a machine with much else to do
# Ends with whoever started it: a test run that is killed leaves no cluster behind.
WITH_ITS_STARTER = """
import os, runpy, sys, threading
def wait():
    os.read(0, 1)
    os._exit(1)
threading.Thread(target=wait, daemon=True).start()
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
LOCAL = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]


def needs_dask():
    """Skip the test where there is no Dask, which CI takes for a failure."""
    if find_spec("distributed") is None:
        pytest.skip("no Dask here: pip install distributed")


class DaskCluster:
    """A scheduler and its workers, without nannies: what dies stays dead until somebody starts another."""

    def __init__(self, folder, workers=2, threads=1):
        needs_dask()
        self.folder = Path(folder)
        self.file = self.folder / "scheduler.json"
        self.wanted = workers
        self.threads = threads
        self.scheduler = None
        self.workers = []

    def start(self):
        """Start all processes, and wait until the scheduler answers."""
        options = [*LOCAL, "--port", "0", "--scheduler-file", str(self.file)]
        self.scheduler = self.run("dask_scheduler", *options)
        self.heal()
        end = time.monotonic() + STARTS
        while not (self.file.exists() and self.file.read_text()):  # written when it listens
            assert self.scheduler.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "the scheduler starts"
            time.sleep(0.05)  # real time: another process starts
        self.address = json.loads(self.file.read_text())["address"]
        return self

    def run(self, module, *options, python=sys.executable, **more):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]), **more}
        env["DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE"] = "false"
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [python, "-c", WITH_ITS_STARTER, f"distributed.cli.{module}", *options],
                env=env,
                stdin=subprocess.PIPE,  # closed with this process, however that ends
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )

    def add_worker(self, *words, **more):
        options = [*words, "--scheduler-file", str(self.file), *LOCAL, "--nthreads", str(self.threads), "--no-nanny"]
        worker = self.run("dask_worker", *options, "--local-directory", str(self.folder), **more)
        self.workers.append(worker)
        return worker

    def heal(self):
        """Start a worker for each that has died."""
        for each in [each for each in self.workers if each.poll() is not None]:
            each.stdin.close()
            self.workers.remove(each)
        for _ in range(self.wanted - len(self.workers)):
            self.add_worker()
        return self

    def remove(self):
        """Kill all processes."""
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.kill()
                process.wait()
                process.stdin.close()
