"""What docs/http-api.md says is so: its reference is that of the server, and what it types is answered."""

import os
import re
import subprocess

import pytest
from programs import ROOT

pytest.importorskip("fastapi")

PAGE = (ROOT / "docs" / "http-api.md").read_text("utf-8")


def test_the_reference_is_that_of_the_server():
    from assets import http_api

    assert http_api.page() == PAGE, "write it again: python assets/http_api.py"


@pytest.mark.parametrize("line", re.findall(r"^(?:curl|printf) .*$", PAGE, re.MULTILINE))
def test_what_the_page_asks_is_answered(web_server, line):
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line.replace('http://127.0.0.1:2503', web_server.address)}"],
        env={**os.environ, "AIODAG_TOKEN": web_server.token},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout[:1] in {"[", "{"}) == (0, True), done


def test_the_example_of_a_problem_is_one(web_server):
    answer = web_server.ask("/api/v1/runs/mondy").json()
    shown = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]

    assert {f'"{key}"' for key in answer} <= set(re.findall(r'"\w+"', shown))
