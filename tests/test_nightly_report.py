"""The nightly report: over a real history, in Python and by commands alone, the same page; and a history that is gone."""

import os
import subprocess

import pytest
from programs import ROOT
from typed_in import Place

EXAMPLES = ROOT / "examples"
COMMITS = [
    ("Ada & Co", "2026-01-31", "Begin"),
    ("Ada & Co", "2026-01-31", "Begin again & again"),
    ("Zoë", "2026-02-01", "Add\ta tab"),
    ("Zoë", "2026-02-01", "# no heading"),
    ('O"Neil', "2026-02-02", "<script>"),
    *[("Ada & Co", f"2026-03-{day:02}", f"Word{day} more") for day in range(1, 13)],
]


@pytest.fixture
def place(tmp_path):
    """A repository with a history."""
    made = Place(tmp_path)
    made.env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    git = ["git", "-c", "commit.gpgsign=false", "-c", "user.email=ada@example.org"]
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, env=made.env, check=True)
    for name, day, subject in COMMITS:
        dates = {"GIT_AUTHOR_DATE": f"{day}T12:00:00Z", "GIT_COMMITTER_DATE": f"{day}T12:00:00Z"}
        commit = [*git, "-c", f"user.name={name}", "commit", "-q", "--allow-empty", "-m", subject]
        subprocess.run(commit, cwd=tmp_path, env=made.env | dates, check=True)
    return made


def test_both_write_the_same_page(place):
    page = place.path / "nightly" / "report.html"
    place("run", str(EXAMPLES / "11_nightly_report.json"))
    by_commands = page.read_bytes()
    page.unlink()
    place("run", f"{EXAMPLES / '11_nightly_report.py'}:nightly")
    assert page.read_bytes() == by_commands
    text = by_commands.decode()
    assert "<tr><td>14<td>Ada &amp; Co\n" in text
    assert "<tr><td>1<td>&lt;script&gt;\n" in text
    assert "<tr><td>2<td>Zoë\n" in text
    assert text.count("<tr>") == 10 + 3 + 10  # of 15 days, 3 authors and 16 words


def test_the_program_itself(place):
    out, _ = place(python=(str(EXAMPLES / "11_nightly_report.py"),))
    assert out == f"nightly/report.html: {len(COMMITS)} commits of 3 authors\n"


def test_no_history(tmp_path):
    made = Place(tmp_path)
    made.env |= {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    _, err = made("run", str(EXAMPLES / "11_nightly_report.json"), "--id", "nightly", code=1)
    assert "not a git repository" in err
    states = [node["state"] for node in made.json("show", "nightly")["nodes"]]
    assert states == ["failed", *["skipped"] * 5]
