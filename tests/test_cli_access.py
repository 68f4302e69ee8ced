"""`aiodag token` and `aiodag audit`, as people type them."""

import json
import re

import pytest

from aiodag.access import Caller, Role
from aiodag.cli import main
from aiodag.service import Service


@pytest.fixture
def typed(tmp_path, capsys, monkeypatch):
    """What types a command; it returns its exit code, its output and its remarks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIODAG_STORE", "runs.db")

    def type_in(*words):
        try:
            code = main(list(words))
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return code, out, err

    return type_in


def test_a_token_is_printed_once_and_lets_its_holder_in(typed):
    code, out, err = typed("token", "new", "ci", "--role", "operate", "--expires", "30d")
    token = out.strip()

    assert (code, err) == (0, "")
    assert re.fullmatch(r"aiodag_[\w-]{43}", token)
    assert Service("runs.db").caller_of_token(token).role is Role.OPERATE
    for command in (["token"], ["token", "list", "--json"], ["audit"], ["info"]):
        assert token not in "".join(typed(*command)[1:])


def test_a_token_may_read_unless_somebody_says_more(typed):
    answer = json.loads(typed("token", "new", "ann", "--json")[1])

    assert Service("runs.db").caller_of_token(answer["token"]).role is Role.READ
    assert (answer["name"], answer["role"]) == ("ann", "read")


def test_tokens_are_listed_with_their_states(typed):
    typed("token", "new", "ann")
    typed("token", "new", "bob", "--expires", "0s")
    typed("token", "new", "eve", "--role", "operate")
    typed("token", "revoke", "eve")

    lines = [line.split()[:3] for line in typed("token")[1].splitlines()]
    assert lines == [
        ["TOKEN", "ROLE", "STATE"],
        ["ann", "read", "valid"],
        ["bob", "read", "expired"],
        ["eve", "operate", "revoked"],
    ]
    assert [each["state"] for each in json.loads(typed("token", "--json")[1])] == ["valid", "expired", "revoked"]


def test_a_revoked_token_says_so_and_lets_nobody_in(typed):
    token = typed("token", "new", "ann")[1].strip()

    assert typed("token", "revoke", "ann") == (0, "", "token ann lets nobody in any more\n")
    assert Service("runs.db").caller_of_token(token) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["token", "revoke", "nobody"], "no valid token 'nobody'"),
        (["token", "new"], "the token to make"),
        (["token", "revoke"], "the token to revoke"),
        (["token", "list", "ann"], "list shows all"),
        (["token", "revoke", "ann", "--role", "read"], "given with new"),
        (["token", "--expires", "3d"], "given with new"),
        (["token", "new", "a", "--role", "root"], "root"),
        (["token", "new", "a", "--expires", "soon"], "soon"),
        (["token", "make", "a"], "make"),
        (["token", "new", "a\x1b[2J"], "1 to 100 visible characters"),
        (["audit", "--limit", "0"], "0"),
        (["audit", "--forget", "x"], "x"),
        (["token", "--store", "ftp://x"], "ftp"),
    ],
)
def test_what_is_typed_wrong_ends_in_one_line_and_makes_nothing(typed, words, says):
    code, out, err = typed(*words)

    assert (code, out) == (2, "")
    assert says in err
    assert "\x1b" not in err
    assert "Traceback" not in err
    assert Service("runs.db").tokens() == []


def test_audit_lines_are_listed_newest_first_and_forgotten_by_age(typed):
    service = Service("runs.db")
    for run in ("monday", "tues\x1b[2Jday"):
        number = service.note_request(Caller("ops", Role.OPERATE), "cancel", run, address="10.0.0.1")
    service.note_answer(number, 202)

    code, out, _ = typed("audit")
    lines = out.splitlines()
    assert (code, lines[0].split()) == (0, ["WHEN", "WHO", "WHAT", "ABOUT", "ANSWER", "FROM"])
    assert [line.split()[2:] for line in lines[1:]] == [
        ["ops", "cancel", "tues\\x1b[2Jday", "202", "10.0.0.1"],
        ["ops", "cancel", "monday", "?", "10.0.0.1"],
    ]
    assert [each["about"] for each in json.loads(typed("audit", "--about", "monday", "--json")[1])] == ["monday"]
    assert typed("audit", "--who", "nobody")[1] == ""
    assert typed("audit", "--forget", "1d")[1] == "forgot 0 lines\n"
    assert typed("audit", "--forget", "0s")[1] == "forgot 2 lines\n"
