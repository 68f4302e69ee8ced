"""The graph before anything runs."""

import asyncio
import gc
import inspect
import threading

import pytest

from aiodag import Graph, Run, State, current_run, plan, task

RAN = []


@task
async def fetch(some_id):
    RAN.append("fetch")
    return some_id


@task
async def concatenate(pair_item1, pair_item2):
    RAN.append("concatenate")
    return pair_item1 + pair_item2


async def strip_numbers(text):
    RAN.append("strip_numbers")
    return text


@task
async def upload(a_data, b_data, c_data):
    RAN.append("upload")


async def etl():
    fa1, fa2, fb1, fb2, fc1, fc2 = map(fetch, ["a1", "a2", "b1", "b2", "c1", "c2"])
    ca, cb, cc = concatenate(fa1, fa2), concatenate(fb1, fb2), concatenate(fc1, fc2)
    cab = concatenate(ca, cb)
    sa, sab, sc = task(strip_numbers)(ca), task(strip_numbers)(cab), task(strip_numbers)(cc)
    upload(sa, sab, sc)
    await asyncio.sleep(10)
    RAN.append("after the sleep")


@pytest.fixture(autouse=True)
def nothing_runs():
    RAN.clear()
    yield
    gc.collect()  # an un-awaited coroutine would warn here, and warnings are errors

    assert RAN == []


def names(graph):
    return [node.name for node in graph.nodes]


def test_plan_gives_the_whole_graph_of_the_pipeline():
    graph = plan(etl)

    assert isinstance(graph, Graph)
    assert (len(graph), len(graph.edges)) == (14, 14)
    assert names(graph).count("fetch") == 6
    assert names(graph).count("concatenate") == 4
    assert names(graph).count("strip_numbers") == 3
    assert {edge.kind for edge in graph.edges} == {"endogenous"}


def test_plan_shows_that_nothing_has_started():
    graph = plan(etl)

    assert {node.state for node in graph.nodes} <= {State.WAITING, State.QUEUED}
    assert all(node.attempts == 0 for node in graph.nodes)


def test_plan_names_the_nodes_with_their_arguments():
    assert plan(etl).nodes[0].label == "fetch('a1')"


def test_plan_draws_the_longest_chain_as_critical_path():
    chain = [node.name for node in plan(etl).critical_path()]

    assert chain == ["fetch", "concatenate", "concatenate", "strip_numbers", "upload"]


def test_plan_works_with_a_running_loop():
    async def main():
        graph = plan(etl)
        return len(graph), asyncio.all_tasks() == {asyncio.current_task()}, current_run()

    assert asyncio.run(main()) == (14, True, None)


def test_plan_works_inside_a_run_and_adds_nothing_to_it():
    async def main():
        async with Run() as scope:
            graph = plan(etl)
        return len(graph), len(scope.graph())

    assert asyncio.run(main()) == (14, 0)


def test_plan_can_be_made_again_and_again():
    assert [len(plan(etl)) for _ in range(3)] == [14, 14, 14]


def test_plan_gives_arguments_to_the_function():
    async def pipeline(ids, *, loud):
        for each in ids:
            fetch(each + loud)

    graph = plan(pipeline, ["a", "b"], loud="!")

    assert [node.label for node in graph.nodes] == ["fetch('a!')", "fetch('b!')"]


def test_plan_of_a_plain_function():
    assert names(plan(lambda: concatenate(fetch("a"), fetch("b")))) == ["fetch", "fetch", "concatenate"]


def test_plan_of_a_task_looks_into_its_body():
    @task
    async def pipeline(x):
        return await concatenate(fetch(x), fetch(x))

    assert names(plan(pipeline, "a")) == ["fetch", "fetch", "concatenate"]


@task
async def single(x):
    return x


@task
async def patient(x):
    await asyncio.sleep(10)
    return x


@task
def plain(x):
    RAN.append("plain")


@pytest.mark.parametrize("fn", [single, patient, plain])
def test_plan_of_a_task_that_calls_no_others_is_its_node(fn):
    graph = plan(fn, "a")

    assert [node.label for node in graph.nodes] == [f"{fn.name}('a')"]
    assert names(plan(fn.after(strip_numbers("b")), "a")) == ["strip_numbers", fn.name]


def test_plan_ends_at_the_first_wait_for_a_node():
    async def pipeline():
        rows = await fetch("a")
        concatenate(rows, rows)

    assert names(plan(pipeline)) == ["fetch"]


def test_plan_goes_on_over_turns_of_the_loop_that_wait_for_nothing():
    async def pipeline():
        for each in "abc":
            fetch(each)
            await asyncio.sleep(0)

    assert len(plan(pipeline)) == 3


def test_plan_shows_exogenous_edges():
    async def pipeline():
        task(fetch, fetch("first"))("second")

    assert [edge.kind for edge in plan(pipeline).edges] == ["exogenous"]


def test_plan_sees_the_nodes_of_a_run_inside_the_function():
    async def pipeline():
        async with Run("etl"):
            concatenate(fetch("a"), fetch("b"))

    graph = plan(pipeline)

    assert (len(graph), len(graph.edges)) == (3, 2)


def test_plan_sees_the_nodes_of_runs_in_runs():
    async def pipeline():
        async with Run("outer"):
            fetch("a")
            async with Run("inner"):
                fetch("b")

    assert len(plan(pipeline)) == 2


def test_plan_closes_coroutines_that_were_passed_as_arguments():
    async def pipeline():
        concatenate(strip_numbers("a"), [strip_numbers("b")])

    graph = plan(pipeline)

    assert names(graph).count("concatenate") == 1
    assert len(graph.edges) == 2


def test_plan_of_a_task_raises_what_its_body_raises():
    @task
    async def pipeline():
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        plan(pipeline)


def test_plan_of_nothing_is_an_empty_graph():
    async def pipeline():
        pass

    assert len(plan(pipeline)) == 0


def test_plan_raises_what_the_function_raises():
    async def pipeline():
        fetch("a")
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        plan(pipeline)


def test_plan_raises_what_the_function_raises_inside_a_run():
    async def pipeline():
        async with Run():
            fetch("a")
            raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        plan(pipeline)


def test_plan_raises_a_wrong_call_of_a_task():
    async def pipeline():
        fetch("a", "b")

    with pytest.raises(TypeError, match="fetch"):
        plan(pipeline)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"y": 2})])
def test_plan_refuses_arguments_that_do_not_fit(args, kwargs):
    async def pipeline(x):
        fetch(x)

    with pytest.raises(TypeError):
        plan(pipeline, *args, **kwargs)


def test_plan_refuses_what_cannot_be_called():
    with pytest.raises(TypeError, match="not callable"):
        plan(5)


def test_plan_of_a_coroutine_object_is_refused_and_closes_it():
    pipeline = etl()

    with pytest.raises(TypeError, match="the function and its arguments"):
        plan(pipeline)
    assert inspect.getcoroutinestate(pipeline) == inspect.CORO_CLOSED


@pytest.mark.parametrize("fn", [etl, fetch, fetch.fn], ids=["function", "task", "function of a task"])
def test_refused_plan_closes_the_coroutines_among_the_arguments(fn):
    late = strip_numbers("a")

    with pytest.raises(TypeError):
        plan(fn, late, [strip_numbers("b")], key=strip_numbers("c"))
    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED


def generates():
    fetch("a")
    yield


async def generates_async():
    fetch("a")
    yield


@pytest.mark.parametrize("fn", [generates, generates_async])
def test_plan_of_a_generator_function_is_refused(fn):
    with pytest.raises(TypeError, match="generator function"):
        plan(fn)


def test_plan_of_a_function_that_never_ends_does_not_keep_the_process():
    daemon = []

    def pipeline():
        daemon.append(threading.current_thread().daemon)

    plan(pipeline)

    assert daemon == [True]


def test_plan_ends_at_a_sleep_without_sleeping():
    async def pipeline():
        fetch("a")
        await asyncio.sleep(10**9)
        fetch("b")

    assert names(plan(pipeline)) == ["fetch"]
