"""Parameters: which nodes there are, what they are called, and what waits for what."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodag import State, task
from aiodag.cli.progress import Progress
from aiodag.commands import command, shell
from aiodag.errors import WorkflowError
from aiodag.pictures.scene import scene
from aiodag.stores import Memory
from aiodag.testing import MoveRecorder
from aiodag.workflows import Parameter, Workflow
from aiodag.workflows.parameters import name_with

ETL = {
    "Pull_A": ("", True),
    "Pull_B": ("", True),
    "Pull_C": ("", True),
    "Transform_A": ("Pull_A", True),
    "Transform_B": ("Pull_B", True),
    "Transform_C": ("Pull_C", True),
    "Derive_AB": ("Transform_A Transform_B", False),
    "Derive_ABC": ("Derive_AB Transform_C", False),
    "Report": ("Derive_ABC", False),
}


@task
async def given_back(*args):
    return args[0] if len(args) == 1 else args


@task
async def nothing(*_):
    pass


def names(flow):
    return [node.name for node in flow.graph().nodes if not node.barrier]


def barriers(flow):
    return [node.name for node in flow.graph().nodes if node.barrier]


def reached(graph):
    """For each node the names of all nodes that it waits for, directly or not; barriers are only gone through."""
    found = {}
    names = {node.id: node.name for node in graph.nodes if not node.barrier}
    for node in graph.order():
        found[node.id] = set().union(*[found[up] | {names.get(up)} for up in graph.upstream(node.id)]) - {None}
    return {names[id_]: ups for id_, ups in found.items() if id_ in names}


async def test_six_of_nine_commands_with_two_dates_are_fifteen_nodes():
    flow = Workflow("etl", parameters={"DATE": ["d1", "d2"]})
    for name, (after, dated) in ETL.items():
        flow.add(command("echo", "{{DATE}}" if dated else "-", name), name=name, after=after.split())
    recorder = MoveRecorder()

    values = await flow.run(observers=[recorder])

    assert len(names(flow)) == 15
    assert [each.stdout for each in values["Pull_A"]] == ["d1 Pull_A\n", "d2 Pull_A\n"]
    moves = [(move.node.name, move.state) for move in recorder.moves]
    pulled = max(moves.index((f"Pull_A[DATE={date}]", State.SUCCEEDED)) for date in ("d1", "d2"))
    begun = min(moves.index((f"Transform_A[DATE={date}]", State.RUNNING)) for date in ("d1", "d2"))
    assert pulled < begun


def test_the_product_is_taken_over_what_is_used():
    flow = Workflow("product", parameters={"A": [1, 2], "UNUSED": [1, 2], "B": ["x", "y", "z"]})
    flow.add(command("echo", "{{B}}", env={"V": "{{A}}"}), name="t", parameters={"OTHER": ["no", "no more"]})

    assert names(flow) == ["t[A=1,B=x]", "t[A=1,B=y]", "t[A=1,B=z]", "t[A=2,B=x]", "t[A=2,B=y]", "t[A=2,B=z]"]


def test_own_parameters_come_after_those_of_the_workflow_and_before_them_in_value():
    flow = Workflow("own", parameters={"A": [1, 2]})
    flow.add(nothing, Parameter("B"), Parameter("A"), name="both", parameters={"B": ["x"]})
    flow.add(nothing, Parameter("A"), name="other", parameters={"A": [3]})

    assert names(flow) == ["both[A=1,B=x]", "both[A=2,B=x]", "other[A=3]"]


async def test_values_come_into_every_text_of_a_command_as_they_are():
    hostile = "a'b\"c\n$(touch x);`y` {{B}} \\"
    flow = Workflow("hostile", parameters={"A": [hostile], "B": ["never"]})
    line = 'cat; printf "<%s>" "$V" "$@"; pwd'
    flow.add(
        shell(line, "{{A}}", "b{{A}}b", env={"V": "{{A}}"}, stdin="in {{A}}", cwd="{{DIR}}"),
        "called {{A}}",
        parameters={"DIR": ["/"]},
        name="t",
    )

    ((finished,),) = (await flow.run()).values()

    assert finished.stdout == f"in {hostile}<{hostile}><{hostile}><b{hostile}b><called {hostile}>/\n"


async def test_only_exact_places_are_replaced():
    flow = Workflow("words", parameters={"DATE": ["d1"]})
    flow.add(command("echo", "DATE", "{DATE}", "{{DATE}}s", "{{OTHER}}{{DATE}}", "$DATE"), name="t")

    ((finished,),) = (await flow.run()).values()

    assert finished.stdout == "DATE {DATE} d1s {{OTHER}}d1 $DATE\n"


async def test_a_python_task_gets_the_value_itself_at_any_depth_and_text_untouched():
    flow = Workflow("python", parameters={"N": [1, 2.5, True, "x"]})
    there = flow.add(given_back, "{{N}}", [Parameter("N"), {"n": Parameter("N")}], name="t")

    assert (await flow.run())[there] == [("{{N}}", [value, {"n": value}]) for value in (1, 2.5, True, "x")]


async def test_a_value_that_flows_from_many_is_a_list_in_order():
    flow = Workflow("lists", parameters={"N": [3, 1, 2]})
    many = flow.add(given_back, Parameter("N"), name="many")
    one = flow.add(given_back, many, name="one")
    each = flow.add(given_back, many, Parameter("N"), name="each")

    values = await flow.run()

    assert values[many] == [3, 1, 2]
    assert values[one] == [3, 1, 2]
    assert values[each] == [([3, 1, 2], 3), ([3, 1, 2], 1), ([3, 1, 2], 2)]


@pytest.mark.parametrize("passed", [False, True])
async def test_without_values_there_is_no_node_and_what_comes_after_waits_for_what_comes_before(passed):
    flow = Workflow("none", parameters={"N": []})
    flow.add(nothing, name="first")
    none = flow.add(given_back, Parameter("N"), name="none", after="first")
    last = flow.add(given_back, none, name="last") if passed else flow.add(nothing, name="last", after="none")

    values = await flow.run()

    assert names(flow) == ["first", "last"]
    assert reached(flow.graph())["last"] == {"first"}
    assert values[none] == []
    assert values[last] == ([] if passed else None)


def test_many_before_many_have_a_barrier_and_few_have_none():
    def flow(size):
        made = Workflow("barrier", parameters={"N": list(range(size))})
        made.add(nothing, Parameter("N"), name="a")
        made.add(nothing, Parameter("N"), name="b", after="a")
        return made

    assert barriers(flow(2)) == []
    assert len(flow(2).graph().edges) == 4
    assert barriers(flow(3)) == ["all of a"]
    assert len(flow(3).graph().edges) == 6
    assert reached(flow(3).graph())["b[N=0]"] == {"a[N=0]", "a[N=1]", "a[N=2]"}


def test_300_by_300_keep_their_edges_few():
    values = list(range(300))
    flow = Workflow("square", parameters={"X": values, "Y": values})
    flow.add(nothing, Parameter("X"), Parameter("Y"), name="pull")
    flow.add(nothing, Parameter("X"), name="clean", after="pull")

    graph = flow.graph()

    assert graph.counts() == {State.WAITING: 90_300}
    assert len(graph.edges) == 90_000 + 300


async def test_a_barrier_passes_values_on_and_does_not_count():
    flow = Workflow("barrier", parameters={"N": list(range(10))})
    many = flow.add(given_back, Parameter("N"), name="many")
    each = flow.add(given_back, many, Parameter("N"), name="each")

    values = await flow.run()
    graph = values.run.graph()

    assert values[each] == [(list(range(10)), number) for number in range(10)]
    assert graph.counts() == {State.SUCCEEDED: 20}
    assert len(graph.edges) == 20
    assert "(all of many)" in graph.to_text()
    assert graph.to_text().startswith("barrier: 20 nodes, 20 succeeded")
    assert "(( ))" in graph.to_mermaid()
    assert "shape=point" in graph.to_dot()


async def test_progress_does_not_count_barriers():
    progress = Progress()
    flow = Workflow("barrier", parameters={"N": list(range(10))})
    flow.add(nothing, Parameter("N"), name="a") >> flow.add(nothing, Parameter("N"), name="b")

    await flow.run(observers=[progress])

    assert progress.counts_text() == "20 succeeded"


def test_a_picture_shows_a_barrier_as_a_small_card_without_words():
    flow = Workflow("barrier", parameters={"N": list(range(3))})
    flow.add(nothing, Parameter("N"), name="a") >> flow.add(nothing, Parameter("N"), name="b")

    shown = scene(flow.graph())

    (barrier,) = [card for card, node in zip(shown.cards, shown.nodes, strict=True) if node.barrier]
    assert (barrier.title, barrier.below) == ("", "")
    assert barrier.size < min(card.size for card in shown.cards if card is not barrier)
    assert barrier.told.startswith("(all of a) joins a[N=0]")
    assert shown.headline.startswith("6 nodes")


async def test_a_failure_passes_through_a_barrier_with_its_root():
    @task
    async def failing(number):
        if number == 7:
            raise ValueError(number)

    flow = Workflow("barrier", parameters={"N": list(range(10))})
    flow.add(failing, Parameter("N"), name="a")
    flow.add(nothing, Parameter("N"), name="b", after="a")
    runs = []

    with pytest.raises(ExceptionGroup) as error:
        await flow.run(opened=runs.append)

    assert runs[0].graph().counts() == {State.SUCCEEDED: 9, State.FAILED: 1, State.SKIPPED: 10}
    assert "b[N=0] skipped: a[N=7]" in str(error.value)
    assert error.value.failures[0].root == "a[N=7](7)"


async def test_barriers_are_made_again_and_what_is_between_them_is_recalled():
    store = Memory()

    def flow():
        made = Workflow("barrier", parameters={"N": list(range(5))})
        many = made.add(given_back, Parameter("N"), name="many")
        made.add(given_back, many, Parameter("N"), name="each")
        return made

    first = await flow().run(store, "r")
    again = await flow().resume("r", store=store)

    assert dict(again) == dict(first)
    assert [node.name for node in again.run.graph().nodes if node.started is not None] == ["all of many"]
    assert store.run("r").counts == {"succeeded": 10}


async def test_a_raw_task_after_many_waits_for_all_of_them_whatever_their_outcome():
    @task
    async def failing(number):
        if number == 0:
            raise ValueError(number)
        return number

    @task(raw=True)
    async def outcomes(nodes, _):
        return [str(node.state) for node in nodes]

    flow = Workflow("raw", parameters={"N": list(range(4))})
    many = flow.add(failing, Parameter("N"), name="many")
    flow.add(outcomes, many, Parameter("N"), name="seen")

    values = await flow.run(Memory(), "r")

    assert values["seen"] == [["failed", "succeeded", "succeeded", "succeeded"]] * 4
    assert barriers(flow) == []


def test_a_group_of_many_before_many_has_a_barrier():
    flow = Workflow("group")
    for number in range(10):
        flow.add(nothing, name=f"a{number}", group="first")
    for number in range(10):
        flow.add(nothing, name=f"b{number}", after="first")

    assert len(flow.graph().edges) == 20
    assert barriers(flow) == ["all of first"]
    assert reached(flow.graph())["b3"] == {f"a{number}" for number in range(10)}


def test_many_tasks_before_one_with_many_values_have_a_barrier():
    flow = Workflow("before", parameters={"N": list(range(10))})
    for number in range(10):
        flow.add(nothing, name=f"a{number}")
    flow.add(nothing, Parameter("N"), name="b", after=[f"a{number}" for number in range(10)])

    assert len(flow.graph().edges) == 20
    assert barriers(flow) == ["before b"]


async def test_a_node_has_its_name_in_the_record_too():
    store = Memory()
    flow = Workflow("names", parameters={"DATE": ["d1"], "TEXT": ["a, b=c]"]})
    flow.add(nothing, Parameter("TEXT"), Parameter("DATE"), name="Pull")

    await flow.run(store, "r")

    assert [node.name for node in store.nodes("r")] == ['Pull[DATE=d1,TEXT="a, b=c]"]']


SOME = st.dictionaries(st.sampled_from(["A", "B"]), st.text(), min_size=1)


@given(SOME, SOME)
def test_different_values_never_give_one_name(one, two):
    assert (name_with("t", one) == name_with("t", two)) == (json.dumps(one) == json.dumps(two))


@pytest.mark.parametrize("text", ["DATE", "x-DATE", "--day=DATE"])
def test_a_parameter_that_no_task_uses_and_that_stands_in_a_command_is_a_complaint(text):
    flow = Workflow("w", parameters={"DATE": ["d1", "d2"]})
    flow.add(command("echo", text), name="a")

    with pytest.raises(WorkflowError, match=r"'a' has DATE, a parameter that no task uses. Write \{\{DATE\}\}"):
        flow.check()


@pytest.mark.parametrize("text", ["UPDATE", "DATE2", "date", "{{DATE}} DATE"])
def test_words_that_are_no_parameter_stay(text):
    flow = Workflow("w", parameters={"DATE": ["d1", "d2"]})
    flow.add(command("echo", text), name="a")

    flow.check()
