"""The page about SSH: what it shows runs, and its tables are whole."""

import inspect
import re
import tomllib

from programs import ROOT, check, run

from aiodag.commands.forms import HOST_TYPES, host_of_form
from aiodag.commands.ssh import SSH

PAGE = (ROOT / "docs" / "ssh.md").read_text("utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    return [found["text"] for found in BLOCK.finditer(PAGE) if found["language"] == language]


def test_its_program_does_what_it_says(ssh_server):
    (program,), (output,) = blocks("python"), blocks("text")
    shown = 'SSH("etl@example.org:22", key="~/.ssh/etl")'
    here = f"SSH({ssh_server.address!r}, key={str(ssh_server.key)!r}, known_hosts={str(ssh_server.known_hosts)!r})"

    assert shown in program
    check(run(program.replace(shown, here), "sums.py"), "docs/ssh.md", output)


def test_its_settings_make_a_host():
    (settings,) = blocks("toml")
    (form,) = tomllib.loads(settings)["hosts"].values()

    host = host_of_form(form)
    assert (host.name, str(host.address), host.resources) == (
        "example.org",
        "etl@example.org:22",
        {"cores": 8},
    )


def test_every_key_has_a_row():
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))

    assert rows == set(HOST_TYPES["ssh"].keys)
    assert rows <= set(inspect.signature(SSH).parameters)
