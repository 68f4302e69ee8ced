"""The site: each page has a place in it, and each link leads somewhere, on the site and in the plain files alike."""

import ast
import json
import re
import sqlite3
from contextlib import closing

import pytest
from programs import ROOT

from aiodag.workflows.jobs.keys import (
    JOB_KEYS,
    KIND_KEYS,
    KINDS,
    MATCH_KEYS,
    RETRY_KEYS,
    STAGE_KEYS,
    STRATEGY_KEYS,
    TRIGGER_KEYS_OF_FILES,
    WORKFLOW_KEYS,
)

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
GROUPS = ["Start", "Guides", "Reference", "About"]

TOCTREE = re.compile(r"^```\{toctree\}\n(?P<options>(?::[^\n]*\n)*)\n(?P<entries>.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^(```+).*?^\1 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
LINK = re.compile(r"\]\((?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def captions(text):
    return [re.search(r":caption: (.*)", tree["options"])[1] for tree in TOCTREE.finditer(text)]


def entries(text):
    return [entry for tree in TOCTREE.finditer(text) for entry in tree["entries"].split()]


def slug(heading):
    """Return the anchor that GitHub and the site give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page):
    return {slug(heading) for heading in HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8")))}


def links(page):
    text = CODE.sub("", FENCED.sub("", page.read_text(encoding="utf-8")))
    return [(link["path"], link["anchor"]) for link in LINK.finditer(text) if "://" not in link["path"]]


def leads_somewhere(page, path, anchor):
    target = (page.parent / path).resolve() if path else page
    return target.is_file() and (anchor is None or anchor in anchors(target))


def test_every_page_stands_in_one_group_of_the_site():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")]

    assert captions(index) == GROUPS
    assert sorted([*entries(index), "index"]) == sorted(pages)


def test_the_readme_links_every_page():
    linked = {path for path, _ in links(ROOT / "README.md")}
    pages = {page.relative_to(ROOT).as_posix() for page in DOCS.rglob("*.md")}

    assert pages - {"docs/index.md", "docs/changelog.md"} <= linked


@each_page
def test_every_relative_link_leads_to_a_file_and_a_heading_in_it(page):
    astray = [f"{path}#{anchor}" for path, anchor in links(page) if not leads_somewhere(page, path, anchor)]

    assert astray == []


def columns_of_the_schema():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((ROOT / "aiodag" / "stores" / "sql" / "schema.sql").read_text(encoding="utf-8"))
        for (table,) in connection.execute(
            "select name from sqlite_schema where type = 'table' and name not like 'sqlite%'"
        ).fetchall():
            yield from ((table, column[1]) for column in connection.execute(f"pragma table_info({table})"))


@pytest.mark.parametrize(("table", "column"), [*columns_of_the_schema()])
def test_the_page_of_the_tables_describes_every_column(table, column):
    page = (DOCS / "store-tables.md").read_text(encoding="utf-8")
    own = re.search(rf"^## {table}\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    row = re.search(rf"^\| `{table}` \|.*$", page.partition("## Other tables")[2], re.MULTILINE)
    described = own or row

    assert described, f"{table} is not described"
    assert f"`{column}`" in described[0]


def keys_of_the_schema():
    schema = json.loads((ROOT / "aiodag" / "workflows" / "files" / "schema.json").read_text(encoding="utf-8"))
    return [*schema["properties"], *schema["$defs"]["keys"]["properties"]]


def test_the_page_of_the_keys_describes_every_key_in_a_row():
    page = (DOCS / "workflow-keys.md").read_text(encoding="utf-8")
    described = {
        key for cell in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for key in re.findall(r"`(.*?)`", cell)
    }

    assert described == set(keys_of_the_schema())


def test_the_page_of_the_keys_of_jobs_describes_every_key_in_a_row():
    page = (DOCS / "jobs-keys.md").read_text(encoding="utf-8")
    described = {
        key for cell in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for key in re.findall(r"`(.*?)`", cell)
    }
    kinds = {*KINDS, *(key for keys in KIND_KEYS.values() for key in keys)}
    known = {*WORKFLOW_KEYS, *JOB_KEYS, *STRATEGY_KEYS, *STAGE_KEYS, *kinds, *MATCH_KEYS, *RETRY_KEYS}

    assert described == known | {*TRIGGER_KEYS_OF_FILES, "include", "exclude"}


def test_a_link_astray_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Two words, `code`\n\n```\n# no heading\n```\n[a](#two-words-code) [b](#no-heading) [c](gone.md)\n"
    )

    assert [leads_somewhere(page, *link) for link in links(page)] == [True, False, False]


def tour():
    """Give what the tables of the design page name: each file under the folder of its section."""
    page = (DOCS / "design.md").read_text(encoding="utf-8")
    for section in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        folders = [folder for folder in re.findall(r"`(aiodag/[\w/]*)`", heading) if "aiodag/" in folder]
        first_cells = re.findall(r"^\| (`.*?`) \|", body.partition("\n## ")[0], re.MULTILINE)
        for name in re.findall(r"`([\w/]+\.(?:py|sql))`", " ".join(first_cells)):
            yield (folders[0] if len(folders) == 1 else "aiodag/") + name


def files_of_the_house():
    files = [path for path in (ROOT / "aiodag").rglob("*") if path.suffix in {".py", ".sql"}]
    return sorted(path.relative_to(ROOT).as_posix() for path in files if not is_door(path))


def is_door(path):
    return path.name == "__main__.py" or (path.name == "__init__.py" and path.parent.name != "aiodag")


def test_the_tour_of_the_house_names_every_file_once():
    assert sorted(tour()) == files_of_the_house()


# The dialect that pages and docstrings were once written in. "There is no", "is no longer" and the like are English.
DIALECT = re.compile(
    r"(?<![Tt]here )\b(?:is|are) no (?!longer|more|other|such)[a-z]"
    r"|\bbeside\b|\bfor who\b|\bTell whether\b|\bSay (?:what|why|how|which|whether)\b|\bof which there are\b"
)


def prose():
    """Give the text of each page without its code, and each docstring of the package."""
    for page in PAGES:
        if page.name != "CHANGELOG.md":
            yield page.relative_to(ROOT).as_posix(), FENCED.sub("", page.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "aiodag").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", " ".join(text.split())


def test_pages_and_docstrings_are_written_plainly():
    assert [(where, DIALECT.findall(text)) for where, text in prose() if DIALECT.search(text)] == []
