"""What the page for those who come from GitHub Actions promises, row by row."""

import asyncio
import re

import pytest
from jobs_forms import calls_noted, flow_of, shown
from page_rows import name_of, promises, rows
from programs import ROOT, SECONDS

from aiodag import RunFailed, WorkflowError
from aiodag.workflows import hook

PAGE = "coming-from-github-actions.md"
TEXT = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
CELLS = {
    match[1]: match[3]
    for match in re.finditer(r"^\| ([^|]+?) \| ((?:\\\||[^|])+) \| ((?:\\\||[^|])+) \|$", TEXT, re.MULTILINE)
}

pytestmark = pytest.mark.usefixtures("hooks_forgotten", "secrets_forgotten")


def refused(row, form):
    """Have a form refused, with what the row says and the line in the file."""
    with pytest.raises(WorkflowError) as caught:
        flow_of(form)
    wanted = re.search(r"refused(?: here)?: `(.+?)`", CELLS[row])[1]
    assert wanted in str(caught.value)
    assert re.match(r"flow\.yaml:\d+ ", str(caught.value))


async def failed(form, **given):
    with pytest.raises(RunFailed) as caught:
        await flow_of(form, **given).run()
    return str(caught.value)


async def said(form, **given):
    """Run a form; return what its stages that are called `say` have said, in the order of jobs and combinations."""
    values = await flow_of(form, **given).run()
    found = []
    for job in flow_of(form, **given).jobs.jobs:
        value = values[job]
        for each in value["strategies"].values() if "strategies" in value else [value]:
            found += [stage["outputs"]["message"] for name, stage in each["stages"].items() if name.startswith("say")]
    return found


def stages(text):
    return f"jobs: {{a: {{stages: [{text}]}}}}"


def say(expression, job="a"):
    return f"{{{job}: {{stages: [{{id: say, echo: {expression!r}}}]}}}}"


async def gives(expression, **given):
    """Return what an expression gives as a text, in a stage."""
    return (
        await said(
            f"params: {{{', '.join(f'{name}: json' for name in given)}}}\njobs: {say('${{ ' + expression + ' }}')}",
            **given,
        )
    )[0]


class TestGitHubActions:
    def steps(self):
        refused("steps", "jobs: {a: {steps: [{run: make}]}}")

    async def a_shell(self):
        form = stages(
            "{id: one, bash: 'echo $((1 + 1))'}, {id: two, run: 'echo $((2 + 2))', shell: bash}, {id: three, run: x = 1 + 5}"
        )
        values = await flow_of(form).run()
        outputs = [stage["outputs"] for stage in values["a"]["stages"].values()]
        assert [outputs[0]["stdout"], outputs[1]["stdout"], outputs[2]["x"]] == ["2\n", "4\n", 6]

    def the_shell_of_all_steps(self):
        refused("the shell of all steps", "defaults: {run: {shell: bash}}\njobs: " + say("x"))

    async def an_option_of_the_shell(self):
        for script in ("false; echo on", "false | cat"):
            assert "exit code 1" in await failed(stages(f"{{bash: '{script}'}}"))
        assert "wrote nothing" not in await failed(stages("{bash: 'set +e; false; echo on; exit 3'}"))

    async def outputs_of_a_step(self):
        form = stages(
            "{id: s, bash: 'echo \"name=value\" >> \"$AIODAG_OUTPUT\"; echo out'}, {id: say, echo: '${{ stages.s.outputs.name }} ${{ stages.s.outputs.return_code }}'}"
        )
        assert await said(form) == ["value 0"]

    async def outcome_of_a_step(self):
        form = stages(
            "{id: a, echo: x}, {id: b, bash: exit 1, continue-on-error: true}, {id: c, echo: x, if: false}, "
            "{id: say, echo: '${{ stages.a.result }} ${{ stages.b.result }} ${{ stages.c.result }}'}"
        )
        assert await said(form) == ["succeeded failed skipped"]

    def an_action(self):
        refused_form = stages("{uses: actions/checkout@v4}")
        with pytest.raises(WorkflowError, match="there is no hook 'actions/checkout@v4'"):
            flow_of(refused_form)

    async def arguments(self):
        noted = calls_noted()
        await flow_of(stages("{uses: test/call@1, with: {name: 5, gives: {a: [1]}}}")).run()
        assert noted == [5]
        with pytest.raises(WorkflowError, match="takes no 'nmae'; did you mean 'name'"):
            flow_of(stages("{uses: test/call@1, with: {nmae: 5}}"))

    def a_reusable_workflow(self):
        refused("a reusable workflow", "jobs: {load: {uses: ./other.yaml}}")

    async def needs(self):
        form = "jobs: {c: {needs: [a, b], stages: [{echo: c}]}, b: {needs: a, stages: [{echo: b}]}, a: {stages: [{echo: a}]}}"
        runs = []
        await flow_of(form).run(opened=runs.append)
        graph = runs[0].graph()
        names = {node.id: node.name for node in graph.nodes}
        assert {("a", "b"), ("a", "c"), ("b", "c")} <= {
            (names[edge.source], names[edge.target]) for edge in graph.edges
        }

    def a_job_that_is_not_there(self):
        refused("a job that is not there", "jobs: {a: {needs: nobody, stages: [{echo: x}]}}")

    def needs_in_circles(self):
        refused("needs in circles", "jobs: {a: {needs: b, stages: [{echo: x}]}, b: {needs: a, stages: [{echo: x}]}}")

    async def outputs_of_a_job(self):
        form = """
            jobs:
              a: {outputs: {rows: "${{ stages.count.outputs.n }}"}, stages: [{id: count, run: n = 3}]}
              b: {needs: a, stages: [{id: say, echo: "${{ needs.a.outputs.rows + 1 }} ${{ jobs.a.stages.count.outputs.n }}"}]}
            """
        values = await flow_of(form).run()
        assert values["b"]["stages"]["say"]["outputs"]["message"] == "4 3"

    async def result_of_a_job(self):
        runs = []
        form = """
            jobs:
              a: {stages: [{raise: no}]}
              b: {if: false, stages: [{echo: x}]}
              c: {stages: [{echo: x}]}
              d: {needs: [a, b, c], if: always(), stages: [{id: say, echo: "${{ needs.a.result }} ${{ needs.b.result }} ${{ needs.c.result }}"}]}
            """
        noted = calls_noted()
        form = form.replace('{id: say, echo: "', '{uses: test/call@1, with: {name: "').replace(
            '}"}]}\n            ', '}"}}]}\n            '
        )
        with pytest.raises(RunFailed):
            await flow_of(form).run(opened=runs.append)
        assert noted == ["failed skipped succeeded"]

    async def a_condition(self):
        form = "params: {n: int}\n" + stages(
            "{id: say1, echo: a, if: params.n > 2}, {id: say2, echo: b, if: '${{ params.n > 2 }}'}, {id: c, echo: c, if: params.n > 3}"
        )
        values = await flow_of(form, n=3).run()
        assert [stage["result"] for stage in values["a"]["stages"].values()] == ["succeeded", "succeeded", "skipped"]

    def half_a_condition(self):
        refused("half a condition", "params: {n: str}\n" + stages("{echo: a, if: \"${{ params.n }} == 'x'\"}"))

    async def a_text_as_a_condition(self):
        text = await failed("env: {DEBUG: 'false'}\n" + stages("{echo: a, if: '${{ env.DEBUG }}'}"))
        assert re.search(r"an error of the stage: `(.+?)`", CELLS["a text as a condition"])[1] in text

    async def status_functions(self):
        noted = calls_noted()
        call = "{{uses: test/call@1, with: {{name: {0}}}, {1}}}".format
        form = f"""
            jobs:
              a:
                stages:
                  - {call("one", "if: success()")}
                  - raise: no
                  - {call("two", "if: success()")}
                  - {call("three", "if: failure()")}
                  - {call("four", "if: cancelled()")}
                  - {call("five", "always: true")}
              b: {{needs: a, trigger-rule: one_failed, stages: [{call("six", "if: always()")}]}}
            """
        await failed(form)
        assert noted == ["one", "three", "five", "six"]

    async def matrix(self):
        form = """
            jobs:
              a:
                strategy:
                  matrix:
                    region: [eu, us]
                    size: [s, m, l]
                    exclude: [{region: us, size: l}, {region: eu, size: s}]
                    include: [{region: ap, size: m}, {region: eu, size: m, fast: true}]
                stages: [{id: say, echo: "${{ matrix.region }}/${{ matrix.size }}/${{ matrix.fast | default('-') }}"}]
            """
        assert await said(form) == ["eu/m/true", "eu/l/-", "us/s/-", "us/m/-", "ap/m/-"]

    async def a_variable_of_some_combinations(self):
        form = """
            jobs:
              a:
                strategy: {matrix: {os: [x, y], include: [{os: y, lint: true}]}}
                stages: [{id: say, echo: "${{ matrix.lint | default(false) }}"}]
            """
        assert await said(form) == ["false", "true"]
        with pytest.raises(RunFailed) as failed:
            await said(form.replace(" | default(false)", ""))
        assert "matrix has no 'lint'" in str(failed.value.failures[0])

    async def a_matrix_from_a_value(self):
        form = """
            jobs:
              a: {outputs: {json: '["x", "y"]', list: "${{ ['z'] }}"}, stages: [{echo: x}]}
              b: {needs: a, strategy: {matrix: {t: "${{ fromJSON(needs.a.outputs.json) }}"}}, stages: [{id: say, echo: "${{ matrix.t }}"}]}
              c: {needs: a, strategy: {matrix: {t: "${{ needs.a.outputs.list }}"}}, stages: [{id: say, echo: "${{ matrix.t }}"}]}
            """
        assert await said(form) == ["x", "y", "z"]

    async def an_empty_matrix(self):
        runs = []
        await flow_of(
            "params: {l: list}\njobs: {a: {strategy: {matrix: {t: '${{ params.l }}'}}, stages: [{echo: x}]}}", l=[]
        ).run(opened=runs.append)
        assert shown(runs[0])["a"] == "skipped"

    async def fail_fast(self):
        form = """
            jobs:
              a:
                strategy: {matrix: {t: [1, 2]}, fail-fast: FAST}
                stages: [{raise: no, if: matrix.t == 1}, {sleep: 3600, if: FAST}, {echo: x}]
            """
        runs = []
        for fast in ("true", "false"):
            with pytest.raises(RunFailed):
                await flow_of(form.replace("FAST", fast)).run(opened=runs.append)
        assert [shown(run)["a/a[t=2]"] for run in runs] == ["cancelled", "succeeded"]

    async def max_parallel(self):
        going, most, two = [0], [0], asyncio.Event()

        @hook("test/count@1")
        async def count():
            going[0] += 1
            most[0] = max(most[0], going[0])
            if going[0] == 2:
                two.set()
            await asyncio.wait_for(two.wait(), SECONDS)
            await asyncio.sleep(0.001)
            going[0] -= 1

        await flow_of(
            "jobs: {a: {strategy: {matrix: {t: [1, 2, 3, 4, 5]}, max-parallel: 2}, stages: [{uses: test/count@1}]}}"
        ).run()
        assert most == [2]

    async def continue_on_error(self):
        form = """
            jobs:
              a: {continue-on-error: true, stages: [{raise: no}]}
              b: {needs: a, stages: [{raise: no, continue-on-error: true}, {id: say, echo: on}]}
            """
        values = await flow_of(form).run()
        assert values["b"]["stages"]["say"]["outputs"]["message"] == "on"

    async def a_timeout(self):
        assert "TimeoutError" in await failed(stages("{bash: sleep 60, timeout: 50ms}"))
        assert flow_of(stages("{bash: x, timeout-minutes: 5}")).jobs.jobs["a"].stages[0].timeout == 300
        assert flow_of(stages("{bash: x, timeout: 90s}")).jobs.jobs["a"].stages[0].timeout == 90
        assert flow_of(stages("{bash: x}")).jobs.jobs["a"].stages[0].timeout is None

    async def trying_again(self):
        left = [2]

        @hook("test/flaky@1")
        def flaky():
            left[0] -= 1
            return 1 // (left[0] < 0)

        await flow_of(stages("{uses: test/flaky@1, retry: 3}")).run()
        left[0] = 1
        await flow_of(stages("{uses: test/flaky@1, retry: {retries: 1, backoff: 0}}")).run()

    async def variables(self):
        form = """
            env: {A: top, B: top, C: top}
            jobs:
              a:
                env: {B: job, C: job}
                stages: [{id: s, env: {C: 5}, bash: 'echo $A $B $C'}]
            """
        values = await flow_of(form).run()
        assert values["a"]["stages"]["s"]["outputs"]["stdout"] == "top job 5\n"

    async def variables_in_texts(self, monkeypatch):
        monkeypatch.setenv("REGION", "eu")
        values = await flow_of(
            stages("{id: s, bash: 'X=1; echo $X ${REGION}'}, {id: e, echo: '$REGION ${REGION} ${UNSET_HERE:-none}'}")
        ).run()
        outputs = {name: stage["outputs"] for name, stage in values["a"]["stages"].items()}
        assert (outputs["s"]["stdout"], outputs["e"]["message"]) == ("1 eu\n", "$REGION eu none")

    async def a_value_in_a_script(self):
        title = "\"; echo gone; echo \"'; import os; x='$(echo gone)"
        form = "params: {t: str}\n" + stages(
            "{id: s, bash: 'echo \"${{ params.t }}\"'}, {id: p, run: 'x = \"<${{ params.t }}>\"'}"
        )
        values = await flow_of(form, t=title).run()
        outputs = {name: stage["outputs"] for name, stage in values["a"]["stages"].items()}
        assert (outputs["s"]["stdout"], outputs["p"]["x"]) == (f"{title}\n", f"<{title}>")

    async def secrets(self, monkeypatch):
        monkeypatch.setenv("TOKEN", "correct horse")
        form = "secrets: [TOKEN]\n" + stages(
            "{id: say, echo: 'a ${{ secrets.TOKEN }}'}, {id: s, bash: 'echo ${#T}', env: {T: '${{ secrets.TOKEN }}'}}"
        )
        values = await flow_of(form).run()
        outputs = {name: stage["outputs"] for name, stage in values["a"]["stages"].items()}
        assert (outputs["say"]["message"], outputs["s"]["stdout"]) == ("a ***", "13\n")

    async def a_secret_in_an_expression(self, monkeypatch):
        monkeypatch.setenv("TOKEN", "correct horse")
        text = await failed("secrets: [TOKEN]\n" + stages("{echo: x, if: \"secrets.TOKEN != ''\"}"))
        assert re.search(r"an error of the stage: `(.+?)`", CELLS["a secret in an expression"])[1] in text

    def inputs(self):
        refused("inputs", "on: {workflow_dispatch: {inputs: {day: {type: string}}}}\njobs: " + say("x"))

    async def params(self):
        form = (
            "params: {s: str, i: int, f: float, b: bool, d: date, m: datetime, c: {type: choice, options: [x]}, l: list, o: map}\njobs: "
            + say("x")
        )
        with pytest.raises(WorkflowError) as caught:
            await flow_of(form, i="x", c="y").run()
        assert len(caught.value.complaints) == 9

    async def the_run(self):
        values = await flow_of("name: etl\njobs: " + say("${{ workflow.name }} ${{ job.id }} ${{ run.id }}")).run(
            id="monday"
        )
        assert values["a"]["stages"]["say"]["outputs"]["message"] == "etl a monday"

    def the_event(self):
        refused("the event", "jobs: " + say("${{ github.event.title }}"))

    def variables_of_a_repository(self):
        refused("variables of a repository", "jobs: " + say("${{ vars.NAME }}"))

    async def the_number_of_combinations(self):
        form = "jobs: {a: {strategy: {matrix: {t: [1, 2]}}, stages: [{id: say, echo: \"${{ strategy['job-total'] }}${{ strategy.job-total }}\"}]}}"
        assert await said(form) == ["22", "22"]

    async def equal(self):
        assert [await gives(each) for each in ("'A' == 'a'", "'5' == 5", "lower('A') == 'a'", "int('5') == 5")] == [
            "false",
            "false",
            "true",
            "true",
        ]

    async def a_choice_of_two(self):
        assert await gives("params.n > 1 && 'many' || 'one'", n=1) == "one"

    async def a_name_with_a_minus(self):
        assert await said(stages("{id: my-step, run: x = 1}, {id: say, echo: '${{ stages.my-step.outputs.x }}'}")) == [
            "1"
        ]

    async def a_text_in_quotes(self):
        form = r"""
            jobs:
              a:
                stages:
                  - id: say
                    echo: ${{ 'it''s' + "\u0021" }}
            """
        assert await said(form) == ["it's!"]

    def all_of_them(self):
        with pytest.raises(WorkflowError, match="a name is missing after the dot"):
            flow_of("jobs: {a: {stages: [{echo: x}]}, b: {needs: a, stages: [{echo: '${{ needs.*.result }}'}]}}")

    async def functions(self):
        assert await gives("contains('Hello', 'ell') && startsWith('Hello', 'H') && endsWith('Hello', 'o')") == "true"
        assert await gives("contains('Hello', 'ELL')") == "false"
        assert (
            await gives("format('{0}-{1}', join(fromJSON(toJSON(params.l)), '+'), 'x') | upper", l=["a", "b"])
            == "A+B-X"
        )

    def a_key_of_a_cache(self):
        with pytest.raises(WorkflowError, match="there is no function or filter 'hashFiles'"):
            flow_of("jobs: " + say("${{ hashFiles('**/package-lock.json') }}"))

    def a_schedule(self):
        flow = flow_of(
            "on: {schedule: [{cron: '0 6 * * *'}, {cron: '0 7 * * *', timezone: Europe/Paris, overlap: skip}]}\njobs: "
            + say("x")
        )
        assert [each["cron"] for each in flow.jobs.triggers] == ["0 6 * * *", "0 7 * * *"]

    def a_start_by_hand(self):
        assert flow_of("on: workflow_dispatch\njobs: " + say("x")).jobs.triggers == ()

    def a_push(self):
        refused("a push", "on: push\njobs: " + say("x"))

    def concurrency(self):
        flow = flow_of(
            "params: {r: str}\nconcurrency: {group: 'load-${{ params.r }}', cancel-in-progress: true}\njobs: "
            + say("x")
        )
        assert flow.jobs.concurrency.group.render({"params": {"r": "eu"}}) == "load-eu"
        assert flow.jobs.concurrency.cancel_in_progress is True

    def concurrency_of_a_job(self):
        refused("concurrency of a job", "jobs: {a: {concurrency: x, stages: [{echo: x}]}}")

    def a_runner(self):
        refused("a runner", "jobs: {a: {runs-on: ubuntu-latest, stages: [{echo: x}]}}")

    def a_container(self):
        refused("a container", "jobs: {a: {container: 'node:18', stages: [{echo: x}]}}")
        refused("a container", "jobs: {a: {services: {db: {image: x}}, stages: [{echo: x}]}}")

    def permissions(self):
        refused("permissions", "permissions: read-all\njobs: " + say("x"))

    async def anchors(self):
        form = """
            jobs:
              a:
                env: &shared {A: "1", B: "2"}
                stages: [{id: s, env: {<<: *shared, B: "3"}, bash: "echo $A $B"}]
            """
        values = await flow_of(form).run()
        assert values["a"]["stages"]["s"]["outputs"]["stdout"] == "1 3\n"

    async def a_working_directory(self, tmp_path):
        for key in ("working-directory", "workdir"):
            values = await flow_of(stages(f"{{id: s, bash: pwd, {key}: {tmp_path}}}")).run()
            assert values["a"]["stages"]["s"]["outputs"]["stdout"] == f"{tmp_path.resolve()}\n"

    async def again_from_where_it_failed(self, tmp_path):
        noted, broken = calls_noted(), [True]

        @hook("test/fix@1")
        def fix():
            noted.append("fix")
            return 1 // (not broken[0])

        form = stages(
            "{uses: test/call@1, with: {name: one}}, {uses: test/fix@1}, {uses: test/call@1, with: {name: two}}"
        )
        with pytest.raises(RunFailed):
            await flow_of(form).run(tmp_path / "runs.db", "monday")
        broken[0] = False
        await flow_of(form).run(tmp_path / "runs.db", "monday")
        assert noted == ["one", "fix", "fix", "two"]

    def a_typo(self):
        refused("a typo", "jobs: {a: {neeeds: b, stages: [{echo: x}]}}")


@pytest.mark.parametrize("row", rows(PAGE))
async def test_row(row, request):
    promise = getattr(TestGitHubActions(), name_of(row))
    wanted = promise.__code__.co_varnames[1 : promise.__code__.co_argcount]
    found = promise(*(request.getfixturevalue(name) for name in wanted))
    if hasattr(found, "__await__"):
        await found


def test_every_promise_has_a_row():
    assert {name_of(row) for row in rows(PAGE)} == promises(TestGitHubActions)


async def test_the_form_on_the_page_runs():
    form = re.search(r"```yaml\n(.+?)```", TEXT, re.DOTALL)[1]
    values = await flow_of(form).run()

    assert next(iter(values["report"]["stages"].values()))["outputs"]["message"] == "succeeded for 2024-01-31"
