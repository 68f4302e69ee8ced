"""Every example runs, and prints what its docstring says under "Output:"."""

import ast
from textwrap import dedent

import pytest
from programs import ROOT, check, run_all, selected

# The nightly report needs a repository to report on: test_nightly_report.py makes one.
EXAMPLES = {
    path.name: path for path in sorted((ROOT / "examples").glob("[0-9][0-9]_*.py")) if "nightly" not in path.name
}


def output_of(source):
    """What the docstring promises under "Output:", up to its end; None if it promises nothing."""
    docstring = ast.get_docstring(ast.parse(source)) or ""
    _, found, promised = docstring.partition("Output:\n")
    return dedent(promised) if found else None


@pytest.fixture(scope="module")
def finished(request):
    wanted = sorted(selected(request.session, "example"))
    with run_all({name: (EXAMPLES[name].read_text(encoding="utf-8"), name) for name in wanted}) as running:
        yield running


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_runs_and_prints_what_it_says(example, finished):
    check(
        finished[example].result(),
        f"examples/{example}",
        output_of(EXAMPLES[example].read_text(encoding="utf-8")),
    )


def test_output_is_the_end_of_the_docstring_dedented():
    assert output_of('"""Say it.\n\nOutput:\n\n    a\n      b\n"""\n').strip("\n") == "a\n  b"
    assert output_of('"""Say nothing."""\n') is None
