"""What the page for those who come from ddeutil-workflow promises, row by row, with its files in conf/."""

import json
import re
import shlex
from datetime import UTC, datetime

import pytest
from page_rows import name_of, rows
from programs import ROOT
from typed_in import Place

from aiodag import RunFailed, WorkflowError
from aiodag.schedules import Cron
from aiodag.workflows import load, loads

PAGE = "coming-from-ddeutil-workflow.md"
TEXT = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
DEMO, SCHEDULES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ aiodag (.*)", TEXT, re.MULTILINE)
TASKS = re.search(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[1]
GIVEN = ("-p", "author-run=Local Workflow", "-p", "run-date=2024-01-01")
SECRETS = {
    "API_ACCESS_REFRESH_TOKEN": "token-1",
    "AWS_ACCESS_CLIENT_ID": "id-1",
    "AWS_ACCESS_CLIENT_SECRET": "secret-1",
}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "demo.yaml").write_text(DEMO)
    made = Place(tmp_path, tasks=TASKS)
    made.env |= {"AIODAG_REGISTRY": "tasks", **SECRETS}
    return made


def of_stages(text, head=""):
    """A workflow with one job of some stages."""
    lines = "".join(f"      {line}\n" for line in text.strip().splitlines())
    return f"{head}\njobs:\n  one:\n    stages:\n{lines}"


async def outputs(text, head="", **given):
    flow = loads(of_stages(text, head), "flow.yaml").but(parameters=given)
    stages = (await flow.run())["one"]["stages"]
    return {name: stage["outputs"] for name, stage in stages.items()}


def nodes(place, run):
    return {node["name"]: node["state"] for node in place.json("show", run)["nodes"]}


def setting(place, name, **env):
    place.env |= env
    return place.json("info")["settings"][name]


class Rows:
    def On_from_loader_name_on_every_5_min_externals(self, place):
        assert (
            "2022-01-01" in place("next", "conf/demo.yaml:pipeline-name", "-n", "1", "--from", "2022-01-01T00:00Z")[0]
        )
        assert place("next", "on_every_5_min", "-n", "2", "--from", "2022-01-01T00:00Z")[0].count("2022-01-01") >= 2

    def schedule_cronjob(self, place):
        assert str(Cron("*/5 * * * *")).startswith("*/5 * * * *")

    def schedule_generate_2022_01_01_00_00_00(self, place):
        cron_iter = Cron("*/5 * * * *").iter("2022-01-01 00:00:00")

        assert [f"{next(cron_iter):%Y-%m-%d %H:%M:%S}" for _ in range(3)] == [
            "2022-01-01 00:05:00",
            "2022-01-01 00:10:00",
            "2022-01-01 00:15:00",
        ]

    def cron_iter_next(self, place):
        assert Cron("*/5 * * * *").next(datetime(2022, 1, 1, tzinfo=UTC)) == datetime(2022, 1, 1, 0, 5, tzinfo=UTC)

    def cron_iter_prev(self, place):
        assert Cron("*/5 * * * *").prev(datetime(2022, 1, 1, tzinfo=UTC)) == datetime(2021, 12, 31, 23, 55, tzinfo=UTC)

    def Pipeline_from_loader_name_pipeline_name_externals(self, place):
        assert load(place.path / "conf" / "demo.yaml", name="pipeline-name").name == "pipeline-name"

    async def pipe_execute_params(self, place):
        flow = load(place.path / "conf" / "demo.yaml", name="pipeline-name")
        values = await flow.but(parameters={"author-run": "Local Workflow", "run-date": "2024-01-01"}).run()
        assert values["first-job"]["stages"]["empty-stage-do-logging-to-console-only"]["result"] == "succeeded"
        with pytest.raises(RunFailed):
            await loads(of_stages("- raise: 'no'"), "flow.yaml").run()

    def pipe_poke_workflow_scheduler(self, place):
        text = DEMO.replace("type: str", "default: me").replace("author-run: str", "author-run: {default: me}")
        text = text.replace("type: datetime", "default: 2024-01-01").replace(
            "run-date: datetime", "run-date: {default: 2024-01-01}"
        )
        place.write("conf/demo.yaml", text)
        place("schedules", "add", "conf")
        assert {each["name"] for each in place.json("schedules")} == {"pipeline-name", "run_py_local"}

    # Files

    def type_on_On_with_cron_or_cronjob(self, place):
        for head, key in (("on.On", "cron"), ("Cron", "cronjob"), ("ddeutil.workflow.on.On", "cronjob")):
            place.write("conf/more.yaml", f"other:\n  type: {head}\n  {key}: '0 6 * * *'\n")
            assert "06:00" in place("next", "other", "-n", "1")[0]

    def type_pipeline_Pipeline_with_any_prefix_or_none(self, place):
        for kind in ("pipeline.Pipeline", "Pipeline", "a.b.Workflow", "Workflow"):
            assert loads(f"x: {{type: {kind}, jobs: {{a: {{stages: [{{echo: y}}]}}}}}}", "flow.yaml").name == "x"

    def on_on_every_5_min(self, place):
        assert load(place.path / "conf" / "demo.yaml", name="pipeline-name").jobs.triggers[0]["cron"] == "*/5 * * * *"
        place.write("conf/more.yaml", "other: {type: Workflow, on: on_every_5_min, jobs: {a: {stages: [{echo: y}]}}}")
        assert load(place.path / "conf" / "more.yaml").jobs.triggers[0]["cron"] == "*/5 * * * *"

    def params_with_a_type_alone(self, place):
        assert "author-run" in place("run", "pipeline-name", code=2)[1]
        assert place.json("run", "pipeline-name", *GIVEN)["state"] == "succeeded"

    async def params_author_run(self, place):
        found = await outputs(
            "- {id: a, echo: 'by ${{ params.author-run | upper }}'}",
            "params: {author-run: str}",
            **{"author-run": "me"},
        )
        assert found["a"]["message"] == "by ME"

    def API_ACCESS_REFRESH_TOKEN(self, place):
        assert place.json("run", "run_py_local", *GIVEN)["state"] == "succeeded"
        del place.env["API_ACCESS_REFRESH_TOKEN"]
        assert "API_ACCESS_REFRESH_TOKEN is not set" in place("run", "run_py_local", *GIVEN, code=1)[1]

    async def needs_strategy_trigger_rule_if_of_a_job(self, place):
        text = """
            b: {needs: a, strategy: {matrix: {t: [1, 2]}, max-parallel: 1}, stages: [{echo: '${{ matrix.t }}'}]}
            a: {stages: [{echo: x}]}
            c: {needs: b, trigger-rule: all_done, if: "needs.b.result == 'succeeded'", stages: [{echo: x}]}
        """
        values = await loads("jobs:\n" + text, "flow.yaml").run()
        assert [*values["b"]["strategies"]] == ["t=1", "t=2"]
        with pytest.raises(WorkflowError, match="cycle: a -> b -> a"):
            loads("jobs:\n  a: {needs: b, stages: [{echo: x}]}\n  b: {needs: a, stages: [{echo: x}]}\n", "flow.yaml")

    async def name_alone_echo_and_sleep_in_a_stage(self, place):
        found = await outputs("- name: Only a name\n- {id: a, echo: hello, sleep: 0.01}\n- {id: b, sleep: 0.01}")
        assert found["a"]["message"] == "hello"

    async def bash_and_env(self, place):
        found = await outputs(
            '- id: a\n  bash: |\n    echo "$WHO" ${{ params.what }}\n  env: {WHO: me}',
            "params: {what: str}",
            what="'; rm -rf x; '",
        )
        assert found["a"]["stdout"] == "me '; rm -rf x; '\n"
        with pytest.raises(RunFailed):
            await outputs("- bash: |\n    false\n    echo more")

    async def run_and_vars(self, place):
        found = await outputs("- {id: a, run: y = x + 1, vars: {x: 2}}")
        assert found["a"]["y"] == 3

    def uses_and_with(self, place):
        found = place.json("run", "run_py_local", *GIVEN)["value"]["getting-api-data"]["stages"]["retrieve-api"]
        assert found["outputs"] == {"rows": 2}

    def trigger_and_params(self, place):
        place.write(
            "conf/more.yaml",
            "x:\n  type: Workflow\n  jobs: {a: {stages: [{trigger: pipeline-name, params: {author-run: me, run-date: 2024-01-01}}]}}\n",
        )
        place("run", "x", "--id", "parent")
        assert sorted(each["name"] for each in place.json("runs")) == ["pipeline-name", "x"]
        place.write(
            "conf/sad.yaml",
            "sad: {type: Workflow, jobs: {a: {stages: [{raise: 'no'}]}}}\ny: {type: Workflow, jobs: {a: {stages: [{trigger: sad}]}}}\n",
        )
        place("run", "y", code=1)

    async def foreach_parallel_until_case_raise(self, place):
        found = await outputs(
            """
- {id: each, foreach: [1, 2], stages: [{id: x, echo: "${{ item }}"}]}
- {id: both, parallel: {a: [{echo: x}], b: [{echo: y}]}}
- {id: again, until: item >= 2, item: 0, stages: [{id: x, run: item = n + 1, vars: {n: "${{ item }}"}}]}
- {id: which, case: b, match: [{case: a, stages: [{echo: x}]}, {case: _, stages: [{id: rest, echo: y}]}]}
"""
        )
        assert [*found] == ["each", "both", "again", "which"]
        with pytest.raises(RunFailed, match="no more"):
            await outputs("- raise: no more")

    # Configuration

    def WORKFLOW_ROOT_PATH(self, place):
        place.write("aiodag.toml", "timezone = 'Asia/Bangkok'\n")
        (place.path / "deep").mkdir()
        out, _ = place("list", "--json")
        assert "pipeline-name" in out
        assert setting(place, "timezone")["value"] == "Asia/Bangkok"

    def WORKFLOW_CORE_REGISTRY(self, place):
        place("validate", "conf")
        place.env.pop("AIODAG_REGISTRY")
        assert "AIODAG_REGISTRY names no module" in "".join(place("validate", "conf", code=2))

    def WORKFLOW_CORE_REGISTRY_FILTER(self, place):
        place.write(
            "ours.py",
            "from aiodag.workflows import custom_filter\n\n@custom_filter('shout')\ndef shout(text):\n    return text + '!'\n",
        )
        place.write("conf/more.yaml", of_stages("- {id: a, echo: \"${{ 'hey' | shout }}\"}"))
        place.env["AIODAG_REGISTRY_FILTERS"] = "ours"
        assert "hey!" in "".join(place("run", "conf/more.yaml"))

    def WORKFLOW_CORE_PATH_CONF(self, place):
        (place.path / "conf").rename(place.path / "settings")
        place("plan", "pipeline-name", *GIVEN, code=2)
        place.env["AIODAG_CONF"] = "settings"
        place("plan", "pipeline-name", *GIVEN)

    def WORKFLOW_CORE_TIMEZONE(self, place):
        assert setting(place, "timezone")["value"] == "UTC"
        assert setting(place, "timezone", AIODAG_TIMEZONE="Asia/Bangkok")["value"] == "Asia/Bangkok"

    async def WORKFLOW_CORE_STAGE_DEFAULT_ID(self, place):
        assert [*await outputs("- {name: Load it, echo: x}\n- echo: x")] == ["load-it", "echo-1"]

    async def WORKFLOW_CORE_STAGE_RAISE_ERROR(self, place):
        with pytest.raises(RunFailed):
            await outputs("- raise: 'no'")
        assert [*await outputs("- {id: a, raise: 'no', continue-on-error: true}\n- {id: b, echo: x}")] == ["a", "b"]

    def WORKFLOW_CORE_MAX_PIPELINE_POKING(self, place):
        assert setting(place, "limit", AIODAG_LIMIT="4")["value"] == 4

    def WORKFLOW_CORE_MAX_JOB_PARALLEL(self, place):
        assert loads(of_stages("- echo: x", "limit: 2"), "flow.yaml").limit == 2

    def WORKFLOW_LOG_ENABLE_WRITE(self, place):
        place("run", "pipeline-name", *GIVEN, "--id", "one")
        assert "Empty stage do logging to console only!!" in place("log", "one")[0]

    def WORKFLOW_APP_PROCESS_WORKER(self, place):
        place("submit", "pipeline-name", *GIVEN)
        place("worker", "--once")
        assert place.json("runs")[-1]["state"] == "succeeded"

    def WORKFLOW_APP_PIPELINE_PER_PROCESS(self, place):
        place("submit", "pipeline-name", *GIVEN)
        place("worker", "--once", "--limit", "100")
        assert place.json("runs")[-1]["state"] == "succeeded"

    def WORKFLOW_API_DB_URL(self, place):
        found = setting(place, "store", AIODAG_STORE="postgresql://user:pass@localhost:5432/schedule")
        assert "schedule" in json.dumps(found)
        assert ":pass@" not in json.dumps(found)

    # Rules

    def _1_Minimum_unit_of_scheduling_is_1_minute(self, place):
        flow = loads(of_stages("- echo: x", "on: {every: 15}"), "flow.yaml")
        assert flow.jobs.triggers == ({"every": 15},)

    def _2_Cannot_re_run_only_failed_stage_and_its_pending_downstream(self, place):
        place.write(
            "conf/more.yaml",
            of_stages(
                "- {id: a, bash: echo a >> notes}\n- {id: b, bash: test -e fixed}\n- {id: c, bash: echo c >> notes}"
            ),
        )
        place("run", "conf/more.yaml", "--id", "one", code=1)
        place.write("fixed", "")
        place("resume", "one")
        assert place.notes() == ["a", "c"]

    async def _3_All_parallel_tasks_inside_workflow_engine_use_Threading(self, place):
        found = await outputs(
            "- {id: a, run: 'import os; pid = os.getpid()'}\n- {id: b, run: 'import os; pid = os.getpid()'}"
        )
        assert found["a"]["pid"] != found["b"]["pid"]


def test_the_commands_work_as_they_are_typed(place):
    place.write("conf/schedules.yaml", SCHEDULES)
    assert COMMANDS.pop() == "worker"
    for line in COMMANDS:
        place(*shlex.split(line))
    assert [each["name"] for each in place.json("schedules")] == ["every_five"]


def test_a_schedule_that_gives_too_few_params_is_told_where_they_are_given(place):
    complaint = place("schedules", "add", "conf", code=2)[1]
    assert 'demo.yaml:10 $["pipeline-name"].params["author-run"]: is missing' in complaint
    assert "has to be given, under params of its trigger" in complaint


ROWS = rows(PAGE)


def method_of(row):
    name = name_of(row)
    return f"_{name}" if name[0].isdigit() else name


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row not in {"in ddeutil-workflow", "---"} and not set(row) <= {"-", "|"}]
)
async def test_row(row, place):
    found = getattr(Rows(), method_of(row))(place)
    if hasattr(found, "__await__"):
        await found
