"""Every public name has an example that stands by itself; every example in a docstring answers what it says."""

import ast
import importlib
import inspect
import os
import re
import sys
from types import ModuleType

import pytest
from programs import ROOT
from sessions import run_session

SHOWN = re.compile(r"^\.\. auto(?:class|exception|function)::[ ]([\w.]+)", re.MULTILINE)
IMPORT = re.compile(r"^ *from (aiodag[\w.]*) import (.+)$", re.MULTILINE)
NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def names_of_the_reference():
    return [name for page in sorted((ROOT / "docs" / "api").glob("*.md")) for name in SHOWN.findall(page.read_text())]


def found(name):
    """Return what a dotted name stands for, and the text that is written for it, not for what it inherits from."""
    module, _, own = name.rpartition(".")
    thing = getattr(importlib.import_module(module), own)
    written = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    return inspect.cleandoc(written or "")


PUBLIC = {name: found(name) for name in names_of_the_reference()}


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


OTHERS = {
    name: (module, text)
    for module, path in {module_of(path): path for path in sorted((ROOT / "aiodag").rglob("*.py"))}.items()
    for name, text in docstrings(ast.parse(path.read_text(encoding="utf-8")), module)
    if ">>>" in text and text not in PUBLIC.values()
}


@pytest.fixture
def typed_names(
    monkeypatch,
    tmp_path,
    secrets_forgotten,
    topics_forgotten,
    schemes_forgotten,
    hooks_forgotten,
    modules_forgotten,
    strangers_known,
):
    """Give the names of a `__main__` of its own, as that of an interactive session, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    variables = dict(os.environ)
    yield vars(main)
    os.environ.clear()
    os.environ.update(variables)


def faces():
    """Find the packages that publish names as their own."""
    packages = {module_of(path) for path in (ROOT / "aiodag").rglob("__init__.py")}
    return [name for name in sorted(packages) if hasattr(importlib.import_module(name), "_publish")]


@pytest.mark.parametrize("face", faces())
def test_the_reference_shows_the_whole_face(face):
    names = vars(importlib.import_module(face)).items()
    public = {f"{face}.{name}" for name, thing in names if name[0] != "_" and not inspect.ismodule(thing)}

    assert public == {name for name in PUBLIC if name.rpartition(".")[0] == face}


@pytest.mark.parametrize("module", ["aiodag.abc", "aiodag.programs", "aiodag.records"])
def test_the_reference_shows_the_classes_that_pass_between_layers(module):
    classes = (thing for thing in vars(importlib.import_module(module)).values() if isinstance(thing, type))

    assert {f"{module}.{each.__name__}" for each in classes if each.__module__ == module} <= set(PUBLIC)


def imported_by_pages():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    lines = [line for page in pages for line in IMPORT.findall(page.read_text(encoding="utf-8"))]
    return {f"{module}.{name.strip()}" for module, names in lines for name in names.partition("#")[0].split(",")}


def test_what_pages_import_is_in_the_reference():
    modules = {"aiodag.pictures"}
    policy = {"aiodag.testing.VirtualPolicy"}  # made where Python still has policies

    assert imported_by_pages() - modules - policy <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_stands_by_itself(name, typed_names):
    assert ">>>" in PUBLIC[name]
    assert run_session(PUBLIC[name], typed_names) == []


@pytest.mark.parametrize("name", OTHERS)
def test_an_example_beside_the_code_answers_what_it_says(name, typed_names):
    module, text = OTHERS[name]
    beside = vars(importlib.import_module(module))
    typed_names.update({each: beside[each] for each in beside if not each.startswith("__")})

    assert run_session(text, typed_names) == []


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
