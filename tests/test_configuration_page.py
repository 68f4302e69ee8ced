"""The page about settings has every setting, and what it says of the variables of ddeutil-workflow holds, row by row."""

import asyncio
import json
import os
import re
import subprocess
import sys

import pytest
from jobs_forms import flow_of
from page_rows import name_of, promises, rows
from programs import ROOT, SECONDS

from aiodag import RunFailed
from aiodag.cli import main
from aiodag.service.settings import READERS, settings, variable_of
from aiodag.service.settings_shown import VARIABLES_ELSEWHERE, unread_variables
from aiodag.workflows import hook

PAGE = "configuration.md"
TEXT = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
ROWS = [row for row in rows(PAGE) if row.startswith("`WORKFLOW_")]
HELLO = "jobs: {one: {stages: [{echo: hello}]}}"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("AIODAG_", "WORKFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_page_has_every_setting_with_its_variable():
    table = TEXT.partition("| key | variable |")[2].partition("\n\n")[0]

    assert re.findall(r"^\| `(\w+)` \| `(\w+)` \|", table, re.MULTILINE) == [(key, variable_of(key)) for key in READERS]


def test_the_file_of_the_page_is_read(tmp_path):
    (tmp_path / "aiodag.toml").write_text(re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1])
    found = settings()

    assert (found.store.value, found.registry.value) == (f"sqlite:///{tmp_path}/runs.db", ("etl.tasks",))
    assert [found.store.origin, found.timezone.origin, found.registry.origin] == [
        f"{tmp_path}/aiodag.toml:{line}" for line in (2, 3, 4)
    ]


def test_info_names_every_variable_of_ddeutil_workflow_with_what_to_set_instead(monkeypatch):
    for name in ROWS:
        monkeypatch.setenv(name.strip("`"), "1")
    found = dict(unread_variables())

    assert found == {name: f"here it is {instead}" for name, instead in VARIABLES_ELSEWHERE.items()}
    for name, instead in VARIABLES_ELSEWHERE.items():
        ours = re.findall(r"AIODAG_\w+", instead)
        row = re.search(rf"^\| `{name}` \| (.*) \|$", TEXT, re.MULTILINE)[1]
        assert all(f"`{each}`" in row for each in ours)


def info(capsys):
    assert main(["info", "--json", "--store", "memory:page"]) == 0
    return json.loads(capsys.readouterr().out)["settings"]


def run_flow(text):
    async def begin():
        return await flow_of(text).run()

    return asyncio.run(begin())


def run_hello(tmp_path, *options):
    (tmp_path / "hello.yaml").write_text(HELLO)
    return main(["run", "hello.yaml", "-q", *options])


class Rows:
    def WORKFLOW_ROOT_PATH(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "aiodag.toml").write_text('store = "runs.db"')
        (tmp_path / "deep" / "down").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "deep" / "down")
        assert settings().store.value == f"{tmp_path}/runs.db"

        monkeypatch.chdir("/")
        monkeypatch.setenv("AIODAG_CONFIG", str(tmp_path / "aiodag.toml"))
        assert settings().store.value == f"{tmp_path}/runs.db"

    def WORKFLOW_CORE_REGISTRY(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "page_hooks.py").write_text(
            "from aiodag.workflows import hook\n@hook('page/greet@1')\ndef greet(name):\n    return {'text': f'Hello, {name}'}\n"
        )
        (tmp_path / "hooked.yaml").write_text("jobs: {one: {stages: [{uses: page/greet@1, with: {name: Ann}}]}}")
        monkeypatch.setenv("AIODAG_REGISTRY", "page_hooks.py")
        assert main(["--store", "memory:registry", "run", "hooked.yaml", "-q", "--json"]) == 0
        assert "Hello, Ann" in capsys.readouterr().out

    def WORKFLOW_CORE_REGISTRY_FILTER(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "page_filters.py").write_text(
            "from aiodag.workflows import custom_filter\n@custom_filter('shout_of_page')\ndef shout(text):\n    return text + '!'\n"
        )
        (tmp_path / "filtered.yaml").write_text("jobs: {one: {stages: [{echo: \"${{ 'hi' | shout_of_page }}\"}]}}")
        monkeypatch.setenv("AIODAG_REGISTRY_FILTERS", "page_filters.py")
        assert main(["--store", "memory:filters", "run", "filtered.yaml", "-q", "--json"]) == 0
        assert "hi!" in capsys.readouterr().out

    def WORKFLOW_CORE_PATH_CONF(self, tmp_path, monkeypatch, capsys):
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / f"{folder}_flow.yaml").write_text(HELLO)
        monkeypatch.setenv("AIODAG_CONF", f"one{os.pathsep}two")
        assert main(["plan", "one_flow"]) == main(["plan", "two_flow"]) == 0

    def WORKFLOW_CORE_TIMEZONE(self, tmp_path, monkeypatch, capsys):
        assert info(capsys)["timezone"] == {"value": "UTC", "from": "default"}
        monkeypatch.setenv("AIODAG_TIMEZONE", "Asia/Bangkok")
        assert main(["next", "@daily", "--from", "2026-01-01", "-n", "1"]) == 0
        assert "2026-01-02 00:00:00+07:00" in capsys.readouterr().out

    def WORKFLOW_CORE_STAGE_DEFAULT_ID(self, tmp_path, monkeypatch, capsys):
        flow = flow_of("jobs: {one: {stages: [{name: Say it, echo: hello}, {echo: again}]}}")
        assert [stage.id for stage in flow.jobs.jobs["one"].stages] == ["say-it", "echo-1"]

    def WORKFLOW_CORE_STAGE_RAISE_ERROR(self, tmp_path, monkeypatch, capsys):
        with pytest.raises(RunFailed):
            run_flow("jobs: {one: {stages: [{raise: no}]}}")
        run_flow("jobs: {one: {stages: [{raise: no, continue-on-error: true}]}}")

    def WORKFLOW_CORE_MAX_PIPELINE_POKING(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("AIODAG_LIMIT", "7")
        assert info(capsys)["limit"] == {"value": 7, "from": "AIODAG_LIMIT"}

    def WORKFLOW_CORE_MAX_JOB_PARALLEL(self, tmp_path, monkeypatch, capsys):
        active, most, both = [], [], asyncio.Event()

        @hook("page/count@1")
        async def count():
            active.append(1)
            most.append(len(active))
            if len(active) == 2:
                both.set()
            await asyncio.wait_for(both.wait(), SECONDS)
            await asyncio.sleep(0)
            active.pop()

        text = "jobs: {one: {stages: [{uses: page/count@1}]}, two: {stages: [{uses: page/count@1}]}}"
        run_flow(text)
        assert max(most) == 2
        most.clear()
        run_flow(f"limit: 1\n{text}")
        assert most == [1, 1]
        assert run_hello(tmp_path, "--store", "memory:", "--limit", "1") == 0

    def WORKFLOW_LOG_ENABLE_WRITE(self, tmp_path, monkeypatch, capsys):
        assert run_hello(tmp_path, "--store", "runs.db") == 0
        capsys.readouterr()
        assert main(["--store", "runs.db", "log", "hello", "--json"]) == 0
        assert "hello" in capsys.readouterr().out
        assert run_hello(tmp_path, "--store", "memory:") == 0
        assert main(["--store", "memory:", "runs", "--json"]) == 0

    def WORKFLOW_APP_PROCESS_WORKER(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "hello.yaml").write_text(HELLO)
        for _ in range(2):
            assert main(["--store", "runs.db", "submit", "hello.yaml"]) == 0
        command = [sys.executable, "-m", "aiodag", "--store", "runs.db", "worker", "--once"]
        workers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
        assert [worker.wait(SECONDS) for worker in workers] == [0, 0]

    def WORKFLOW_APP_PIPELINE_PER_PROCESS(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "aiodag.toml").write_text("limit = 100")
        assert info(capsys)["limit"]["value"] == 100

    def WORKFLOW_API_DB_URL(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("AIODAG_STORE", "postgresql://user@localhost:1/schedule")
        assert main(["runs"]) == 2
        assert "postgresql://user@localhost:1/schedule" in capsys.readouterr().err


def test_the_page_and_the_rows_of_this_file_are_the_same():
    assert promises(Rows) == {name_of(row) for row in ROWS}


@pytest.mark.parametrize("row", ROWS)
def test_row(row, tmp_path, monkeypatch, capsys, hooks_forgotten, modules_forgotten):
    getattr(Rows(), name_of(row))(tmp_path=tmp_path, monkeypatch=monkeypatch, capsys=capsys)


def test_the_hosts_and_executors_of_the_page_are_read(tmp_path):
    (tmp_path / "aiodag.toml").write_text(re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1])
    found = settings()

    assert (found.default_host.value, [*found.hosts], [*found.executors]) == ("hpc", ["hpc", "lab"], ["gpu", "cpu"])
    assert found.hosts["lab"].value["key"] == f"{tmp_path}/keys/id_ed25519"
