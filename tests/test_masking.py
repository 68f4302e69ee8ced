"""What is looked for, and that nothing of it gets through: in texts, in bytes, across the borders of chunks."""

import base64
import html
import json
import logging
import random
import shlex
import subprocess
import sys
import urllib.parse

import pytest

from aiodag.masking import MARK, RECENT, TABLE, StreamMask, by_names, masked, masked_bytes, secret_in

SECRETS = [
    "hunter2-A/b'c\"d\\é\n",
    "abcdefgh",
    "efghijkl",
    "ababab",
    "correct horse battery",
    "-----KEY\nQUJDREVG\nend",
]


@pytest.fixture
def known(secrets_forgotten):
    for number, value in enumerate(SECRETS):
        TABLE.add(f"S{number}", value)


def written(value):
    nested = json.dumps([json.dumps({"x": value}, ensure_ascii=False)])
    return {
        "itself": value,
        "repr": repr(value),
        "repr with both quotes": repr(value + "'\""),
        "ascii": ascii(value),
        "repr of its bytes": repr(value.encode()),
        "JSON": json.dumps(value),
        "JSON in letters": json.dumps(value, ensure_ascii=False),
        "JSON in JSON": nested,
        "repr in JSON": json.dumps(repr([value])),
        "a shell's quotes": shlex.quote(value),
        "a URL": urllib.parse.quote(value),
        "a query": urllib.parse.quote_plus(value),
        "HTML": html.escape(value),
        "CRLF": value.replace("\n", "\r\n"),
        "hexadecimal": value.encode().hex(),
        **{f"base64 after {n}": base64.b64encode(b"u" * n + value.encode() + b":x").decode() for n in range(4)},
        "base64 for URLs": base64.urlsafe_b64encode(b"user:" + value.encode()).decode(),
    }


@pytest.mark.parametrize("value", SECRETS)
def test_a_secret_is_masked_in_every_usual_spelling(known, value):
    for spelling, text in written(value).items():
        shown = masked(f"before {text} after")

        assert MARK in shown, spelling
        assert text not in shown, spelling
        assert value not in shown, spelling
        assert shown.startswith("before "), spelling
        assert masked_bytes(f"before {text} after".encode()) == shown.encode(), spelling


def test_secrets_that_overlap_are_masked_as_one(known):
    assert masked("<abcdefghijkl>") == f"<{MARK}>"


def test_each_line_of_a_secret_is_masked(known):
    assert masked("log: QUJDREVG!") == f"log: {MARK}!"


def test_other_text_is_the_same_object(known):
    text = "nothing of that"

    assert masked(text) is text


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_in_any_chunks_is_masked_as_in_one_piece(known, seed):
    dice = random.Random(seed)
    parts = [secret.encode() for secret in SECRETS] * 2 + [b"x", b"\n", b"ab"]
    parts += [secret.encode()[: dice.randint(1, len(secret))] for secret in SECRETS]
    stream = b"".join(dice.choices(parts, k=200))
    mask, out, at = StreamMask(), [], 0
    while at < len(stream):
        size = dice.randint(1, 9)
        out.append(mask.add(stream[at : at + size]))
        at += size
    out.append(mask.add(b"", last=True))

    assert b"".join(out) == masked_bytes(stream)


def test_a_stream_holds_back_no_more_than_may_be_a_secret(known):
    mask = StreamMask()

    assert mask.add(b"ready> ") == b"ready> "
    assert mask.add(b"token abcde") == b"token "
    assert mask.add(b"?") == b"abcde?"


def test_a_value_is_named_by_its_secret_in_keys(known):
    assert by_names("f('abcdefgh')") == by_names("f('abcdefgh')") != "f('abcdefgh')"
    assert by_names("f('abcdefgh')").count("S1") == 1


def test_a_value_with_a_secret_is_found_as_text_and_as_bytes(known):
    assert (secret_in('{"a":"<abcdefgh>"}'), secret_in(b"\x80abcdefgh."), secret_in("none")) == ("S1", "S1", None)


def test_of_one_secret_the_recent_values_are_masked(secrets_forgotten):
    for number in range(RECENT + 5):
        TABLE.add("TOKEN", f"token-{number:04}")

    assert masked(f"token-0000 token-{RECENT + 4:04}") == f"token-0000 {MARK}"


def test_a_log_record_is_masked_whoever_handles_it(known, caplog):
    with caplog.at_level(logging.INFO, "some.library"):
        logging.getLogger("some.library").info("sent %s to %d", "abcdefgh", 7)
        try:
            raise ValueError("correct horse battery")
        except ValueError:
            logging.getLogger("some.library").exception("failed")

    said = [line.getMessage() for line in caplog.records if line.name == "some.library"]
    assert said == [f"sent {MARK} to 7", "failed"]
    assert "correct horse" not in caplog.text
    assert f"ValueError: {MARK}" in caplog.text


def test_what_python_prints_of_an_exception_that_ends_a_program_is_masked():
    program = """
import os
from aiodag import Secret
os.environ["TOKEN"] = "abcdefgh"
raise RuntimeError("refused: " + Secret("TOKEN").read())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert ended.returncode == 1
    assert ended.stderr.endswith(f"RuntimeError: refused: {MARK}\n")
    assert "abcdefgh" not in ended.stderr.replace('= "abcdefgh"', "")


def test_what_python_prints_of_an_exception_that_ends_a_thread_is_masked():
    program = """
import os, threading
from aiodag import Secret
os.environ["TOKEN"] = "abcdef" + "gh"

def refused():
    raise RuntimeError("refused: " + Secret("TOKEN").read())

thread = threading.Thread(target=refused)
thread.start()
thread.join()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert ended.returncode == 0
    assert ended.stderr.endswith(f"RuntimeError: refused: {MARK}\n")
    assert "abcdefgh" not in ended.stderr
