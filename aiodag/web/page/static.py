"""The one stylesheet and the one script of the page. Their addresses change with what is in them, so that browsers keep them."""

import hashlib
from functools import cache
from pathlib import Path

from aiodag.looks import LOOKS
from aiodag.service.drawing import PageDrawing
from aiodag.web.fastapi import APIRouter, HTTPException, Response

static_routes = APIRouter(include_in_schema=False)

HERE = Path(__file__).parent
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FILES = {"page.css": "text/css", "page.js": "text/javascript"}


@cache
def page_drawing() -> PageDrawing:
    """Return what the page has of pictures."""
    return PageDrawing()


@cache
def static_files() -> dict[str, tuple[bytes, str]]:
    """Return each file by its name in an address, with its kind."""
    found: dict[str, tuple[bytes, str]] = {}
    for name, kind in FILES.items():
        text = (HERE / name).read_text(encoding="utf-8")
        content = (f"{page_drawing().style}\n{state_style()}\n{text}" if name == "page.css" else text).encode()
        stem, _, ending = name.partition(".")
        found[f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{ending}"] = content, kind
    return found


def static_address(ending: str) -> str:
    """Return the address of the file with an ending, without the root."""
    return next(f"/static/{name}" for name in static_files() if name.endswith(ending))


def state_style() -> str:
    """Return the rules for the looks of states outside of pictures."""
    rules: list[str] = []
    for state, look in LOOKS.items():
        broken = ";border-style:dashed" if look.broken else ""
        fill, line, ink = (f"var(--{state}-{part})" for part in ("fill", "line", "ink"))
        rules.append(f".state.{state},.state-box.{state}{{background:{fill};border-color:{line};color:{ink}{broken}}}")
    return "\n".join(rules)


@static_routes.get("/static/{name}")
async def read_static(name: str) -> Response:
    """Return the stylesheet or the script."""
    if name not in static_files():
        raise HTTPException(404)
    content, kind = static_files()[name]
    return Response(content, media_type=kind, headers=FOREVER)
