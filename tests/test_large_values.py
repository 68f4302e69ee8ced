"""Large values by reference: written once, verified when they are taken back, and never a wrong one."""

import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from hashlib import sha256

import numpy as np
import pytest

from aiodag import OptionError, Run, SecretInValue, StoreError, ValueGone, ValueTooLarge, task
from aiodag.cli.program import main
from aiodag.service import Service
from aiodag.stores import SQLite
from aiodag.stores.folder import Folder

CALLS = []


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


@task
async def text(size, letter="x"):
    CALLS.append(letter)
    return letter * size


@task
async def array(shape, order="C"):
    CALLS.append(order)
    return np.asarray(np.arange(np.prod(shape), dtype="<f8").reshape(shape), order=order)


@task(cache=True)
async def shared(size):
    CALLS.append(size)
    return "y" * size


@task(codec="pickle")
async def pickled(size):
    CALLS.append(size)
    return bytearray(size)


@task
async def length(value):
    return len(value)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "values"


@pytest.fixture
def run(tmp_path, place):
    def make(run_id="monday", **options):
        return Run("etl", store=f"sqlite:///{tmp_path}/runs.db", id=run_id, **{"values": place, **options})

    return make


def files(place):
    return sorted(path for path in place.glob("??/*") if not path.name.startswith("."))


async def test_a_large_value_is_a_file_and_its_record_a_reference(run, place, tmp_path):
    async with run():
        text(70_000)
        text(7)

    (file,) = files(place)
    kept = {node.codec: len(node.value) for node in SQLite(tmp_path / "runs.db").nodes("monday")}
    assert file.read_text() == f'"{"x" * 70_000}"'
    assert set(kept) == {"$value", "json"}
    assert kept["$value"] < 500
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("make", [lambda: text(70_000), lambda: pickled(70_000), lambda: shared(70_000)])
async def test_what_was_kept_is_taken_back(run, make):
    async with run():
        first = await make()
    async with run():
        node = make()
        again, size = await node, await length(node)

    assert (again == first, type(again) is type(first), size, len(CALLS)) == (True, True, len(first), 1)


async def test_the_value_of_a_recalled_node_can_be_asked_for_after_the_run(run):
    for _ in range(2):
        async with run():
            node = text(70_000)
        assert node.result() == "x" * 70_000

    assert node.done()
    assert CALLS == ["x"]


@pytest.mark.parametrize(("shape", "order"), [((3, 70), "C"), ((300, 70), "F"), ((0, 4), "C"), ((), "C"), ((9,), "C")])
async def test_arrays_of_any_size_keep_their_type_shape_and_order(run, shape, order):
    for _ in range(2):
        async with run():
            node = array(shape, order)
        value = node.result()
        assert np.array_equal(value, np.arange(np.prod(shape)).reshape(shape))
        assert (value.dtype.str, value.flags.f_contiguous or order == "C") == ("<f8", True)
        value += 1  # it is the caller's

    assert [order] == CALLS


async def test_64_kib_are_large_and_a_byte_less_is_not(run, place):
    async with run():
        text(65_533)  # and the two quotes of JSON
        assert files(place) == []
        await text(65_534)

    assert [path.stat().st_size for path in files(place)] == [65_536]


async def test_equal_values_are_one_file(run, place):
    async with run():
        text(70_000)
        text.with_options(name="other")(70_000)
    async with run("tuesday"):
        text(70_000)

    assert len(files(place)) == 1


def damage_nothing(path):
    path.unlink()


def damage_a_byte(path):
    with path.open("r+b") as file:
        file.seek(9)
        file.write(b"?")


def cut_off(path):
    os.truncate(path, 9)


def make_longer(path):
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("damage", [damage_nothing, damage_a_byte, cut_off, make_longer])
@pytest.mark.parametrize("cached", [False, True])
async def test_what_is_missing_or_damaged_runs_again(run, place, damage, cached, caplog):
    make = shared if cached else text
    async with run():
        make(70_000)
    (file,) = files(place)
    whole = file.read_bytes()
    damage(file)

    with caplog.at_level(logging.WARNING, logger="aiodag.stores"):
        async with run("tuesday" if cached else "monday"):
            node = make(70_000)

    assert len(node.result()) == 70_000
    assert len(CALLS) == 2
    assert file.read_bytes() == whole
    assert "runs again" in caplog.text


async def test_a_value_may_be_larger_than_its_store_takes(run, monkeypatch):
    monkeypatch.setattr(SQLite, "largest", 1_000)

    async with run():
        assert await length(text(70_000)) == 70_000
    with pytest.raises(ValueTooLarge):
        async with run("tuesday", values_from=100_000):
            await text(70_000)


async def test_a_secret_is_not_written_to_a_place_either(run, place, monkeypatch):
    from aiodag import Secret

    monkeypatch.setenv("TOKEN", "s3cr3t-of-the-house")

    @task
    async def leak(token):
        return token * 5_000

    with pytest.raises(SecretInValue):
        async with run():
            await leak(Secret("TOKEN"))

    assert files(place) == []


@pytest.mark.parametrize("given", [7, "", "file://relative", "no scheme://x", "sftp://me:word@db.example/values"])
async def test_a_place_that_is_none_is_refused_before_anything_runs(run, given):
    with pytest.raises(OptionError, match="values") as refused:
        async with run(values=given):
            text(7)

    assert CALLS == []
    assert ":word" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("s3://bucket/values", "Install s3fs"),
        ("simplecache::s3://bucket/values", "Install s3fs"),
        ("nowhere://bucket", "Protocol not known: nowhere"),
    ],
)
def test_a_place_whose_package_is_missing_is_refused_when_the_run_is_made(
    run, tmp_path, monkeypatch, capsys, given, why
):
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(OptionError, match=f"values=.*{why}"):
        run(values=given)

    (tmp_path / "etl.json").write_text('{"tasks": {"a": {"command": ["echo"]}}}')
    for where in ([], ["--values", given]):
        monkeypatch.setenv("AIODAG_VALUES", "" if where else given)
        assert main(["run", f"{tmp_path}/etl.json", "--store", f"{tmp_path}/runs.db", *where]) == 2
        assert why in capsys.readouterr().err
    assert Service(f"{tmp_path}/runs.db").runs() == []


async def test_values_without_a_store_are_refused():
    with pytest.raises(OptionError, match="with store="):
        Run("etl", values="values")


async def test_a_place_that_cannot_be_written_fails_the_node(run, place):
    place.write_text("a file")

    with pytest.raises(OSError, match=f"a value cannot be written to file://{place}: Not a directory"):
        async with run():
            await text(70_000)


async def test_a_place_in_the_home_directory(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    async with run(values="~/values"):
        await text(70_000)

    assert len(files(tmp_path / "home" / "values")) == 1


async def test_a_record_that_cannot_be_read_keeps_no_value_from_being_removed(run, place, tmp_path):
    async with run():
        await text(70_000)
    [store] = tmp_path.glob("*.db")
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute("update nodes set value = 'nonsense' where codec = '$value'")

    assert Service(store).remove_values(place, older=0) == 1
    assert files(place) == []


async def test_the_place_may_be_any_that_fsspec_reaches(run):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    for _ in range(2):
        async with run(values="memory://values"):
            assert await length(text(70_000)) == 70_000
    (path,) = files.find("/values")
    files.pipe_file(path, b"damaged")
    async with run(values="memory://values"):
        text(70_000)

    assert CALLS == ["x", "x"]
    assert len(files.cat_file(path)) == 70_002
    files.rm("/values", recursive=True)


KILLED = """
import asyncio, sys
from aiodag import Run, task

@task
async def text(number):
    return str(number) * 50_000

async def main():
    async with Run("etl", store=sys.argv[1], id="monday", values=sys.argv[2]):
        nodes = [text(number) for number in range(100, 200)]
        await nodes[10]
        print("begun", flush=True)

asyncio.run(main())
"""


async def test_a_process_that_is_killed_leaves_whole_files_alone(tmp_path, place):
    store = f"sqlite:///{tmp_path}/runs.db"
    program = tmp_path / "large.py"
    program.write_text(KILLED)
    with subprocess.Popen([sys.executable, program, store, place], stdout=subprocess.PIPE) as process:
        assert await asyncio.to_thread(process.stdout.readline) == b"begun\n"
        process.send_signal(signal.SIGKILL)

    assert files(place)
    for path in files(place):
        content = path.read_text()
        assert content == f'"{content[1:4] * 50_000}"'


def aged(place):
    """Have all files of a place as old as what may be removed."""
    for path in files(place):
        os.utime(path, (0, 0))


async def test_values_go_with_the_last_run_that_names_them(run, place, tmp_path):
    service = Service(f"sqlite:///{tmp_path}/runs.db")
    for day in ("monday", "tuesday"):
        async with run(day):
            text(70_000)
    async with run("wednesday"):
        shared(80_000)
    aged(place)

    assert service.remove_values(place) == 0
    service.delete("monday", "wednesday")
    assert service.remove_values(place) == 0
    service.delete("tuesday")
    assert service.remove_values(place) == 1
    assert len(files(place)) == 1  # the cache names it


async def test_what_was_written_lately_stays_and_what_was_cut_off_goes(run, place, tmp_path):
    service = Service(f"sqlite:///{tmp_path}/runs.db")
    async with run():
        text(70_000)
    (file,) = files(place)
    left = [file.with_name(".cut.off"), file.with_name(f"{file.name}.going")]
    for path in left:
        path.touch()
        os.utime(path, (0, 0))
    service.delete("monday")

    assert service.remove_values(place) == 0
    assert [path.exists() for path in [file, *left]] == [True, False, False]
    assert service.remove_values(place, older=0) == 1


async def test_the_settings_say_where_and_deleting_tidies_up(run, place, tmp_path, monkeypatch):
    monkeypatch.setenv("AIODAG_VALUES", str(place))
    async with run(values=None):
        text(70_000)
    assert len(files(place)) == 1
    aged(place)

    assert main(["delete", "monday", "--store", f"sqlite:///{tmp_path}/runs.db", "--values", str(place)]) == 0
    assert files(place) == []


async def test_a_value_is_shown_from_its_place_and_a_pickled_one_is_not(run, place, tmp_path):
    service = Service(f"sqlite:///{tmp_path}/runs.db")
    async with run():
        text(70_000)
        array((3, 4))
        pickled(70_000)

    assert service.value("monday", "text") == "x" * 70_000
    assert service.value("monday", "array").shape == (3, 4)
    with pytest.raises(StoreError, match="pickled"):
        service.value("monday", "pickled")
    for path in files(place):
        path.unlink()
    with pytest.raises(ValueGone, match="cannot be read"):
        service.value("monday", "text")


def test_a_value_that_is_kept_while_it_is_removed_is_there(tmp_path):
    """One process keeps values that are equal, and another removes whatever is old: none that was kept is missing."""
    folder = Folder(tmp_path)
    content = [b"x" * 1_000]
    digest = sha256(content[0]).hexdigest()
    over = threading.Event()

    def remove():
        while not over.is_set():
            folder.remove(digest, time.time() - 60)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for number in range(300):
            if number % 3:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(folder.file(digest), (0, 0))
            folder.keep(digest, content)
            assert folder.read(digest) == content[0]
    finally:
        over.set()
        remover.join()


async def test_every_store_knows_the_values_of_its_records(store, place):
    service = Service(store)

    async def recorded(run_id):
        async with Run("etl", store=store, id=run_id, values=place) as run:
            node = text(70_000)
            shared(80_000)
            text(7)
        assert run.state.value == "succeeded"
        return node.result()

    assert await recorded("monday") == await recorded("monday") == "x" * 70_000
    aged(place)
    assert len(store.values_elsewhere()) >= 2
    assert service.remove_values(place) == 0
    service.delete("monday")
    assert service.remove_values(place) == 1
    assert len(store.values_elsewhere()) == 1  # of the cache
    assert sorted(map(str, CALLS)) == ["80000", "x", "x"]


async def test_a_copied_run_names_the_same_files(run, place, tmp_path):
    async with run():
        text(70_000)
    other = Service(f"sqlite:///{tmp_path}/other.db")

    Service(f"sqlite:///{tmp_path}/runs.db").copy_to(other)

    assert other.value("monday", "text") == "x" * 70_000


FLOW = """
from aiodag import task

@task
async def load():
    return "x" * 100_000

@task
async def main():
    return len(await load())
"""


def test_a_plan_says_what_runs_again_since_its_file_is_gone(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AIODAG_STORE", f"sqlite:///{tmp_path}/runs.db")
    flow = tmp_path / "flow_of_large.py"
    flow.write_text(FLOW)

    assert main(["run", str(flow), "--values", "no scheme://x"]) == 2
    assert "values" in capsys.readouterr().err
    assert main(["run", str(flow), "--id", "monday", "--values", str(place)]) == 0
    capsys.readouterr()
    assert main(["show", "monday", "load", "--value"]) == 0
    assert len(capsys.readouterr().out) > 100_000
    plans = []
    for _ in range(2):
        assert main(["plan", "monday"]) == 0
        plans.append(capsys.readouterr().out)
        for path in files(place):
            path.unlink()

    assert "load" not in plans[0].partition("recall")[0]
    assert plans[0] != plans[1]
    assert "load" in plans[1]
