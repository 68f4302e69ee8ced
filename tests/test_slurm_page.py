"""The page about Slurm: what it shows runs, and its tables are complete."""

import inspect
import os
import re
import subprocess
import sys
import tomllib

from programs import ROOT

from aiodag.commands.forms import HOST_TYPES, host_of_form
from aiodag.commands.slurm import KNOWN, Slurm

PAGE = (ROOT / "docs" / "slurm.md").read_text("utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def block(language):
    (text,) = [found["text"] for found in BLOCK.finditer(PAGE) if found["language"] == language]
    return text


def rows(heading):
    table = PAGE[PAGE.index(heading) :].split("\n\n")[0]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_program_prints_what_the_page_says(slurm, tmp_path):
    (tmp_path / "example.py").write_text(block("python"))

    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(slurm.root / "shared")},
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, block("text"), "")


def test_the_settings_make_a_host():
    (form,) = tomllib.loads(block("toml"))["hosts"].values()

    host = host_of_form(form, "hpc")

    assert host.form() == form
    assert host.refuse({"licences": 2, "cores": 1}) == ""


def test_the_table_of_options_has_all_of_them():
    assert rows("| option | is |") == set(inspect.signature(Slurm).parameters)
    assert rows("| option | is |") == {*HOST_TYPES["slurm"].keys, "name"}


def test_the_table_of_resources_has_all_that_slurm_knows():
    assert rows("| `resources` of the task |") == set(KNOWN)
