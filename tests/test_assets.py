"""The pictures of the README are those that assets/make.py draws."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from browsers import chromium
from programs import ROOT

from aiodag.workflows import registered

ASSETS = ROOT / "assets"


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("aiodag_assets", ASSETS / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn(make):
    return make.pictures()


@pytest.fixture(scope="module", autouse=True)
def hooks_of_examples_forgotten():
    """Leave nothing behind of what an example registers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registered, "HOOKS", {})
        patch.setitem(sys.modules, "tables", None)
        yield


def test_the_committed_pictures_are_fresh(drawn):
    committed = {path.name: path.read_text(encoding="utf-8") for path in ASSETS.glob("*.svg")}

    assert committed == drawn, "run `make assets`"


def test_a_picture_is_the_same_every_time(make, drawn):
    assert make.pictures() == drawn


def test_a_picture_is_well_formed_and_has_a_title(drawn):
    for picture in drawn.values():
        assert fromstring(picture)[0].text


def test_the_picture_of_the_page_is_fresh(make):
    pytest.importorskip("fastapi")
    with make.page_of_run() as (_, _, _, digest):
        assert (ASSETS / "page.sha256").read_text().strip() == digest, "run `make assets`"
    assert (ASSETS / "page.png").read_bytes().startswith(b"\x89PNG")


def test_the_demo_ends_with_the_picture_of_the_page():
    pytest.importorskip("fastapi")
    chromium()
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=ROOT / "examples", capture_output=True, text=True, check=True, timeout=120
    )
    path = Path(done.stdout.split()[-1])

    assert done.stderr == ""
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 20_000  # there is something on it


def test_a_page_is_the_same_at_another_time_and_another_with_another_style(make):
    page = '<link href="/static/page-0a1b2c3d4e5f.css"><time x>2 s ago</time><p>nightly-0a1b2c3d4e5f ran 1.25 s'
    later = page.replace("2 s ago", "now").replace("1.25 s", "980 ms").replace("nightly-0a1b2c3d4e5f", "nightly-1")

    digest = make.markup_digest(page, "nightly-0a1b2c3d4e5f", "/tmp/x")
    assert make.markup_digest(later, "nightly-1", "/tmp/y") == digest
    assert make.markup_digest(page.replace("page-0", "page-1"), "nightly-0a1b2c3d4e5f", "/tmp/x") != digest
    assert make.markup_digest(page.replace("ran", "took"), "nightly-0a1b2c3d4e5f", "/tmp/x") != digest
