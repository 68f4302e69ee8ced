"""Every move of any graph is one that the table of states has."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import Run, RunFailed, Skip, State, current_node, settled, task
from aiodag.states import MOVES, NODE_STATES, RUN_MOVES, next_run_state
from aiodag.testing import MoveRecorder, run, shuffle

FATES = ("value", "value", "value", "fail", "skip", "retry", "suspend", "cancel self")
CANCELS = (None, None, None, 0.0, 0.5, 1.5)


class Broken(Exception):
    """What a body raises."""


@task(retries=1, backoff=0.25)
async def play(number, fate, pause, upstream):
    play.log.append(number)
    if pause:
        await asyncio.sleep(pause)
    if fate == "fail" or (fate == "retry" and current_node().attempt == 1):
        raise Broken(number)
    if fate == "skip":
        raise Skip(str(number))
    if fate == "cancel self":
        current_node().cancel()
        await asyncio.sleep(0)
    return number


@st.composite
def graphs(draw):
    """Draw nodes in topological order: fate, pause, upstream numbers, exogenous numbers, moment of a cancel."""
    nodes = []
    for number in range(draw(st.integers(1, 12))):
        earlier = st.sets(st.integers(0, number - 1), max_size=3) if number else st.just(set())
        fate, pause = draw(st.sampled_from(FATES)), draw(st.sampled_from((0, 0, 1)))
        nodes.append((fate, pause, sorted(draw(earlier)), sorted(draw(earlier)), draw(st.sampled_from(CANCELS))))
    return nodes


def make(plan):
    nodes = []
    for number, (fate, pause, ups, after, _) in enumerate(plan):
        deps = [nodes[each] for each in after]
        nodes.append(play.after(*deps)(number, fate, pause, [nodes[each] for each in ups]))
    return nodes


def cancel_later(plan, nodes):
    loop = asyncio.get_running_loop()
    for node, (*_, at) in zip(nodes, plan, strict=True):
        if at is not None:
            loop.call_later(at, node.cancel)


async def perform(plan, seed, recorder):
    shuffle(seed)
    play.log = []
    try:
        async with Run(observers=[recorder]):
            nodes = make(plan)
            cancel_later(plan, nodes)
    except RunFailed:
        pass
    return nodes


def upstream_of(plan, nodes, number):
    _, _, ups, after, _ = plan[number]
    return [nodes[each] for each in {*ups, *after}]


def performed(plan, seed):
    recorder = MoveRecorder()
    return run(perform(plan, seed, recorder)), recorder


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 1000))
def test_every_move_is_legal_and_every_node_settles_once(plan, seed):
    nodes, recorder = performed(plan, seed)

    recorder.check()
    assert all(node.done() and node.state.final for node in nodes)
    for node in nodes:
        moves = [move for move in recorder.moves if move.node is node]
        assert moves[0].previous is None
        assert [move.previous for move in moves[1:]] == [move.state for move in moves[:-1]]
        assert sum(move.state.final for move in moves) == 1


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 1000))
def test_a_node_ran_only_if_all_its_upstream_succeeded_before(plan, seed):
    nodes, recorder = performed(plan, seed)
    order = {(move.node, move.state): place for place, move in reversed(list(enumerate(recorder.moves)))}

    for number in set(play.log):
        begun = order[nodes[number], State.RUNNING]
        assert all(order[up, State.SUCCEEDED] < begun for up in upstream_of(plan, nodes, number))


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 1000))
def test_a_node_is_stopped_exactly_when_an_upstream_did_not_succeed(plan, seed):
    nodes, _ = performed(plan, seed)

    for number, node in enumerate(nodes):
        fate, *_, at = plan[number]
        states = {up.state for up in upstream_of(plan, nodes, number)}
        if states - {State.SUCCEEDED}:
            assert node.state in {State.SKIPPED, State.CANCELLED}
            assert number not in play.log
        elif node.state is State.SKIPPED:
            assert fate == "skip"
        elif node.state is State.CANCELLED:
            assert fate == "cancel self" or at is not None
        if node.state is State.SKIPPED and fate != "skip":
            assert states & {State.FAILED, State.SKIPPED}


@settings(max_examples=30, deadline=None)
@given(graphs(), st.integers(0, 1000))
def test_settled_edges_run_whatever_the_outcome(plan, seed):
    @task
    async def look(nodes):
        return [node.state for node in nodes]

    async def main():
        nodes = await perform(plan, seed, MoveRecorder())
        return await look([settled(node) for node in nodes]), [node.state for node in nodes]

    seen, states = run(main())

    assert seen == states


def test_a_backoff_that_raises_makes_legal_moves():
    recorder = MoveRecorder()

    def backoff(attempt):
        raise Broken

    @task(retries=1, backoff=backoff)
    async def body():
        raise OSError

    async def main():
        try:
            async with Run(observers=[recorder]):
                body()
        except RunFailed:
            pass

    run(main())

    recorder.check()
    assert recorder.moves[-1].state is State.FAILED


def test_no_move_leads_out_of_a_final_state():
    assert all(not MOVES[state] for state in NODE_STATES if state.final)


def test_the_table_has_every_state_but_the_one_of_runs_alone():
    assert tuple(MOVES) == NODE_STATES
    assert set(State) - set(MOVES) == {State.PARKED}


def test_every_state_of_a_run_has_its_moves_and_what_has_ended_begins_again_only():
    assert set(RUN_MOVES) == set(State)
    assert {following for moves in RUN_MOVES.values() for following in moves} == set(State) - {
        State.WAITING,
        State.SKIPPED,
    }
    assert next_run_state(State.SUCCEEDED, State.QUEUED, State.RUNNING, State.CANCELLED) is State.CANCELLED
    assert next_run_state(State.RUNNING, State.PARKED, State.QUEUED, State.RUNNING) is State.RUNNING
    assert next_run_state(State.FAILED, State.FAILED) is State.FAILED
    for state in (State.FAILED, State.CANCELLED):
        with pytest.raises(RuntimeError, match=f"a run cannot go from {state} to running"):
            next_run_state(state, State.RUNNING)


def test_a_parked_run_has_not_ended_and_goes_on_by_way_of_the_queue_alone():
    assert not State.PARKED.final
    for state in (State.RUNNING, State.SUCCEEDED, State.CANCELLED):
        with pytest.raises(RuntimeError, match=f"a run cannot go from parked to {state}"):
            next_run_state(State.PARKED, state)
