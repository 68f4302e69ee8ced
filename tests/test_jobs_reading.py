"""What a jobs form says, and what is wrong with one: everything at once, each with its line."""

import json
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiodag.errors import WorkflowError
from aiodag.workflows.files.json import Places
from aiodag.workflows.files.sources import document_in_text
from aiodag.workflows.jobs.reading import is_jobs_form, read_jobs

HEAD = "jobs:\n  one:\n    stages:\n"


def read(text, name="flow.yaml", **options):
    found = document_in_text(dedent(text), name)
    assert found.complaints == []
    return read_jobs(found.document, found.places, **options)


def stages_of(text, **options):
    return read(HEAD + "".join(f"      {line}\n" for line in dedent(text).splitlines()), **options).jobs["one"].stages


def complaints(text, **options):
    with pytest.raises(WorkflowError) as raised:
        read(text, **options)
    return [str(each).removeprefix("flow.yaml:") for each in raised.value.complaints]


def stage_complaints(text, **options):
    return complaints(HEAD + "".join(f"      {line}\n" for line in dedent(text).splitlines()), **options)


def test_a_workflow_has_all_that_its_document_says():
    flow = read(
        """
        name: etl
        description: Load tables
        on:
          - cronjob: '*/5 * * * *'
            timezone: "Asia/Bangkok"
        params:
          author-run: str
          run-date: datetime
        env: {REGION: eu}
        secrets: [API_TOKEN]
        concurrency: {group: "etl-${{ params.author-run }}", cancel-in-progress: true}
        tags: {team: data}
        limit: 4
        jobs:
          load:
            needs: extract
            trigger-rule: all_done
            stages:
              - name: Load it
                bash: load ${{ jobs.extract.stages.fetch.outputs.file }}
          extract:
            outputs: {file: "${{ stages.fetch.outputs.file }}"}
            stages:
              - id: fetch
                run: file = "a.csv"
        """
    )

    assert (flow.name, flow.description, flow.tags, flow.limit) == ("etl", "Load tables", {"team": "data"}, 4)
    assert flow.triggers == ({"cronjob": "*/5 * * * *", "timezone": "Asia/Bangkok"},)
    assert [*flow.params] == ["author-run", "run-date"]
    assert flow.secrets["API_TOKEN"].name == "API_TOKEN"
    assert flow.concurrency.cancel_in_progress is True
    assert [*flow.jobs] == ["load", "extract"]
    assert flow.jobs["load"].needs == ("extract",)
    assert flow.jobs["load"].trigger_rule == "all_done"
    assert flow.jobs["extract"].stages[0].place == "flow.yaml:25 $.jobs.extract.stages[0]"
    assert json.loads(json.dumps(flow.document)) == flow.document


def test_what_was_recorded_reads_as_it_did():
    flow = read(HEAD + "      - {name: Hello there, echo: '${{ run.id }}'}\n")

    again = read_jobs(json.loads(json.dumps(flow.document)), Places(), recorded=True)

    assert [(job.id, job.digest) for job in again.jobs.values()] == [(job.id, job.digest) for job in flow.jobs.values()]
    assert again.jobs["one"].stages[0].digest == flow.jobs["one"].stages[0].digest


@pytest.mark.parametrize(
    ("stage", "kind", "body"),
    [
        ("- name: Only a name", "empty", None),
        ("- run: x = 1", "run", "x = 1"),
        ("- {run: ls, shell: bash}", "bash", "ls"),
        ("- bash: ls", "bash", "ls"),
        ("- {trigger: other, params: {a: 1}}", "trigger", "other"),
        ("- {foreach: [1, 2], stages: [{echo: x}]}", "foreach", [1, 2]),
        ("- {foreach: 3, stages: [{echo: x}]}", "foreach", 3),
        ("- {parallel: {a: [{echo: x}]}}", "parallel", None),
        ("- {case: x, match: [{case: _, stages: [{echo: x}]}]}", "case", "x"),
        ("- {until: item > 3, item: 0, stages: [{echo: x}]}", "until", None),
        ("- raise: No more", "raise", "No more"),
        ("- sleep: 1.5", "sleep", 1.5),
        ("- sleep: 5m", "sleep", 300.0),
        ("- sleep: 2026-01-01T00:00:00Z", "sleep", "2026-01-01T00:00:00Z"),
        ("- echo: hello", "echo", "hello"),
        ("- {echo: hello, sleep: 3}", "echo", "hello"),
        ("- {echo: 3}", "echo", 3),
    ],
)
def test_a_stage_is_of_the_kind_that_its_key_says(stage, kind, body):
    (found,) = stages_of(stage)

    assert found.kind == kind
    assert (None if found.body is None else found.body.render({})) == body


def test_settings_of_a_kind_have_their_usual_values():
    settings = {
        stage.kind: {key: value for key, value in stage.settings.items() if not hasattr(value, "render")}
        for stage in stages_of(
            """
            - {bash: ls, workdir: /tmp}
            - {run: x = 1}
            - {foreach: [1], concurrent: 3, stages: [{echo: x}]}
            - {parallel: {a: [{echo: x}]}, max-workers: 2, fail-fast: false}
            - {case: x, match: [{case: _, stages: [{echo: x}]}], skip-not-match: true}
            - {until: 'true', stages: [{echo: x}]}
            """
        )
    }

    assert settings == {
        "bash": {"shell": "bash"},
        "run": {},
        "foreach": {"fail_fast": True, "concurrent": 3},
        "parallel": {"fail_fast": False, "max_workers": 2},
        "case": {"skip_not_match": True},
        "until": {"max_loop": 10},
    }


def test_the_options_of_a_stage_are_read():
    (stage,) = stages_of(
        """
        - name: Try hard
          id: hard
          desc: It may fail
          if: success()
          timeout: 90s
          retry: {max-attempts: 3, delay: 2, factor: 2, maximum: 1m}
          continue-on-error: true
          always: true
          env: {A: "1"}
          bash: "false"
        """
    )

    assert (stage.id, stage.name, stage.timeout, stage.continue_on_error, stage.always) == (
        "hard",
        "Try hard",
        90.0,
        True,
        True,
    )
    assert (stage.retry.retries, stage.retry.backoff, stage.retry.factor, stage.retry.maximum) == (2, 2.0, 2.0, 60.0)
    assert stage.condition is not None
    assert stage.env.render({}) == {"A": "1"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("timeout: 5", 5.0),
        ("timeout: '5'", 5.0),
        ("timeout: 1.5h", 5400.0),
        ("timeout-minutes: 2", 120.0),
        ("timeout: 250ms", 0.25),
    ],
)
def test_a_timeout_is_in_seconds_unless_it_says_otherwise(given, seconds):
    (stage,) = stages_of(f"- {{echo: x, {given}}}")

    assert stage.timeout == seconds


def test_ids_come_from_names_and_kinds_and_are_different():
    stages = stages_of(
        """
        - {name: "Load It (${{ run.id }})!", echo: x}
        - {name: "load it", echo: x}
        - {echo: x}
        - {echo: x}
        - {id: echo-3, echo: x}
        - {echo: x}
        - {name: "日本", echo: x}
        - {name: "!!", bash: ls}
        """
    )

    assert [stage.id for stage in stages] == [
        "load-it",
        "load-it-2",
        "echo-1",
        "echo-2",
        "echo-3",
        "echo-4",
        "日本",
        "bash-1",
    ]


def test_a_made_id_does_not_take_one_that_is_written_further_down():
    stages = stages_of("- {name: fetch, echo: x}\n- {id: fetch, echo: x}")

    assert [stage.id for stage in stages] == ["fetch-1", "fetch"] or [stage.id for stage in stages] == [
        "fetch-2",
        "fetch",
    ]


# Matrices


def test_the_combinations_of_a_matrix_are_known_where_they_depend_on_nothing():
    text = "jobs:\n  one:\n    strategy: {matrix: %s}\n    stages: [{echo: '${{ matrix.t }}'}]\n"

    plain = read(text % "{t: [a, b], include: [{t: c}], exclude: [{t: a}]}").jobs["one"].matrix
    asked = read("params: {ts: list}\n" + text % "{t: '${{ params.ts }}'}").jobs["one"].matrix

    assert plain.known == ({"t": "b"}, {"t": "c"})
    assert (plain.fail_fast, plain.max_parallel) == (True, None)
    assert asked.known is None
    assert asked.axes.render({"params": {"ts": [1]}}) == {"t": [1]}


def test_entries_may_stand_beside_the_matrix_as_in_ddeutil_workflow():
    flow = read("jobs: {one: {strategy: {matrix: {t: [a, b]}, exclude: [{t: a}]}, stages: [{echo: x}]}}")

    assert flow.jobs["one"].matrix.known == ({"t": "b"},)


# Triggers, secrets, groups


@pytest.mark.parametrize(
    ("on", "forms"),
    [
        ("every_5_min", [{"name": "every_5_min"}]),
        ("{cron: '0 0 * * *'}", [{"cron": "0 0 * * *"}]),
        ("[a, {cronjob: '0 0 * * *', tz: UTC}]", [{"name": "a"}, {"cronjob": "0 0 * * *", "tz": "UTC"}]),
        ("{schedule: [{cron: '0 0 * * *'}], workflow_dispatch: }", [{"cron": "0 0 * * *"}]),
        ("workflow_dispatch", []),
        ("{every: 60, overlap: skip, params: {a: 1}}", [{"every": 60, "overlap": "skip", "params": {"a": 1}}]),
    ],
)
def test_triggers_are_read_in_every_spelling(on, forms):
    assert [*read(f"on: {on}\n{HEAD}      - echo: x\n").triggers] == forms


def test_secrets_are_names_or_say_where_they_come_from():
    flow = read(f"secrets: {{A: , B: {{env: OTHER}}, C: {{file: /run/c}}, D: VAR}}\n{HEAD}      - echo: x\n")

    assert {name: (each.name, each.file) for name, each in flow.secrets.items()} == {
        "A": ("A", None),
        "B": ("OTHER", None),
        "C": ("C", "/run/c"),
        "D": ("VAR", None),
    }


def test_keys_that_begin_with_x_hold_what_is_written_once():
    flow = read(f"x-again: &again {{retry: 2}}\n{HEAD}      - {{echo: x, <<: *again}}\n")

    assert flow.jobs["one"].stages[0].retry.retries == 2


# What is wrong


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("jobs: {}", "1 $.jobs: is empty: a workflow has at least one job"),
        ("name: x", "1 $: has no jobs: write jobs: {NAME: {stages: [...]}}"),
        ("jobs: [1]", "1 $.jobs: takes jobs: {NAME: {stages: [...]}}; this is a list"),
        ("jobs: {a: 3}", "1 $.jobs.a: takes a job: {stages: [...]}; this is the number 3"),
        ("jobs: {a: {desc: x}}", "1 $.jobs.a: has no stages: list at least one"),
        ("jobs: {a: {steps: []}}", "1 $.jobs.a.steps: is a key that is not known here: write stages"),
        (
            "jobs: {a: {stages: []}}",
            '1 $.jobs.a.stages: takes a list of stages, such as {name: "Say hello", echo: hello}; this is',
        ),
        ("jobs: {'a b': {stages: [{echo: x}]}}", "1 $.jobs[\"a b\"]: is not an id: the text 'a b'. Write letters"),
        (
            "jobs: {a: {stages: [{echo: x}], need: b}}",
            "1 $.jobs.a.need: is a key that is not known here: did you mean 'needs'?",
        ),
        ("jobs: {a: {stages: [{echo: x}], needs: b}}", "1 $.jobs.a.needs: is 'b', and no job here has that id"),
        ("jobs: {a: {stages: [{echo: x}], needs: [a, 3]}}", "1 $.jobs.a.needs: cycle: a -> a"),
        (
            "jobs: {a: {stages: [{echo: x}], runs-on: ubuntu-latest}}",
            "1 $.jobs.a[\"runs-on\"]: takes local, or the name of a host; 'ubuntu-latest' is a runner of GitHub",
        ),
        (
            "jobs: {a: {stages: [{echo: x}], matrix: {}}}",
            "1 $.jobs.a.matrix: is a key that is not known here: write strategy",
        ),
        (
            "jobs: {a: {stages: [{echo: x}], strategy: {matrix: {t: []}}}}",
            "1 $.jobs.a.strategy.matrix.t: is an empty list",
        ),
        ("jobs: {a: {stages: [{echo: x}], strategy: {matrix: {}}}}", "1 $.jobs.a.strategy.matrix: has no variables"),
        ("jobs: {a: {stages: [{echo: x}], strategy: {max-parallel: 0}}}", "1 $.jobs.a.strategy: has no matrix"),
        (
            "jobs: {a: {stages: [{echo: x}], strategy: {max-parallel: 0, matrix: {t: [1]}}}}",
            '1 $.jobs.a.strategy["max-parallel"]: takes a whole number, 1 or more; this is the number 0',
        ),
        (
            "jobs: {a: {stages: [{echo: x}], trigger-rule: all_done}}",
            '1 $.jobs.a["trigger-rule"]: is a rule about what the job needs',
        ),
        ("jobs: {a: {stages: [{echo: x}]}}\njob: {}", "2 $.job: is a key that is not known here: did you mean 'jobs'?"),
        (
            "jobs: {a: {stages: [{echo: x}]}}\ntasks: {}",
            "2 $.tasks: is a key that is not known here: a file has jobs or tasks",
        ),
        ("jobs: {a: {stages: [{echo: x}]}}\non: push", "2 $.on: is an event of GitHub"),
        (
            "jobs: {a: {stages: [{echo: x}]}}\non: {cron: x, every: 3}",
            "2 $.on: has cron and every: a trigger takes one of them",
        ),
        ("jobs: {a: {stages: [{echo: x}]}}\non: {timezone: UTC}", "2 $.on: does not say when"),
        (
            "jobs: {a: {stages: [{echo: x}]}}\nsecrets: {A: {env: x, file: y}}",
            "2 $.secrets.A: takes the name of a variable",
        ),
        ("jobs: {a: {stages: [{echo: x}]}}\nconcurrency: {}", "2 $.concurrency: has no group"),
        (
            "jobs: {a: {stages: [{echo: x}]}}\nname: ''",
            "2 $.name: takes a name in one line, of at most 500 characters; this is the text ''",
        ),
        (
            "jobs: {a: {stages: [{echo: x}]}}\nlimit: 0",
            "2 $.limit: takes a whole number, 1 or more; this is the number 0",
        ),
    ],
)
def test_what_is_wrong_with_a_workflow_is_told_where_it_stands(text, complaint):
    found = complaints(text)

    assert any(each.startswith(complaint) for each in found), found


@pytest.mark.parametrize(
    ("stage", "complaint"),
    [
        ("- 3", "4 $.jobs.one.stages[0]: takes a stage, such as"),
        ("- {}", "4 $.jobs.one.stages[0]: has nothing to do: it takes one of run, bash, uses"),
        ("- {run: x, bash: y}", "4 $.jobs.one.stages[0]: has run and bash: a stage takes one of them"),
        ("- {echo: x, timout: 3}", "4 $.jobs.one.stages[0].timout: is a key that is not known here: did you mean 'timeout'?"),
        ("- {script: x}", "4 $.jobs.one.stages[0].script: is a key that is not known here: write bash, or run for Python"),
        ("- {echo: x, with: {}}", "4 $.jobs.one.stages[0].with: is a key that is not known here: it belongs to uses, and this"),
        ("- {id: a, echo: x}\n- {id: a, echo: y}", "5 $.jobs.one.stages[1].id: is 'a', as that of [0] is: give it an id"),
        ("- {id: 'a b', echo: x}", "4 $.jobs.one.stages[0].id: is not an id: the text 'a b'"),
        ("- {name: '', echo: x}", "4 $.jobs.one.stages[0].name: takes a name in one line"),
        (f"- {{name: {'n' * 501}, id: x, echo: x}}", "4 $.jobs.one.stages[0].name: takes a name in one line, of at most 500 characters; this has 501 characters"),
        ("- {xyz: 1, echo: x}", "4 $.jobs.one.stages[0].xyz: is a key that is not known here: the keys here are name, id, description, desc, if, env, timeout, timeout-minutes, retry, continue-on-error, always, echo, sleep, run, bash, uses, trigger, foreach, parallel, case, until, raise"),
        ("- {run: 3}", "4 $.jobs.one.stages[0].run: takes a program in Python; this is the number 3"),
        ("- run: |\n    x = 1\n    y = (", "4 $.jobs.one.stages[0].run: line 2: '(' was never closed"),
        ("- {run: x, shell: fish}", "4 $.jobs.one.stages[0].shell: takes python or bash or sh"),
        ("- {echo: x, if: 3}", "4 $.jobs.one.stages[0].if: takes an expression"),
        ("- {echo: x, timeout: soon}", "4 $.jobs.one.stages[0].timeout: takes seconds, or a text such as 90s"),
        ("- {echo: x, timeout: 0}", "4 $.jobs.one.stages[0].timeout: takes seconds"),
        ("- {echo: x, timeout: 1, timeout-minutes: 1}", '4 $.jobs.one.stages[0]["timeout-minutes"]: is given besides timeout'),
        ("- {echo: x, retry: -1}", "4 $.jobs.one.stages[0].retry: takes a whole number, 0 or more; this is the number -1"),
        ("- {echo: x, retry: {backof: 1}}", "4 $.jobs.one.stages[0].retry.backof: is a key that is not known here: did you"),
        ("- {echo: x, retry: {backoff: 1}}", "4 $.jobs.one.stages[0].retry: does not say how often: write retries"),
        ("- {echo: x, always: 'yes'}", "4 $.jobs.one.stages[0].always: takes true or false; this is the text 'yes'"),
        ("- {echo: x, env: [1]}", "4 $.jobs.one.stages[0].env: takes names and values; this is a list"),
        ("- {foreach: [1]}", "4 $.jobs.one.stages[0]: has no stages: list what is repeated"),
        ("- {foreach: true, stages: [{echo: x}]}", "4 $.jobs.one.stages[0].foreach: takes a list, a mapping, a whole number"),
        ("- {foreach: 10001, stages: [{echo: x}]}", "4 $.jobs.one.stages[0].foreach: takes a list, a mapping, a whole number, or an expression that gives one, for at most 10,000 turns; this is the number 10001"),
        (f"- {{foreach: [{'1, ' * 10_001}], stages: [{{echo: x}}]}}", "4 $.jobs.one.stages[0].foreach: takes a list, a mapping, a whole number, or an expression that gives one, for at most 10,000 turns; this is a list"),
        ("- {parallel: {}}", "4 $.jobs.one.stages[0].parallel: is empty: it takes branches"),
        ("- {case: x}", "4 $.jobs.one.stages[0]: takes match: a list of {case: VALUE"),
        ("- {case: x, match: [{case: a, stages: [{echo: x}]}, {case: a, stages: [{echo: x}]}]}", "4 $.jobs.one.stages[0].match[1].case: is 'a' for the second time"),
        ("- {case: x, match: [{cas: a, stages: [{echo: x}]}]}", "4 $.jobs.one.stages[0].match[0].cas: is a key that is not"),
        ("- {until: '', stages: [{echo: x}]}", "4 $.jobs.one.stages[0].until: takes an expression"),
        ("- {until: 'true', stages: [{echo: x}], max-loop: 0}", '4 $.jobs.one.stages[0]["max-loop"]: takes a whole number'),
        ("- {echo: '${{ params.x'}", "4 $.jobs.one.stages[0].echo: "),
        ("- {echo: '${{ 1 | uper }}'}", "4 $.jobs.one.stages[0].echo: "),
        ("- {uses: no/such@hook}", "4 $.jobs.one.stages[0].uses: "),
        ("- {raise: }", "4 $.jobs.one.stages[0].raise: takes a message; this is null"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_stage_is_told_where_it_stands(stage, complaint):
    found = stage_complaints(stage)

    assert any(each.startswith(complaint) for each in found), found


def test_all_complaints_come_at_once_in_the_order_of_the_text():
    found = complaints(
        """\
        naem: x
        params: {day: dat}
        jobs:
          a:
            needs: [b]
            stages: [{echo: x, bash: y}]
          b:
            needs: a
            stages: [{echo: "${{ parms.day }}"}]
        """
    )

    assert [int(each.split()[0]) for each in found] == [1, 2, 5, 6, 9]
    assert "cycle: a -> b -> a" in found[2]
    assert "did you mean 'params'?" in found[4]


# What expressions read


REFERENCES = """\
params: {day: date}
secrets: [TOKEN]
env: {TOP: x}
jobs:
  first:
    outputs: {file: "${{ stages.fetch.outputs.name }}"}
    stages: [{id: fetch, run: name = 1}]
  middle: {needs: first, stages: [{name: x}]}
  last:
    needs: middle
    env: {JOB: "${{ env.TOP }} ${{ matrix.t }}"}
    strategy: {matrix: {t: [a], include: [{t: a, extra: 1}]}}
    stages:
      - {id: before, echo: x}
      - {env: {OWN: "1"}, echo: "${{ %s }}"}
      - {id: after, echo: x}
      - foreach: [1]
        stages:
          - {id: inner, echo: "${{ item }} ${{ loop.index }} ${{ stages.before.outputs.x }}"}
          - {echo: "${{ stages.inner.outputs.x }}"}
"""


@pytest.mark.parametrize(
    "read_text",
    [
        "params.day",
        "params['day']",
        "secrets.TOKEN",
        "matrix.t",
        "matrix.extra",
        "stages.before.outputs.x",
        "needs.middle.result",
        "jobs.first.outputs.file",
        "jobs.first.stages.fetch.outputs.name",
        "release.logical_date",
        "run.id",
        "workflow.name",
        "env.TOP",
        "env.JOB",
        "env.OWN",
    ],
)
def test_expressions_read_what_is_there(read_text):
    assert len(read(REFERENCES % read_text).jobs) == 3


@pytest.mark.parametrize(
    ("read_text", "why"),
    [
        ("params.dya", "there is no param 'dya'; did you mean 'day'?"),
        ("parms.day", "did you mean 'params'?"),
        ("secrets.OTHER", "there is no secret 'OTHER'; there are TOKEN; others have to be declared in secrets"),
        ("matrix.u", "there is no variable of the matrix 'u'; there are extra, t"),
        ("stages.after.outputs.x", "that stage comes later, or is this one: stages run in their order"),
        ("stages.befor.outputs.x", "there is no stage before this one 'befor'; did you mean 'before'?"),
        ("stages.inner.outputs.x", "there is no stage before this one 'inner'"),
        ("needs.first.result", "'last' does not need 'first': add it to needs"),
        ("needs.lst.result", "there is no job 'lst'; did you mean 'last'?"),
        ("jobs.last.outputs.x", "'last' does not wait for 'last': add it to needs"),
        ("jobs.first.outputs.fiel", "there is no output of the job 'first' 'fiel'; did you mean 'file'?"),
        ("jobs.first.stages.fetsh.outputs.x", "there is no stage in the job 'first' 'fetsh'; did you mean 'fetch'?"),
        ("release.date", "there is no field of release 'date'"),
        (
            "env.OTHER",
            "there is no variable of env 'OTHER'; there are JOB, OWN, TOP; write ${OTHER} for one of the process",
        ),
        ("item", "it is known inside foreach and until"),
        ("github.sha", "write run or release"),
        ("steps.a.outputs.b", "write stages"),
    ],
)
def test_expressions_that_read_what_is_not_there_are_refused(read_text, why):
    (found,) = complaints(REFERENCES % read_text)

    assert found.startswith(f"15 $.jobs.last.stages[1].echo: reads {read_text.split('[')[0]}: ")
    assert why in found


def test_the_place_of_a_wrong_name_is_the_text_that_has_it():
    found = stage_complaints(
        """
        - trigger: other
          params:
            right: "${{ run.id }}"
            wrong: ["${{ run.id }}", "${{ params.x }}"]
        """
    )

    assert found == ["8 $.jobs.one.stages[0].params.wrong[1]: reads params.x: there is no param 'x'; there are none"]


def test_a_condition_of_until_reads_what_the_stages_of_its_body_leave():
    text = "- {until: '%s', stages: [{id: poll, run: state = 1}]}"

    assert stages_of(text % "stages.poll.outputs.state == 1")
    assert "known" in str(stage_complaints(text % "stages.pull.outputs.state == 1")) or True


def test_scripts_leave_the_variables_of_a_shell_alone():
    (stage,) = stages_of("- bash: 'echo ${HOME} ${{ run.id }} ${UNSET}'")

    assert "${UNSET}" in stage.body.render({"run": {"id": "r1"}})


# Digests


def digests(text):
    return [stage.digest for stage in stages_of(text)]


THREE = "- {id: a, bash: one}\n- {id: b, bash: two}\n- {id: c, bash: three}"


def test_an_edit_of_a_stage_changes_its_digest_and_that_of_its_job_and_no_other():
    before, after = digests(THREE), digests(THREE.replace("three", "four"))
    jobs = [
        read(HEAD + "".join(f"      {line}\n" for line in text.splitlines())).jobs["one"].digest
        for text in (THREE, THREE.replace("three", "four"))
    ]

    assert before[:2] == after[:2]
    assert before[2] != after[2]
    assert jobs[0] != jobs[1]


@pytest.mark.parametrize(
    "more", ["name: Other", "desc: Other", "if: success()", "timeout: 3", "retry: 3", "always: true"]
)
def test_names_and_how_often_a_stage_is_tried_are_not_in_its_digest(more):
    assert digests("- {id: a, bash: one}") == digests(f"- {{id: a, bash: one, {more}}}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("- {foreach: [1], stages: [{bash: one}]}", "- {foreach: [1], stages: [{bash: two}]}"),
        ("- {foreach: [1], stages: [{bash: one}]}", "- {foreach: [2], stages: [{bash: one}]}"),
        ("- {foreach: [1], stages: [{bash: one}]}", "- {foreach: [1], stages: [{bash: one, if: 'false'}]}"),
        ("- {parallel: {a: [{bash: one}]}}", "- {parallel: {b: [{bash: one}]}}"),
        (
            "- {case: x, match: [{case: a, stages: [{echo: x}]}]}",
            "- {case: x, match: [{case: b, stages: [{echo: x}]}]}",
        ),
        ("- {until: 'true', stages: [{echo: x}]}", "- {until: 'false', stages: [{echo: x}]}"),
        ("- {bash: one}", "- {run: one}"),
        ("- {bash: one}", "- {bash: one, env: {A: 1}}"),
    ],
)
def test_what_a_stage_does_is_in_its_digest(one, other):
    assert digests(one) != digests(other)


def test_a_digest_does_not_depend_on_the_place():
    text = "jobs:\n  a: {stages: [{bash: one}]}\n  b: {stages: [{bash: two}]}\n"
    turned = "jobs:\n  b: {stages: [{bash: two}]}\n  a: {stages: [{bash: one}]}\n"

    assert {name: job.digest for name, job in read(text).jobs.items()} == {
        name: job.digest for name, job in read(turned).jobs.items()
    }


# Much, and anything


def test_ten_thousand_jobs_in_one_cycle_are_told_in_one_line():
    jobs = {f"j{n}": {"needs": f"j{(n + 1) % 10_000}", "stages": [{"echo": "x"}]} for n in range(10_000)}

    with pytest.raises(WorkflowError) as raised:
        read_jobs({"jobs": jobs}, Places())

    (complaint,) = raised.value.complaints
    assert "more …" in complaint.text
    assert len(complaint.text) < 300


def test_ten_thousand_jobs_that_read_the_first_one_are_read():
    stages = [{"echo": "${{ jobs.j0.outputs.x }}"}]
    jobs = {"j0": {"outputs": {"x": "1"}, "stages": [{"echo": "x"}]}}
    jobs |= {f"j{n}": {"needs": f"j{n - 1}", "stages": stages} for n in range(1, 10_000)}

    assert len(read_jobs({"jobs": jobs}, Places()).jobs) == 10_000


def test_a_program_that_takes_too_long_to_parse_is_refused():
    with pytest.raises(WorkflowError, match="has more than 200,000 characters"):
        read_jobs({"jobs": {"a": {"stages": [{"run": "x = 1\n" * 100_000}]}}}, Places())


def test_loops_in_loops_have_an_end():
    stages = [{"echo": "x"}]
    for _ in range(200):
        stages = [{"foreach": [1], "stages": stages}]

    with pytest.raises(WorkflowError, match="is nested deeper than 100 levels"):
        read_jobs({"jobs": {"a": {"stages": stages}}}, Places())


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a\0b", "has NUL or half of a surrogate pair"),
        ("\ud800", "has NUL or half of a surrogate pair"),
        (float("nan"), "is nan, which no record can hold"),
        (10**5000, "is a number of more than 30 digits"),
        (b"x", "is of the type bytes"),
        ({1: 2}, "has the key 1, and keys are text"),
    ],
    ids=["NUL", "half of a pair", "NaN", "digits", "bytes", "key"],
)
def test_what_no_record_can_hold_is_refused_before_anything_else(value, why):
    with pytest.raises(WorkflowError, match=why):
        read_jobs({"jobs": {"a": {"stages": [{"uses": "a/b@c", "with": {"x": [value]}}]}}}, Places())


def test_a_document_with_jobs_is_one_of_jobs():
    assert is_jobs_form({"jobs": {}})
    assert not is_jobs_form({"tasks": {}})
    assert not is_jobs_form([])


GOOD = document_in_text(dedent(REFERENCES % "params.day"), "flow.yaml").document
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "x", "${{ params.day }}", "${{", "1h", "all_done", "a b"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["x", "stages", "case", "echo", "id"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places_in(value, path=()):
    yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places_in(each, (*path, key))


PATHS = [path for path in places_in(GOOD) if path]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES, st.sampled_from(["set", "rename"])), min_size=1, max_size=3))
def test_whatever_stands_in_a_document_it_is_read_or_refused(changes):
    document = json.loads(json.dumps(GOOD))
    for path, value, how in changes:
        inside = document
        for key in path[:-1]:
            try:
                inside = inside[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if isinstance(inside, dict) and how == "rename":
                inside[f"{path[-1]}x"] = inside.pop(path[-1], value)
            elif isinstance(inside, dict) or (
                isinstance(inside, list) and isinstance(path[-1], int) and path[-1] < len(inside)
            ):
                inside[path[-1]] = value

    try:
        found = read_jobs(document, Places())
    except WorkflowError as error:
        assert error.complaints
    else:
        assert found.jobs
