"""The page of all runs."""

from aiodag.web.fastapi import APIRouter

runs_pages = APIRouter()
