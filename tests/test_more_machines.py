"""The page on more machines: its program runs at every place that the page names, with the settings that it shows."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache

import pytest
from programs import ROOT

PAGE = (ROOT / "docs" / "more-machines.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PROGRAMS = {
    "aiodag": [sys.executable, "-m", "aiodag"],
    "dask": [sys.executable, "-m", "dask"],
    "ray": [sys.executable, "-m", "ray.scripts.scripts"],
}


def blocks(section, language):
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)


def survey(folder, settings, *words, **environment):
    """Run the program of the page there, and return its value as it prints it."""
    (folder / "survey.py").write_text(*blocks("One program", "python"))
    (folder / "aiodag.toml").write_text(settings)
    done = subprocess.run(
        [*PROGRAMS["aiodag"], *words, "--store", folder / "runs.db", "survey.py:survey"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settings_of(section, **instead):
    """Return the settings that a section shows, with other addresses."""
    (settings,) = blocks(section, "toml")
    for key, value in instead.items():
        settings, count = re.subn(rf'^{key} = ".*?"', f'{key} = "{value}"', settings, flags=re.MULTILINE)
        assert count == 1, key
    return settings


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_on_this_machine(tmp_path, executor):
    settings = settings_of("On this machine").replace('"thread"', f'"{executor}"', 1)

    assert survey(tmp_path, settings, "run") == "12\n"


def test_over_ssh(tmp_path, ssh_server):
    settings = settings_of("SSH", address=ssh_server.address, key=ssh_server.key, known_hosts=ssh_server.known_hosts)

    assert survey(tmp_path, settings, "run") == "12\n"


def test_at_an_agent(tmp_path, shared_agent):
    shutil.copy(shared_agent.token_file, tmp_path / "token")

    assert survey(tmp_path, settings_of("An agent", address=shared_agent.address), "run") == "12\n"


def test_on_slurm(tmp_path, slurm):
    # The directory of jobs is one that all nodes see, and root's home here is one that nobody should write to.
    settings = settings_of("Slurm").replace(
        "[executors]", f'directory = "{slurm.root / "shared" / "page"}"\n[executors]'
    )

    assert survey(tmp_path, settings, "run") == "12\n"


def test_on_dask(tmp_path, dask_cluster):
    assert survey(tmp_path, settings_of("Dask", address=dask_cluster.heal().address), "run") == "12\n"


def test_by_a_worker_of_a_queue(tmp_path):
    survey(tmp_path, settings_of("On this machine"), "submit")
    worker = [*PROGRAMS["aiodag"], "worker", "--once", "--store", tmp_path / "runs.db"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(worker, cwd=tmp_path, env=environment, capture_output=True, timeout=300, check=True)
    shown = subprocess.run(
        [*PROGRAMS["aiodag"], "runs", "--store", tmp_path / "runs.db"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "succeeded" in shown.stdout


@pytest.mark.parametrize("line", re.findall(r"^(?:aiodag|dask|ray) [^\n]* --[^\n]*", PAGE, re.MULTILINE))
def test_programs_have_the_options_that_the_page_types(line):
    program, command, *words = line.split()
    shown = options_of(program, command if command.isalpha() else "")

    assert [word for word in words if word.startswith("--") and word not in shown] == []


@cache
def options_of(program, command):
    words = [*PROGRAMS[program], *([command] if command else []), "--help"]
    return subprocess.run(words, capture_output=True, text=True, timeout=180, check=True).stdout
