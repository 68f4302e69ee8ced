"""What `aiodag serve` is told: options over the environment over the file, and all that is wrong at once."""

from pathlib import Path

import pytest
from typed_in import run_command

from aiodag.errors import SettingsError
from aiodag.service.serve_options import SERVE_KEYS, ServeOptions, serve_options
from aiodag.service.settings import variable_of

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIODAG_TOKEN", raising=False)
    monkeypatch.setenv("AIODAG_STORE", f"sqlite:///{tmp_path}/runs.db")
    return tmp_path


def complaints_of(typed=()):
    with pytest.raises(SettingsError) as raised:
        serve_options(dict(typed))
    return [str(each) for each in raised.value.complaints]


def test_a_server_is_for_this_machine_unless_somebody_says_otherwise(here):
    assert serve_options({}) == ServeOptions() == ServeOptions(host="127.0.0.1", port=2503)
    assert not ServeOptions().is_exposed


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.com", "127.example"])
def test_other_addresses_are_exposed(host):
    assert ServeOptions(host=host).is_exposed


def test_an_option_wins_over_the_environment_and_that_over_the_file(here, monkeypatch):
    Path("aiodag.toml").write_text('[serve]\nport = 1\nhost = "::1"\nroot_path = "/a/"\nworker = true\nlimit = 3\n')
    monkeypatch.setenv("AIODAG_SERVE_PORT", "2")
    monkeypatch.setenv("AIODAG_SERVE_HOST", "localhost")
    monkeypatch.setenv("AIODAG_SERVE_LIMIT", "")
    found = serve_options({"port": "3"})

    assert (found.port, found.host, found.root_path, found.worker, found.limit) == (3, "localhost", "/a", True, 3)


def test_every_key_is_read_from_each_place(here, monkeypatch):
    given = {
        "host": "[::1]",
        "port": "80",
        "root_path": "/x",
        "trust_proxy": "10.0.0.0/8,127.0.0.1",
        "allow_host": "Example.com",
        "allow_origin": "https://example.com:8443",
        "token_file": "token",
        "env": "HOME,DAY",
        "no_commands": "true",
        "only_registered": "1",
        "certificate": "c.pem",
        "key": "k.pem",
        "worker": "yes",
        "queue": "nightly,hourly",
        "limit": "7",
    }
    assert set(given) == set(SERVE_KEYS)
    for name, text in given.items():
        monkeypatch.setenv(variable_of(f"serve_{name}"), text)
    from_environment = serve_options({})
    for name in given:
        monkeypatch.delenv(variable_of(f"serve_{name}"))
    Path("aiodag.toml").write_text("[serve]\n" + "".join(f'{name} = "{text}"\n' for name, text in given.items()))
    from_file = serve_options({})
    Path("aiodag.toml").unlink()

    assert serve_options(given) == from_environment
    assert from_environment._replace(token_file=None, certificate=None, key=None) == ServeOptions(
        "::1",
        80,
        "/x",
        ("10.0.0.0/8", "127.0.0.1"),
        ("example.com",),
        ("https://example.com:8443",),
        environment=("HOME", "DAY"),
        no_commands=True,
        only_registered=True,
        worker=True,
        queues=("nightly", "hourly"),
        limit=7,
    )
    assert from_file.token_file == here / "token"  # relative to the file
    assert (
        from_file._replace(token_file=Path("token"), certificate=Path("c.pem"), key=Path("k.pem")) == from_environment
    )


def test_all_that_is_wrong_is_said_with_its_place(here, monkeypatch):
    Path("aiodag.toml").write_text('[serve]\nhots = "a"\nport = 70000\nno_commands = "maybe"\nlimit = true\n')
    monkeypatch.setenv("AIODAG_SERVE_ENV", "a-b")
    said = complaints_of({"trust_proxy": ["everywhere"], "key": "k.pem", "queue": ["a"]})

    assert said == [
        f"{here}/aiodag.toml:2: 'hots': did you mean 'host'?",
        f"{here}/aiodag.toml:3: 70000 is not a port: a number up to 65535, and 0 for one that is free",
        f"{here}/aiodag.toml:4: 'maybe' is neither true nor false",
        f"{here}/aiodag.toml:5: True is not a whole number of 1 or more",
        "AIODAG_SERVE_ENV: 'a-b' is not the name of a variable of the environment",
        "--trust-proxy: 'everywhere' is not the address of a proxy, such as 127.0.0.1, or a network, such as 10.0.0.0/8",
        "key: is the key of a certificate, so it is given with one",
        "--queue: is for the worker of this server, which --worker starts",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""),
        ("host", "a b"),
        ("host", "http://127.0.0.1"),
        ("port", "-1"),
        ("port", "٣"),
        ("port", True),
        pytest.param("port", 10**5000, id="port-of-5000-digits"),
        ("root_path", "aiodag"),
        ("root_path", "/a/../b"),
        ("root_path", "/a?b"),
        ("root_path", "/a\r\nX: y"),
        ("allow_host", ["example.com:80"]),
        ("allow_host", ["*"]),
        ("allow_origin", ["example.com"]),
        ("allow_origin", ["https://example.com/path"]),
        ("allow_origin", ["*"]),
        ("trust_proxy", ["10.0.0.1/8"]),
        ("env", ["A=B"]),
        ("worker", 2),
        ("limit", "0"),
        ("queue", [3]),
    ],
)
def test_what_cannot_be_is_refused(here, name, value):
    assert len(complaints_of({"worker": True, name: value} if name != "worker" else {name: value})) == 1


def test_a_table_that_is_none_is_refused(here):
    Path("aiodag.toml").write_text("serve = 3\n")

    assert complaints_of() == [f"{here}/aiodag.toml:1: serve: takes a table, [serve]; this is 3"]


def test_other_commands_do_not_mind_what_a_server_is_told(here, capsys):
    Path("aiodag.toml").write_text("[serve]\nport = 70000\n")

    assert "no runs" in run_command(capsys, "runs").err


# --check


def test_a_check_says_that_nothing_is_wrong(here, capsys):
    said = run_command(capsys, "serve", "--check", "--port", "0").out

    assert said == "nothing is wrong: `aiodag serve` would listen on 127.0.0.1, port 0\n"


def test_a_check_says_all_that_is_wrong(here, capsys, web_server):
    Path("aiodag.toml").write_text('queu = "a"\n[serve]\nhots = "a"\n')
    said = run_command(capsys, "serve", "--check", code=2).err

    assert said.splitlines() == [
        f"aiodag: {here}/aiodag.toml:1: queu: is a key that is not known here; did you mean queue?",
        f"aiodag: {here}/aiodag.toml:3: 'hots': did you mean 'host'?",
    ]
    Path("aiodag.toml").unlink()
    said = run_command(capsys, "serve", "--check", f"--port={web_server.port}", "--token-file=gone", code=2).err
    assert "token_file" in said
    assert f"cannot listen on 127.0.0.1:{web_server.port}: Address already in use" in said
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "aiodag token new"),
        (["--host", "192.0.2.7", "--token-file", "token"], "cannot listen on 192.0.2.7:2503"),
        (["--token-file", "gone"], "No such file"),
        (["--token-file", "short"], "visible ASCII characters"),
        (["--certificate", "token"], "a PEM file with a certificate"),
        (["--port", "x"], "--port: 'x' is not a port"),
        (["--prot", "1"], "did you mean --port?"),
        (["--store", "mysql://x"], "mysql"),
        (["--store", "memory:x", "--worker", "--port", "0"], "in the memory of this process"),
    ],
)
def test_what_is_typed_wrong_ends_in_one_line_and_serves_nothing(here, capsys, words, said):
    (here / "token").write_text("0123456789abcdef" * 4)
    (here / "short").write_text("secret-one")
    error = run_command(capsys, "serve", *words, code=2).err

    assert said in error
    assert len(error.splitlines()) == 1
    assert "secret-one" not in error
