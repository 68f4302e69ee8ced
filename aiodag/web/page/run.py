"""The page of one run."""

from aiodag.web.fastapi import APIRouter

run_pages = APIRouter()
