"""Large values on Dask: measured, not promised, how much of them comes through the process that owns the run."""

import pytest
from test_dask import array, doubled_array, said_by
from test_executor_contract import on
from tornado.iostream import IOStream

from aiodag import Run

SIZE = 4 << 20  # bytes of each array


def first_of(given):
    return float(given[0])


@pytest.fixture
def passed(monkeypatch):
    """Count the bytes that this process reads from connections to the cluster, and writes to them."""
    counted = []

    def counting(method):
        def count(self, content):
            number = method(self, content)
            counted.append(number or 0)
            return number

        return count

    for name in ("read_from_fd", "write_to_fd"):
        monkeypatch.setattr(IOStream, name, counting(getattr(IOStream, name)))
    return counted


async def chain(dask):
    node = on(dask, array)(SIZE >> 20)
    for _ in range(9):
        node = on(dask, doubled_array)(node)
    return await on(dask, first_of)(node)


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_chain_of_arrays_passes_the_owner_by(dask, passed, tmp_path, recorded):
    options = {"store": f"sqlite:///{tmp_path}/runs.db", "id": "monday", "values": tmp_path / "values"}

    async with Run("etl", **(options if recorded else {})):
        assert await chain(dask) == 2**9

    assert 0 < sum(passed) < 10 * SIZE / 100
    assert len(list(tmp_path.glob("values/??/*"))) == (10 if recorded else 0)


async def test_what_workers_have_written_is_taken_back_here(dask, tmp_path):
    def run():
        return Run("etl", store=f"sqlite:///{tmp_path}/runs.db", id="monday", values=tmp_path / "values")

    async with run():
        on(dask, array)(1)
    async with run():
        node = on(dask, array)(1)

    assert node.attempt == 1
    assert float((await node).sum()) == 1 << 17


@pytest.mark.parametrize("values_from", [None, 10_000_000])
async def test_what_stays_there_and_is_small_enough_for_the_record_comes_home(dask, tmp_path, values_from):
    place = tmp_path / "values"
    options = {"store": f"sqlite:///{tmp_path}/runs.db", "values": place, "values_from": values_from}
    text = "ü" * 60_000  # 120,000 bytes there, and fewer characters than are large in a record

    async with Run("etl", id="monday", **options):
        first = on(dask, text.replace)("-", "+")
    async with Run("etl", id="monday", **options):
        again = on(dask, text.replace)("-", "+")

    assert await first == await again == text
    assert again.attempt == 1
    assert list(place.glob("??/*")) == []


OF_THE_MAIN_MODULE = """\
import asyncio, sys
from dataclasses import dataclass
from aiodag import Run, task
from aiodag.executors.dask import Dask

@dataclass
class Rows:
    lines: list
@task
def rows(number):
    return Rows([f"{each:0100}" for each in range(number)])
kept = []  # until the program ends, and not in the middle of letting go of them, of which Dask tells
async def main():
    for _ in range(2):
        async with Run("etl", store="sqlite:///runs.db", id="one", values="values", executor=Dask(sys.argv[1])):
            node = rows(1_000)
        kept.append(node)
        print(type(await node) is Rows, node.attempt)
asyncio.run(main())
"""


def test_a_value_whose_class_only_the_program_has_is_written_here(dask_cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program.py"
    program.write_text(OF_THE_MAIN_MODULE)

    assert said_by(program, dask_cluster.heal().address) == ("True 1\nTrue 1\n", "")
    assert len(list(tmp_path.glob("values/??/*"))) == 1
