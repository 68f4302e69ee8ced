"""Every Python block of the documentation runs, and prints what the page says it prints.

A page steers this with comments, each on the line before a block:

    <!-- not run: reason -->   the block is shown only
    <!-- continues -->         the block goes on where the last one that runs stopped
    <!-- output -->            the text block is what the Python block before it prints

Each program is a file example.py, whose first line is the first line of its block.
"""

import re

import pytest
from programs import ROOT, check, run_all, selected

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(
    r"^(?:<!-- *(?P<note>not run: *\S.*?|continues|output) *-->\n\n?)?"
    r"^(?P<fence>```+)(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)


class Program:
    """The Python blocks that run as one file, and what they print."""

    def __init__(self, where, source):
        self.where = where
        self.source = source
        self.expected = None


def programs_of(text, page):
    """Find the programs of a page, in order."""
    programs = []
    for block in FENCE.finditer(text):
        note, language = block["note"] or "", block["language"].strip()
        where = f"{page}:{text.count(chr(10), 0, block.start('language')) + 1}"
        if language == "python" and not note.startswith("not run"):
            take(programs, note, where, block["text"])
        elif note == "output":
            assert programs, f"{where}: output of what?"
            programs[-1].expected = (programs[-1].expected or "") + block["text"]
        else:
            assert note != "continues", f"{where}: only a Python block that runs can continue"
    return programs


def take(programs, note, where, source):
    if note != "continues":
        programs.append(Program(where, source))
        return
    assert programs, f"{where}: continues what?"
    programs[-1].source += source


PROGRAMS = {
    program.where: program
    for page in PAGES
    for program in programs_of(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix())
}


@pytest.fixture(scope="module")
def finished(request):
    wanted = sorted(selected(request.session, "on_page"))
    with run_all({where: (PROGRAMS[where].source, "example.py") for where in wanted}) as running:
        yield running


@pytest.mark.parametrize("on_page", PROGRAMS)
def test_block_runs_and_prints_what_the_page_says(on_page, finished):
    check(finished[on_page].result(), on_page, PROGRAMS[on_page].expected)


def test_blocks_are_found_joined_exempted_and_given_their_output():
    page = """\
```python
print(1)
```
<!-- continues -->
```python
print(2)
```
<!-- output -->
```text
1
2
```
<!-- not run: it needs a server -->
```python
serve()
```
```
print(3)
```
```python
print(4)
```
"""

    found = [(program.where, program.source, program.expected) for program in programs_of(page, "page.md")]

    assert found == [
        ("page.md:1", "print(1)\nprint(2)\n", "1\n2\n"),
        ("page.md:20", "print(4)\n", None),
    ]


def test_an_exemption_needs_a_reason():
    page = "<!-- not run: -->\n```python\nserve()\n```\n"

    assert [program.source for program in programs_of(page, "page.md")] == ["serve()\n"]
