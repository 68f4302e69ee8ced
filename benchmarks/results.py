"""Where figures are kept between measuring and reporting, and how a measuring process is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / ".results"
# Without bytecode an import would be timed with its compilation, which users pay once.
DROPPED = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}


def save(file: str | Path | None, result: dict[str, Any]) -> None:
    """Write a result as JSON; no file, no writing."""
    if file is None:
        return
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def load(pattern: str) -> list[dict[str, Any]]:
    """Read the results whose file names match, in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(pattern))]


def run_worker(script: str, *arguments: object, python: str = sys.executable, stdin: str = "", own: bool = True) -> Any:
    """Run a script of this folder in a process of its own and read the JSON line it ends with.

    `own` puts this repository on its path; without it the process sees only what its environment has.
    """
    environment = {name: value for name, value in os.environ.items() if name not in DROPPED}
    if own:
        environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [python, "-P", str(HERE / script), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script} {arguments} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
