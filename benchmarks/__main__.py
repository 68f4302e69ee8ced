"""Run every benchmark and write docs/speed.md.

    python -m benchmarks [--quick]

BENCH_PYTHONS names the interpreters for the overhead table, separated by spaces; without it: the running one, and
every other Python from 3.11 on that is on the path or among pyenv's versions. The rest runs on the running one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.results import RESULTS, ROOT

MINORS = range(11, 15)


def candidates() -> list[str]:
    """Give the interpreters to try, the running one first."""
    named = os.environ.get("BENCH_PYTHONS", "").split()
    if named:
        return named
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = [path for minor in MINORS if (path := shutil.which(f"python3.{minor}"))]
    return [sys.executable, *on_path, *map(str, sorted(pyenv.glob("3.*/bin/python")))]


def minor_version(python: str) -> tuple[int, ...]:
    """Ask an interpreter for its version; (0, 0) if it does not start, as a pyenv shim may not."""
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else (0, 0)


def interpreters() -> dict[str, str]:
    """Give one interpreter per minor version, by version."""
    found: dict[tuple[int, ...], str] = {}
    for python in candidates():
        found.setdefault(minor_version(python), python)
    return {f"{major}.{minor}": found[major, minor] for major, minor in sorted(found) if (major, minor) >= (3, 11)}


def run(python: str, module: str, name: str, *options: str) -> None:
    """Run one benchmark module with its result saved under `name`."""
    print(f"{name} ...", flush=True)
    command = [python, "-m", f"benchmarks.{module}", *options, "--json", str(RESULTS / f"{name}.json")]
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> None:
    """Read the options, run all, report."""
    parser = argparse.ArgumentParser(description="Run every benchmark and write docs/speed.md.")
    parser.add_argument("--quick", action="store_true", help="small sizes; no neighbours, no million nodes")
    quick = parser.parse_args().quick
    shutil.rmtree(RESULTS, ignore_errors=True)
    small = ("--nodes", "2000", "--repeats", "5") if quick else ()
    for version, python in interpreters().items():
        run(python, "overhead", f"overhead-{version}", *small)
        run(python, "imports", f"imports-{version}")
    run(sys.executable, "memory", "memory", *(("--quick",) if quick else ()))
    run(sys.executable, "journal", "journal", *(("--quick",) if quick else ()))
    run(sys.executable, "runs", "runs", *(("--quick",) if quick else ()))
    run(sys.executable, "commands", "commands", *(("--quick",) if quick else ()))
    run(sys.executable, "workflows", "workflows", *(("--quick",) if quick else ()))
    run(sys.executable, "promises", "promises")
    if not quick:
        run(sys.executable, "queues", "queues")
        run(sys.executable, "waiting", "waiting")
        run(sys.executable, "messages_many", "messages_many")
        run(sys.executable, "schedules_many", "schedules_many")
        run(sys.executable, "server", "server")
        run(sys.executable, "clusters", "clusters")
        if os.geteuid() == 0 and shutil.which("unshare"):
            run(sys.executable, "clusters_ray", "clusters_ray")
        else:
            print("clusters_ray is left out: a network of its own for Ray takes root and unshare")
        run(sys.executable, "neighbours", "neighbours")
    report.main()


if __name__ == "__main__":
    main()
