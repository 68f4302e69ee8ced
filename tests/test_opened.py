"""Groups of a large graph, opened step by step."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag import Graph, GraphEdge, GraphNode, State
from aiodag.pictures.fragments import graph_fragment
from aiodag.pictures.groups import MOST_NODES
from aiodag.pictures.opened import FEW, opened_scene
from aiodag.pictures.scene import scene


def graph_of(count, failed=(), names=("load",)):
    nodes = [
        GraphNode(
            number, names[number % len(names)], f"n({number})", State.FAILED if number in failed else State.SUCCEEDED
        )
        for number in range(count)
    ]
    return Graph("etl", nodes, [GraphEdge(at, at + 1, "endogenous") for at in range(0, count - 1, 2)])


def counted(found):
    """How many nodes the cards of a scene stand for."""
    return sum(sum(card.counts.values()) or 1 for card in found.scene.cards)


def way_to(graph, wanted):
    """Open one group after the other until a node is shown; return the keys, and what was seen on the way."""
    opened, seen = [], []
    while True:
        found = opened_scene(graph, opened)
        seen.append(len(found.scene.cards))
        if wanted in found.keys:
            return opened, seen
        place = next(at for at, node in enumerate(graph.nodes) if node.id == wanted)
        key = found.keys[found.scene.of_node[place]]
        assert isinstance(key, str)
        assert key not in opened
        opened.append(key)


def test_a_small_graph_shows_each_of_its_nodes():
    found = opened_scene(graph_of(10))

    assert found.keys == tuple(range(10))
    assert found.scene == scene(graph_of(10))


def test_a_large_graph_shows_its_tasks_until_one_is_opened():
    graph = graph_of(10_000, names=("extract", "load"))

    shut, open_ = opened_scene(graph), opened_scene(graph, ["load"])

    assert shut.keys == ("extract", "load")
    assert open_.keys[0] == "extract"
    assert [key.startswith("load@") for key in open_.keys[1:]] == [True] * 13
    assert open_.opened == ("load",)
    assert counted(shut) == counted(open_) == 10_000


def test_each_node_of_50_000_is_reached_in_few_steps_of_which_none_shows_more_than_can_be_read():
    graph = graph_of(50_000, failed={41_000})

    opened, seen = way_to(graph, 41_000)

    assert len(opened) <= 4
    assert max(seen) <= 160


def test_the_part_in_which_something_failed_looks_failed():
    found = opened_scene(graph_of(10_000, failed={777}), ["load"])

    failed = [card.title for card in found.scene.cards if card.state is State.FAILED]

    assert failed == ["load 401–800"]


def test_keys_stay_the_same_while_a_run_grows():
    before, after = (opened_scene(graph_of(count), ["load"]) for count in (4_000, 4_200))

    assert after.keys[: len(before.keys) - 1] == before.keys[:-1]
    assert opened_scene(graph_of(4_200), ["load", before.keys[2]]).opened == ("load", before.keys[2])


def test_keys_that_open_nothing_are_left_out():
    graph = graph_of(2_000)

    found = opened_scene(graph, ["gone", "load@", "load@0+7", "load@x+400", "@", "load", "\0"])

    assert found.opened == ("load",)


def test_a_task_with_the_sign_of_a_part_in_its_name_opens_like_any_other():
    graph = graph_of(3_000, names=("mail@home", "load"))

    opened, _ = way_to(graph, 2_000)

    assert opened[0] == "mail@home"


def test_what_is_opened_never_shows_more_cards_than_can_be_read():
    graph = graph_of(50_000)
    opened = ["load"]
    for _ in range(3):
        opened += [key for key in opened_scene(graph, opened).keys if isinstance(key, str)]

    assert len(opened_scene(graph, opened).scene.cards) <= 600


@settings(deadline=None, max_examples=20)
@given(
    count=st.integers(MOST_NODES + 1, 3_000),
    names=st.lists(st.sampled_from(["a", "b", "a@0+20", "c", "@"]), min_size=1, max_size=4, unique=True),
    data=st.data(),
)
def test_whatever_is_opened_each_node_is_in_one_card(count, names, data):
    graph = graph_of(count, names=names)
    opened: list[str] = []
    for _ in range(3):
        keys = [key for key in opened_scene(graph, opened).keys if isinstance(key, str)]
        opened += data.draw(st.lists(st.sampled_from(keys), max_size=4)) if keys else []

    found = opened_scene(graph, opened)

    assert counted(found) == count
    assert len(found.keys) == len(found.scene.cards)
    assert all(len(found.scene.cards) > at >= 0 for at in found.scene.of_node)
    singles = [key for key in found.keys if isinstance(key, int)]
    assert len(singles) == len(set(singles))
    assert len(singles) <= FEW * max(1, len(opened))


def test_a_picture_of_hostile_names_has_none_of_them_as_markup():
    hostile = '"><script>alert(1)</script>'
    nodes = [GraphNode(number, hostile, hostile, State.FAILED, error=hostile) for number in range(MOST_NODES + 1)]

    drawn = graph_fragment(Graph(hostile, nodes, []), [hostile], lambda key: f"javascript:{key}")

    assert "<script>" not in drawn.picture
    assert drawn.opened == ((hostile, hostile),)
