"""The pictures of the README are those that assets/make.py draws."""

import importlib.util
import sys
from xml.etree.ElementTree import fromstring

import pytest
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
