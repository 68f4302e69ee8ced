"""A Ray cluster for tests, in a network of its own: Ray listens on all addresses of a machine, whatever it is told.

The tests run in there, too: `test_ray.py` has pytest run `ray_cases.py` inside.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).parent.parent
INSIDE = "AIODAG_TESTS_WITH_RAY"  # set where a cluster may be started
CORES = 2
TRIES = 4  # to start a cluster
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_health_check_initial_delay_ms": "500",  # so a machine that dies is missed in seconds
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
}


def unshared():
    """The words before a command that is to have a network of its own, None where this system does not allow that."""
    tool = shutil.which("unshare")
    for words in ([tool, "--net"], [tool, "--net", "--map-root-user"]):
        if tool and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    return None


def run_inside(*args):
    """Run pytest in a network of its own, and return how it went."""
    command = 'ip link set lo up 2>/dev/null || ifconfig lo up; exec "$@"'
    python = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", "-q", *args]
    return subprocess.run(
        [*unshared(), "sh", "-c", command, "sh", *python],
        cwd=ROOT,
        env={**os.environ, **QUIET, "PYTHONPATH": str(ROOT / "tests"), INSIDE: "yes"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


class RayServer:
    """A cluster of one machine, which this process is connected to."""

    def __init__(self):
        self.directory = mkdtemp(prefix="ray")  # short: the paths of its sockets have a limit

    def start(self):
        for _ in range(TRIES - 1):
            with suppress(
                Exception
            ):  # of no type of its own: Ray has half a minute to start, and a busy machine is slower
                return self.connect()
            self.stop()
        return self.connect()

    def connect(self):
        import ray

        context = ray.init(
            num_cpus=CORES,
            include_dashboard=False,
            object_store_memory=200 * 2**20,
            _temp_dir=self.directory,
            _node_ip_address="127.0.0.1",
            log_to_driver=False,
            configure_logging=False,
        )
        self.address = context.address_info["gcs_address"]
        return self

    def stop(self):
        import ray

        ray.shutdown()
        shutil.rmtree(self.directory, ignore_errors=True)


class RayNode:
    """Another machine of a cluster, as far as Ray can tell, which alone has the resource "other"."""

    def __init__(self, address):
        words = ["--node-ip-address=127.0.0.1", "--num-cpus=1", '--resources={"other": 1}']
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}", *words, "--block"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self):
        """Kill all of it that does not end by itself when the rest is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
