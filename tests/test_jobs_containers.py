"""Stages with stages in them: what runs, in which order, and what they give."""

import asyncio

import pytest
from jobs_forms import calls_noted, flow_of, shown

from aiodag import RunFailed
from aiodag.workflows import hook

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("hooks_forgotten")]


@pytest.fixture
def ran():
    """What the stages of a test have called, in that order."""
    return calls_noted()


def job_of(stages, **given):
    lines = stages.strip("\n").splitlines()
    cut = len(lines[0]) - len(lines[0].lstrip())
    body = "\n".join(f"      {line[cut:]}" for line in lines)
    declared = f"params: {{{', '.join(given)}}}\n" if given else ""
    return flow_of(
        f"{declared}jobs:\n  job:\n    stages:\n{body}", **{name.split(":")[0]: each for name, each in given.items()}
    )


async def outputs_of(stages, **given):
    values = await job_of(stages, **given).run()
    return {name: each["outputs"] for name, each in values["job"]["stages"].items()}


async def test_foreach_goes_through_a_list_in_order_and_gives_its_results_by_index(ran):
    outputs = await outputs_of("""
        - id: each
          foreach: [a, b]
          stages:
            - {id: x, uses: test/call@1, with: {name: "${{ loop.number }} of ${{ loop.length }}: ${{ item }}"}}
            - {uses: test/call@1, with: {name: "after ${{ stages.x.outputs.name }}"}}
        - {uses: test/call@1, with: {name: "${{ stages.each.outputs.items[1].stages.x.outputs.name }}"}}
        """)

    assert ran == ["1 of 2: a", "after 1 of 2: a", "2 of 2: b", "after 2 of 2: b", "2 of 2: b"]
    assert [each["item"] for each in outputs["each"]["items"]] == ["a", "b"]


async def test_foreach_goes_through_a_mapping_and_gives_its_results_by_key(ran):
    outputs = await outputs_of("""
        - id: each
          foreach: {x: 1, y: 2}
          stages: [{id: one, uses: test/call@1, with: {name: "${{ loop.key }}=${{ item }}"}}]
        """)

    assert ran == ["x=1", "y=2"]
    assert outputs["each"]["items"]["y"]["stages"]["one"]["outputs"] == {"name": "y=2"}


async def test_foreach_runs_as_many_turns_at_once_as_it_says(ran):
    meeting = asyncio.Barrier(3)

    @hook("test/meet@1")
    async def meet():
        return await meeting.wait()

    outputs = await outputs_of("""
        - {id: each, foreach: 3, concurrent: 3, stages: [{id: met, uses: test/meet@1}]}
        """)

    places = [each["stages"]["met"]["outputs"]["result"] for each in outputs["each"]["items"]]
    assert sorted(places) == [0, 1, 2]


async def test_foreach_over_nothing_succeeds(ran):
    assert (await outputs_of("- {id: each, foreach: [], stages: [{echo: hi}]}"))["each"] == {"items": []}


@pytest.mark.parametrize(("fast", "expected"), [("true", ["a"]), ("false", ["a", "b", "c"])])
async def test_foreach_ends_with_the_first_failure_unless_it_says_otherwise(ran, fast, expected):
    with pytest.raises(RunFailed):
        await job_of(f"""
            - id: each
              foreach: [a, b, c]
              fail-fast: {fast}
              stages: [{{uses: test/call@1, with: {{name: "${{{{ item }}}}", fails: "${{{{ item == 'a' }}}}"}}}}]
            """).run()

    assert ran == expected


@pytest.mark.parametrize("given", ["${{ params.n }}", "text", "${{ 10001 }}", "${{ range(10000) + [1] }}"])
async def test_what_foreach_cannot_go_through_is_refused(ran, given):
    with pytest.raises((RunFailed, Exception), match=r"foreach|list|10"):
        await job_of(
            f"""
            - {{id: each, foreach: "{given}", stages: [{{echo: hi}}]}}
            """,
            **{"n: float": 1.5},
        ).run()


async def test_parallel_runs_its_branches_beside_each_other(ran):
    meeting = asyncio.Barrier(2)

    @hook("test/meet@1")
    async def meet():
        await meeting.wait()
        return {"met": True}

    outputs = await outputs_of("""
        - id: both
          parallel:
            left: [{id: a, uses: test/meet@1}]
            right: [{id: a, uses: test/meet@1}, {id: b, uses: test/call@1, with: {name: "${{ stages.a.outputs.met }}"}}]
        """)

    assert ran == [True]
    assert list(outputs["both"]["branches"]) == ["left", "right"]


async def test_a_failed_branch_ends_the_others_and_fails_the_stage(ran):
    runs = []
    with pytest.raises(RunFailed):
        await job_of("""
            - id: both
              parallel:
                bad: [{id: a, uses: test/call@1, with: {fails: true}}]
                slow: [{id: b, sleep: 3600}]
            - {id: last, always: true, uses: test/call@1, with: {name: "${{ stages.both.result }}"}}
            """).run(opened=runs.append)

    states = shown(runs[0])
    assert (states["job/both/both[bad]"], states["job/both/both[slow]"], states["job/both"]) == (
        "failed",
        "cancelled",
        "failed",
    )
    assert ran == ["", "failed"]


async def test_max_workers_bounds_the_branches_that_run_at_once(ran):
    await outputs_of("""
        - id: both
          max-workers: 1
          parallel:
            a: [{uses: test/call@1, with: {name: a1}}, {uses: test/call@1, with: {name: a2}}]
            b: [{uses: test/call@1, with: {name: b1}}]
        """)

    assert ran == ["a1", "a2", "b1"]


CASE = """
    - id: pick
      case: "${{ params.kind }}"
      skip-not-match: %s
      match:
        - {case: csv, stages: [{id: x, uses: test/call@1, with: {name: read csv}}]}
        - {case: 3, stages: [{id: x, uses: test/call@1, with: {name: three}}]}
        %s
    - {uses: test/call@1, with: {name: "${{ stages.pick.result }}"}}
    """
REST = "- {case: _, stages: [{id: x, uses: test/call@1, with: {name: else}}]}"


@pytest.mark.parametrize(
    ("kind", "expected"), [('"csv"', "read csv"), ("3", "three"), ('"3"', "three"), ('"xml"', "else"), ("true", "else")]
)
async def test_case_runs_the_branch_that_matches_or_the_rest(ran, kind, expected):
    outputs = await outputs_of(CASE % ("false", REST), **{"kind: json": kind})

    assert ran == [expected, "succeeded"]
    assert outputs["pick"]["stages"]["x"]["outputs"] == {"name": expected}


async def test_a_case_that_nothing_matches_fails_and_says_what_there_is(ran):
    with pytest.raises(RunFailed, match=r"no case matches xml; there are 'csv', '3'"):
        await outputs_of(CASE % ("false", ""), **{"kind: json": '"xml"'})


async def test_a_case_that_nothing_matches_is_skipped_if_that_is_said(ran):
    await outputs_of(CASE % ("true", ""), **{"kind: json": '"xml"'})

    assert ran == ["skipped"]


async def test_until_repeats_its_stages_and_carries_the_item_over(ran):
    outputs = await outputs_of("""
        - id: grow
          until: "${{ item >= 8 }}"
          item: 1
          stages: [{id: x, uses: test/call@1, with: {name: "${{ item }}", gives: {item: "${{ item * 2 }}"}}}]
        """)

    assert ran == [1, 2, 4]
    assert (outputs["grow"]["item"], outputs["grow"]["loops"]) == (8, 3)


async def test_until_reads_the_stages_of_the_turn(ran):
    await outputs_of("""
        - id: poll
          until: "${{ stages.ask.outputs.done }}"
          stages: [{id: ask, uses: test/call@1, with: {gives: {done: "${{ loop.number == 2 }}"}}}]
        """)

    assert len(ran) == 2


async def test_until_gives_up_after_ten_turns_or_as_many_as_it_says(ran):
    with pytest.raises(RunFailed, match=r"has run 10 times.*max-loop"):
        await outputs_of('- {id: poll, until: "${{ false }}", stages: [{uses: test/call@1}]}')
    with pytest.raises(RunFailed, match="has run 2 times"):
        await outputs_of('- {id: poll, until: "${{ false }}", max-loop: 2, stages: [{uses: test/call@1}]}')

    assert len(ran) == 12


async def test_a_skipped_stage_in_a_turn_or_with_the_container_itself_does_no_harm(ran):
    await outputs_of("""
        - {id: each, if: false, foreach: [a], stages: [{echo: hi}]}
        - {id: turns, foreach: [a, b], stages: [{if: "${{ item == 'b' }}", uses: test/call@1, with: {name: "${{ item }}"}}]}
        """)

    assert ran == ["b"]


async def test_containers_stand_in_each_other_as_deep_as_a_file_may_be(ran):
    depth = 20
    stages = "[{uses: test/call@1, with: {name: deep}}]"
    for _ in range(depth):
        stages = f"[{{foreach: 1, stages: {stages}}}]"

    values = await flow_of(f"jobs: {{job: {{stages: {stages}}}}}").run()

    assert ran == ["deep"]
    assert len(shown(values.run)) == 1 + 2 * depth + 1


async def test_an_always_stage_in_a_turn_runs_after_a_failure_there(ran):
    with pytest.raises(RunFailed):
        await outputs_of("""
            - id: each
              foreach: [a]
              stages:
                - {uses: test/call@1, with: {name: bad, fails: true}}
                - {always: true, uses: test/call@1, with: {name: undo}}
            """)

    assert ran == ["bad", "undo"]


async def test_a_container_that_fails_is_tried_again_as_its_retry_says(ran):
    @hook("test/flaky@1")
    async def flaky(turns=ran):
        turns.append("flaky")
        if turns.count("flaky") < 3:
            raise ValueError

    await outputs_of("""
        - id: each
          foreach: 1
          retry: 2
          stages: [{uses: test/call@1, with: {name: once}}, {uses: test/flaky@1}]
        """)

    assert ran.count("flaky") == 3


async def test_a_loop_in_a_loop_has_items_of_its_own(ran):
    outputs = await outputs_of("""
        - id: outer
          until: "${{ loop.number == 2 }}"
          item: kept
          stages:
            - {id: inner, until: "${{ item >= 2 }}", item: 1, stages: [{id: x, uses: test/call@1, with: {gives: {item: "${{ item + 1 }}"}}}]}
            - {uses: test/call@1, with: {name: "${{ item }}"}}
        """)

    assert ran == ["", "kept", "", "kept"]
    assert outputs["outer"]["item"] == "kept"


async def test_a_condition_of_until_that_fails_says_where_it_stands(ran):
    with pytest.raises(RunFailed, match=r"flow.yaml:5 .*stages\.x\.outputs has no 'done'"):
        await outputs_of("""
            - id: poll
              until: "${{ stages.x.outputs.done }}"
              stages: [{id: x, uses: test/call@1}]
            """)
