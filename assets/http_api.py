"""Write the reference of docs/http-api.md from the description that the server gives of itself: `make assets`."""

from pathlib import Path

from aiodag.web.application import build_routes
from aiodag.web.openapi import openapi_document
from aiodag.web.reference import ApiOperation, api_operations

PAGE = Path(__file__).parent.parent / "docs" / "http-api.md"
MARK = "<!-- what follows is written by assets/http_api.py -->\n"


def page() -> str:
    """Return the page as it should be: what people have written, and the reference behind it."""
    written, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return f"{written}{MARK}{reference()}"


def reference() -> str:
    """Return what can be asked, as Markdown."""
    groups = api_operations(openapi_document(build_routes()))
    return "".join(f"\n## {heading}\n{''.join(map(entry, rows))}" for heading, rows in groups.items())


def entry(row: ApiOperation) -> str:
    """Return one operation."""
    about = " ".join(row.about.split())
    lines = [f"\n### `{row.method} {row.path}`\n", f"{about} Answers {row.answer}.\n"]
    if row.fields:
        lines += ["| name | in | value | what it does |", "|---|---|---|---|"]
        lines += [
            f"| `{each.name}`{' (required)' if each.required else ''} | {each.place} | {each.kind} | {each.about} |"
            for each in row.fields
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
