"""What people set once: in the environment, or in a file; and that each setting is used."""

import json
import os
import subprocess
import sys

import pytest

from aiodag import SettingsError
from aiodag.cli import main
from aiodag.service import Service
from aiodag.service.settings import KEYS, READERS, settings, variable_of


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """Work in an empty directory, in an environment that sets nothing."""
    for name in [name for name in os.environ if name.startswith("AIODAG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def origins(found):
    return {name: getattr(found, name).origin for name in READERS}


def test_without_any_setting_all_are_the_defaults():
    found = settings()

    assert set(origins(found).values()) == {"default"}
    assert (found.timezone.value, found.conf.value, found.queue.value, found.limit.value) == (
        "UTC",
        ("conf",),
        "default",
        None,
    )
    assert found.store.value.endswith("/aiodag/runs.db")


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(monkeypatch, tmp_path):
    write(tmp_path / "aiodag.toml", 'queue = "nightly"\ntimezone = "Europe/Paris"\n')
    monkeypatch.setenv("AIODAG_QUEUE", "hourly")
    monkeypatch.setenv("AIODAG_LIMIT", "")
    found = settings()

    assert (found.queue.value, found.queue.origin) == ("hourly", "AIODAG_QUEUE")
    assert (found.timezone.value, found.timezone.origin) == ("Europe/Paris", f"{tmp_path}/aiodag.toml:2")
    assert found.limit.origin == "default"


@pytest.mark.parametrize("key", READERS)
def test_each_setting_has_a_variable(monkeypatch, key):
    text = {"timezone": "Asia/Bangkok", "limit": "7", "linger": "2m", "trace": "yes"}.get(key, "one")
    monkeypatch.setenv(variable_of(key), text)
    found = getattr(settings(), key)

    assert found.origin == variable_of(key) == f"AIODAG_{key.upper()}"
    assert found.value in {text, (text,), 7, 120.0, True}


def test_the_first_file_upwards_is_taken_and_its_paths_are_relative_to_it(monkeypatch, tmp_path):
    write(tmp_path / "aiodag.toml", 'store = "runs.db"\nregistry = ["etl.tasks", "own/tasks.py"]\nconf = "flows"\n')
    write(tmp_path / "deep" / "pyproject.toml", "[project]\nname = 'other'\n")
    write(tmp_path / "deep" / "down" / "here.txt", "")
    monkeypatch.chdir(tmp_path / "deep" / "down")
    found = settings()

    assert found.store.value == f"{tmp_path}/runs.db"
    assert found.registry.value == ("etl.tasks", f"{tmp_path}/own/tasks.py")
    assert found.conf.value == (f"{tmp_path}/flows",)


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("sqlite:///runs.db?keep=30d", "sqlite:///{}/runs.db?keep=30d"),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs.db"),
        ("/srv/runs.db", "/srv/runs.db"),
        ("a:b/runs.db", "a:b/runs.db"),
        ("postgresql://db/runs", "postgresql://db/runs"),
        ("memory:x", "memory:x"),
    ],
)
def test_only_a_relative_path_of_a_store_is_relative_to_the_file(tmp_path, store, expected):
    write(tmp_path / "aiodag.toml", f'store = "{store}"')

    assert settings().store.value == expected.format(tmp_path)


def test_a_directory_that_was_deleted_has_no_file(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert settings().queue.value == "default"


def test_pyproject_has_a_table_of_ours_and_aiodag_toml_comes_first(tmp_path):
    write(tmp_path / "pyproject.toml", '[tool.ruff]\nline = 1\n\n[tool.aiodag]\n"queue" = "of-pyproject"\n')

    assert (settings().queue.value, settings().queue.origin) == ("of-pyproject", f"{tmp_path}/pyproject.toml:5")

    write(tmp_path / "aiodag.toml", "limit = 3\n")

    assert settings().queue.value == "default"


def test_a_broken_pyproject_that_says_nothing_of_us_is_not_our_concern(tmp_path):
    write(tmp_path / "pyproject.toml", "[project\n")

    assert settings().queue.value == "default"


def test_a_named_file_is_the_only_one(monkeypatch, tmp_path):
    write(tmp_path / "aiodag.toml", 'queue = "here"\n')
    monkeypatch.setenv("AIODAG_CONFIG", str(write(tmp_path / "other" / "my.toml", "limit = 3\n")))

    assert (settings().queue.value, settings().limit.value) == ("default", 3)


def test_all_that_is_wrong_is_said_at_once_with_its_line_and_the_near_miss(monkeypatch, tmp_path):
    write(
        tmp_path / "aiodag.toml",
        'stor = "x"\nlimit = 0\ntimezone = "asia/bangkok"\nconf = 5\nlinger = -1\nqueue = ""\n[registry]\nx = 1\n[xyzzy.a]\n',
    )
    monkeypatch.setenv("AIODAG_LIMIT", "many")
    with pytest.raises(SettingsError) as caught:
        settings()

    assert [str(each).removeprefix(f"{tmp_path}/") for each in caught.value.complaints] == [
        "aiodag.toml:1: stor: is a key that is not known here; did you mean store?",
        "aiodag.toml:2: limit: 0 is not a whole number of 1 or more",
        "aiodag.toml:3: timezone: 'asia/bangkok': not in the zone database; did you mean Asia/Bangkok?",
        "aiodag.toml:4: conf: 5 is not a list of texts",
        "aiodag.toml:5: linger: -1 is not a duration: a number of seconds, or a text such as '5s' or '2m'",
        "aiodag.toml:6: queue: '' is not a text",
        "aiodag.toml:7: registry: {'x': 1} is not a list of texts",
        f"aiodag.toml:1: xyzzy: is a key that is not known here; known are {', '.join(KEYS)}",
        "AIODAG_LIMIT: 'many' is not a whole number of 1 or more",
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"limit = ", "is not valid TOML"),
        (b"limit = \xff", "is not valid TOML"),
        (b"limit = 99999999999999999999", "is not a whole number"),
        (b"limit = " + b"9" * 5000, "aiodag.toml"),
        (b"limit = true", "is not a whole number"),
        (b"limit = 1.5", "is not a whole number"),
        (b"linger = nan", "is not a duration"),
        (b"linger = 'soon'", "is not a duration"),
        (b'queue = "a\\u001b[2J"', "is not a text"),
        (b'"\\u001b[2J" = 1', "is a key that is not known"),
        (b"x" * 5000 + b" = 1", "is a key that is not known"),
        (b"#" * 1_000_001, "is larger than the 1,000,000 bytes"),
        (b"conf = [[1]]", "is not a text"),
    ],
)
def test_no_file_is_a_traceback(tmp_path, content, text, capsys):
    (tmp_path / "aiodag.toml").write_bytes(content)

    assert main(["runs"]) == 2
    said = capsys.readouterr().err
    assert text in said
    assert "Traceback" not in said
    assert said.strip().isprintable()


@pytest.mark.parametrize("name", ["gone.toml", ".", "pyproject.toml"])
def test_a_named_file_that_has_nothing_is_refused(tmp_path, name, capsys):
    write(tmp_path / "pyproject.toml", "[project]\n")

    assert main(["--config", name, "runs"]) == 2
    assert capsys.readouterr().err.startswith(f"aiodag: {tmp_path}")
    assert "AIODAG_CONFIG" not in os.environ


def test_info_prints_each_setting_and_where_it_comes_from(monkeypatch, tmp_path, capsys):
    write(tmp_path / "own.toml", 'timezone = "Asia/Bangkok"\nstore = "runs.db"\n')
    monkeypatch.setenv("AIODAG_QUEUE", "nightly")
    monkeypatch.setenv("AIODAG_REGISTY", "etl.tasks")

    assert main(["info", "--config", "own.toml", "--store", "memory:settings", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)["settings"]

    assert {name: found[name]["from"] for name in ("store", "timezone", "queue", "limit")} == {
        "store": "--store",
        "timezone": f"{tmp_path}/own.toml:1",
        "queue": "AIODAG_QUEUE",
        "limit": "default",
    }
    assert (found["timezone"]["value"], found["queue"]["value"]) == ("Asia/Bangkok", "nightly")
    assert "did you mean AIODAG_REGISTRY?" in said.err


def test_info_shows_no_password(monkeypatch, capsys):
    monkeypatch.setenv("AIODAG_STORE", "postgresql://me:secret@db.example/runs")

    assert main(["info", "--store", "memory:settings"]) == 0
    assert "secret" not in capsys.readouterr().out


# Each setting is used


def test_the_store_of_the_file_is_the_one_of_a_service_and_of_commands(tmp_path, capsys):
    write(tmp_path / "aiodag.toml", 'store = "runs.db"')
    write(tmp_path / "hello.json", '{"tasks": {"greet": {"command": ["echo", "hello"]}}}')

    assert main(["run", "hello.json", "-q"]) == 0
    service = Service()
    assert [run.name for run in service.runs()] == ["hello"]
    assert str(tmp_path / "runs.db") in service.place
    service.close()
    capsys.readouterr()


def test_the_queue_of_the_settings_is_that_of_submit(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("AIODAG_QUEUE", "nightly")
    write(tmp_path / "hello.json", '{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    for option in ([], ["--queue", "hourly"]):
        assert main(["--store", "runs.db", "submit", "hello.json", *option]) == 0
    capsys.readouterr()

    assert main(["--store", "runs.db", "queues", "--json"]) == 0
    assert sorted(each["name"] for each in json.loads(capsys.readouterr().out)) == ["hourly", "nightly"]


def test_the_queue_the_limit_and_the_lingering_of_the_settings_are_those_of_a_worker(tmp_path):
    """A real worker, which says what it works on before it begins."""
    write(tmp_path / "aiodag.toml", 'store = "runs.db"\nqueue = "nightly"\nlimit = 3\nlinger = "1s"\n')
    write(tmp_path / "hello.json", '{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    assert main(["submit", "hello.json", "-q"]) == 0

    worker = subprocess.run(
        [sys.executable, "-m", "aiodag", "worker", "--once"], capture_output=True, text=True, check=True
    )

    assert "works on nightly in" in worker.stderr
    assert "3 runs at once" in worker.stderr


def test_the_registry_of_a_file_is_imported_from_beside_it(monkeypatch, tmp_path, modules_forgotten):
    from aiodag.workflows.registries import import_registries

    write(tmp_path / "settings_beside.py", "")
    write(tmp_path / "own" / "settings_file.py", "")
    write(tmp_path / "aiodag.toml", 'registry = ["settings_beside", "own/settings_file.py"]')
    write(tmp_path / "deep" / "x.txt", "")
    monkeypatch.chdir(tmp_path / "deep")
    monkeypatch.setattr(sys, "path", [*sys.path])

    assert [module.__file__ for module in import_registries("hooks")] == [
        f"{tmp_path}/settings_beside.py",
        f"{tmp_path}/own/settings_file.py",
    ]


def test_the_zone_of_the_settings_is_that_of_schedules_without_one(monkeypatch, tmp_path):
    write(tmp_path / "hello.json", '{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    monkeypatch.setenv("AIODAG_TIMEZONE", "Asia/Bangkok")
    service = Service("memory:zones")

    assert service.put_schedule("nightly", "hello.json", "0 0 * * *").trigger["timezone"] == "Asia/Bangkok"
    assert service.put_schedule("nightly", "hello.json", "0 0 * * *", timezone="UTC").trigger["timezone"] == "UTC"


def test_definitions_are_found_in_the_folders_of_the_settings(monkeypatch, tmp_path, capsys):
    write(
        tmp_path / "flows" / "hello.yaml",
        "say:\n  type: Workflow\n  jobs:\n    one:\n      stages:\n        - echo: hello\n",
    )
    write(tmp_path / "aiodag.toml", 'conf = "flows"\n')
    write(tmp_path / "deep" / "x.txt", "")
    monkeypatch.chdir(tmp_path / "deep")

    assert main(["plan", "say"]) == 0

    monkeypatch.setenv("AIODAG_CONF", "gone")
    assert main(["plan", "say"]) == 2
    assert "gone: no such folder, and AIODAG_CONF names it" in capsys.readouterr().err


HOSTS = """default_host = "hpc"
[hosts.hpc]
type = "slurm"
partition = "debug"
[hosts."lab machines"]
type = "ssh"
key = "keys/id"
targets = ["node1", {address = "node2", known_hosts = "known"}]
[executors.gpu]
type = "dask"
address = "tcp://127.0.0.1:8786"
[executors]
cpu = "process"
"""


@pytest.mark.parametrize(("name", "table"), [("aiodag.toml", ""), ("pyproject.toml", "tool.aiodag.")])
def test_a_file_names_hosts_and_executors_with_paths_beside_it_and_the_line_of_each(tmp_path, name, table):
    text = HOSTS.replace("[hosts", f"[{table}hosts").replace("[executors", f"[{table}executors")
    write(tmp_path / name, f"[{table.rstrip('.')}]\n{text}" if table else f"\n{text}")
    found = settings()

    assert {host: each.value for host, each in found.hosts.items()} == {
        "hpc": {"type": "slurm", "partition": "debug"},
        "lab machines": {
            "type": "ssh",
            "key": f"{tmp_path}/keys/id",
            "targets": ["node1", {"type": "ssh", "address": "node2", "known_hosts": f"{tmp_path}/known"}],
        },
    }
    assert {each: found.executors[each].value for each in found.executors} == {
        "gpu": {"type": "dask", "address": "tcp://127.0.0.1:8786"},
        "cpu": "process",
    }
    lines = {each.origin for each in (found.default_host, *found.hosts.values(), *found.executors.values())}
    assert lines == {f"{tmp_path / name}:{line}" for line in (2, 3, 6, 10, 14)}


def test_all_that_is_wrong_with_hosts_is_said_at_once_each_at_its_line(tmp_path):
    text = """[hosts.hpc]
type = "slurm"
partion = "debug"
[hosts.local]
type = "ssh"
[hosts.lab]
type = "shh"
[hosts.rack]
type = "ssh"
targets = [{address = "me:secret@node1", keepalive = -1}, 3]
[hosts.empty]
type = "pool"
[executors]
gpu = "cuda"
"""
    write(tmp_path / "aiodag.toml", text)
    with pytest.raises(SettingsError) as caught:
        settings()
    said = [f"{each.place.rpartition(':')[2]}: {each.text}" for each in caught.value.complaints]

    assert said == [
        "3: hosts.hpc.partion: is a key that is not known here; did you mean 'partition'?",
        "4: hosts.local: is a name that is taken: it always stands for this machine",
        "7: hosts.lab.type: is 'shh', and no type has that name; did you mean 'ssh'?",
        "10: hosts.rack.targets.0.address: takes an address, without a password; this is another",
        "10: hosts.rack.targets.0.keepalive: takes seconds above 0; this is -1",
        '10: hosts.rack.targets.1: takes an object with a "type"; this is 3',
        "11: hosts.empty: lacks 'targets'",
        '14: executors.gpu: is neither an object with a "type" nor the name of an executor of this machine; known are thread, process',
    ]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["hosts = 3", "executors = []", "[hosts]\nhpc = 3", '[hosts]\n"a\\u202e" = {type="slurm"}']
)
def test_a_table_of_hosts_that_cannot_be_read_ends_in_one_line(tmp_path, capsys, text):
    write(tmp_path / "aiodag.toml", text)

    assert main(["info"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_info_shows_hosts_and_executors_and_where_they_stand(tmp_path, capsys):
    write(tmp_path / "aiodag.toml", HOSTS)
    main(["info"])
    shown = capsys.readouterr().out
    main(["info", "--json"])
    found = json.loads(capsys.readouterr().out)["settings"]

    assert f'hosts.hpc {{"type": "slurm", "partition": "debug"}} {tmp_path}/aiodag.toml:2' in " ".join(shown.split())
    assert found["hosts.hpc"] == {
        "value": {"type": "slurm", "partition": "debug"},
        "from": f"{tmp_path}/aiodag.toml:2",
    }
    assert found["executors.cpu"]["value"] == "process"
