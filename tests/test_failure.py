"""What failed, where it is raised, and who hears of it."""

import asyncio
import gc
import os
import sys
import traceback
from dataclasses import dataclass

import programs
import pytest

from aiodag import Run, RunFailed, Skip, State, settled, task
from aiodag.testing import run
from aiodag.workflows import Parameter, Workflow

LONG = 100_000


class Broken(Exception):
    """What a body raises."""


@task
async def fail(x=1):
    raise Broken(x)


@task
async def step(x, *more):
    return x + 1


@task
async def late(seconds):
    await asyncio.sleep(seconds)
    return seconds


@task
async def late_fail(seconds):
    await asyncio.sleep(seconds)
    raise Broken(seconds)


def listen():
    """Collect what reaches the loop's exception handler."""
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
    return heard


def now():
    return asyncio.get_running_loop().time()


async def error_of(node):
    try:
        await node
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
        return error
    return None


def frames_of(error):
    return traceback.extract_tb(error.__traceback__)


def chain(node, length):
    for _ in range(length):
        node = step(node)
    return node


def reports_of(scenario):
    """Run a scenario that leaves nothing behind, and return the reports of it."""

    async def main():
        heard = listen()
        await scenario()
        gc.collect()
        await asyncio.sleep(0)
        return heard

    return run(main())


# Raised as it is


def test_the_body_s_own_exception_object_is_raised():
    given = Broken("mine")

    @task
    async def body():
        raise given

    assert run(error_of_task(body)) is given


async def error_of_task(body):
    return await error_of(body())


def test_every_awaiter_gets_the_same_exception_object():
    async def main():
        root = fail()
        nodes = [root, step(root), step(step(root))]
        return [await error_of(node) for node in nodes]

    first, *others = run(main())

    assert type(first) is Broken
    assert all(each is first for each in others)


def test_the_traceback_does_not_grow_with_the_number_of_awaits():
    async def main():
        node = chain(fail(), 3)
        return [len(frames_of(await error_of(node))) for _ in range(200)]

    lengths = run(main())

    assert len(set(lengths)) == 1


def test_the_traceback_ends_in_the_line_of_the_body_that_raised():
    async def main():
        return frames_of(await error_of(chain(fail(), 3)))

    last = run(main())[-1]

    assert last.name == "fail"
    assert last.line == "raise Broken(x)"


def test_result_and_exception_tell_the_failure_of_a_settled_node():
    async def main():
        node = step(fail())
        error = await error_of(node)
        with pytest.raises(Broken):
            node.result()
        return node.exception() is error

    assert run(main())


def test_a_long_chain_succeeds():
    async def main():
        return await chain(step(0), LONG)

    assert run(main()) == LONG + 1


def test_a_long_chain_fails_at_its_root_with_few_frames():
    async def main():
        heard = listen()
        tail = chain(fail(), LONG)
        error = await error_of(tail)
        below = len(frames_of(error)) - 1
        return error, below, len(tail.failure.path), heard

    error, below, hops, heard = run(main())

    assert type(error) is Broken
    assert below <= 3
    assert hops == LONG + 1
    assert heard == []


def test_a_long_chain_that_nobody_awaits_is_reported_once():
    async def scenario():
        chain(fail(), LONG)
        await asyncio.sleep(1)

    reports = reports_of(scenario)

    assert len(reports) == 1
    assert len(reports[0]["skipped"]) == LONG


# Skipped


def test_what_needs_a_failed_node_is_skipped_at_once_and_the_other_upstream_goes_on():
    async def main():
        slow, bad = late(10), late_fail(1)
        join = step(slow, bad)
        error = await error_of(join)
        at, state = now(), join.state
        return type(error), at, state, await slow, now()

    assert run(main()) == (Broken, 1.0, State.SKIPPED, 10, 10.0)


def test_a_skipped_body_does_not_run():
    ran = []

    @task
    async def body(x):
        ran.append(x)

    async def main():
        return await error_of(body(fail()))

    assert isinstance(run(main()), Broken)
    assert ran == []


def test_a_call_with_an_upstream_that_has_failed_is_skipped():
    async def main():
        bad = fail()
        await error_of(bad)
        node = step(bad)
        return node.state, await error_of(node) is bad.exception()

    assert run(main()) == (State.SKIPPED, True)


def test_a_failed_exogenous_upstream_skips_what_waits_for_it():
    async def main():
        node = step.after(fail())(1)
        return type(await error_of(node)), node.state

    assert run(main()) == (Broken, State.SKIPPED)


def test_a_settled_exogenous_upstream_may_fail():
    async def main():
        return await step.after(settled(fail()))(1)

    assert run(main()) == 2


def test_a_raw_task_runs_and_receives_done_futures():
    @task(raw=True)
    async def look(node, plain):
        return type(node.exception()), plain.result()

    async def main():
        return await look(fail(), 99)

    assert run(main()) == (Broken, 99)


# Named


def test_a_failure_names_its_root_and_the_path_to_it():
    @task
    async def fetch(name):
        raise TimeoutError

    @task
    async def concatenate(*parts):
        return parts

    @task
    async def upload(rows):
        return rows

    async def main():
        node = upload(concatenate(fetch("a1")))
        await error_of(node)
        return node.failure.root, node.failure.path, str(node.failure)

    root, path, text = run(main())

    assert root == "fetch('a1')"
    assert path == ("upload", "concatenate", "fetch")
    assert text == "upload skipped: concatenate <- fetch('a1') failed: TimeoutError"


@task
async def nothing():
    return None


@task
async def one_fails():
    given = Workflow("given")
    given.add(late_fail, 1, name="part")
    return given


@pytest.mark.parametrize(("generator", "root"), [(fail, "give(1)"), (one_fails, "part(1)")])
def test_the_hidden_nodes_of_a_generator_are_not_on_the_path(generator, root):
    """Neither in what a failure says, nor in what was skipped because of it, nor in the report of the run."""
    flow = Workflow("growing")
    after = flow.add(nothing, name="after", after=flow.add(generator, name="give", generator=True))
    flow.add(nothing, name="last", after=after)

    with pytest.raises(RunFailed) as caught:
        run(flow.run())

    (failure,) = caught.value.failures
    name = root.partition("(")[0]
    assert (failure.root, failure.skipped) == (root, ("after", "last"))
    assert f"    after skipped: {name}\n    last skipped: after <- {name}" in str(caught.value)


def test_a_barrier_is_not_on_the_path():
    flow = Workflow("joined", parameters={"N": [1, 2, 3]})
    many = flow.add(late_fail, Parameter("N"), name="many")
    flow.add(step, Parameter("N"), name="others", after=many)

    with pytest.raises(RunFailed) as caught:
        run(flow.run())

    first = caught.value.failures[0]
    assert first.skipped == ("others[N=1]", "others[N=2]", "others[N=3]")
    assert "    others[N=1] skipped: many[N=1]\n" in str(caught.value)


def test_a_node_that_succeeded_has_no_failure():
    async def main():
        node = step(1)
        await node
        return node.failure

    assert run(main()) is None


def test_the_exception_has_one_note_with_the_task_and_the_place_of_the_call():
    async def main():
        node = fail(7)
        site = node.site
        error = await error_of(chain(node, 3))
        return error.__notes__, site

    notes, site = run(main())

    assert len(notes) == 1
    assert "fail(7)" in notes[0]
    assert site in notes[0]
    assert "test_failure.py:" in site


def test_a_body_that_raises_a_child_s_exception_again_adds_no_note():
    @task
    async def parent():
        return await fail()

    async def main():
        return (await error_of(parent())).__notes__

    assert len(run(main())) == 1


# Reported


def test_an_unhandled_failure_is_reported_once_with_task_place_and_skipped():
    async def scenario():
        bad = fail(3)
        scenario.site = bad.site
        step(step(bad))
        step(bad)
        del bad
        await asyncio.sleep(1)

    reports = reports_of(scenario)

    assert len(reports) == 1
    assert isinstance(reports[0]["exception"], Broken)
    assert "fail(3)" in reports[0]["message"]
    assert scenario.site in reports[0]["message"]
    assert reports[0]["message"].count("step") == 3


@pytest.mark.parametrize("taken", range(5))
def test_a_failure_that_one_of_five_consumers_took_is_not_reported(taken):
    async def scenario():
        bad = fail()
        consumers = [step(bad) for _ in range(5)]
        await error_of(consumers[taken])

    assert reports_of(scenario) == []


def test_a_failure_that_a_settled_consumer_received_is_not_reported():
    @task
    async def look(node):
        return node.state

    async def scenario():
        assert await look(settled(fail())) is State.FAILED

    assert reports_of(scenario) == []


def test_two_roots_give_two_reports():
    async def scenario():
        fail(1)
        fail(2)
        await asyncio.sleep(1)

    reports = reports_of(scenario)

    assert sorted(each["exception"].args[0] for each in reports) == [1, 2]


def test_a_parent_that_raises_its_child_s_exception_again_gives_one_report():
    @task
    async def parent():
        return await fail()

    async def scenario():
        parent()
        await asyncio.sleep(1)

    reports = reports_of(scenario)

    assert [each["task"] for each in reports] == ["parent"]


# Skip


def test_skip_settles_the_node_and_what_needs_it_as_skipped_and_nothing_failed():
    @task
    async def maybe():
        raise Skip("no rows")

    async def main():
        node = step(maybe())
        error = await error_of(node)
        return type(error), str(error), node.state, node.failure

    assert run(main()) == (Skip, "no rows", State.SKIPPED, None)


def test_skip_is_not_reported_and_does_not_fail_a_run():
    @task
    async def maybe():
        raise Skip("no rows")

    async def scenario():
        async with Run() as scope:
            step(maybe())
        assert scope.state is State.SUCCEEDED

    assert reports_of(scenario) == []


# Exceptions that are special to Python


def test_stop_iteration_of_a_coroutine_becomes_a_runtime_error():
    @task
    async def body():
        raise StopIteration(1)

    error = run(error_of_task(body))

    assert type(error) is RuntimeError
    assert type(error.__cause__) is StopIteration


def test_stop_iteration_of_a_thread_becomes_a_runtime_error():
    @task
    def body():
        raise StopIteration(1)

    error = run(error_of_task(body))

    assert type(error) is RuntimeError
    assert type(error.__cause__) is StopIteration


@pytest.mark.parametrize("suspends", [False, True])
def test_a_keyboard_interrupt_stops_the_loop_and_is_no_failure(suspends):
    nodes, heard = [], []

    @task
    async def body():
        if suspends:
            await asyncio.sleep(1)
        raise KeyboardInterrupt

    async def main():
        heard.append(listen())
        root = body()
        nodes.extend([root, step(root)])
        await asyncio.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        run(main())

    assert [node.state for node in nodes] == [State.CANCELLED, State.CANCELLED]
    assert [node.failure for node in nodes] == [None, None]
    assert [node.cancelled() for node in nodes] == [True, True]
    for node in nodes:
        with pytest.raises(asyncio.CancelledError):
            node.result()
    nodes.clear()
    gc.collect()
    assert heard == [[]]


async def exits_at_once():
    sys.exit(0)


async def exits_later():
    await asyncio.sleep(1)
    sys.exit(0)


def exits_in_a_thread():
    sys.exit(0)


async def exits_below():
    await task(exits_later)()


async def exits_in_an_argument():
    await step(exits_later())


exiting = pytest.mark.parametrize(
    "body", [exits_at_once, exits_later, exits_in_a_thread, exits_below, exits_in_an_argument]
)


@exiting
def test_a_body_that_exits_fails_its_node_and_the_rest_goes_on(body):
    async def main():
        other = task(asyncio.sleep)(60, "done")
        node = task(body)()
        skipped = step(node)
        await asyncio.wait([node, skipped, other])
        return node.state, node.exception(), skipped.state, skipped.exception(), other.result()

    state, error, skipped, its_error, other = run(main())

    assert (state, skipped, other) == (State.FAILED, State.SKIPPED, "done")
    assert type(error) is SystemExit
    assert error.code == 0
    assert its_error is error


@exiting
def test_a_run_with_a_body_that_exits_has_failed(body):
    async def main():
        async with Run() as scope:
            task(body)()
            other = task(asyncio.sleep)(60, "done")
        return scope, other

    with pytest.raises(RunFailed, match="SystemExit: 0") as caught:
        run(main())

    assert {type(error.__cause__) for error in caught.value.exceptions} == {SystemExit}


FORKS = """import asyncio, os, sys
from aiodag import Run, task

@task
async def fork(code):
    child = os.fork()
    if not child:
        sys.exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

async def main():
    async with Run():
        nodes = fork.map((0, None, 7, "enough"))
    print([node.result() for node in nodes])

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_exit_ends_the_process_that_a_body_has_forked():
    ended = programs.run(FORKS, "forks.py")

    assert (ended.stdout, ended.stderr, ended.returncode) == ("[0, 0, 7, 1]\n", "enough\n", 0)


def test_whoever_awaits_a_body_that_exits_gets_its_exception():
    async def main():
        with pytest.raises(SystemExit) as caught:
            await task(exits_later)()
        return caught.value.code

    assert run(main()) == 0


def test_an_exit_that_nobody_took_is_reported_once():
    async def main():
        heard = listen()
        task(exits_at_once)()
        await asyncio.sleep(1)
        gc.collect()
        return [type(context["exception"]) for context in heard]

    assert run(main()) == [SystemExit]


def test_an_exit_is_tried_again_only_where_retry_on_names_it():
    attempts = []

    @task(retries=1)
    async def body():
        attempts.append(1)
        sys.exit(3)

    async def main(node):
        await asyncio.wait([node := node()])
        return node.exception().code, node.attempt

    assert run(main(body)) == (3, 1)
    assert run(main(body.with_options(retry_on=lambda error: True))) == (3, 1)
    assert run(main(body.with_options(retry_on=(OSError, SystemExit)))) == (3, 2)


# Exceptions that do what they like


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class NotesLost(Exception):
    def __init__(self):
        super().__init__()
        self.__notes__ = "none"


class NoText(Exception):
    def __str__(self):
        raise RuntimeError

    def with_traceback(self, _):
        return None


@pytest.mark.parametrize("error", [Frozen(3), NotesLost(), NoText()], ids=lambda each: type(each).__name__)
def test_an_exception_of_any_class_reaches_its_awaiter_and_its_run(error):
    @task
    async def broken():
        raise error

    async def main():
        with pytest.raises(type(error)):
            await broken()
        async with Run():
            broken()

    with pytest.raises(RunFailed, match=r"broken\(\) failed: " + type(error).__name__):
        run(main())


def test_an_argument_that_cannot_be_printed_is_left_out_of_the_label():
    @task
    async def broken(number):
        raise ValueError(number.bit_length())

    async def main():
        node = broken(10**5000)
        with pytest.raises(ValueError, match="16610"):
            await node
        return node.failure.root

    assert run(main()) == "broken(…)"


def test_an_argument_that_the_body_replaced_is_left_out_of_the_label():
    @task
    async def broken(kept, replaced):
        replaced = kept
        raise ValueError(replaced)

    async def main():
        node = broken(1, 2)
        with pytest.raises(ValueError, match="1"):
            await node
        return node.failure.root

    assert run(main()) == "broken(1, …)"


def test_a_failure_in_a_thread_names_its_arguments():
    @task
    def broken(name):
        raise ValueError(name)

    async def main():
        node = broken("a1")
        with pytest.raises(ValueError, match="a1"):
            await node
        return node.failure.root

    assert run(main()) == "broken('a1')"


def test_a_failure_is_reported_although_another_upstream_of_what_it_skipped_goes_on():
    async def main():
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["task"]))

        @task
        async def wait():
            await gate.wait()

        @task
        async def broken():
            raise ValueError

        @task
        async def join(*values):
            return values

        gate = asyncio.Event()
        slow = wait()
        join(broken(), slow)
        await asyncio.sleep(1)
        before = list(told)
        gate.set()
        await slow
        return before

    assert len(run(main())) == 1
