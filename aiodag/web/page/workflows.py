"""The pages of workflows."""

from aiodag.web.fastapi import APIRouter

workflows_pages = APIRouter()
