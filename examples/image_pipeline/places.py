"""The same pipeline in threads, in processes, on Dask and on Slurm: only the executor differs."""

import sys
from pathlib import Path
from typing import Any

import pipeline

from aiodag import Run, task
from aiodag.commands import command
from aiodag.commands.slurm import Slurm


class Programs:
    """An executor of functions for hosts, which run programs: each call is a line such as `python pipeline.py thumbnail PICTURE`.

    It needs a file system and a Python that the nodes share with this machine.
    """

    def __init__(self, host: Slurm) -> None:
        self.program = command(sys.executable, pipeline.__file__, host=host)

    async def run(self, fn: Any, /, *args: Any) -> Path:
        """Return the path that the program of a function prints."""
        paths = [path for each in args for path in (each if isinstance(each, list) else [each])]
        finished = await self.program(fn.__name__, *paths)
        return Path(finished.stdout.strip())


def executor_on(place: str, folder: Path, address: str) -> Any:
    """Return what runs functions at a place."""
    if place == "dask":
        from aiodag.executors.dask import Dask  # noqa: PLC0415 - nobody else needs that package

        return Dask(address, by_value=[pipeline])
    if place == "slurm":
        return Programs(Slurm(directory=folder / "jobs", interval=1))
    return {"threads": "thread", "processes": "process"}[place]


@task
async def albums(folders: list[Path], executor: Any) -> list[Path]:
    """Make all that several albums need, at a place; return the paths of their sheets."""
    thumbnail = pipeline.thumbnail.with_options(limit=None, executor=executor)
    contact_sheet = pipeline.contact_sheet.with_options(executor=executor)
    sheets = [contact_sheet(album, thumbnail.map(sorted(album.glob("*.ppm")))) for album in folders]
    return [await sheet for sheet in sheets]


async def make_at(place: str, folder: Path, folders: list[Path], address: str) -> list[Path]:
    """Run the pipeline at a place; return the paths of the sheets."""
    async with Run("albums"):
        return await albums(folders, executor_on(place, folder, address))
