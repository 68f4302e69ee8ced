"""What the pages for those who come from Pydag and DaggyR promise, row by row, on the real command."""

import asyncio
import getpass
import json
import re
import sqlite3

import pytest
from page_rows import name_of, promises, rows
from programs import ROOT
from typed_in import Place, Terminal, ended, line_with

from aiodag import Capacity, NoCapacity, RunFailed, State, WorkflowError, task
from aiodag.commands import CommandFailed, command, shell
from aiodag.programs import ProgramEnd
from aiodag.service import Service
from aiodag.service.settings import settings
from aiodag.workflows import Workflow

JOB = """
from pathlib import Path
from aiodag.commands import command, shell
from aiodag.workflows import Workflow

job = Workflow("TestJob", tags={"env": "test"})
sync = job.add(command("echo", "rows"), name="Sync Data")
first = job.add(command("echo", "one"), name="Feature Engineering1")
second = job.add(shell("test -e fixed || { echo no >&2; exit 3; }"), name="Feature Engineering2")
learn = job.add(command("echo", "model"), name="Machine Learning")
send = job.add(command("echo", "sent"), name="Send Email")
sync >> [first, second] >> learn >> send
"""
NAMES = ["Sync Data", "Feature Engineering1", "Feature Engineering2", "Machine Learning", "Send Email"]
ETL = json.loads((ROOT / "examples" / "10_etl.json").read_text(encoding="utf-8"))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, job=JOB)


@pytest.fixture
def fixed(place):
    place.write("fixed", "")
    return place


def edges_of(workflow):
    graph = workflow.graph()
    names = {node.id: node.name for node in graph.nodes}
    return {(names[edge.source], names[edge.target]) for edge in graph.edges}


def states(place, run):
    return {node["name"]: node["state"] for node in place.json("show", run)["nodes"]}


def newest(place):
    return place.json("runs")[-1]["id"]


class TestPydag:
    def a_job(self, fixed):
        assert Workflow("TestJob").name == "TestJob"

    async def a_task(self, fixed):
        @task
        async def double(x):
            return 2 * x

        job = Workflow("TestJob")
        line, words, call = job.add(shell("echo a | tr a b")), job.add(command("echo", "a b")), job.add(double, 21)
        values = await job.run()
        assert (values[line].stdout, values[words].stdout, values[call]) == ("b\n", "a b\n", 42)

    def edges(self, fixed):
        job = Workflow("TestJob")
        a, b, c, d = (job.add(command("true"), name=name) for name in "abcd")
        a.set_downstream(b)
        b.set_upstream(a)
        a >> b
        b << a
        [a, b] >> c
        e = job.add(command("true"), name="e", after=[d])
        assert edges_of(job) == {("a", "b"), ("a", "c"), ("b", "c"), ("d", "e")}
        assert e.after == ("d",)

    def a_cycle(self, place):
        job = Workflow("TestJob")
        a, b = (job.add(command("true"), name=name) for name in ("task1", "task2"))
        a >> b >> a
        job.add(command("true"), name="other", after=["task3"])
        with pytest.raises(WorkflowError) as refused:
            job.check()
        assert len(refused.value.complaints) == 2
        assert re.search(r"task1 -> task2 -> task1|task2 -> task1 -> task2", str(refused.value))

    def siblings_fail(self, place):
        place("run", "job.py:job", code=1)
        assert states(place, newest(place)) == dict(
            zip(NAMES, ["succeeded", "succeeded", "failed", "skipped", "skipped"], strict=True)
        )

    def draw_it(self, place):
        for ending in ("svg", "png", "html"):
            place("graph", "job.py:job", "-o", f"job.{ending}")
            assert (place.path / f"job.{ending}").stat().st_size > 1000
        assert "Machine Learning" in place("graph", "job.py:job")[0]

    def run_it(self, fixed):
        fixed("run", "job.py:job")
        assert set(states(fixed, newest(fixed)).values()) == {"succeeded"}

    def keep_it_by_name(self, fixed):
        fixed("register", "job.py:job")
        assert fixed.json("runs") == []
        fixed("run", "TestJob")
        assert [each["name"] for each in fixed.json("list")] == ["TestJob"]
        assert [each["name"] for each in fixed.json("runs")] == ["TestJob"]

    def a_name_that_is_taken(self, place):
        place("register", "job.py:job")
        _, err = place("register", "job.py:job", code=2)
        assert "--replace" in err
        place("register", "job.py:job", "--replace")

    def delete(self, fixed):
        fixed.write("job2.py", JOB.replace("TestJob", "TestJob2"))
        for file in ("job.py:job", "job2.py:job"):
            fixed("register", file)
            fixed("run", file)
        fixed("delete", "TestJob")
        assert [each["name"] for each in fixed.json("list") + fixed.json("runs")] == ["TestJob2", "TestJob2"]

    def on_a_schedule(self, fixed):
        fixed("register", "job.py:job")
        for expression in ("0 0 * * *", "0 6 * * *"):
            fixed("submit", "TestJob", f"--cron={expression}", "--name=TestJob")
        (found,) = fixed.json("schedules")
        assert (found["name"], found["when"], len(found["next"])) == ("TestJob", "0 6 * * *", 1)

    def take_it_off(self, fixed):
        for action in (("schedules", "delete"), ("delete",)):
            fixed("submit", "job.py:job", "--cron=0 0 * * *", "--name=TestJob")
            fixed("schedules", "run", "TestJob")
            fixed(*action, "TestJob")
            assert fixed.json("schedules") == []
            assert bool(fixed.json("runs")) is (len(action) == 2)

    def log_of_a_job(self, fixed):
        for number in range(4):
            fixed("run", "job.py:job", "--id", f"run{number}")
        out, _ = fixed("log", "TestJob")
        assert re.findall(r"run\d", out) == ["run3", "run2", "run1"]
        assert re.findall(r"run\d", fixed("log", "TestJob", "-n", "1")[0]) == ["run3"]

    def colours(self, place):
        place("run", "job.py:job", code=1)
        terminal = Terminal(place, "log", "TestJob")
        terminal.end()
        for colour, name in ((32, "Sync Data"), (31, "Feature Engineering2")):
            assert re.search(
                rf"\x1b\[(?:\d+;)*{colour}m[^\n]*{name}|{name}[^\n]*\x1b\[(?:\d+;)*{colour}m", terminal.drawn
            )

    def tree(self, fixed):
        fixed("run", "job.py:job")
        out, _ = fixed("log", "TestJob", "--style", "tree")
        lines = [line for line in out.splitlines() if "Machine Learning" in line]
        assert len(lines) == 2, "a join of two: once whole, once marked"
        assert sum("Send Email" in line for line in out.splitlines()) == 1
        assert lines[0] != lines[1]

    def log_of_a_task(self, place):
        place("run", "job.py:job", code=1)
        (told,) = place.json("log", "TestJob", "--task", "Feature Engineering2")
        assert (told["facts"]["code"], told["stderr"], told["state"]) == (3, "no\n", "failed")
        assert told["facts"]["peak_bytes"] > 0
        assert told["started_at"] <= told["ended_at"]

    def after_a_failure(self, place):
        place("run", "job.py:job", "--id", "monday", code=1)
        place.write("fixed", "")
        place("resume", "monday")
        attempts = {node["name"]: len(node["attempts"]) for node in place.json("show", "monday")["nodes"]}
        assert attempts == dict(zip(NAMES, [1, 1, 2, 1, 1], strict=True))

    def where_logs_are(self, fixed):
        fixed("run", "job.py:job", env={"AIODAG_STORE": "other.db"})
        with sqlite3.connect(fixed.path / "other.db") as connection:
            assert connection.execute("select name, state from runs").fetchall() == [("TestJob", "succeeded")]
        connection.close()


class TestDaggyR:
    def written(self, place, **changes):
        usual = {key: value for key, value in ETL.items() if key != "parameters" or "tasks" not in changes}
        place.write("etl.json", json.dumps({**usual, **changes}))

    def a_run_specification(self, place):
        self.written(place, tasks={"A": {"command": ["true"], "parents": ["B"]}, "C": {"comand": ["true"]}})
        _, err = place("run", "etl.json", code=2)
        assert "'B'" in err
        assert "did you mean 'command'" in err
        assert place.json("runs") == []
        self.written(place)
        place("run", "etl.json")

    def tags(self, place):
        self.written(place)
        place("run", "etl.json", "--id", "one")
        place("run", "etl.json", "--id", "two", "--tag", "env=live")
        found = place.json("runs", "--tag", "env=test", "--state", "succeeded", "--since", "1d")
        assert [each["id"] for each in found] == ["one"]

    def parameters(self, place):
        self.written(place, parameters={"{{DAY}}": ["d1", "d2"]})
        place("run", "etl.json", "--id", "etl")
        nodes = place.json("show", "etl")["nodes"]
        assert len(nodes) == 15
        assert {"Pull_A[DAY=d1]", "Pull_A[DAY=d2]"} <= {node["name"] for node in nodes}

    def classes(self, place):
        listed = [
            {"class": "producer", "details": {"command": ["true"]}},
            {"class": "producer", "details": {"command": ["true"]}},
            {"class": "echoer", "details": {"command": ["true"]}, "parents": ["producer"]},
        ]
        self.written(place, tasks=listed)
        place("run", "etl.json", "--id", "etl")
        assert len(place.json("show", "etl")["edges"]) == 2

    def generators(self, place):
        more = json.dumps({"New": {"command": ["echo", "new"]}})
        tasks = {
            "Make": {"command": ["echo", more], "generator": True},
            "Bad": {"command": ["echo", "none"], "generator": True},
            "Last": {"command": ["true"], "parents": ["Make"]},
        }
        self.written(place, tasks=tasks)
        place("run", "etl.json", "--id", "etl", code=1)
        assert states(place, "etl") == {"Make": "succeeded", "Bad": "failed", "Last": "succeeded", "New": "succeeded"}

    def resuming(self, place):
        tasks = {
            "A": {"command": ["echo", "a"]},
            "B": {"shell": "test -e fixed", "parents": ["A"]},
            "C": {"command": ["true"], "parents": ["B"]},
        }
        self.written(place, tasks=tasks)
        place("run", "etl.json", "--id", "etl", code=1)
        place.write("fixed", "")
        (place.path / "etl.json").unlink()  # the run knows what it is
        place("resume", "etl")
        attempts = {node["name"]: len(node["attempts"]) for node in place.json("show", "etl")["nodes"]}
        assert attempts == {"A": 1, "B": 2, "C": 1}

    def editing(self, place):
        tasks = {"A": {"command": ["true"]}, "B": {"command": ["false"], "parents": ["A"]}}
        self.written(place, tasks=tasks)
        place("run", "etl.json", "--id", "etl", code=1)
        tasks["B"]["command"] = ["true"]
        self.written(place, tasks={**tasks, "C": {"command": ["true"], "parents": ["B"]}})
        would = place.json("plan", "etl", "--from", "etl.json")
        assert (would["run"], would["recalled"]) == (["B", "C"], 1)
        place("resume", "etl", "--from", "etl.json")
        service = Service(place.path / "runs.db")
        definitions = service.definitions("etl")
        commands = [each.facts["command"] for each in service.attempts("etl") if each.attempt and each.number == 1]
        service.close()
        assert [execution for execution, _ in definitions] == [1, 2]
        assert commands == [["false"]]

    async def retries_and_timeouts(self, place):
        flow = Workflow("etl")
        flow.add(shell("sleep 60 & echo $! > sleeps; wait", timeout=0.2, cwd=place.path, grace=1.0), name="late")
        tried = flow.add(shell("test -e tried || { touch tried; exit 1; }", retries=3, cwd=place.path), name="again")
        with pytest.raises(RunFailed) as failed:
            await flow.run(store="memory:")
        assert [type(error) for error in failed.value.exceptions] == [TimeoutError]
        assert tried.task.options.retries == 3

    async def a_missing_program(self, place):
        flow = Workflow("etl")
        flow.add(command("no-such-program"))
        with pytest.raises(RunFailed) as failed:
            await flow.run()
        assert isinstance(failed.value.exceptions[0], CommandFailed)

    def kill_a_run(self, place):
        self.written(place, tasks={"A": {"shell": "echo begun; sleep 60"}})
        with place.start("run", "etl.json", "--id", "etl") as process:
            line_with(process.stderr, "run etl")
            with place.start("log", "etl", "-f") as follower:
                line_with(follower.stdout, "begun")
                place("cancel", "etl")
                ended(follower)
            ended(process)
        assert states(place, "etl") == {"A": "cancelled"}

    async def resources(self, place):
        flow = Workflow("etl", capacity=Capacity({"cores": 4, "license": 1}))
        flow.add(command("true", resources={"cores": 2, "license": 1}), name="fits")
        assert (await flow.run()).run.state is State.SUCCEEDED
        flow.add(command("true", resources={"licence": 1}), name="never")
        with pytest.raises((NoCapacity, WorkflowError), match="licence"):
            await flow.run()

    def workers(self, place):
        self.written(place)
        place("run", "etl.json", "--limit", "1", "--id", "etl")
        nodes = sorted(place.json("show", "etl")["nodes"], key=lambda node: node["started_at"])
        ends = [node["ended_at"] for node in nodes]
        assert all(end <= later["started_at"] for end, later in zip(ends, nodes[1:], strict=False))

    def attempts(self, place):
        self.written(place, tasks={"A": {"shell": "echo out; echo err >&2; exit 4", "retries": 1}})
        place("run", "etl.json", "--id", "etl", code=1)
        told = place.json("log", "etl", "--task", "A")
        assert [(each["stdout"], each["stderr"], each["facts"]["code"]) for each in told] == [("out\n", "err\n", 4)] * 2
        assert {"host", "cpu_seconds", "peak_bytes"} <= told[0]["facts"].keys()

    def trackers(self, place):
        self.written(place)
        place("run", "etl.json", "--store", "memory:")
        assert place.json("runs") == []
        place("run", "etl.json")
        assert len(place.json("runs")) == 1

    async def millions_of_tasks(self, place):
        """As many as a test may take; benchmarks/workflows.py has the millions."""

        @task
        async def nothing():
            pass

        flow = Workflow("etl", parameters={"A": range(100), "B": range(100)})
        flow.add(command("{{A}}{{B}}"), name="first")
        assert len(flow.graph().nodes) == 10_000
        wide = Workflow("wide")
        for number in range(10_000):
            wide.add(nothing, name=str(number))
        values = await wide.run()
        assert len(values) == 10_000

    def getting_started(self, place):
        """Without any package: neither site-packages nor a server is there."""
        self.written(place)
        place("run", "etl.json", "--id", "etl", python=("-S", "-m", "aiodag"))
        assert set(states(place, "etl").values()) == {"succeeded"}

    def scheduling(self, place):
        self.written(place)
        place("submit", "etl.json", "--cron", "0 6 * * *", "--name", "nightly")
        (found,) = place.json("schedules")
        assert (found["name"], found["when"]) == ("nightly", "0 6 * * *")

    def running_the_server(self, place):
        self.written(place)
        run_id = place("submit", "etl.json")[0].strip()
        place("worker", "--once")
        assert set(states(place, run_id).values()) == {"succeeded"}

    # Its executors

    def _hosts(self, place, text, tasks, **more):
        """Run tasks with hosts in the settings, and give where each ran, and what it wrote."""
        place.write("aiodag.toml", text)
        self.written(place, tasks=tasks, **more)
        place("run", "etl.json", "--id", "etl")
        found = [place.json("log", "etl", "--task", name)[0] for name in tasks]
        return [(each["facts"]["host"], each["stdout"].strip()) for each in found]

    def the_local_executor(self, place):
        self.written(place, tasks={"A": {"command": ["true"], "host": "local"}})
        place("run", "etl.json", "--limit", "5")

    def the_SSH_executor(self, place_with_ssh):
        place, ssh = place_with_ssh
        text = f'[hosts.lab]\ntype = "ssh"\naddress = "{ssh.address}"\nkey = "{ssh.key}"\nknown_hosts = "{ssh.known_hosts}"\nagent = false\n'
        task = {"command": ["sh", "-c", "echo $A; id -un"], "environment": {"A": "x y;$(z)"}}
        ((_, wrote),) = self._hosts(place, text, {"A": {"details": task, "pool": "lab"}})
        assert wrote == f"x y;$(z)\n{ssh.login}"

    def targets_with_resources(self, place):
        text = """
[hosts.lab]
type = "pool"
targets = [
    { type = "local", name = "hosta", resources = { cores = 1 } },
    { type = "local", name = "hostb", resources = { cores = 4 } },
]
"""
        tasks = {
            "small": {"details": {"command": ["true"], "resources": {"cores": 1}}, "pool": "lab"},
            "large": {"details": {"command": ["true"], "resources": {"cores": 4}}, "pool": "lab"},
        }
        assert self._hosts(place, text, tasks) == [("hosta", ""), ("hostb", "")]

    def the_Slurm_executor(self, place_with_slurm):
        place, slurm = place_with_slurm
        text = f'[hosts.slurm]\ntype = "slurm"\ndirectory = "{slurm.root}/shared/jobs"\ninterval = 0.3\n'
        task = {
            "command": ["sh", "-c", "echo $SLURM_CPUS_ON_NODE $SLURM_JOB_ID"],
            "min_cpus": 1,
            "time_limit_seconds": 60,
        }
        ((_, wrote),) = self._hosts(place, text, {"A": {"details": task, "pool": "slurm"}})
        assert re.fullmatch(r"1 \d+", wrote)

    def the_remote_agent(self, place_with_agent):
        place, agent = place_with_agent
        text = f'[hosts.remote]\ntype = "agent"\ntoken_file = "{agent.token_file}"\ntargets = ["{agent.address}"]\n'
        ((_, wrote),) = self._hosts(place, text, {"A": {"details": {"command": ["echo", "there"]}, "pool": "remote"}})
        assert wrote == "there"
        assert place.json("agents")[0]["state"] == "ready"

    def an_agent_s_own_settings(self, place_with_agent):
        place, agent = place_with_agent
        place.write(
            "aiodag.toml",
            f'[hosts.a]\ntype = "agent"\ntoken_file = "{agent.token_file}"\naddress = "{agent.address}"\n',
        )
        assert place.json("hosts", "a")[0]["resources"] == {"cores": 64}

    def a_task_s_pool(self, place):
        self.written(place, tasks={"A": {"details": {"command": ["true"]}, "pool": "lab"}})
        _, err = place("run", "etl.json", code=2)
        assert "no host has that name" in err
        assert place.json("runs") == []

    def the_default_pool(self, place):
        lab = '[hosts.lab]\ntype = "local"\nname = "bench"\n'
        tasks = {"A": {"details": {"command": ["true"]}}}
        assert self._hosts(place, f'default_host = "lab"\n{lab}', tasks) == [("bench", "")]
        place.write("aiodag.toml", lab)
        place("run", "etl.json", "--id", "typed", "--host", "lab")
        assert place.json("log", "typed", "--task", "A")[0]["facts"]["host"] == "bench"

    def details_for_Slurm(self, place):
        details = {
            "command": ["true"],
            "min_cpus": 1,
            "min_memory_mb": 1,
            "min_tmp_disk_mb": 0,
            "time_limit_seconds": 60,
        }
        details |= {"priority": 1, "user": getpass.getuser(), "jwt_token": "a-secret-token", "logdir": "/tmp/logs"}
        self.written(place, tasks={"A": {"details": details}})
        place("run", "etl.json", "--id", "etl")
        kept = (place.path / "runs.db").read_bytes()
        assert b"a-secret-token" not in kept
        assert b'"memory_mb": 1' in kept

    async def another_executor(self, place):
        class Own:
            name = "own"

            async def run(self, request, watch, /):
                watch.wrote("stdout", b"there")
                watch.note_end(ProgramEnd(code=0, started_at=0.0, ended_at=1.0))

        flow = Workflow("etl", hosts={"own": Own()}, default_host="own")
        flow.add(command("sync"), name="A")
        assert (await flow.run())["A"].stdout == "there"


@pytest.fixture
def place_with_ssh(place, ssh_server):
    return place, ssh_server


@pytest.fixture
def place_with_slurm(slurm, place):
    return place, slurm


@pytest.fixture
def place_with_agent(place, shared_agent):
    return place, shared_agent


def test_the_settings_of_the_page_are_read(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "coming-from-daggyr.md").read_text(encoding="utf-8")
    (tmp_path / "aiodag.toml").write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1])
    monkeypatch.chdir(tmp_path)
    found = settings()

    assert found.default_host.value == "lab"
    assert {name: len(each.value.get("targets", "x")) for name, each in found.hosts.items()} == {
        "lab": 2,
        "remote": 2,
        "slurm": 1,
    }


PAGES = {"coming-from-pydag.md": TestPydag, "coming-from-daggyr.md": TestDaggyR}
ROWS = [(page, row) for page in PAGES for row in rows(page)]


@pytest.mark.parametrize(("page", "row"), ROWS)
def test_row(page, row, request):
    promise = getattr(PAGES[page](), name_of(row))
    found = promise(request.getfixturevalue(promise.__code__.co_varnames[1]))
    if hasattr(found, "__await__"):
        asyncio.run(found)


def test_every_promise_has_a_row():
    for page, kind in PAGES.items():
        assert {name_of(row) for row in rows(page)} == promises(kind)
