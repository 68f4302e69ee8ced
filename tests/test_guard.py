"""A file of runs keeps what was committed, whatever happens to it: copies, forks, deletion, crowds."""

import asyncio
import gc
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys

import programs
import pytest

from aiodag import Run, StoreError, task
from aiodag.service import Service
from aiodag.stores import SQLite

READERS = {
    "a checksum of it": "hashlib.md5(Path('runs.db').read_bytes(), usedforsecurity=False)",
    "a copy of all its files": "[shutil.copy(each, 'copy') for each in Path().glob('runs.db*')]",
}
WORKER = """
    import asyncio, hashlib, shutil, sys
    from contextlib import suppress
    from pathlib import Path
    from aiodag import Run, task

    @task
    async def step(before, number):
        if number % 5 == 0:
            with suppress(FileNotFoundError):
                {reader}
        return number

    async def main():
        for run in range(3):
            async with Run("crowd", store="runs.db", id=f"{{sys.argv[1]}}-{{run}}"):
                last = None
                for number in range(20):
                    last = step(last, number)
                    await last

    Path("copy").mkdir(exist_ok=True)
    asyncio.run(main())
"""


def started(path, source, *arguments):
    """Start a program in a directory of the test's own."""
    program = programs.write_program(path, source)
    return subprocess.Popen(
        [sys.executable, "-W", "error", program.name, *arguments],
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(programs.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(program):
    out, err = program.communicate(timeout=programs.SECONDS)
    assert program.returncode == 0, err
    return out


@pytest.mark.skipif(sys.platform != "linux", reason="locks that outlive the closing of another descriptor are Linux's")
@pytest.mark.parametrize("reader", READERS)
def test_nothing_is_lost_when_bodies_read_the_bytes_of_their_store(tmp_path, reader):
    crowd = [started(tmp_path, WORKER.format(reader=READERS[reader]), str(number)) for number in range(4)]
    for worker in crowd:
        ended(worker)

    with sqlite3.connect(tmp_path / "runs.db") as connection:
        rows = connection.execute(
            "select id, runs.state, count(*) from runs join nodes using (run) where nodes.state = 'succeeded' group by run"
        ).fetchall()
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
    assert sorted(rows) == [(f"{worker}-{run}", "succeeded", 20) for worker in range(4) for run in range(3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_cannot_harm_the_run_of_its_parent(tmp_path):
    source = """
        import asyncio, multiprocessing
        from aiodag import Run, StoreError, task

        @task
        async def number(value):
            return value

        async def numbers(name):
            async with Run(name, store="runs.db", id=name):
                for each in range(40):
                    await number(each)

        def child():
            try:
                asyncio.run(numbers("child"))
            except StoreError as error:
                print(error, flush=True)

        @task
        async def parent():
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            while process.is_alive():
                await number(-1)
            process.join()

        async def main():
            async with Run("parent", store="runs.db", id="parent"):
                await parent()
            await numbers("next")

        if __name__ == "__main__":
            asyncio.run(main())
    """
    out = ended(started(tmp_path, source.replace('"-W", "error"', "")))
    service = Service(tmp_path / "runs.db")

    assert "was forked from a process that has it open" in out
    assert "get_context('spawn')" in out
    assert {run.id: (str(run.state), run.owner) for run in service.runs()} == {
        "parent": ("succeeded", None),
        "next": ("succeeded", None),
    }
    assert len(service.nodes("next")) == 40
    service.store.close()


@task
async def anything(value):
    return value


def test_a_run_whose_store_was_deleted_fails_and_names_the_file(tmp_path):
    path = tmp_path / "runs.db"

    async def main():
        async with Run("r", store=path, id="r"):
            await anything(1)
            path.unlink()
            await anything(2)

    with pytest.raises(StoreError, match=r"runs\.db was deleted or moved while a run was written to it"):
        asyncio.run(main())


def test_a_run_whose_store_was_deleted_at_its_end_has_not_succeeded(tmp_path):
    path = tmp_path / "runs.db"
    run = Run("r", store=path, id="r")

    async def main():
        async with run:
            await anything(1)
            path.unlink()

    with pytest.raises(StoreError, match="deleted or moved"):
        asyncio.run(main())
    assert str(run.state) == "failed"


def test_a_run_whose_log_was_deleted_fails_and_says_so_and_can_be_resumed(tmp_path):
    path = tmp_path / "runs.db"

    async def main(*, delete):
        async with Run("r", store=path, id="r"):
            await anything(1)
            if delete:
                path.with_name("runs.db-wal").unlink()
            return await anything(2)

    with pytest.raises(
        StoreError, match=r"runs\.db lost its log, runs\.db-wal, which somebody has deleted or replaced, while a run"
    ):
        asyncio.run(main(delete=True))
    assert asyncio.run(main(delete=False)) == 2
    assert [str(run.state) for run in Service(path).runs()] == ["succeeded"]


def test_who_only_looks_sees_what_is_there_when_the_log_was_deleted(tmp_path):
    path = tmp_path / "runs.db"
    store = SQLite(path)
    store.delete([])  # makes the file
    path.with_name("runs.db-wal").unlink()

    seen = store.runs()
    store.close()

    assert seen == []


def test_of_a_log_that_was_cut_short_what_is_whole_counts_and_the_run_goes_on_from_there(tmp_path):
    program = started(
        tmp_path,
        """
        import asyncio, os, signal, sys
        from aiodag import Run, task

        @task
        async def step(number):
            return number

        async def main(kill):
            async with Run("r", store="runs.db", id="r"):
                for number in range(20):
                    await step(number)
                if kill:
                    os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main(kill=sys.argv[1:] == ["kill"]))
        """,
        "kill",
    )
    program.communicate(timeout=programs.SECONDS)
    log = tmp_path / "runs.db-wal"
    os.truncate(log, log.stat().st_size * 2 // 3)

    left = len(Service(tmp_path / "runs.db").nodes("r"))
    ended(
        again := subprocess.Popen(
            [sys.executable, "-W", "error", "program.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(programs.ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    nodes = Service(tmp_path / "runs.db").nodes("r", every=True)

    assert 0 < left < 20
    assert again.returncode == 0
    assert [(node.number, str(node.state)) for node in nodes] == [(number, "succeeded") for number in range(20)]


def test_a_run_whose_store_was_replaced_fails_and_leaves_the_other_file_alone(tmp_path):
    path, other = tmp_path / "runs.db", tmp_path / "other.db"
    store = SQLite(other)
    store.delete([])  # makes the file
    store.close()
    before = hashlib.sha256(other.read_bytes()).digest()

    async def main():
        async with Run("r", store=path, id="r"):
            await anything(1)
            other.replace(path)
            await anything(2)

    with pytest.raises(StoreError, match="replaced by another file"):
        asyncio.run(main())
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_who_only_looks_sees_the_file_that_is_there_now(tmp_path):
    path, other = tmp_path / "runs.db", tmp_path / "other.db"
    service = Service(path)

    async def main(place, name):
        async with Run(name, store=place, id=name):
            await anything(1)

    asyncio.run(main(path, "first"))
    asyncio.run(main(other, "second"))
    seen = [run.id for run in service.runs()]
    path.unlink()
    gone = service.runs()
    other.rename(path)
    again = [run.id for run in service.runs()]
    service.store.close()

    assert (seen, gone, again) == (["first"], [], ["second"])


def test_the_log_that_a_slow_reader_let_grow_is_cut_when_the_reader_has_gone(tmp_path):
    path = tmp_path / "runs.db"
    log = path.with_name("runs.db-wal")
    sizes = []

    async def main():
        async with Run("r", store=path, id="r"):
            reader = sqlite3.connect(path, isolation_level=None)
            reader.execute("begin")
            reader.execute("select count(*) from sqlite_master").fetchall()
            for each in range(12):
                await anything(str(each) * 2**19)
            sizes.append(log.stat().st_size)
            reader.close()
            for each in range(200):
                await anything(each)
            sizes.append(log.stat().st_size)

    asyncio.run(main())

    assert sizes[0] > 2**22 + 2**20 > sizes[1]


def test_the_log_is_put_away_when_the_last_one_closes(tmp_path):
    path = tmp_path / "runs.db"
    service = Service(path)

    async def main():
        async with Run("r", store=path, id="r"):
            await anything(1)
            service.runs()

    asyncio.run(main())
    assert path.with_name("runs.db-wal").exists()
    service.store.close()

    assert sorted(each.name for each in tmp_path.iterdir()) == ["runs.db", "runs.db-lock"]


def test_a_copy_is_whole_while_a_run_goes_on(tmp_path):
    service = Service(tmp_path / "runs.db")

    async def main():
        async with Run("r", store=tmp_path / "runs.db", id="r"):
            for each in range(20):
                await anything(each)
            service.backup(tmp_path / "copy.db")
            await anything(20)

    asyncio.run(main())
    copy = Service(tmp_path / "copy.db")

    assert (len(copy.nodes("r")), len(service.nodes("r"))) == (20, 21)
    with pytest.raises(StoreError, match="there is such a file already"):
        service.backup(tmp_path / "copy.db")
    with pytest.raises(StoreError, match="no store"):
        Service(tmp_path / "none.db").backup(tmp_path / "other.db")
    with pytest.raises(StoreError, match="cannot copy the store"):
        service.backup(tmp_path / "nowhere" / "copy.db")
    assert sorted(each.name for each in tmp_path.glob(".*")) == []
    copy.store.close()
    service.store.close()


def test_a_store_that_cannot_be_written_to_can_be_looked_at(tmp_path):
    """As a user who may not write: root may write anywhere, so the program becomes nobody first."""
    source = """
        import os, sys
        import urllib.parse, aiodag.service.values  # what is loaded late: nobody may not read root's Python
        from aiodag.service import Service
        from aiodag.errors import StoreError

        Service("other.db").store.delete([])  # so does this
        if os.getuid() == 0:
            os.setuid(65534)
        service = Service("box/runs.db")
        print([(run.id, str(run.state)) for run in service.runs()], service.value("r", "0"))
        try:
            service.delete("r")
        except StoreError as error:
            print(error)
    """

    async def main():
        async with Run("r", store=tmp_path / "box" / "runs.db", id="r"):
            await anything(1)

    asyncio.run(main())
    (tmp_path / "box" / "runs.db").chmod(0o444)
    (tmp_path / "box").chmod(0o555)
    for each in [tmp_path, *tmp_path.parents]:
        if each.stat().st_uid == os.getuid() and each.is_relative_to("/tmp"):  # pytest keeps its directories private
            each.chmod(each.stat().st_mode | 0o055)
    out = ended(started(tmp_path, source))
    (tmp_path / "box").chmod(0o755)

    first, second = out.splitlines()
    assert first == "[('r', 'succeeded')] 1"
    assert "cannot write to the store box/runs.db" in second
    assert shutil.which("python3")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says what a process has open")
def test_a_store_that_could_not_be_opened_holds_nothing_when_it_is_closed(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    store.delete([])  # makes the file
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("pragma user_version = 999")
    connection.close()

    with pytest.raises(StoreError, match="made by a newer aiodag"):
        store.runs()
    store.close()

    assert programs.open_files(tmp_path) == []


def test_a_store_that_nobody_holds_any_more_lets_go_of_its_file(tmp_path):
    service = Service(tmp_path / "runs.db")
    service.store.delete([])  # makes the file
    assert len(list(tmp_path.iterdir())) > 2
    del service
    gc.collect()

    assert sorted(each.name for each in tmp_path.iterdir()) == ["runs.db", "runs.db-lock"]
