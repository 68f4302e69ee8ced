"""Attempts whose end nobody knows: tried again apart from `retries`, and counted over a crash."""

import asyncio
import itertools

import pytest

from aiodag import AttemptLost, LetGo, Run, RunFailed, State, current_node, task
from aiodag.commands import CommandFailed, CommandLost, command
from aiodag.programs import ProgramEnd, ProgramLost
from aiodag.stores import SQLite
from aiodag.testing import run


class Shaky:
    """A host that loses programs, and fails some: each letter of `ends` is how one attempt ends."""

    name = "shaky"

    def __init__(self, ends):
        self.ends = iter(ends)
        self.ran = 0
        self.stands = asyncio.Event()  # whether one is left where it is

    async def run(self, request, watch, /):
        self.ran += 1
        end = next(self.ends, "ok")
        if end == "lost":
            raise ProgramLost("was lost with its machine, node7", reason="node failure")
        if end == "left":
            self.stands.set()
            await asyncio.Event().wait()
        watch.note_end(ProgramEnd(code=0 if end == "ok" else 3, started_at=0.0, ended_at=1.0))


class Cluster:
    """An executor whose workers die."""

    takes_async = False

    def __init__(self, losses):
        self.losses = losses

    async def run(self, fn, /, *args, **kwargs):
        if self.losses:
            self.losses -= 1
            raise AttemptLost("the worker of this attempt has died", reason="worker died")
        return fn(*args, **kwargs)


@pytest.fixture
def store(tmp_path):
    store = SQLite(tmp_path / "runs.db")
    yield store
    store.close()


def execute(store, *tasks):
    """Run tasks on a virtual clock in one execution of a run; return their nodes."""

    async def main():
        async with Run("etl", store=store, id="monday"):
            return [each() for each in tasks]

    return run(main())


def attempts(store):
    return [(each.attempt, str(each.state), dict(each.facts)) for each in store.attempts("monday", every=True)]


def test_a_lost_program_is_tried_again_without_any_retries():
    shaky = Shaky(["lost", "lost", "ok"])

    async def main():
        node = command("sync", host=shaky)()
        finished = await node
        return finished.code, node.attempt

    assert run(main()) == (0, 3)


def test_more_losses_than_lost_retries_fail_with_the_reason():
    shaky = Shaky(itertools.repeat("lost"))

    async def main():
        with pytest.raises(CommandLost, match="sync was lost with its machine, node7") as caught:
            await command("sync", host=shaky, lost_retries=2)()
        return caught.value

    error = run(main())

    assert (shaky.ran, error.reason, error.finished) == (3, "node failure", None)
    assert isinstance(error, CommandFailed)
    assert isinstance(error, AttemptLost)


def test_without_lost_retries_the_first_loss_fails_whatever_may_be_tried_again():
    shaky = Shaky(["lost", "ok"])

    async def main():
        with pytest.raises(CommandLost):
            await command("sync", host=shaky, lost_retries=0, retries=5)()

    run(main())

    assert shaky.ran == 1


@pytest.mark.parametrize(
    ("retries", "lost_retries", "ends", "ran"),
    [
        (1, 1, ["lost", "failed", "ok"], 3),
        (1, 2, ["failed", "lost", "lost", "ok"], 4),
        (1, 3, ["lost", "failed", "lost", "failed", "ok"], 4),  # the second failure is one too many
        (2, 1, ["lost", "failed", "lost", "ok"], 3),  # and here the second loss
    ],
)
def test_losses_and_failures_count_apart(retries, lost_retries, ends, ran):
    shaky = Shaky(ends)

    async def main():
        node = command("sync", host=shaky, retries=retries, lost_retries=lost_retries, retry_on=CommandFailed)()
        await asyncio.wait([node])
        node.failure and node.failure.report.take()

    run(main())

    assert shaky.ran == ran


def test_a_worker_that_dies_is_a_loss_of_its_function():
    cluster = Cluster(2)

    async def main():
        node = task(sum, executor=cluster)([1, 2])
        return await node, node.attempt

    assert run(main()) == (3, 3)


def test_who_passes_on_a_loss_has_lost_nothing():
    shaky = Shaky(itertools.repeat("lost"))

    async def main():
        @task(lost_retries=5)
        async def outer():
            await command("sync", host=shaky, lost_retries=1)()

        node = outer()
        with pytest.raises(CommandLost):
            await node
        return node.attempt

    assert run(main()) == 1
    assert shaky.ran == 2


def test_pauses_grow_and_stay_short():
    times = []

    class Timed(Shaky):
        async def run(self, request, watch, /):
            times.append(asyncio.get_running_loop().time())
            await super().run(request, watch)

    async def main():
        await command("sync", host=Timed(["lost"] * 8), lost_retries=8)()

    run(main())

    pauses = [round(later - sooner, 3) for sooner, later in itertools.pairwise(times)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_a_loss_is_on_record_with_its_reason(store):
    execute(store, command("sync", host=Shaky(["lost", "failed", "ok"]), retries=1, name="sync"))

    (first, second, third) = attempts(store)
    assert (first[1], first[2]["lost"]) == ("failed", "node failure")
    assert (second[2]["code"], second[2]["losses"], "lost" in second[2]) == (3, 1, False)
    assert (third[1], third[2]["losses"]) == ("succeeded", 1)


def leave(store, called, stands):
    """Call a task, and let go of its run when that stands."""

    async def main():
        async with Run("etl", store=store, id="monday") as here:
            called()
            await stands.wait()
            here.let_go()

    with pytest.raises(LetGo):
        run(main())


@pytest.mark.parametrize(
    ("ends", "ran"),
    [
        (["lost", "left"], 2),  # one of two losses is used up: another one is allowed
        (["lost", "lost", "left"], 1),
        (["lost", "failed", "lost", "left"], 1),
        (["failed", "left"], 3),
    ],
)
def test_losses_before_a_crash_count_on(store, ends, ran):
    before, after = Shaky(ends), Shaky(itertools.repeat("lost"))
    leave(store, command("sync", host=before, lost_retries=2, retries=1, name="sync"), before.stands)

    with pytest.raises(RunFailed):
        execute(store, command("sync", host=after, lost_retries=2, retries=1, name="sync"))

    assert after.ran == ran


def test_failures_before_a_crash_count_without_the_losses(store):
    before, after = Shaky(["lost", "failed", "lost", "left"]), Shaky(["failed", "ok"])
    leave(store, command("sync", host=before, retries=2, name="sync"), before.stands)

    execute(store, command("sync", host=after, retries=2, name="sync"))

    assert after.ran == 2
    assert [each[0] for each in attempts(store)] == [1, 2, 3, 4, 5, 6]


def test_a_run_that_failed_with_its_losses_has_all_of_them_again(store):
    lost, again = Shaky(itertools.repeat("lost")), Shaky(["lost", "lost", "ok"])
    with pytest.raises(RunFailed):
        execute(store, command("sync", host=lost, lost_retries=2, name="sync"))

    (node,) = execute(store, command("sync", host=again, lost_retries=2, name="sync"))

    assert node.state is State.SUCCEEDED
    assert (lost.ran, again.ran) == (3, 3)


def test_losses_of_functions_count_on_after_a_crash(store):
    class Dying(Cluster):
        def __init__(self):
            super().__init__(1)
            self.stands = asyncio.Event()

        async def run(self, fn, /, *args, **kwargs):
            if current_node().attempt > 1:
                self.stands.set()
                await asyncio.Event().wait()
            return await super().run(fn, *args, **kwargs)

    dying = Dying()
    leave(store, lambda: task(len, executor=dying, lost_retries=2, name="count")("abc"), dying.stands)

    with pytest.raises(RunFailed):
        execute(store, lambda: task(len, executor=Cluster(9), lost_retries=2, name="count")("abc"))

    assert [each[2].get("lost") for each in attempts(store)] == ["worker died", None, "worker died", "worker died"]
