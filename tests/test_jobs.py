"""Jobs at run time: their order, what they give each other, what becomes of them."""

import asyncio

import pytest
from jobs_forms import calls_noted, flow_of, shown

from aiodag import RunFailed, WorkflowError
from aiodag.workflows import hook

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("hooks_forgotten")]


@pytest.fixture
def ran():
    """What the stages of a test have called, in that order."""
    return calls_noted()


async def failed_run(flow, **options):
    runs = []
    with pytest.raises(RunFailed) as caught:
        await flow.run(opened=runs.append, **options)
    return runs[0], caught.value


async def test_jobs_run_after_those_they_need_in_whatever_order_they_are_declared(ran):
    flow = flow_of("""
        jobs:
          last: {needs: [left, right], stages: [{uses: test/call@1, with: {name: last}}]}
          left: {needs: first, stages: [{uses: test/call@1, with: {name: left}}]}
          right: {needs: first, stages: [{uses: test/call@1, with: {name: right}}]}
          first: {stages: [{uses: test/call@1, with: {name: first}}]}
        """)

    await flow.run()

    assert (ran[0], sorted(ran[1:3]), ran[3]) == ("first", ["left", "right"], "last")


async def test_a_job_reads_the_outputs_of_those_it_needs_and_the_stages_of_all_before_it(ran):
    flow = flow_of(
        """
        params: {day: date}
        jobs:
          a:
            outputs: {rows: "${{ stages.pull.outputs.rows }}"}
            stages: [{id: pull, uses: test/call@1, with: {gives: {rows: 3}}}]
          b: {needs: a, stages: [{id: one, uses: test/call@1, with: {name: "${{ needs.a.outputs.rows }}"}}]}
          c:
            needs: b
            stages:
              - {id: two, uses: test/call@1, with: {name: "${{ jobs.a.stages.pull.outputs.rows + 1 }}"}}
              - {uses: test/call@1, with: {name: "${{ stages.two.outputs.name }} of ${{ params.day }}"}}
        """,
        day="2024-02-01",
    )

    values = await flow.run()

    assert ran == ["", 3, 4, "4 of 2024-02-01"]
    assert values["a"]["outputs"] == {"rows": 3}
    assert values["a"]["stages"]["pull"] == {"outputs": {"rows": 3}, "result": "succeeded"}


async def test_stages_are_nodes_in_the_node_of_their_job(ran):
    run = (await flow_of("jobs: {a: {stages: [{id: x, echo: hi}, {id: y, if: false, echo: no}]}}").run()).run

    assert shown(run) == {"a": "succeeded", "a/x": "succeeded", "a/y": "skipped"}


async def test_a_failed_stage_fails_its_job_and_skips_what_needs_it(ran):
    run, error = await failed_run(
        flow_of("""
        jobs:
          a: {stages: [{id: x, uses: test/call@1, with: {name: x, fails: true}}, {id: y, echo: never}]}
          b: {needs: a, stages: [{id: z, echo: never}]}
        """)
    )

    assert shown(run) == {"a": "failed", "b": "skipped", "a/x": "failed"}
    assert len(error.failures) == 1
    assert isinstance(error.exceptions[0], ValueError)


async def test_stages_that_ask_for_it_run_after_a_failure(ran):
    await failed_run(
        flow_of("""
        jobs:
          a:
            stages:
              - {id: x, uses: test/call@1, with: {name: x, fails: true}}
              - {uses: test/call@1, with: {name: plain}}
              - {uses: test/call@1, with: {name: on failure}, if: failure()}
              - {uses: test/call@1, with: {name: on success}, if: success()}
              - {uses: test/call@1, with: {name: "always, ${{ stages.x.result }}: ${{ stages.x.error }}"}, always: true}
              - {uses: test/call@1, with: {name: also}, if: "always() && stages.x.result == 'failed'"}
        """)
    )

    assert ran == ["x", "on failure", "always, failed: ValueError: x", "also"]


async def test_after_continue_on_error_a_job_goes_on_and_succeeds(ran):
    values = await flow_of("""
        jobs:
          a:
            stages:
              - {id: x, uses: test/call@1, with: {name: x, fails: true}, continue-on-error: true}
              - {uses: test/call@1, with: {name: "${{ stages.x.result }}"}}
        """).run()

    assert ran == ["x", "failed"]
    assert shown(values.run)["a"] == "succeeded"


async def test_a_job_that_may_fail_lets_those_that_need_it_run(ran):
    values = await flow_of("""
        jobs:
          a: {continue-on-error: true, stages: [{id: x, uses: test/call@1, with: {name: x, fails: true}}]}
          b: {needs: a, stages: [{uses: test/call@1, with: {name: "${{ needs.a.result }}"}}]}
        """).run()

    assert ran == ["x", "failed"]
    assert shown(values.run)["b"] == "succeeded"


RULES = {
    # rule: whether it runs after one that succeeded and one that failed, and after two that succeeded
    "all_success": (False, True),
    "all_done": (True, True),
    "all_failed": (False, False),
    "one_failed": (True, False),
    "one_success": (True, True),
    "none_failed": (False, True),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("fails", [True, False])
async def test_a_trigger_rule_decides_by_what_became_of_the_jobs_before(ran, rule, fails):
    flow = flow_of(f"""
        jobs:
          good: {{stages: [{{echo: good}}]}}
          bad: {{stages: [{{uses: test/call@1, with: {{fails: {str(fails).lower()}}}}}]}}
          last:
            needs: [good, bad]
            trigger-rule: {rule}
            stages: [{{uses: test/call@1, with: {{name: "${{{{ needs.bad.result }}}}"}}}}]
        """)
    run = (await failed_run(flow))[0] if fails else (await flow.run()).run

    assert (shown(run)["last"] == "succeeded") is RULES[rule][not fails]


async def test_an_if_that_asks_for_the_status_decides_for_a_job(ran):
    run, _ = await failed_run(
        flow_of("""
        jobs:
          bad: {stages: [{id: x, uses: test/call@1, with: {name: x, fails: true}}]}
          cleanup: {needs: bad, if: failure(), stages: [{uses: test/call@1, with: {name: "${{ needs.bad.stages.x.result }}"}}]}
          report: {needs: bad, if: success(), stages: [{echo: never}]}
          after: {needs: cleanup, if: always(), stages: [{uses: test/call@1, with: {name: "${{ needs.cleanup.result }}"}}]}
        """)
    )

    assert ran == ["x", "failed", "succeeded"]
    assert shown(run)["report"] == "skipped"


async def test_a_skipped_job_skips_those_that_need_it(ran):
    run = (
        await flow_of("""
        params: {go: {type: bool, default: false}}
        jobs:
          a: {if: "${{ params.go }}", stages: [{echo: hi}]}
          b: {needs: a, stages: [{echo: hi}]}
        """).run()
    ).run

    assert shown(run) == {"a": "skipped", "b": "skipped"}


async def test_an_expression_that_fails_says_where_it_stands(ran):
    run, error = await failed_run(
        flow_of("""
        jobs:
          a:
            stages:
              - {id: x, uses: test/call@1, with: {gives: {rows: 3}}}
              - {id: y, echo: "${{ stages.x.outputs.rwos }}"}
        """)
    )

    assert shown(run)["a/y"] == "failed"
    assert "flow.yaml:6" in str(error)
    assert "rwos" in str(error)


async def test_params_are_checked_all_at_once_before_anything_runs(ran):
    flow = flow_of("""
        params: {day: {type: date, required: true}, size: {type: int, required: true}}
        jobs: {a: {stages: [{uses: test/call@1}]}}
        """)

    with pytest.raises(WorkflowError) as caught:
        await flow.run()

    assert len(caught.value.complaints) == 2
    assert ran == []
    with pytest.raises(WorkflowError, match="sise"):
        flow.but(parameters={"day": "2024-01-01", "size": 1, "sise": 2})


async def test_env_of_workflow_job_and_stage_add_up(ran):
    await flow_of("""
        env: {A: top, B: top, C: top}
        jobs:
          a:
            env: {B: "${{ env.A }} job", C: job}
            stages: [{uses: test/call@1, env: {C: stage}, with: {name: "${{ env.A }}, ${{ env.B }}, ${{ env.C }}"}}]
        """).run()

    assert ran == ["top, top job, stage"]


# Matrix


async def test_combinations_run_in_their_order_and_have_readable_names(ran):
    values = await flow_of("""
        jobs:
          build:
            strategy:
              max-parallel: 1
              matrix:
                region: [eu, us]
                size: [s, m, l]
                exclude: [{region: us, size: l}, {region: eu, size: s}]
                include: [{region: ap, size: m}, {region: eu, size: m}]
            outputs: {last: "${{ matrix.region }}"}
            stages: [{id: x, uses: test/call@1, with: {name: "${{ matrix.region }}/${{ matrix.size }}"}}]
        """).run()

    assert ran == ["eu/m", "eu/l", "us/s", "us/m", "ap/m"]
    assert next(iter(values["build"]["strategies"])) == "region=eu,size=m"
    assert values["build"]["strategies"]["region=ap,size=m"]["matrix"] == {"region": "ap", "size": "m"}
    assert values["build"]["outputs"] == {"last": "ap"}
    assert shown(values.run)["build/build[region=eu,size=m]/x"] == "succeeded"


async def test_a_matrix_of_a_param_and_one_of_what_another_job_gives(ran):
    await flow_of(
        """
        params: {tables: list}
        jobs:
          list:
            outputs: {sizes: "${{ stages.x.outputs.result }}"}
            stages: [{id: x, uses: test/call@1, with: {gives: [1, 2]}}]
          load:
            needs: list
            strategy: {max-parallel: 1, matrix: {t: "${{ params.tables }}", n: "${{ needs.list.outputs.sizes }}"}}
            stages: [{uses: test/call@1, with: {name: "${{ matrix.t }}${{ matrix.n }}"}}]
        """,
        tables=["a", "b"],
    ).run()

    assert ran[1:] == ["a1", "a2", "b1", "b2"]


async def test_a_matrix_without_a_combination_skips_its_job(ran):
    run = (
        await flow_of("""
        params: {tables: {type: list, default: []}}
        jobs:
          load: {strategy: {matrix: {t: "${{ params.tables }}"}}, stages: [{echo: hi}]}
        """).run()
    ).run

    assert shown(run) == {"load": "skipped"}


async def test_one_combination_has_the_shape_of_many_and_is_read_like_a_plain_job(ran):
    values = await flow_of("""
        jobs:
          load: {strategy: {matrix: {t: [a]}}, stages: [{id: x, echo: "${{ matrix.t }}"}]}
          next: {needs: load, stages: [{uses: test/call@1, with: {name: "${{ jobs.load.stages.x.outputs.message }}"}}]}
        """).run()

    assert list(values["load"]["strategies"]) == ["t=a"]
    assert ran == ["a"]


async def test_without_fail_fast_the_others_go_on_and_all_failures_are_told(ran):
    run, error = await failed_run(
        flow_of("""
        jobs:
          load:
            strategy: {fail-fast: false, matrix: {t: [a, b, c]}}
            stages: [{id: x, uses: test/call@1, with: {name: "${{ matrix.t }}", fails: "${{ matrix.t != 'b' }}"}}]
        """)
    )

    states = shown(run)
    assert [states[f"load/load[t={each}]"] for each in "abc"] == ["failed", "succeeded", "failed"]
    assert states["load"] == "failed"
    assert {str(each) for each in error.exceptions} == {"a", "c"}


async def test_with_fail_fast_the_others_are_cancelled(ran):
    gate = asyncio.Event()

    @hook("test/wait@1")
    async def wait():
        await gate.wait()

    run, error = await failed_run(
        flow_of("""
        jobs:
          load:
            strategy: {matrix: {t: [slow, bad, later], n: [1]}, max-parallel: 2}
            stages:
              - {id: x, uses: test/call@1, with: {name: "${{ matrix.t }}", fails: "${{ matrix.t == 'bad' }}"}}
              - {id: y, uses: test/wait@1}
              - {id: z, if: cancelled(), uses: test/call@1, with: {name: undone}}
        """)
    )

    states = shown(run)
    assert [states[f"load/load[t={each},n=1]"] for each in ("slow", "bad", "later")] == [
        "cancelled",
        "failed",
        "cancelled",
    ]
    assert ran == ["slow", "bad", "undone"]
    assert len(error.exceptions) == 1


async def test_a_failed_combination_is_seen_by_who_runs_whatever_becomes_of_the_job(ran):
    await failed_run(
        flow_of("""
        jobs:
          load:
            strategy: {fail-fast: false, matrix: {t: [a, b]}}
            stages: [{id: x, uses: test/call@1, with: {fails: "${{ matrix.t == 'a' }}"}}]
          report:
            needs: load
            if: always()
            stages: [{uses: test/call@1, with: {name: "${{ needs.load.strategies['t=a'].result }}, ${{ needs.load.strategies['t=b'].result }}"}}]
        """)
    )

    assert ran[-1] == "failed, succeeded"


async def test_a_job_that_needs_nothing_may_ask_how_it_went():
    values = await flow_of("jobs: {a: {if: always(), stages: [{echo: x}]}}").run()

    assert values["a"]["stages"]["echo-1"]["result"] == "succeeded"


async def test_a_limit_of_the_run_bounds_stages_and_not_what_encloses_them(ran):
    await flow_of("""
        limit: 1
        jobs:
          a:
            strategy: {max-parallel: 1, matrix: {t: [p, q]}}
            stages:
              - id: each
                foreach: [1, 2]
                concurrent: 2
                stages: [{uses: test/call@1, with: {name: "${{ matrix.t }}${{ item }}"}}]
          b: {stages: [{id: both, parallel: {x: [{echo: hi}], y: [{echo: hi}]}}]}
        """).run()

    assert ran == ["p1", "p2", "q1", "q2"]


async def test_a_run_that_ends_with_its_first_failure_goes_on_after_one_that_may_be(ran):
    flow = flow_of("""
        jobs:
          a:
            continue-on-error: true
            stages: [{id: x, foreach: 1, stages: [{uses: test/call@1, with: {name: bad, fails: true}}]}]
          b:
            needs: a
            stages:
              - {continue-on-error: true, uses: test/call@1, with: {name: bad, fails: true}}
              - {uses: test/call@1, with: {name: last}}
        """)

    await flow.run(fail_fast=True)

    assert ran == ["bad", "bad", "last"]


async def test_variables_of_a_job_read_its_combination_and_its_condition_those_of_the_file():
    flow = flow_of("""
        env: {X: "1"}
        jobs:
          a:
            if: env.X == '1'
            strategy: {matrix: {t: [1, 2]}}
            env: {T: "m${{ matrix.t }}"}
            stages: [{id: say, echo: "${{ env.T }} ${{ env.X }}"}]
    """)

    strategies = (await flow.run())["a"]["strategies"]

    assert [each["stages"]["say"]["outputs"]["message"] for each in strategies.values()] == ["m1 1", "m2 1"]


@pytest.mark.parametrize("timeout", ["10ms", "0.01"])
async def test_a_timeout_that_is_computed_may_be_a_text(timeout):
    flow = flow_of(
        """
        params: {most: str}
        jobs: {a: {stages: [{sleep: 1h, timeout: "${{ params.most }}"}]}}
    """,
        most=timeout,
    )

    with pytest.raises(RunFailed, match=r"took longer than 0\.01 s"):
        await flow.run()


async def test_a_stage_that_ends_the_program_has_failed(ran):
    @hook("test/leave@1")
    async def leave():
        raise SystemExit(3)

    run, _ = await failed_run(
        flow_of("""
        jobs:
          a: {continue-on-error: true, stages: [{id: x, uses: test/leave@1}]}
          b:
            stages:
              - {id: x, uses: test/leave@1}
              - {always: true, uses: test/call@1, with: {name: "${{ stages.x.error }}"}}
        """)
    )

    assert ran == ["SystemExit: 3"]
    assert (shown(run)["a"], shown(run)["b"]) == ("succeeded", "failed")
