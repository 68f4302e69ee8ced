"""Workflows that are kept by name."""

from aiodag.web.fastapi import APIRouter

workflows_api = APIRouter(tags=["workflows"])
