"""A declared secret reaches the stages of jobs, and nothing that is kept or shown."""

import json
import pickle

import pytest
from jobs_forms import flow_of

from aiodag import ExpressionError, NoSecret, RunFailed, WorkflowError
from aiodag.service import Service
from aiodag.workflows import hook

pytestmark = pytest.mark.usefixtures("hooks_forgotten", "secrets_forgotten")
VALUE = "sup3r-s3cret-t0ken"


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("API_TOKEN", VALUE)


def kept_in(folder):
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file())


FORM = """
secrets: [API_TOKEN]
params: {who: {default: me}}
env: {AUTH: "Bearer ${{ secrets.API_TOKEN }}"}
jobs:
  pull:
    outputs: {lengths: "${{ stages.hook.outputs.lengths }}"}
    env: {TOKEN: "${API_TOKEN}"}
    stages:
      - id: hook
        uses: tasks/login@v1
        with:
          url: "db://${{ params.who }}:${{ secrets.API_TOKEN }}@host"
          token: "${API_TOKEN}"
          deep: [{x: "${{ secrets.API_TOKEN }}"}]
      - id: shell
        bash: 'echo "$AUTH $TOKEN"; echo "<${{ secrets.API_TOKEN }}>"; echo ${#TOKEN}'
      - id: python
        run: |
          import os
          length = len(os.environ["AUTH"]) + len(${{ secrets.API_TOKEN }})
          print(os.environ["TOKEN"])
      - echo: "token ${{ secrets.API_TOKEN }}"
      - echo: "it wrote ${{ stages.shell.outputs.stdout }}"
"""


async def test_stages_have_the_text_and_a_store_has_three_asterisks(tmp_path, token, capfd):
    @hook("tasks/login@v1")
    def login(url, token, deep):
        assert url == f"db://me:{VALUE}@host"
        assert deep == [{"x": VALUE}]
        return {"lengths": [len(url), len(token)]}

    flow = flow_of(FORM)
    values = await flow.run(tmp_path / "runs.db", "one")

    assert values["pull"]["outputs"] == {"lengths": [len(VALUE) + 13, len(VALUE)]}
    stages = values["pull"]["stages"]
    assert stages["shell"]["outputs"]["stdout"] == f"Bearer *** ***\n<***>\n{len(VALUE)}\n"
    assert stages["python"]["outputs"]["length"] == 2 * len(VALUE) + 7
    assert VALUE.encode() not in kept_in(tmp_path)
    service = Service(tmp_path / "runs.db")
    try:
        shown = json.dumps([service.error("one", node.name) or repr(node) for node in service.nodes("one")])
    finally:
        service.close()
    assert VALUE not in shown
    assert VALUE not in "".join(capfd.readouterr())
    assert VALUE not in json.dumps(flow.document()) + repr(flow.graph())
    assert VALUE.encode() not in pickle.dumps(flow.document())


async def test_no_table_of_a_server_has_the_text(postgres, schema, postgres_store, token):
    @hook("tasks/login@v1")
    def login(url, token, deep):
        return {"lengths": [len(url)]}

    form = FORM + "      - bash: 'echo $AUTH; echo $TOKEN >&2; exit 1'\n        retry: 1\n"
    with pytest.raises(RunFailed):
        await flow_of(form).run(postgres_store, "one")

    tables = postgres.execute("select table_name from information_schema.tables where table_schema = %s", (schema,))
    kept = [row for (name,) in tables for (row,) in postgres.execute(f'select t::text from "{schema}"."{name}" t')]
    written = "\n".join(kept)
    assert "***" in written
    assert VALUE not in written
    assert VALUE.encode().hex() not in written


async def test_a_secret_that_is_replaced_runs_nothing_again(tmp_path, token, monkeypatch):
    calls = []

    @hook("tasks/login@v1")
    def login(url, token, deep):
        calls.append(token)
        return {"lengths": []}

    form = FORM + '      - raise: "no way in with ${{ secrets.API_TOKEN }}"\n'
    with pytest.raises(RunFailed) as caught:
        await flow_of(form).run(tmp_path / "runs.db", "one")
    assert "no way in with ***" in str(caught.value)
    monkeypatch.setenv("API_TOKEN", "an0ther-t0ken-of-today")
    with pytest.raises(RunFailed):
        await flow_of(form).run(tmp_path / "runs.db", "one")

    assert calls == [VALUE]
    assert VALUE.encode() not in kept_in(tmp_path)
    assert b"an0ther" not in kept_in(tmp_path)


async def test_what_a_hook_gives_away_of_its_secret_is_masked_in_its_outputs(tmp_path, token):
    @hook("tasks/leak@v1")
    def leak(token):
        return {"value": f"<{token}>"}

    flow = flow_of("""
        secrets: {key: {env: API_TOKEN}}
        jobs: {a: {stages: [{id: leak, uses: tasks/leak@v1, with: {token: "${{ secrets.key }}"}}]}}
        """)
    values = await flow.run(tmp_path / "runs.db", "one")

    assert values["a"]["stages"]["leak"]["outputs"] == {"value": "<***>"}
    assert VALUE.encode() not in kept_in(tmp_path)


async def test_a_secret_from_a_file(tmp_path):
    (tmp_path / "key").write_text(f"{VALUE}\n")
    flow = flow_of(f"""
        secrets: {{key: {{file: {tmp_path / "key"}}}}}
        jobs: {{a: {{stages: [{{id: say, bash: 'echo $KEY', env: {{KEY: "x${{{{ secrets.key }}}}"}}}}]}}}}
        """)

    values = await flow.run()

    assert values["a"]["stages"]["say"]["outputs"]["stdout"] == "x***\n"


async def test_a_secret_that_is_not_there_fails_its_stage_with_its_name(monkeypatch):
    monkeypatch.delenv("API_TOKEN", raising=False)
    flow = flow_of("""
        secrets: [API_TOKEN]
        jobs: {a: {stages: [{echo: "x ${{ secrets.API_TOKEN }}"}]}}
        """)

    with pytest.raises(RunFailed) as caught:
        await flow.run()
    assert isinstance(caught.value.exceptions[0], NoSecret)
    assert "API_TOKEN" in str(caught.value)


@pytest.mark.parametrize(
    "condition", ["secrets.API_TOKEN", "secrets.API_TOKEN == 'x'", "startsWith(secrets.API_TOKEN, 's')"]
)
async def test_a_condition_cannot_ask_a_secret(token, condition):
    flow = flow_of(f"""
        secrets: [API_TOKEN]
        jobs: {{a: {{stages: [{{echo: x, if: "{condition}"}}]}}}}
        """)

    with pytest.raises(RunFailed) as caught:
        await flow.run()
    assert isinstance(caught.value.exceptions[0], ExpressionError)
    assert "flow.yaml:3" in str(caught.value.exceptions[0])
    assert "an expression cannot look at it" in str(caught.value.exceptions[0])


def test_an_undeclared_secret_is_found_when_the_file_is_read():
    with pytest.raises(WorkflowError, match="there is no secret 'API_TOKN'; did you mean 'API_TOKEN'"):
        flow_of("""
            secrets: [API_TOKEN]
            jobs: {a: {stages: [{echo: "${{ secrets.API_TOKN }}"}]}}
            """)


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        (
            '{trigger: other.yaml, params: {t: "x${{ secrets.API_TOKEN }}"}}',
            "params.t has a secret in it, and a param is recorded",
        ),
        ('{case: "${{ secrets.API_TOKEN }}", match: [{case: _, stages: [{echo: x}]}]}', "case cannot look at a secret"),
    ],
)
async def test_a_secret_does_not_become_a_param_or_a_case(token, stage, why):
    with pytest.raises(RunFailed) as caught:
        await flow_of(f"secrets: [API_TOKEN]\njobs: {{a: {{stages: [{stage}]}}}}").run()
    assert why in str(caught.value)
