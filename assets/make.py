"""Draw the pictures of the README and of other pages: the demo's ETL in mid-run, its timeline, a workflow of jobs, the page.

    python assets/make.py

The run is on a virtual clock, so its times are exact and the pictures are the same wherever they are drawn. The page is that of
a real server, which chromium photographs: a digest of what it was made of says whether it is still the page.
"""

# ruff: noqa: ANN001, ANN201 - a program, not an interface

import asyncio
import hashlib
import importlib.util
import re
import shutil
import sys
import tempfile
from contextlib import contextmanager
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


def markup_digest(markup, run, folder):
    """Return a digest of a page, without what is another each time: identities, times, and so the measures of its graph."""
    styled = re.findall(r'/static/[^"]+', markup)
    text = markup.replace(run, "RUN").replace(str(folder), "FOLDER")
    text = re.sub(r"<time[^>]*>[^<]*</time>", "<time>", text)
    text = re.sub(r'value="[\w-]{20,}"', "", text)
    text = re.sub(r"\b[0-9a-f]{8,}\b|\d+(?:\.\d+)?(?: (?:ms|s|min)\b)?", "0", text)
    return hashlib.sha256("\n".join([*styled, text]).encode()).hexdigest()


@contextmanager
def page_of_run():
    """Give the server of the demo, the address of its run there, and the digest of that page."""
    demo = example("page.py")
    with tempfile.TemporaryDirectory() as folder, demo.served(Path(folder)) as server:
        run = demo.run_nightly_load(server, Path(folder))
        status, _, markup = server.read(f"/runs/{run}")
        assert status == 200, markup
        yield demo, server, f"/runs/{run}", markup_digest(markup.decode(), run, folder)


def photograph_page():
    """Have chromium make the picture of the page, and keep what it was made of."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("the picture of the page needs chromium: apt-get install chromium")
    with page_of_run() as (demo, server, address, digest):
        demo.photograph(server, address, HERE / "page.png", program)
    (HERE / "page.sha256").write_text(f"{digest}\n")


def pictures():
    """Return {file name: SVG}."""
    middle, end = testing.run(run_etl(example("demo.py").Etl()))
    return {"etl-graph.svg": svg(middle), "etl-timeline.svg": timeline(end), "tables-graph.svg": svg(tables())}


if __name__ == "__main__":
    for name, drawn in pictures().items():
        (HERE / name).write_text(drawn, encoding="utf-8")
        print(f"wrote assets/{name}")
    photograph_page()
    print("wrote assets/page.png")
