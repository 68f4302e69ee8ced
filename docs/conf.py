"""How sphinx builds the site: `make docs`. The Markdown of this directory is its source, and reads well without it."""

import sys
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.pycode import ModuleAnalyzer
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
smartquotes = False  # "thread" in a text is an option, as it is typed

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"

# A name of aiodag that leads nowhere is an error. Those of the standard library are not linked, since nothing is fetched;
# type variables and what is private have no place to lead to.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!aiodag\.).*|aiodag\..*\b_.*|aiodag\.(.*\.)?[A-Z]\d?")]

python_maximum_signature_line_length = 120

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"aiodag {release}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

FACES = ["aiodag", "aiodag.codec", "aiodag.commands", "aiodag.service", "aiodag.stores", "aiodag.workflows"]
CLASSES = {"class", "exception"}
# Nobody calls these: they are what calls return.
RETURNED = {
    "aiodag.Failure",
    "aiodag.Node",
    "aiodag.Task",
    "aiodag.commands.Finished",
    "aiodag.service.Follower",
    "aiodag.workflows.Building",
    "aiodag.workflows.Values",
    "aiodag.workflows.WorkflowTask",
}

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
    own = "Workflow" if own == "Definition" else own  # what both are; only a workflow can be made from outside
    public = [
        name for name, found in python.objects.items() if name.rpartition(".")[2] == own and found.objtype in CLASSES
    ]
    if target.get("refdomain") != "py" or len(public) != 1:
        return None
    found = python.objects[public[0]]
    return make_refnode(env.app.builder, target["refdoc"], found.docname, found.node_id, shown, public[0])


def show_sources_to_autodoc(_: "Sphinx") -> None:
    """Have autodoc find the order of members and the overloads of a public name in the file that it is written in.

    It looks for them in the module that the name says it is of, and a face has no source of its own.
    """
    for face in FACES:
        package = ModuleAnalyzer.for_module(import_module(face).__name__)
        package.analyze()
        for module in [name for name in sys.modules if name.startswith(f"{face}.")]:
            written = ModuleAnalyzer.for_module(module)
            written.analyze()
            package.tagorder |= {name: place for name, place in written.tagorder.items() if is_of(face, module, name)}
            package.overloads |= {name: each for name, each in written.overloads.items() if is_of(face, module, name)}


def is_of(face: str, module: str, name: str) -> bool:
    """Return True if a name that is written in a module is public in a face, or belongs to what is."""
    first = name.partition(".")[0]
    missing = object()
    return getattr(sys.modules[face], first, missing) is getattr(sys.modules[module], first, None)


def hide_alias(*event: Any) -> None:
    """Leave out what Python says of each field of a named tuple: that it is one. The last argument is its lines."""
    *_, lines = event
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def hide_signature(*event: Any) -> tuple[str, str] | None:
    """Show no signature of a class that nobody calls. The third argument is its name."""
    _, _, name, *_ = event
    return ("", "") if name in RETURNED else None


def setup(app: "Sphinx") -> None:
    """Connect what this file adds."""
    app.connect("builder-inited", show_sources_to_autodoc)
    app.connect("autodoc-process-docstring", hide_alias)
    app.connect("autodoc-process-signature", hide_signature)
    app.connect("source-read", read_from_root)
    app.connect("missing-reference", lead_to_public_name)
