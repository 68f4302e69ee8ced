"""What docs/the-server.md says is so."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from programs import ROOT

from aiodag.service.serve_options import SERVE_KEYS, serve_options
from aiodag.service.settings import variable_of

PAGE = (ROOT / "docs" / "the-server.md").read_text("utf-8")


def test_the_table_has_every_key():
    rows = re.findall(r"^\| `(--[\w-]+)` \| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE)

    assert rows == [(f"--{key.replace('_', '-')}", key, variable_of(f"serve_{key}")) for key in SERVE_KEYS]


def test_the_file_with_settings_is_read(tmp_path, monkeypatch):
    (text,) = re.findall(r"<!-- file: serve.toml -->\n```toml\n(.*?)```", PAGE, re.DOTALL)
    Path(tmp_path, "aiodag.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    options = serve_options({})

    assert (options.host, options.root_path, options.only_registered) == ("0.0.0.0", "/aiodag", True)
    assert len(tomllib.loads(text)["serve"]) == 6


@pytest.mark.parametrize("line", re.findall(r"^(?:curl|aiodag runs) .*$", PAGE, re.MULTILINE))
def test_what_the_page_asks_is_answered(web_server, line):
    line = line.replace("http://127.0.0.1:2503", web_server.address).replace("aiodag ", "python -m aiodag ", 1)
    env = {
        **os.environ,
        "AIODAG_TOKEN": web_server.token,
        "PATH": f"{Path(os.sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", line], env=env, cwd=web_server.folder, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", ["/live", "/ready", "/metrics", "/docs", "/openapi.json", "/runs"])
def test_every_address_is_there(web_server, path):
    assert f"`{path}`" in PAGE
    assert web_server.ask(path).status == 200
    assert web_server.ask(path, token=None).status in ({200} if path in {"/live", "/ready"} else {303, 401})


@pytest.mark.parametrize("path", ["/schedules", "/queues", "/workers", "/messages", "/audit"])
def test_the_rest_of_the_store_is_there(web_server, path):
    assert f"`{path}`" in PAGE
    assert web_server.ask(path).status == 200


def test_the_unit_of_the_server_can_be_started():
    unit = (ROOT / "examples" / "deployment" / "aiodag-serve.service").read_text("utf-8")
    (line,) = re.findall(r"^ExecStart=\S+/(aiodag .*)$", unit, re.MULTILINE)
    from aiodag.cli.grammar import parse

    args = parse(shlex.split(line.replace("${CREDENTIALS_DIRECTORY}", "/run"))[1:])

    assert (args.command, args.root_path, args.allow_host) == ("serve", "/aiodag", ["example.com"])
