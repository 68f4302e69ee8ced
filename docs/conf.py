"""How sphinx builds the site: `make docs`. The Markdown of this directory is its source, and reads well without it."""

from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).parent.parent

project = "aiodag"
author = "The aiodag authors"
version = release = version_of("aiodag")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
default_role = "code"  # docstrings write `name`, as Markdown does

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"

# A name of aiodag that leads nowhere is an error. Those of the standard library are not linked, for nothing is fetched;
# type variables and what is private have no place to lead to.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!aiodag\.).*|aiodag\..*\b_.*|aiodag\.(.*\.)?[A-Z]\d?")]

html_theme = "furo"
html_title = f"aiodag {release}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

CLASSES = {"class", "exception"}

# README.md and CHANGELOG.md stand in the root, where their links begin; on the site they are pages of docs/.
PAGES_OF_THE_ROOT = {"index": "README.md", "changelog": "CHANGELOG.md"}
LINKS_OF_THE_ROOT = {
    "](docs/": "](",
    "](assets/": "](../assets/",
    "](examples/": "](../examples/",
    "](CHANGELOG.md": "](changelog.md",
}


def read_from_root(_: "Sphinx", page: str, source: list[str]) -> None:
    """Put the text of a file of the root before that of its page, so that neither is written twice."""
    if name := PAGES_OF_THE_ROOT.get(page):
        text = (ROOT / name).read_text(encoding="utf-8")
        for written, here in LINKS_OF_THE_ROOT.items():
            text = text.replace(written, here)
        source[0] = f"{text}\n{source[0]}"


def lead_to_public_name(
    _: "Sphinx", env: "BuildEnvironment", target: "pending_xref", shown: "Element"
) -> "Element | None":
    """Lead an annotation that names a class by the file it is written in, or by itself, to its public name."""
    python = env.domains.python_domain
    own = target.get("reftarget", "").rpartition(".")[2]
    public = [
        name for name, found in python.objects.items() if name.rpartition(".")[2] == own and found.objtype in CLASSES
    ]
    if target.get("refdomain") != "py" or len(public) != 1:
        return None
    found = python.objects[public[0]]
    return make_refnode(env.app.builder, target["refdoc"], found.docname, found.node_id, shown, public[0])


def setup(app: "Sphinx") -> None:
    """Connect what this file adds."""
    app.connect("source-read", read_from_root)
    app.connect("missing-reference", lead_to_public_name)
