"""The page on which a run is edited and resumed."""

from aiodag.web.fastapi import APIRouter

editing_pages = APIRouter()
