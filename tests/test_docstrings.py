"""Every example in a docstring runs, and answers what it says."""

import ast
import importlib
import sys
from types import ModuleType

import pytest
from programs import ROOT
from sessions import run_session

NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def docstrings(tree, name):
    """Give each docstring of a module, class or function, under its dotted name."""
    if text := ast.get_docstring(tree):
        yield name, text
    for node in tree.body:
        if isinstance(node, NAMED):
            yield from docstrings(node, f"{name}.{node.name}")


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SESSIONS = {
    name: (module, text)
    for module, path in {module_of(path): path for path in sorted((ROOT / "aiodag").rglob("*.py"))}.items()
    for name, text in docstrings(ast.parse(path.read_text(encoding="utf-8")), module)
    if ">>>" in text
}


@pytest.fixture
def main_module(monkeypatch):
    """Give the names of a `__main__` of its own, as that of an interactive session."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return vars(main)


@pytest.mark.parametrize("name", SESSIONS)
def test_the_examples_of_a_docstring_answer_what_they_say(name, main_module, secrets_forgotten, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module, text = SESSIONS[name]
    main_module.update(vars(importlib.import_module(module)), __name__="__main__")

    assert run_session(text, main_module) == []


@pytest.mark.parametrize(
    "session",
    [
        ">>> 1 + 1\n3",
        ">>> import asyncio\n>>> await asyncio.sleep(0, 2)\n3",
        ">>> print(2)",
        ">>> 1 / 0\n1",
        ">>> 1\nTraceback (most recent call last):\nZeroDivisionError: division by zero",
        ">>> 1 / 0\nTraceback (most recent call last):\nZeroDivisionError: something else",
    ],
)
def test_an_answer_that_differs_is_seen(session):
    assert len(run_session(session, {})) == 1


def test_examples_that_await_share_one_loop():
    session = """
    >>> import asyncio
    >>> later = asyncio.get_running_loop().create_future()
    >>> asyncio.get_running_loop().call_soon(later.set_result, 5)
    <Handle ...>
    >>> await later
    5
    """

    assert run_session(session, {}) == []
