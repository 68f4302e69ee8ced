"""What a notebook shows, and that the cells of its page do what the page says."""

import asyncio
import re
import sys
from types import ModuleType
from xml.etree.ElementTree import fromstring

import pytest
from programs import ROOT
from sessions import run_cell

from aiodag import Graph, GraphEdge, GraphNode, Run, RunFailed, Skip, State, plan, task
from aiodag.testing import run

CELL = re.compile(r"<!-- not run: a cell -->\n```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
CELLS = CELL.findall((ROOT / "docs" / "in-notebooks.md").read_text(encoding="utf-8"))


@task
async def fetch(name, error=None):
    if error:
        raise error
    return name


@task
async def join(*parts):
    return parts


def shown(thing):
    return thing._repr_mimebundle_(include=None, exclude=None)


def many(count):
    nodes = [GraphNode(at, f"task_{at % 9}", f"task_{at % 9}({at})", State.WAITING) for at in range(count)]
    return Graph("many", nodes, [GraphEdge(at, at + 1, "endogenous") for at in range(count - 1)])


def text_of(value):
    return shown(value)["text/plain"] if hasattr(value, "_repr_mimebundle_") else repr(value)


def without_times(text):
    return re.sub(r" +succeeded, [\d.]+ [mµ]?s|, after [\d.]+ [mµ]?s", "", text)


def test_the_cells_of_the_page_show_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # that of the kernel
    assert len(CELLS) == 4

    async def main():
        names = vars(sys.modules["__main__"])
        for source, expected in CELLS:
            value = await run_cell(source, names)
            got = capsys.readouterr().out or text_of(value)
            assert without_times(got).strip() == expected.strip()

    asyncio.run(main())


def test_a_graph_shows_a_picture_and_a_tree():
    graph = plan(lambda: join(fetch("a"), fetch("b")))

    bundle = shown(graph)

    assert set(bundle) == {"text/plain", "image/svg+xml"}
    assert bundle["text/plain"] == graph.to_text()
    assert fromstring(bundle["image/svg+xml"]).tag.endswith("svg")


def test_a_graph_without_nodes_has_no_picture():
    assert shown(Graph("none", [], [])) == {"text/plain": "none: 0 nodes"}


@pytest.mark.parametrize("count", [100, 1_000, 5_000, 30_000])
def test_what_a_graph_shows_is_bounded(count):
    bundle = shown(many(count))

    assert len(bundle["text/plain"].splitlines()) <= 61
    assert sum(map(len, bundle.values())) < 1_100_000
    assert ("image/svg+xml" in bundle) == (count <= 20_000)


def test_a_run_shows_its_state_and_its_graph_before_during_and_after():
    async def main():
        etl = Run("etl")
        before = shown(etl)
        async with etl:
            node = fetch("a")
            during = shown(etl)
            await node
        return before, during, shown(etl)

    before, during, after = run(main())

    assert before == {"text/plain": "<Run 'etl' waiting>"}
    assert "fetch('a') queued" in during["text/plain"]
    assert after["text/plain"].startswith("<Run 'etl' succeeded>\netl: 1 node, 1 succeeded")
    assert all("image/svg+xml" in each for each in (during, after))


def test_a_node_shows_its_state_and_not_its_value():
    async def main():
        node = fetch("secret")
        waiting = shown(node)
        await node
        return waiting, shown(node)

    waiting, succeeded = run(main())

    assert "fetch</b> queued" in waiting["text/html"]
    assert "fetch</b> succeeded" in succeeded["text/html"]
    assert not any("secret" in text for text in succeeded.values())


def test_a_failed_node_tells_why_and_showing_it_does_not_take_the_failure():
    async def main():
        with pytest.raises(RunFailed):
            async with Run("etl"):
                node = join(fetch("a", error=ValueError("<b>bold</b>")))
                await asyncio.sleep(1)
                bundle = shown(node)
        return bundle

    bundle = run(main())

    assert "ValueError: <b>bold</b>" in bundle["text/plain"]
    assert "ValueError: &lt;b&gt;bold&lt;/b&gt;" in bundle["text/html"]
    assert "<b>bold" not in bundle["text/html"]


def test_a_node_that_was_skipped_by_itself_shows_no_failure():
    async def main():
        node = fetch("a", error=Skip())
        await asyncio.wait([node])
        return shown(node)

    assert "skipped" in run(main())["text/plain"]
