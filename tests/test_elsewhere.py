"""Hosts and executors by name, and those of a whole run: found at the call, refused at the call."""

import asyncio
import gc
import threading
from weakref import ref

import pytest

from aiodag import Capacity, NoCapacity, OptionError, Run, RunFailed, plan, task
from aiodag.commands import command
from aiodag.executors.thread import ThreadExecutor
from aiodag.programs import ProgramEnd


class Moon:
    """A host that notes what it is asked for, and counts how often it is closed."""

    def __init__(self, name="moon", why=""):
        self.name, self.why = name, why
        self.requests, self.asked, self.closed = [], [], 0

    async def run(self, request, watch, /):
        self.requests.append(request)
        watch.note_end(ProgramEnd(code=0, started_at=0.0, ended_at=1.0))

    async def close(self):
        self.closed += 1


class Counting(Moon):
    """One that accounts for resources itself."""

    def refuse(self, resources, /):
        self.asked.append(dict(resources))
        return self.why


class Away:
    """An executor that notes what it runs, here."""

    def __init__(self, *, takes_async=True):
        self.takes_async = takes_async
        self.ran = []

    async def run(self, fn, /, *args, **kwargs):
        self.ran.append(fn.__name__)
        value = fn(*args, **kwargs)
        return await value if asyncio.iscoroutine(value) else value


@task
async def fetch(name):
    return name * 2


@task
def measure(text):
    return len(text)


@task
def where():
    return threading.current_thread().name


async def test_a_name_stands_for_a_host_of_the_run():
    moon = Moon()
    async with Run("etl", hosts={"hpc": moon}):
        node = command("sync", host="hpc")()
        here = command("echo", "rows", host="local")()

    assert (node.result().host, len(moon.requests)) == ("moon", 1)
    assert here.result().stdout == "rows\n"


async def test_the_default_host_is_for_commands_that_name_none():
    moon, mars = Moon(), Moon("mars")
    for default in ("hpc", moon):
        async with Run("etl", hosts={"hpc": moon, "mars": mars}, default_host=default):
            nodes = [command("sync")(), command("sync", host="mars")(), command("true", host="local")()]
        assert [node.result().host for node in nodes][:2] == ["moon", "mars"]

    assert (len(moon.requests), len(mars.requests)) == (2, 2)


async def test_an_unknown_name_is_refused_at_the_call_with_what_there_is():
    async with Run("etl", hosts={"hpc": Moon()}, executors={"gpu": "thread"}):
        with pytest.raises(OptionError, match=r"host='hcp' .*'local', 'hpc', .*did you mean 'hpc'\?"):
            command("sync", host="hcp")()
        with pytest.raises(OptionError, match=r"executor='gpus' .*'thread', 'process', 'gpu', .*did you mean 'gpu'\?"):
            task(sum, executor="gpus")([1])
        with pytest.raises(OptionError) as caught:
            command("sync", host="x" * 10_000)()
    assert len(str(caught.value)) < 400


async def test_without_a_run_there_are_the_names_of_the_settings(tmp_path, monkeypatch):
    (tmp_path / "aiodag.toml").write_text('[executors]\ngpu = "thread"\n[hosts.near]\ntype = "local"\n')
    monkeypatch.chdir(tmp_path)

    assert await task(sum, executor="gpu")([1, 2]) == 3
    assert (await command("echo", "rows", host="near")()).stdout == "rows\n"
    with pytest.raises(OptionError, match="did you mean 'near'"):
        command("sync", host="naer")()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"hosts": {"local": Moon()}}, "without 'local'"),
        ({"hosts": [Moon()]}, "a dict of names"),
        ({"hosts": {"": Moon()}}, "a dict of names"),
        ({"hosts": {"hpc": "moon"}}, "an object with a name and an async run"),
        ({"executors": {"thread": Away()}}, "without 'thread' and 'process'"),
        ({"executors": {"gpu": "other"}}, "no names of others"),
        ({"executors": {"gpu": 3}}, "a pool of concurrent.futures"),
        ({"default_host": "hcp", "hosts": {"hpc": Moon()}}, r"default_host='hcp' .*did you mean 'hpc'"),
        ({"executor": "gpus", "executors": {"gpu": "thread"}}, r"did you mean 'gpu'"),
    ],
)
def test_what_a_run_cannot_have_is_refused(options, why):
    with pytest.raises(OptionError, match=why):
        Run("etl", **options)


async def test_a_name_can_stand_for_threads_in_a_test():
    async with Run("etl", executors={"gpu": "thread", "two": ThreadExecutor(2)}):
        nodes = [measure.with_options(executor=name)("abc") for name in ("gpu", "two")]

    assert [node.result() for node in nodes] == [3, 3]


async def test_a_run_sends_plain_and_async_functions_and_nothing_else():
    away, other, summaries = Away(), Away(), []

    def tell(summary):
        summaries.append(summary.state)

    async with Run("etl", executor=away, on_success=tell):
        nodes = [fetch("a"), measure("abc"), measure.with_options(executor=other)("abcd"), measure(fetch("ab"))]
        lines = command("echo", "rows")()

    assert [node.result() for node in nodes] == ["aa", 3, 4, 4]
    assert sorted(away.ran) == ["fetch", "fetch", "measure", "measure"]
    assert (other.ran, summaries, lines.result().stdout) == (["measure"], ["succeeded"], "rows\n")


async def test_async_functions_stay_where_the_executor_of_the_run_takes_none():
    away = Away(takes_async=False)

    async with Run("etl", executor=away):
        node = measure(fetch("ab"))

    assert (node.result(), away.ran) == (4, ["measure"])


async def test_an_async_function_is_refused_by_an_executor_that_takes_none():
    with pytest.raises(OptionError, match=r"takes a plain function, and .*is async"):
        fetch.with_options(executor=Away(takes_async=False))
    async with Run("etl", executors={"gpu": Away(takes_async=False)}):
        with pytest.raises(
            OptionError, match=r"executor='gpu' .*an executor that runs async functions, and fetch is one"
        ):
            fetch.with_options(executor="gpu")("a")


async def test_a_run_with_an_executor_keeps_no_tasks_alive():
    async with Run("etl", executor=Away()):
        made = task(lambda: 1)
        await made()
        gone = ref(made)
        del made
        gc.collect()
        assert gone() is None


async def test_the_request_says_what_the_task_asks_for():
    moon = Moon()
    sync = command("sync", host="hpc", timeout=lambda attempt: 60 * attempt, resources={"cores": 2, "memory_mb": 0.5})
    async with Run("etl", hosts={"hpc": moon}, capacity=Capacity({"cores": 4, "memory_mb": 1})):
        sync()

    (request,) = moon.requests
    assert (dict(request.resources), request.time_limit) == ({"cores": 2, "memory_mb": 0.5}, 60)
    assert request.label.startswith("etl.sync.1.")


async def test_a_host_that_accounts_by_itself_is_asked_in_place_of_the_capacity():
    hpc = Counting()
    sync = command("sync", host="hpc", resources={"cores": 64})
    async with Run("etl", hosts={"hpc": hpc}, capacity=Capacity({"cores": 1})):
        sync()
    async with Run("etl", hosts={"hpc": hpc}):
        sync()

    assert (len(hpc.requests), hpc.asked[0]) == (2, {"cores": 64})


async def test_what_no_machine_of_a_host_can_have_is_refused_at_the_call():
    hpc = Counting(why="no node has more than 32")
    async with Run("etl", hosts={"hpc": hpc}, default_host="hpc"):
        with pytest.raises(NoCapacity, match="sync asks for cores 64, and no node has more than 32"):
            command("sync", resources={"cores": 64})()

    assert hpc.requests == []


async def test_a_plan_needs_no_hosts():
    async def etl():
        command("sync", host="hpc")()
        task(sum, executor="gpu")([1])

    assert [node.label for node in plan(etl).order()] == ["sync", "sum"]


async def test_hosts_are_closed_when_the_last_run_that_names_them_has_ended():
    moon = Moon()
    async with Run("first", hosts={"hpc": moon}):
        async with Run("second", hosts={"hpc": moon, "same": moon}, default_host="hpc"):
            command("sync")()
        assert moon.closed == 0
    assert moon.closed == 1
    async with Run("third", hosts={"hpc": moon}):
        pass
    assert moon.closed == 2


async def test_they_are_closed_when_the_run_fails_and_a_failing_close_is_reported():
    class Broken(Moon):
        async def close(self):
            await super().close()
            raise OSError("no route")

    broken, moon, reports = Broken(), Moon(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context["message"]))
    with pytest.raises(RunFailed):
        async with Run("etl", hosts={"a": broken, "b": moon}):
            command("false", host="local")()

    assert (broken.closed, moon.closed) == (1, 1)
    assert [report.endswith("failed") and report.startswith("closing") for report in reports] == [True]


async def test_a_host_bounds_what_runs_at_once_by_itself():
    running, most = 0, 0

    class Roomy(Moon):
        at_once = None

        async def run(self, request, watch, /):
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(5):
                await asyncio.sleep(0)
            running -= 1
            await super().run(request, watch)

    async with Run("etl", hosts={"hpc": Roomy()}):
        for _ in range(200):
            command("sync", host="hpc")()

    assert most == 200
