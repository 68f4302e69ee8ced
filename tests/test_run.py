"""The scope that owns nodes: it waits, cancels, reports and remembers."""

import asyncio
from contextlib import suppress

import pytest

from aiodag import Graph, OptionError, Run, RunFailed, Skip, State, current_node, current_run, settled, task
from aiodag.testing import MoveRecorder, run


def now():
    return asyncio.get_running_loop().time()


@task
async def work(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


@task
async def bad(seconds=1.0, kind=ValueError):
    await asyncio.sleep(seconds)
    raise kind("broken")


@task
async def join(*values):
    return values


def collected():
    """Keep what the loop's exception handler is told."""
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    return told


# Leaving waits


def test_leaving_waits_for_every_node():
    async def main():
        async with Run() as scope:
            nodes = work.map([3, 5, 1])
        return now(), [node.state for node in nodes], scope.state

    assert run(main()) == (5.0, [State.SUCCEEDED] * 3, State.SUCCEEDED)


def test_a_run_without_nodes_succeeds_at_once():
    async def main():
        async with Run() as scope:
            pass
        return now(), scope.state, len(scope.graph())

    assert run(main()) == (0.0, State.SUCCEEDED, 0)


def test_nodes_that_bodies_add_late_are_waited_for():
    @task
    async def grow(levels):
        await asyncio.sleep(1)
        if levels:
            grow(levels - 1)

    async def main():
        async with Run() as scope:
            grow(4)
        return now(), scope.graph().counts()[State.SUCCEEDED]

    assert run(main()) == (5.0, 5)


def test_nodes_of_plain_asyncio_tasks_are_owned_too():
    async def helper():
        work(2)

    async def main():
        async with Run() as scope:
            await asyncio.create_task(helper())
        return now(), len(scope.graph())

    assert run(main()) == (2.0, 1)


def test_nodes_made_outside_are_not_waited_for():
    async def main():
        outside = work(100)
        async with Run():
            work(1)
        at = now()
        outside.cancel()
        return at

    assert run(main()) == 1.0


def test_current_run_is_the_run_inside_and_none_outside():
    async def main():
        before = current_run()
        async with Run("etl") as scope:
            inside = current_run() is scope
            node = work(0)
        return before, inside, node.run is scope, current_run()

    assert run(main()) == (None, True, True, None)


# Failure


def test_independent_branches_go_on_after_a_failure():
    async def main():
        with pytest.raises(RunFailed) as caught:
            async with Run() as scope:
                nodes = [bad(1), work(2), work(3)]
        return now(), [node.state for node in nodes], scope.state, caught.value

    at, states, state, error = run(main())

    assert (at, states) == (3.0, [State.FAILED, State.SUCCEEDED, State.SUCCEEDED])
    assert state is State.FAILED
    assert [type(each) for each in error.exceptions] == [ValueError]


def test_run_failed_is_a_readable_report_with_the_path():
    @task
    async def upload(rows):
        return rows

    async def main():
        with pytest.raises(RunFailed) as caught:
            async with Run("nightly"):
                upload(join(bad(1.0), work(2.0)))
        return caught.value

    error = run(main())
    text = str(error)

    assert "run 'nightly'" in text
    assert "bad(1.0, …) failed: ValueError: broken" in text
    assert "join skipped: bad(1.0, …) failed" in text or "join skipped: bad" in text
    assert "upload skipped: join <- bad" in text
    assert "test_run.py:" in text
    assert "1 failed" in text
    assert "2 skipped" in text


def test_run_failed_tells_each_root_failure_once():
    async def main():
        with pytest.raises(RunFailed) as caught:
            async with Run():
                first = bad(1, KeyError)
                second = bad(2, OSError)
                join(first, second)
                join(first)
        return caught.value

    error = run(main())

    assert [type(each) for each in error.exceptions] == [KeyError, OSError]
    assert [failure.root.split("(")[0] for failure in error.failures] == ["bad", "bad"]
    assert [failure.exception for failure in error.failures] == list(error.exceptions)
    assert all("test_run.py:" in failure.site for failure in error.failures)


def test_except_star_takes_one_type_and_leaves_the_rest_with_its_failures():
    async def main():
        taken = []
        with pytest.raises(RunFailed) as caught:
            try:
                async with Run():
                    bad(1, KeyError)
                    bad(2, OSError)
            except* KeyError as group:
                taken = group.failures
        return taken, caught.value

    taken, rest = run(main())

    assert [type(failure.exception) for failure in taken] == [KeyError]
    assert [type(failure.exception) for failure in rest.failures] == [OSError]


def test_a_failure_that_an_awaiter_took_does_not_fail_the_run():
    async def main():
        async with Run() as scope:
            with pytest.raises(ValueError, match="broken"):
                await bad()
        return scope.state

    assert run(main()) is State.SUCCEEDED


def test_a_failure_that_a_body_took_does_not_fail_the_run():
    @task
    async def careful():
        try:
            return await bad()
        except ValueError:
            return "instead"

    async def main():
        async with Run() as scope:
            node = careful()
        return scope.state, node.result()

    assert run(main()) == (State.SUCCEEDED, "instead")


def test_a_failure_that_passes_through_a_body_is_one_failure_at_most():
    @task
    async def careless():
        return await bad()

    async def main():
        with pytest.raises(RunFailed) as caught:
            async with Run():
                careless()
        return caught.value

    assert len(run(main()).exceptions) == 1


def test_a_failure_taken_through_settled_does_not_fail_the_run():
    @task
    async def look(node):
        return type(node.exception())

    async def main():
        async with Run() as scope:
            node = look(settled(bad()))
        return scope.state, node.result()

    assert run(main()) == (State.SUCCEEDED, ValueError)


def test_skip_does_not_fail_the_run():
    async def main():
        async with Run() as scope:
            join(bad(1, Skip))
        return scope.state, scope.graph().counts()[State.SKIPPED]

    assert run(main()) == (State.SUCCEEDED, 2)


def test_a_cancelled_node_does_not_fail_the_run():
    async def main():
        async with Run() as scope:
            work(100).cancel()
        return scope.state, now()

    assert run(main()) == (State.SUCCEEDED, 0.0)


def test_what_run_failed_tells_is_not_reported_again():
    async def main():
        told = collected()
        with pytest.raises(RunFailed):
            async with Run():
                join(bad())
        return told

    assert run(main()) == []


# fail_fast


def test_fail_fast_cancels_the_rest():
    async def main():
        with pytest.raises(RunFailed) as caught:
            async with Run(fail_fast=True):
                nodes = [bad(1), work(100), join(work(50))]
        return now(), [node.state for node in nodes], len(caught.value.exceptions)

    assert run(main()) == (1.0, [State.FAILED, State.CANCELLED, State.CANCELLED], 1)


def test_fail_fast_cancels_a_scope_that_sleeps():
    async def main():
        with pytest.raises(RunFailed):
            async with Run(fail_fast=True):
                bad(1)
                await asyncio.sleep(1000)
        return now(), asyncio.current_task().cancelling()

    assert run(main()) == (1.0, 0)


def test_fail_fast_cancels_a_scope_that_awaits_another_node():
    async def main():
        with pytest.raises(RunFailed):
            async with Run(fail_fast=True):
                bad(1)
                await work(1000)
        return now(), asyncio.current_task().cancelling()

    assert run(main()) == (1.0, 0)


def test_fail_fast_still_skips_what_needs_the_failed_node():
    async def main():
        with pytest.raises(RunFailed):
            async with Run(fail_fast=True):
                node = join(bad(1))
        return node.state

    assert run(main()) is State.SKIPPED


def test_a_node_made_while_the_run_stops_never_runs():
    made = []

    @task
    async def stubborn():
        try:
            await asyncio.sleep(100)
        finally:
            made.append(work(100))

    async def main():
        with pytest.raises(RunFailed):
            async with Run(fail_fast=True):
                stubborn()
                bad(1)
        return now(), made[0].state, made[0].attempt

    assert run(main()) == (1.0, State.CANCELLED, 0)


def test_fail_fast_without_failure_changes_nothing():
    async def main():
        async with Run(fail_fast=True) as scope:
            work(2)
        return scope.state, now()

    assert run(main()) == (State.SUCCEEDED, 2.0)


# Leaving by an exception


def test_leaving_by_an_exception_cancels_the_nodes_and_waits_for_them():
    ended = []

    @task
    async def slow():
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(3)
            ended.append(now())

    async def main():
        with pytest.raises(LookupError, match="mine"):
            async with Run() as scope:
                node = slow()
                await asyncio.sleep(1)
                raise LookupError("mine")
        return now(), node.state, scope.state

    assert run(main()) == (4.0, State.CANCELLED, State.FAILED)
    assert ended == [4.0]


def test_a_timeout_around_a_run_cancels_its_nodes():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), Run() as scope:
                node = work(100)
        return now(), node.state, scope.state

    assert run(main()) == (5.0, State.CANCELLED, State.CANCELLED)


def test_cancelling_the_task_of_a_run_cancels_its_nodes():
    nodes = []

    async def scope():
        async with Run():
            nodes.append(work(100))
            await asyncio.sleep(50)

    async def main():
        owner = asyncio.create_task(scope())
        await asyncio.sleep(1)
        owner.cancel()
        await asyncio.wait([owner])
        return owner.cancelled(), nodes[0].state, now()

    assert run(main()) == (True, State.CANCELLED, 1.0)


def test_grace_ends_the_wait_and_names_what_would_not_end():
    release = []

    @task
    async def stubborn():
        while not release:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue

    async def main():
        told = collected()
        with pytest.raises(LookupError):
            async with Run("etl", grace=5):
                node = stubborn()
                await asyncio.sleep(1)
                raise LookupError
        at = now()
        release.append(True)
        node.cancel()
        await asyncio.wait([node])
        return at, told

    at, (told,) = run(main())

    assert at == 6.0
    assert "run 'etl' waited 5 s for what does not end, and left it" in told
    assert "stubborn (called at " in told
    assert "test_run.py:" in told


# How many at once


def counting():
    counts = {"now": 0, "most": 0}

    @task
    async def counted(seconds=1):
        counts["now"] += 1
        counts["most"] = max(counts.values())
        await asyncio.sleep(seconds)
        counts["now"] -= 1

    return counted, counts


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_limit_bounds_how_many_nodes_run_at_once(limit):
    counted, counts = counting()

    async def main():
        async with Run(limit=limit):
            [counted() for _ in range(14)]
        return now()

    assert run(main()) == 14 / limit
    assert counts["most"] == limit


@pytest.mark.parametrize("limit", [1, 2])
def test_nested_awaits_do_not_deadlock_under_a_limit(limit):
    @task
    async def tree(depth):
        if not depth:
            await asyncio.sleep(1)
            return 1
        left, right = tree(depth - 1), tree(depth - 1)
        return await left + await right

    async def main():
        async with asyncio.timeout(1000), Run(limit=limit):
            node = tree(4)
        return node.result(), now()

    assert run(main()) == (16, 16 / limit)


def test_a_body_that_comes_back_from_an_await_counts_again():
    inside = {"now": 0, "most": 0}

    async def busy():
        inside["now"] += 1
        inside["most"] = max(inside.values())
        await asyncio.sleep(1)
        inside["now"] -= 1

    @task
    async def leaf():
        await busy()

    @task
    async def outer():
        await busy()
        await leaf()
        await busy()

    async def main():
        async with asyncio.timeout(1000), Run(limit=1):
            [outer() for _ in range(3)]

    run(main())

    assert inside["most"] == 1


@pytest.mark.parametrize("how", ["succeeds", "fails", "is cancelled"])
def test_every_outcome_gives_the_place_back(how):
    @task
    async def step():
        await asyncio.sleep(1)
        if how == "fails":
            raise ValueError
        if how == "is cancelled":
            raise asyncio.CancelledError

    async def main():
        async with asyncio.timeout(100), Run(limit=1):
            await asyncio.wait([step() for _ in range(3)])
            await work(1)
            raise Skip
        raise AssertionError

    with pytest.raises(Skip):
        run(main())


def test_a_node_cancelled_during_the_pause_before_a_retry_gives_its_place_back():
    flaky = bad.with_options(retries=5, backoff=1000)

    async def main():
        async with asyncio.timeout(100), Run(limit=1):
            node = flaky(1)
            await asyncio.sleep(2)
            node.cancel()
            await work(1)
        return now()

    assert run(main()) == 3.0


def test_a_node_that_awaits_is_still_cancelled_cleanly_under_a_limit():
    counted, counts = counting()

    @task
    async def outer():
        await work(100)

    async def main():
        async with asyncio.timeout(1000), Run(limit=1):
            node = outer()
            await asyncio.sleep(1)
            node.cancel()
            await asyncio.wait([node])
            [counted() for _ in range(3)]
        return now()

    assert run(main()) == 4.0
    assert counts["most"] == 1


# Observers


def test_an_observer_is_told_of_every_move_with_its_time():
    recorder = MoveRecorder()

    async def main():
        await asyncio.sleep(10)
        async with Run(observers=[recorder]):
            join(work(2))

    run(main())
    moves = [(move.node.name, move.previous, move.state, move.at, move.attempt) for move in recorder.moves]

    assert moves == [
        ("work", None, "waiting", 10.0, 0),
        ("work", "waiting", "queued", 10.0, 0),
        ("join", None, "waiting", 10.0, 0),
        ("work", "queued", "running", 10.0, 1),
        ("work", "running", "succeeded", 12.0, 1),
        ("join", "waiting", "queued", 12.0, 0),
        ("join", "queued", "running", 12.0, 1),
        ("join", "running", "succeeded", 12.0, 1),
    ]


def test_an_observer_is_told_of_retries_skips_and_cancels():
    recorder = MoveRecorder()

    async def main():
        async with Run(observers=[recorder]):
            node = bad.with_options(name="bad", retries=1, backoff=1)(1)
            skipped = join(node)
            work(100).cancel()
            await asyncio.wait([skipped])
            skipped.exception()

    run(main())
    recorder.check()

    assert recorder.states("bad") == ["waiting", "queued", "running", "queued", "running", "failed"]
    assert recorder.states("join") == ["waiting", "skipped"]
    assert recorder.states("work") == ["waiting", "queued", "cancelled"]
    assert recorder.moves[-1].at == 3.0


def test_an_observer_that_raises_at_every_move_is_reported_once_and_changes_nothing():
    class Broken:
        def moved(self, move):
            raise RuntimeError("observer broke")

    class Crooked(Broken):
        pass

    recorder = MoveRecorder()
    broken = Broken()

    async def main():
        told = collected()
        for name in "etl", "again":
            async with Run(name, observers=[broken, Crooked(), recorder]) as scope:
                node = work(1, "value")
        return node.result(), scope.state, told

    value, state, told = run(main())

    assert (value, state) == ("value", State.SUCCEEDED)
    assert recorder.states("work") == ["waiting", "queued", "running", "succeeded"] * 2
    assert [message.partition(" raised, ")[0] for message in told] == [
        f"observer {test}.<locals>.{kind} of run {name!r}"
        for test in ["test_an_observer_that_raises_at_every_move_is_reported_once_and_changes_nothing"]
        for name in ["etl", "again"]
        for kind in ["Broken", "Crooked"]
    ]


# Runs in runs


def test_a_run_in_a_run_owns_its_own_nodes():
    async def main():
        async with Run("outer") as outer:
            work(5)
            async with Run("inner") as inner:
                work(1)
            at = now()
            after = work(1)
        return at, len(outer.graph()), len(inner.graph()), after.run is outer

    assert run(main()) == (1.0, 2, 1, True)


def test_a_run_inside_a_body_is_left_before_the_body_ends():
    @task
    async def part():
        async with Run("part"):
            work(2)
        return now()

    async def main():
        async with Run() as scope:
            node = part()
        return node.result(), len(scope.graph())

    assert run(main()) == (2.0, 1)


def test_a_failure_of_an_inner_run_can_be_taken_by_the_outer():
    async def main():
        async with Run() as outer:
            node = work(5)
            with pytest.raises(RunFailed):
                async with Run():
                    bad(1)
        return outer.state, node.state

    assert run(main()) == (State.SUCCEEDED, State.SUCCEEDED)


def test_a_node_of_an_outer_run_used_in_an_inner_one_stays_in_the_outer_graph():
    async def main():
        async with Run("outer") as outer:
            node = work(2)
            async with Run("inner") as inner:
                join(node)
        return [each.state for each in outer.graph().nodes], [each.name for each in inner.graph().nodes]

    states, names = run(main())

    assert states == [State.SUCCEEDED]
    assert sorted(names) == ["join", "work"]


# What is refused


def test_a_run_is_used_once():
    async def main():
        async with Run("etl") as scope:
            with pytest.raises(RuntimeError, match="make a new Run"):
                async with scope:
                    pass
        with pytest.raises(RuntimeError, match="'etl' has succeeded already; make a new Run"):
            async with scope:
                pass

    run(main())


@pytest.mark.parametrize(
    "bad_option",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": True},
        {"limit": 1.5},
        {"fail_fast": 1},
        {"fail_fast": None},
        {"grace": -1},
        {"grace": "10"},
        {"grace": True},
        {"name": 5},
        {"observers": [object()]},
        {"observers": ["moved"]},
        {"observers": MoveRecorder()},
    ],
)
def test_a_run_refuses_what_cannot_work_and_says_what_would(bad_option):
    (option,) = bad_option

    with pytest.raises(OptionError, match=f"{option}=.* cannot work: {option} takes "):
        Run(**bad_option)


def test_the_graph_of_a_run_that_has_not_begun_is_refused():
    with pytest.raises(RuntimeError, match="has not begun"):
        Run("etl").graph()


# The graph of a run


def by_name(graph):
    return {node.name: node for node in graph.nodes}


def test_the_graph_has_states_moves_and_times_since_the_run_began():
    async def main():
        await asyncio.sleep(100)
        async with Run("etl") as scope:
            join(work(2.0))
        return scope.graph()

    graph = run(main())
    nodes = by_name(graph)

    assert isinstance(graph, Graph)
    assert (graph.name, graph.now, len(graph)) == ("etl", 2.0, 2)
    assert nodes["work"].moves == (("waiting", 0.0), ("queued", 0.0), ("running", 0.0), ("succeeded", 2.0))
    assert nodes["join"].moves == (("waiting", 0.0), ("queued", 2.0), ("running", 2.0), ("succeeded", 2.0))
    assert nodes["work"].label == "work(2.0)"
    assert "test_run.py:" in nodes["work"].site


def test_the_graph_tells_endogenous_exogenous_and_settled_edges():
    async def main():
        async with Run() as scope:
            a, b, c = work(1, "a"), work(1, "b"), work(1, "c")
            join.after(a)(b, [settled(c)])
        return scope.graph()

    graph = run(main())
    target = by_name(graph)["join"].id
    edges = {(edge.source, edge.kind, edge.settled) for edge in graph.edges if edge.target == target}

    assert edges == {(0, "exogenous", False), (1, "endogenous", False), (2, "endogenous", True)}


def test_the_graph_in_the_middle_of_a_run_shows_what_is_going_on():
    async def main():
        async with Run() as scope:
            work(1)
            slow = work.with_options(name="slow")(5)
            join(slow)
            await asyncio.sleep(3)
            return scope.graph()

    graph = run(main())

    assert {name: str(node.state) for name, node in by_name(graph).items()} == {
        "work": "succeeded",
        "slow": "running",
        "join": "waiting",
    }
    assert graph.now == 3.0


def test_the_graph_knows_the_enclosing_node():
    @task
    async def outer():
        await work(1)

    async def main():
        async with Run() as scope:
            outer()
        return by_name(scope.graph())

    nodes = run(main())

    assert nodes["work"].parent == nodes["outer"].id
    assert nodes["outer"].parent is None


def test_the_graph_counts_attempts_and_says_the_error():
    async def main():
        with pytest.raises(RunFailed):
            async with Run() as scope:
                bad.with_options(name="bad", retries=2)(0)
        return by_name(scope.graph())["bad"]

    node = run(main())

    assert (node.attempts, node.state, node.error) == (3, State.FAILED, "ValueError: broken")


def test_a_node_made_outside_the_run_is_shown_as_such():
    async def main():
        outside = work(1)
        async with Run() as scope:
            join(outside)
        return scope.graph()

    graph = run(main())

    assert by_name(graph)["work"].label == "work (outside the run)"
    assert by_name(graph)["work"].state is State.SUCCEEDED
    assert len(graph.edges) == 1


def test_the_graph_stays_as_it_was_taken():
    async def main():
        async with Run() as scope:
            work(1)
            before = scope.graph()
        return before.nodes[0].state, scope.graph().nodes[0].state

    assert run(main()) == (State.QUEUED, State.SUCCEEDED)


# Runs within runs, and what stands around them


def test_a_run_in_a_body_of_another_run_reports_its_own_nodes_alone():
    @task
    async def body():
        async with Run("inner"):
            bad(kind=LookupError)

    async def main():
        async with Run("outer"):
            body()

    with pytest.raises(RunFailed, match="run 'inner': 1 failed") as caught:
        run(main())
    assert caught.value.exceptions[0].exceptions[0].args == ("broken",)


def test_a_run_can_be_left_by_another_asyncio_task_than_entered_it():
    async def main():
        scope = Run()

        async def enter():
            await scope.__aenter__()
            return work(2, "value")

        node = await asyncio.create_task(enter())
        await scope.__aexit__(None, None, None)
        return node.result(), scope.state

    assert run(main()) == ("value", State.SUCCEEDED)


def test_a_run_left_without_being_entered_is_refused():
    with pytest.raises(RuntimeError, match="without being entered"):
        run(Run("etl").__aexit__(None, None, None))


def test_the_graph_of_a_finished_run_does_not_age():
    async def main():
        async with Run() as scope:
            work(2)
        await asyncio.sleep(60)
        return scope.graph().to_text()

    assert "after 2 s" in run(main())


def test_a_loop_in_a_thread_is_not_in_the_run_of_the_body_that_started_it():
    @task
    async def inner():
        return current_run()

    @task
    def loop_of_its_own():
        async def make():
            return await inner()

        return asyncio.run(make())

    async def main():
        async with Run(limit=1) as scope:
            node = loop_of_its_own()
        return node.result(), scope.graph().nodes

    found, names = run(main())
    assert found is not None
    assert len(names) == 1


def test_a_body_that_awaits_through_a_task_group_gives_its_place_away():
    @task
    async def parent():
        async def child(number):
            return await work(1, number)

        async with asyncio.TaskGroup() as group:
            children = [group.create_task(child(number)) for number in range(3)]
        return [each.result() for each in children]

    async def main():
        async with Run(limit=1):
            node = parent()
        return node.result(), now()

    assert run(main()) == ([0, 1, 2], 3.0)


def test_a_node_cancelled_when_its_turn_has_come_gives_it_to_the_next():
    async def main():
        gate = asyncio.Event()

        @task
        async def hold():
            await gate.wait()

        async with Run(limit=1):
            _, second, third = hold(), work(0), work(0, "third")

            async def interfere():
                await gate.wait()
                second.cancel()

            await asyncio.sleep(1)
            other = asyncio.create_task(interfere())
            await asyncio.sleep(0)
            gate.set()
        await other
        return second.state, third.result()

    assert run(main()) == (State.CANCELLED, "third")


# Observers harm nothing


class Meddler:
    """An observer that does something when a node enters a state."""

    def __init__(self, state, meddle):
        self.state = state
        self.meddle = meddle

    def moved(self, move):
        if move.state is self.state:
            self.meddle(move.node)

    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_an_observer_that_raises_is_reported_and_the_run_goes_on(kind):
    def meddle(_):
        raise kind

    async def main():
        told = collected()
        async with Run(observers=[Meddler(State.SUCCEEDED, meddle)]):
            node = work(1, "value")
        return node.result(), told

    assert run(main()) == ("value", ["observer Meddler of run 'run' raised, which is reported once"])


@pytest.mark.parametrize("state", [State.WAITING, State.QUEUED, State.RUNNING])
def test_an_observer_may_cancel_what_it_sees(state):
    async def main():
        recorder = MoveRecorder()
        async with Run(observers=[Meddler(state, lambda node: node.cancel()), recorder]):
            node = work(1)
        recorder.check()
        return node.state

    assert run(main()) is State.CANCELLED


def test_an_async_observer_is_refused():
    class Wrong:
        async def moved(self, move):
            pass

    with pytest.raises(OptionError, match="plain method"):
        Run(observers=[Wrong()])


def test_a_node_skipped_at_its_call_in_a_stopping_run_stays_skipped():
    async def main():
        recorder = MoveRecorder()
        with pytest.raises(RunFailed):
            async with Run(fail_fast=True, observers=[recorder]):
                broken = bad(1)
                try:
                    await asyncio.sleep(9)
                finally:
                    late = join(broken)
        recorder.check()
        return late.state

    assert run(main()) is State.SKIPPED


def test_what_an_asyncio_task_calls_after_a_stopped_run_is_not_of_that_run():
    async def main():
        async def later():
            await asyncio.sleep(5)
            return await work(1, "value")

        with pytest.raises(RunFailed):
            async with Run(fail_fast=True):
                bad(1)
                other = asyncio.create_task(later())
        return await other

    assert run(main()) == "value"


def test_a_coroutine_in_a_call_that_never_starts_is_closed():
    async def rows():
        return 1

    async def main():
        with pytest.raises(ValueError, match="leave"):
            async with Run():
                node = join(rows())
                raise ValueError("leave")
        return node.state

    assert run(main()) is State.CANCELLED  # and no "never awaited", which would be an error


@pytest.mark.parametrize("tags", ["env=test", ["env"], {"env": 1}, {1: "env"}, {"env": None}, 3])
def test_tags_that_are_no_strings_are_refused(tags):
    with pytest.raises(OptionError, match=r"tags=.* cannot work: tags takes a dict of strings"):
        Run("etl", tags=tags)


@pytest.mark.parametrize("tags", [{"env": "\ud800"}, {"env": "test", "caf\udce9": "x"}])
def test_tags_that_cannot_be_written_are_refused_and_the_text_is_named(tags):
    with pytest.raises(OptionError, match=r"tags takes text .* '(\\ud800|caf\\udce9)' has half of a surrogate pair"):
        Run(tags=tags)


def test_tags_are_copied():
    tags = {"env": "test"}
    made = Run("etl", tags=tags)
    tags["env"] = "live"

    assert made.tags == {"env": "test"}
    assert (Run().tags, Run().definition) == ({}, None)


@pytest.mark.parametrize("name", ["etl", "-rf", "a\nb", "\u202eabc", "", "---", "é ü", "x" * 200])
def test_an_id_that_is_made_of_a_name_can_be_given_again(name):
    made = Run(name, store="memory:").id

    assert Run("etl", id=made).id == made
    assert name.lstrip("-").isprintable() <= made.startswith(f"{name.lstrip('-') or 'run'}-")


@pytest.mark.parametrize("name", ["\ud800", "etl\udcff"])
def test_a_name_that_cannot_be_written_is_refused(name):
    with pytest.raises(OptionError, match="half of a surrogate pair"):
        Run(name)


async def with_gather(nodes):
    return await asyncio.gather(*nodes)


async def with_wait(nodes):
    await asyncio.wait(nodes)
    return [node.result() for node in nodes]


async def with_wait_for_the_first(nodes):
    left = set(nodes)
    while left:
        _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    return [node.result() for node in nodes]


async def with_as_completed(nodes):
    return sorted([await each for each in asyncio.as_completed(nodes)])


async def with_wait_for(nodes):
    return [await asyncio.wait_for(node, 60) for node in nodes]


async def with_shield(nodes):
    return [await asyncio.shield(node) for node in nodes]


async def with_tasks(nodes):
    tasks = [asyncio.create_task(with_gather([node])) for node in nodes]
    return [each for task in tasks for each in await task]


@pytest.mark.parametrize(
    "wait",
    [
        with_gather,
        with_wait,
        with_wait_for_the_first,
        with_as_completed,
        with_wait_for,
        with_shield,
        with_tasks,
    ],
)
@pytest.mark.parametrize("limit", [1, 2])
async def test_bodies_that_wait_for_nodes_through_asyncio_leave_their_place_to_them(wait, limit):
    at_once = most = 0

    @task
    async def leaf(number):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return number

    @task
    async def parent():
        return await wait([leaf(number) for number in range(3)])

    async with asyncio.timeout(60), Run(limit=limit) as run:
        parents = [parent() for _ in range(4)]

    assert [node.result() for node in parents] == [[0, 1, 2]] * 4
    assert most == limit
    assert run.seats.taken == 0


async def test_a_callback_of_a_body_of_its_own_does_not_give_its_place_away():
    seen = []

    @task
    async def leaf():
        seen.append("leaf")

    @task
    async def parent():
        leaf().add_done_callback(lambda node: seen.append(node.state.value))
        await asyncio.sleep(0)
        seen.append("parent")

    async with Run(limit=1):
        parent()
    await asyncio.sleep(0)  # a loop calls back after the node has settled

    assert seen == ["parent", "leaf", "succeeded"]


@pytest.mark.parametrize("end", [asyncio.CancelledError, ValueError])
async def test_a_body_that_ends_while_it_gathers_leaves_the_places_right(end):
    @task
    async def leaf(number):
        if number == 1 and end is ValueError:
            raise ValueError(number)
        await asyncio.sleep(0)

    @task
    async def parent():
        nodes = [leaf(number) for number in range(3)]
        if end is asyncio.CancelledError:
            asyncio.get_running_loop().call_soon(current_node().cancel)
        with suppress(ValueError):
            await asyncio.gather(*nodes)

    async with Run(limit=1) as run:
        parent()

    assert run.seats.taken == 0
