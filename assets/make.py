"""Draw the pictures of the README and of other pages: the demo's ETL in mid-run, its timeline, and a workflow of jobs.

    python assets/make.py

The run is on a virtual clock, so its times are exact and the pictures are the same wherever they are drawn.
"""

# ruff: noqa: ANN001, ANN201 - a program, not an interface

import asyncio
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from aiodag import Graph, Run, testing  # noqa: E402 - the path comes first
from aiodag.pictures import svg, timeline  # noqa: E402 - the path comes first
from aiodag.workflows import load  # noqa: E402 - the path comes first

MOMENT = 4.75  # seconds: some nodes have succeeded, some run, some wait


def example(name):
    """Load an example without running it."""
    path = HERE.parent / "examples" / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables():
    """Return the graph of the workflow that loads tables, before it runs."""
    example("15_tables/tables.py")
    flow = load(HERE.parent / "examples" / "15_tables" / "conf" / "load-tables.yaml")
    return flow.but(parameters={"day": "2026-01-02"}).graph()


async def run_etl(etl) -> tuple[Graph, Graph]:
    """Return the graph in mid-run and the graph at the end."""
    async with Run("etl") as run:
        etl.start()
        await asyncio.sleep(MOMENT)
        middle = run.graph()
    return middle, run.graph()


def pictures():
    """Return {file name: SVG}."""
    middle, end = testing.run(run_etl(example("demo.py").Etl()))
    return {"etl-graph.svg": svg(middle), "etl-timeline.svg": timeline(end), "tables-graph.svg": svg(tables())}


if __name__ == "__main__":
    for name, drawn in pictures().items():
        (HERE / name).write_text(drawn, encoding="utf-8")
        print(f"wrote assets/{name}")
