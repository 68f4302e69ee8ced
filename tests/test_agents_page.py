"""The page about agents: what it shows can be typed, and does what it says."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser

import pytest
from programs import ROOT

from aiodag.cli.grammar import build_parser, parse

pytest.importorskip("starlette")
pytest.importorskip("aiohttp")

PAGE = (ROOT / "docs" / "agents.md").read_text("utf-8")
UNIT = ROOT / "examples" / "deployment" / "aiodag-agent.service"
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
HERE = "http://127.0.0.1:2504"


def blocks(language):
    return [found["text"] for found in BLOCK.finditer(PAGE) if found["language"] == language]


TYPED = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("aiodag ")]


@pytest.mark.parametrize("command", TYPED)
def test_every_command_can_be_typed(command):
    _, *words = shlex.split(command)

    assert parse(words).command == words[0]


def test_every_option_of_an_agent_has_a_row():
    rows = set(re.findall(r"`(--[\w-]+)", "\n".join(re.findall(r"^\| (`--.*?) \|", PAGE, re.MULTILINE))))
    common = {"--help", "--store", "--config", "--json", "--quiet", "--traceback", "--new-token"}

    assert rows == {each for each in build_parser().commands["agent"].options() if each[:2] == "--"} - common


def test_the_program_prints_what_the_page_says(new_agent):
    agent = new_agent(cores=4)
    (source,), (expected, _, _) = blocks("python"), blocks("text")
    (agent.folder / "example.py").write_text(source.replace(HERE, agent.address))

    done = subprocess.run(
        [sys.executable, "example.py"], cwd=agent.folder, capture_output=True, text=True, check=False, env=environment()
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_settings_are_read(tmp_path, monkeypatch):
    from aiodag.service.agents import agent_forms

    (settings,) = blocks("toml")
    (tmp_path / "aiodag.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    forms = {name: [form["address"] for form in found] for name, found in agent_forms().items()}

    assert forms == {
        "big": ["https://render1.example.org:2504"],
        "farm": ["http://render2.example.org:2504", "http://render3.example.org:2504"],
    }
    assert tomllib.loads(settings)["hosts"].keys() == forms.keys()


def test_curl_is_told_what_the_page_says(new_agent):
    if shutil.which("curl") is None:
        pytest.skip("no curl here: apt-get install curl")
    agent = new_agent(cores=4)
    line = next(line for block in blocks("sh") for line in block.splitlines() if line.startswith("curl "))
    line = line.replace(HERE, agent.address).replace("curl ", "curl --silent ")

    done = subprocess.run(["sh", "-c", line], cwd=agent.folder, capture_output=True, text=True, check=True)

    assert f"{done.stdout}\n" == blocks("text")[2]


def test_the_table_of_agents_has_the_head_that_it_prints():
    from aiodag.cli.agents import HEAD

    assert tuple(blocks("text")[1].splitlines()[0].split()) == HEAD


def unit():
    """Return the sections of the unit: LoadCredential stands there twice."""
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


def test_the_page_shows_the_unit_that_the_source_has():
    assert blocks("ini") == [UNIT.read_text("utf-8")]


def test_the_unit_gives_an_agent_longer_to_stop_than_it_takes():
    service = unit()["Service"]
    _, *words = shlex.split(service["ExecStart"])

    args = parse(words)

    assert args.command == "agent"
    assert float(service["TimeoutStopSec"]) > args.grace
    assert service["KillMode"] == "mixed"


def test_systemd_takes_the_unit_of_an_agent(tmp_path):
    if shutil.which("systemd-analyze") is None:
        assert {"Unit", "Service", "Install"} == {*unit().sections()}
        return
    placed = tmp_path / "aiodag-agent.service"
    placed.write_text(UNIT.read_text("utf-8").replace("/srv/etl/.venv/bin/aiodag", sys.executable))

    done = subprocess.run(["systemd-analyze", "verify", placed], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
