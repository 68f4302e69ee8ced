"""Make thumbnails of many albums with four workers, of which one is killed in the middle.

    python examples/image_pipeline [--store sqlite:///runs.db] [FOLDER]
    python examples/image_pipeline --on threads|processes|dask|slurm [--address tcp://127.0.0.1:8786] [FOLDER]

This process draws the pictures, submits a run for each album, and starts four workers. One of them is killed with SIGKILL
while it works on an album; another one goes on with that, and makes again only what was not finished. In the end all is
checked: each thumbnail and each sheet has the pixels that it should have, and was made as often as the records say.

With `--on`, the same pipeline runs at one of four places instead, without a store: see places.py. Only the executor differs.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pipeline
import places

from aiodag import State
from aiodag.records import RunRecord
from aiodag.service import Service

ALBUMS, PICTURES, WORKERS = 8, 9, 4
FEW = 2  # albums for the other places
PIPELINE = Path(pipeline.__file__)
QUEUE = "pictures"
PATIENCE = 120  # seconds


def draw(folder: Path, albums: int = ALBUMS) -> None:
    """Draw the pictures of some albums: a gradient each, of its own colours."""
    for album in range(albums):
        place = folder / f"album-{album}"
        place.mkdir(parents=True)
        for number in range(PICTURES):
            rows = [
                bytes(value % 256 for x in range(160) for value in (x + 29 * album, y + 23 * number, x * y // 64))
                for y in range(120)
            ]
            pipeline.write_picture(place / f"{number}.ppm", rows)


def start_worker(store: str) -> subprocess.Popen[bytes]:
    """Start a worker, which takes one album at a time."""
    options = ["--store", store, "--queue", QUEUE, "--limit", "1", "--quiet"]
    return subprocess.Popen([sys.executable, "-m", "aiodag", "worker", *options])  # noqa: S603 - a program of our own


def kill_one(service: Service, started: list[subprocess.Popen[bytes]]) -> tuple[int, str]:
    """Kill a worker that has finished a part of an album, and return its process id and the run that it worked on."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and all(each.poll() is None for each in started):
        for worker in service.workers():
            pid = worker.owner.pid
            for run_id in worker.runs:
                if is_in_the_middle(service.run(run_id), pid):
                    os.kill(pid, signal.SIGSTOP)  # so that what is seen of it is still so when it dies
                    if is_in_the_middle(service.run(run_id), pid):
                        os.kill(pid, signal.SIGKILL)
                        return pid, run_id
                    os.kill(pid, signal.SIGCONT)
        time.sleep(0.001)
    raise RuntimeError("no worker could be killed in the middle of an album")


def is_in_the_middle(run: RunRecord, pid: int) -> bool:
    """Return True if a process has made some of an album's thumbnails, and not all."""
    return run.owner is not None and run.owner.pid == pid and 2 <= run.counts.get(State.SUCCEEDED, 0) < PICTURES


async def results(service: Service, ids: list[str]) -> list[Path]:
    """Wait for the runs, and return their values: the paths of the sheets."""
    return await asyncio.gather(*(service.result(run_id, timeout=PATIENCE) for run_id in ids))


def check(folder: Path, sheets: list[Path]) -> None:
    """Compare each file with what it should be."""
    for album in range(len(sheets)):
        place = folder / f"album-{album}"
        small = [pipeline.shrink(pipeline.read_picture(place / f"{number}.ppm")) for number in range(PICTURES)]
        for number, expected in enumerate(small):
            assert pipeline.read_picture(place / "small" / f"{number}.ppm") == expected
        assert sheets[album] == place / "small" / "sheet.ppm"
        assert pipeline.read_picture(sheets[album]) == pipeline.arrange(small)


def count_made(folder: Path, killed: int) -> tuple[int, int]:
    """Return how many files were made, and how many of them twice: only what the killed worker had in its hands."""
    lines = [line.split() for line in (folder / pipeline.MADE).read_text().splitlines()]
    made = Counter(path for path, _ in lines)
    twice = [path for path, count in made.items() if count > 1]
    assert len(made) == ALBUMS * (PICTURES + 1)
    assert all(str(killed) in {pid for path, pid in lines if path == each} for each in twice)
    return len(made), len(twice)


def run_all(store: str, folder: Path) -> None:
    """Submit the albums, have them made, and check what came of it."""
    draw(folder)
    with closing(Service(store)) as service, ExitStack() as stack:
        ids = [
            service.submit(f"{PIPELINE}:album", {"folder": str(folder / f"album-{number}")}, queue=QUEUE)
            for number in range(ALBUMS)
        ]
        print(f"{len(ids)} albums are queued in {service.place}")
        workers = [stack.enter_context(start_worker(store)) for _ in range(WORKERS)]
        for worker in workers:
            stack.callback(worker.terminate)
        killed, run_id = kill_one(service, workers)
        print("a worker was killed in the middle of an album")
        sheets = asyncio.run(results(service, ids))
        check(folder, sheets)
        made, twice = count_made(folder, killed)
        run = service.run(run_id)
        recalled = sum(node.recalled for node in service.nodes(run_id))
        assert run.execution > 1
        assert recalled >= 2
    print(f"{made} pictures are right; {recalled} of the killed worker's were not made again, {twice} were")


def run_at(place: str, folder: Path, address: str) -> None:
    """Make some albums at one of the four places, and check what came of it."""
    draw(folder, FEW)
    sheets = asyncio.run(places.make_at(place, folder, [folder / f"album-{number}" for number in range(FEW)], address))
    check(folder, sheets)
    processes = {line.split()[1] for line in (folder / pipeline.MADE).read_text().splitlines()}
    print(f"{FEW * (PICTURES + 1)} pictures are right, made on {place} by {len(processes)} processes")


def main() -> None:
    """Run the example in a folder of its own, unless one is given."""
    parser = argparse.ArgumentParser(description="Make thumbnails with four workers, of which one is killed.")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="a folder that is not there yet (default: a temporary one)"
    )
    parser.add_argument("--store", help="where runs are kept (default: a file in the folder)")
    parser.add_argument("--on", choices=["threads", "processes", "dask", "slurm"], help="run it there, without a store")
    parser.add_argument(
        "--address", default="tcp://127.0.0.1:8786", help="of the scheduler of Dask (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary) / "albums").resolve()
        if options.on:
            run_at(options.on, folder, options.address)
            return
        run_all(options.store or f"sqlite:///{folder}/runs.db", folder)


if __name__ == "__main__":
    main()
