"""The example of many workers: what it checks about itself holds, with a worker killed in the middle of an album."""

import re
import subprocess
import sys

import pytest
from programs import ROOT, SECONDS


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_picture_is_right_though_a_worker_was_killed(kind, tmp_path, request):
    store = request.getfixturevalue("postgres_address") if kind == "postgresql" else f"sqlite:///{tmp_path}/runs.db"

    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "image_pipeline", "--store", store, tmp_path / "albums"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3 * SECONDS,  # there are five processes
        check=False,
    )

    assert done.returncode == 0, done.stderr
    queued, killed, right = done.stdout.splitlines()
    assert queued.startswith("8 albums are queued in ")
    assert killed == "a worker was killed in the middle of an album"
    assert re.fullmatch(r"80 pictures are right; \d+ of the killed worker's were not made again, \d were", right)


@pytest.mark.parametrize("place", ["threads", "processes", "dask", "slurm"])
def test_the_same_pipeline_runs_at_each_place(place, tmp_path, request):
    options, folder = [], tmp_path / "albums"
    if place == "dask":
        options = ["--address", request.getfixturevalue("dask_cluster").heal().address]
    if place == "slurm":
        folder = request.getfixturevalue("slurm").root / "shared" / "albums"

    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "image_pipeline", "--on", place, *options, folder],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    count = {"threads": "1", "slurm": "20"}.get(place, "\\d+")
    assert re.fullmatch(f"20 pictures are right, made on {place} by {count} processes\n", done.stdout)
