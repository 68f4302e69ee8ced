"""What people type to run agents and to look after them."""

import json
import os
import stat

import pytest
from typed_in import run_command

from aiodag.commands.agent_wire import write_token

pytest.importorskip("starlette")
pytest.importorskip("aiohttp")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_a_token_is_made_that_nobody_else_can_read(here, capsys):
    run_command(capsys, "agent", "--new-token", "token")

    assert stat.S_IMODE((here / "token").stat().st_mode) == 0o600
    assert len((here / "token").read_text().strip()) > 40
    assert "File exists" in run_command(capsys, "agent", "--new-token", "token", code=2).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--token-file"),
        (["--token-file", "gone"], "No such file"),
        (["--token-file", "open"], "chmod 600"),
        (["--token-file", "endless"], "4,096 at most"),
        (["--listen", "everywhere"], "an address and a port, such as 127.0.0.1:2504"),
        (["--listen", "127.0.0.1:70000"], "an address and a port"),
        (["--listen", "192.0.2.7:2504"], "cannot listen on 192.0.2.7:2504"),
        (["--resources", "cores"], "is not NAME=VALUE"),
        (["--resources", "cores=0"], "a finite number above 0"),
        (["--resources", "cores=1", "--resources", "cores=2"], "given once for 'cores'"),
        (["--orphan-grace", "0s"], "between one second and one day"),
        (["--orphan-grace", "soon"], "is not a duration"),
        (["--key", "key.pem"], "given with --certificate"),
        (["--certificate", "gone.pem"], "a PEM file with a certificate"),
        (["--certificate", "open"], "a PEM file with a certificate"),
        (["--directory", "open"], "a directory in which files can be made"),
        (["--resource", "cores=1"], "did you mean --resources?"),
    ],
)
def test_what_is_typed_wrong_ends_in_one_line(here, capsys, words, said):
    for name, mode, times in (("token", 0o600, 1), ("open", 0o644, 1), ("endless", 0o600, 500)):
        (here / name).write_text("one-token-of-many-bytes" * times)
        (here / name).chmod(mode)
    token = [] if not words or "--token-file" in words else ["--token-file", "token"]
    error = run_command(capsys, "agent", *token, *words, code=2).err

    assert said in error
    assert len(error.splitlines()) <= 2
    assert "Traceback" not in error


def test_two_agents_do_not_share_a_directory_or_a_port(shared_agent, here, capsys):
    token = f"--token-file={shared_agent.token_file}"
    folder = f"--directory={shared_agent.folder}/agent"

    said = run_command(capsys, "agent", token, folder, "--listen=127.0.0.1:0", code=2).err
    assert "another agent uses the directory" in said
    said = run_command(capsys, "agent", token, f"--listen=127.0.0.1:{shared_agent.port}", code=2).err
    assert f"cannot listen on 127.0.0.1:{shared_agent.port}: Address already in use" in said


def settings_with(here, *agents):
    """Write settings with agents: one is a host, more are the targets of a pool."""
    one = f'[hosts.one]\ntype = "agent"\naddress = "{agents[0].address}"\ntoken_file = "{agents[0].token_file}"\n'
    targets = ", ".join(f'"{each.address}"' for each in agents)
    pool = f'[hosts.all]\ntype = "agent"\ntoken_file = "{agents[0].token_file}"\ntargets = [{targets}]\n'
    (here / "aiodag.toml").write_text(f'{one}{pool}[hosts.other]\ntype = "ssh"\naddress = "node1"\n')


def test_agents_are_listed_drained_and_undrained(new_agent, here, capsys):
    agent, other = new_agent(cores=2), new_agent(cores=3)
    settings_with(here, agent, other)
    listed = run_command(capsys, "agents").out.splitlines()
    drained = json.loads(run_command(capsys, "agents", "--drain", "one", "--json").out)
    after = json.loads(run_command(capsys, "agents", "--json").out)
    one = json.loads(run_command(capsys, "agents", "--undrain", f"{agent.address}/", "--json").out)

    assert [line.split()[0] for line in listed] == ["HOST", "one", "all", "all"]
    assert listed[1].split() == ["one", agent.address, "ready", "0", "cores=2", "cores=2"]
    assert [(each["host"], each["state"]) for each in drained] == [("one", "drained")]
    assert [(each["address"], each["state"]) for each in after] == [
        (agent.address, "drained"),
        (agent.address, "drained"),
        (other.address, "ready"),
    ]
    assert {each["state"] for each in one} == {"ready"}


def test_an_agent_that_is_down_is_told_with_the_reason(new_agent, here, capsys):
    agent = new_agent()
    settings_with(here, agent)
    agent.kill()
    printed = run_command(capsys, "agents", "one", code=1)

    assert printed.out.splitlines()[1].split()[:3] == ["one", agent.address, "unreachable"]
    assert agent.address in printed.err
    assert "did you mean 'one'?" in run_command(capsys, "agents", "--drain", "on", code=2).err
    said = run_command(capsys, "agents", "--drain", "one", code=2).err
    assert f"the agent at {agent.address}" in said
    assert len(said.splitlines()) == 1
    agent.token_file.unlink()
    assert "No such file" in run_command(capsys, "agents", "one", code=1).err


def test_agents_that_nobody_knows_are_refused(here, capsys):
    assert "no agents in the settings" in run_command(capsys, "agents").err
    assert "the settings have none" in run_command(capsys, "agents", "--drain", "one", code=2).err
    assert "the settings have none" in run_command(capsys, "agents", "--drain", "", code=2).err
    assert "which names it" in run_command(capsys, "agents", "b", "--drain", "a", code=2).err
    assert "one at a time" in run_command(capsys, "agents", "--drain", "a", "--undrain", "b", code=2).err


def test_an_agent_has_what_its_machine_has(here):
    from aiodag.service.agents import machine_resources

    found = machine_resources()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["memory_mb"] > 100


def test_an_agent_of_a_pool_is_found_by_its_own_name(here, capsys):
    write_token(here / "token")
    targets = 'targets = [{address = "http://127.0.0.1:1", name = "bee"}, "http://127.0.0.1:2"]'
    (here / "aiodag.toml").write_text(f'[hosts.farm]\ntype = "agent"\ntoken_file = "token"\n{targets}\n')

    found = json.loads(run_command(capsys, "agents", "bee", "--json", code=1).out)
    assert [each["address"] for each in found] == ["http://127.0.0.1:1"]
