"""The page of a node: how it shows what is large, old, or meant for a terminal; and which node a run says has failed."""

import asyncio

import pytest
from page_visitor import Markup, Visitor

from aiodag import Run, RunFailed, task
from aiodag.commands import command

LARGE = {str(number): list(range(50)) for number in range(8_000)}  # 1.6 MB as it is recorded


@task
async def make_large():
    return LARGE


@task(retries=49)
async def give_up(number):
    raise ValueError(f"attempt of {number}")


@task
async def outer(number):
    return await middle(number)


@task
async def middle(number):
    return await give_up(number)


async def fill(store):
    async with Run("large", store=store, id="large"):
        make_large()
    async with Run("coloured", store=store, id="coloured"):
        command("printf", r"\033[1;31mred\033[0m and \033]0;title\007plain", name="paint")()
    with pytest.raises(RunFailed):
        async with Run("called", store=store, id="called"):
            outer(7)


@pytest.fixture(scope="module")
def server(web_server):
    """A server with runs in its store."""
    asyncio.run(fill(web_server.store))
    return web_server


@pytest.fixture(scope="module")
def visitor(server):
    return Visitor(server)


def test_a_large_value_is_shown_as_it_is_recorded_without_its_middle(visitor):
    text = visitor.open("/runs/large/nodes/make_large").text

    assert "characters are left out here" in text
    assert "{&#34;0&#34;:[0,1,2" in text


def test_a_run_names_the_node_that_failed_before_those_that_called_it(visitor):
    text = Markup(visitor.open("/runs/called").text).text

    assert (
        text.index("give_up(7) failed in 50 attempts") < text.index("middle(7) failed") < text.index("outer(7) failed")
    )
    assert visitor.open("/runs/called/failed", 307).headers["Location"].endswith("/nodes/2")


def test_output_is_shown_without_what_it_tells_a_terminal(visitor):
    assert ">red and plain</pre>" in visitor.open("/runs/coloured/nodes/paint").text


def test_the_attempts_before_the_last_ones_have_an_address(visitor):
    last, first = visitor.open("/runs/called/nodes/2").text, visitor.open("/runs/called/nodes/2?before=11").text

    assert "?before=31#attempts" in last
    assert "Attempt 31 " in last
    assert "Attempt 10 " in first
    assert "Attempt 11 " not in first
    assert "?before=" not in first
