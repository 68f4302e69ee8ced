"""One run: what is recorded of it, and what becomes of it."""

from aiodag.web.fastapi import APIRouter

run_api = APIRouter(tags=["runs"])
