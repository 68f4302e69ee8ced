"""The graph of a jobs form before it runs."""

from textwrap import dedent

import pytest

from aiodag.workflows.files.sources import document_in_text
from aiodag.workflows.jobs.drawing import draw_jobs
from aiodag.workflows.jobs.reading import read_jobs

TABLES = """
name: tables
params: {tables: {type: list, required: true}, day: date}
jobs:
  report: {needs: load, trigger-rule: all_done, stages: [{id: send, echo: x}]}
  load:
    strategy: {matrix: {t: "${{ params.tables }}"}}
    stages: [{id: copy, echo: x}, {id: check, echo: x}, {id: clean, echo: x, always: true}]
"""


def draw(text, **params):
    found = document_in_text(dedent(text), "flow.yaml")
    return draw_jobs(read_jobs(found.document, found.places), params)


def nested(graph):
    """The names of the nodes, with those around each."""
    names = {node.id: node for node in graph.nodes}
    found = []
    for node in graph.nodes:
        way, here = [], node
        while here is not None:
            way.append(here.name)
            here = None if here.parent is None else names[here.parent]
        found.append("/".join(reversed(way)))
    return found


def edges(graph):
    names = [node.name for node in graph.nodes]
    return [(names[edge.source], names[edge.target], edge.settled) for edge in graph.edges]


def one_job(stages):
    return f"jobs: {{one: {{stages: {stages}}}}}"


def test_stages_hang_on_their_jobs_and_follow_each_other():
    graph = draw(TABLES, tables=["a", "b"])

    assert nested(graph) == [
        "report",
        "report/send",
        "load",
        "load/load[t=a]",
        "load/load[t=a]/copy",
        "load/load[t=a]/check",
        "load/load[t=a]/clean",
        "load/load[t=b]",
        "load/load[t=b]/copy",
        "load/load[t=b]/check",
        "load/load[t=b]/clean",
    ]
    assert edges(graph) == [
        ("copy", "check", False),
        ("check", "clean", True),
        ("copy", "check", False),
        ("check", "clean", True),
        ("load", "report", True),
    ]
    assert graph.nodes[0].label == "report (all_done)"
    assert graph.nodes[1].site == "flow.yaml:5 $.jobs.report.stages[0]"


def test_a_matrix_of_a_param_that_is_missing_is_one_node():
    assert "load/load[…]" in nested(draw(TABLES))


def test_a_matrix_of_what_a_job_will_give_is_one_node():
    text = """
        jobs:
          list: {outputs: {all: "${{ stages.ask.outputs.all }}"}, stages: [{id: ask, run: "all = [1]"}]}
          load: {needs: list, strategy: {matrix: {t: "${{ needs.list.outputs.all }}"}}, stages: [{id: copy, echo: x}]}
    """

    assert nested(draw(text))[2:] == ["load", "load/load[…]", "load/load[…]/copy"]


@pytest.mark.parametrize(
    ("stages", "inside"),
    [
        ("[{id: a, parallel: {x: [{id: b, echo: x}], y: [{id: c, echo: x}]}}]", ["a", "a/a[x]", "a/a[x]/b", "a/a[y]", "a/a[y]/c"]),
        ("[{id: a, foreach: [5, 6], stages: [{id: b, echo: x}]}]", ["a", "a/a[0]", "a/a[0]/b", "a/a[1]", "a/a[1]/b"]),
        ("[{id: a, foreach: {k: 1}, stages: [{id: b, echo: x}]}]", ["a", "a/a[k]", "a/a[k]/b"]),
        ("[{id: a, foreach: 2, stages: [{id: b, echo: x}]}]", ["a", "a/a[0]", "a/a[0]/b", "a/a[1]", "a/a[1]/b"]),
        ("[{id: a, foreach: 1000, stages: [{id: b, echo: x}]}]", ["a", "a/a[…]", "a/a[…]/b"]),
        ("[{id: a, foreach: '${{ run.id }}', stages: [{id: b, echo: x}]}]", ["a", "a/a[…]", "a/a[…]/b"]),
        ("[{id: a, until: 'true', stages: [{id: b, echo: x}]}]", ["a", "a/a[…]", "a/a[…]/b"]),
        (
            "[{id: a, case: x, match: [{case: 1, stages: [{id: b, echo: x}]}, {case: _, stages: [{id: c, echo: x}]}]}]",
            ["a", "a/a[1]", "a/a[1]/b", "a/a[_]", "a/a[_]/c"],
        ),
    ],
)  # fmt: skip
def test_what_is_inside_a_stage_hangs_on_it(stages, inside):
    assert nested(draw(one_job(stages)))[1:] == [f"one/{each}" for each in inside]


def test_a_drawing_stays_bounded_however_large_the_matrix_is():
    stages = ", ".join(f"{{id: s{n}, echo: x}}" for n in range(100))
    axis = ", ".join(map(str, range(2000)))

    graph = draw(f"jobs: {{one: {{strategy: {{matrix: {{n: [{axis}]}}}}, stages: [{stages}]}}}}")

    assert len(graph) == 102


def test_names_of_others_do_nothing_to_a_terminal():
    assert "\x1b" not in draw('jobs: {one: {strategy: {matrix: {t: ["\\e[2J"]}}, stages: [{echo: x}]}}').to_text()
