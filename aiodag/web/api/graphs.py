"""The graph of a run, in each form."""

from aiodag.web.fastapi import APIRouter

graphs_api = APIRouter(tags=["runs"])
